package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// A confirmation is about what it names, by who may delete that, and without one nothing is deleted,
// whoever merges.
func TestConfirmationsInTest(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const first, second = "test-shop-shop-redis-01", "test-shop-shop-redis-02"
	one, two := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "test-shop/02")
	files := machines("shop", "redis", "test-shop/01", "test-shop/02")
	w.told2(w.decided("create", files), first, second)

	pr := w.ask("delete", forgetest.Files{one: nil})
	w.published(pr)
	old := w.toConfirm(pr)[0]
	w.refuses(w.Alice, pr, "/confirm", "DELETE_CONFIRMATION_REQUIRED")
	w.refuses(w.Alice, pr, "/confirm "+second+" "+old[len("/confirm "):], "CONFIRMATION_NAME_MISMATCH", "`/confirm ")
	w.obeys(w.Dave, pr, old)
	w.approve(w.Bob, pr)
	w.standing(pr, "success", "approved, and confirmed by an administrator")

	// Another machine is deleted instead: neither the approval nor the confirmation is for that.
	w.push("delete", forgetest.Files{one: files[one], two: nil})
	w.published(pr)
	w.approve(w.Bob, pr)
	w.standing(pr, "action_required", "what was confirmed was another deletion")
	w.refuses(w.Alice, pr, old, "has this digest")
	line := w.toConfirm(pr)[0]
	if line == old {
		t.Fatal("the digest is the same")
	}
	w.comment(pr, "Waiting for a confirmation")

	// Merged without it by an administrator: nothing is deleted.
	commit := w.bypass(pr)
	w.eventually("the quarantine", func() bool {
		return w.count(`select count(*) from audit_log where action_code = 'CHANGE_QUARANTINED' and subject = $1 and params->>'code' = 'DELETE_CONFIRMATION_REQUIRED'`, second) == 1
	})
	undo := w.undo(commit)
	w.told(pr, "Quarantined: merged, and not applied", "DELETE_CONFIRMATION_REQUIRED")
	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "merge")
	w.quiet()
	w.vm(first)
	w.vm(second)
	w.status(second, "RUNNING")
	w.wantActs(second, "CREATE_VM COMPLETED/COMPLETED", "DELETE_VM CANCELLED/CANCELLED DELETE_CONFIRMATION_REQUIRED")
	if _, ok := w.Repo.File("main", two); !ok {
		t.Error("the file is not back")
	}
}

// told2 has machines run, and waits until that is told.
func (w *plant) told2(pr *forgetest.Pull, names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.vm(name)
	}
	w.boots(names...)
	w.told(pr, "Applied and running")
}
