package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// A draft and a fork are checked and submit nothing.
func TestDraftAndFork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("draft", machines("draft", "first", "test-shop/01"))
	draft := w.open("draft", true)
	w.check(draft, "shepherd/validate", "success")
	w.check(draft, "shepherd/approval", "action_required")

	fork := must(w.Alice.Fork(w.Repo))(w)
	must(w.Alice.Commit(fork, "fork", "main", machines("fork", "second", "test-shop/01"), "from afar"))(w)
	far := must(w.Alice.OpenPull(w.Repo, "From afar", "alice:fork", "main", "", false))(w)
	w.check(far, "shepherd/validate", "success")
	w.check(far, "shepherd/approval", "action_required")
	w.quiet()
	w.untouched(draft)
	w.untouched(far)
	must(w.Bob.Approve(far))(w)
	must(w.Bob.Approve(draft))(w)
	w.quiet()
	w.untouched(draft)
	w.untouched(far)

	w.do(w.Alice.MarkReady(draft))
	w.eventually("a ticket", func() bool { return slices.Equal(w.statuses(draft), []string{"PENDING_APPROVAL"}) })
	w.approve(w.Bob, draft)
	w.check(draft, "shepherd/approval", "success")
	w.do(w.Alice.MarkDraft(draft))
	w.eventually("the ticket to be cancelled", func() bool { return slices.Equal(w.statuses(draft), []string{"CANCELLED"}) })
	w.quiet()
	if n := w.count(`select count(*) from claims`); n != 0 {
		t.Errorf("%d claims of a draft", n)
	}

	commit := w.bypass(far)
	w.quarantined("APPROVAL_BYPASSED", "test-shop-fork-second-01")
	w.undo(commit)
}

// What a closed pull request asked for is free again; reopened, it asks anew.
func TestClosedAndReopened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.approved("first", machines("shop", "redis", "test-shop/01"))
	second := w.ask("second", machines("shop", "redis", "test-shop/01"))
	w.problem(second, "DUPLICATE_PENDING_REQUEST", vmPath("shop", "redis", "test-shop/01"), 1)
	if c, _ := second.Check("shepherd/validate"); !strings.Contains(c.Summary, fmt.Sprintf("#%d", first.Number())) {
		t.Errorf("the first pull request is not named:\n%s", c.Summary)
	}
	w.quiet()
	w.untouched(second)

	w.do(w.Alice.Close(first))
	w.eventually("the ticket to be cancelled", func() bool { return slices.Equal(w.statuses(first), []string{"CANCELLED"}) })
	w.published(second) // the name is free, and nobody has to ask twice
	w.do(w.Alice.Close(second))
	w.eventually("the ticket to be cancelled", func() bool { return slices.Equal(w.statuses(second), []string{"CANCELLED"}) })

	w.do(w.Alice.Reopen(first))
	w.published(first)
	w.quiet()
	w.check(first, "shepherd/approval", "action_required") // the old approval does not count
	time.Sleep(time.Second)                                // the forge's clock has seconds
	w.approve(w.Bob, first)
	w.merge(first, "merge")
	w.once("test-shop-shop-redis-01")
}

// A pull request that waits, is closed and reopened as it was has new plans: they are published although
// the check says what it said before, and an approval counts.
func TestReopenedWhileWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("waiting", machines("shop", "redis", "test-shop/01"))
	w.published(pr)
	w.do(w.Alice.Close(pr))
	w.eventually("the ticket to be cancelled", func() bool { return slices.Equal(w.statuses(pr), []string{"CANCELLED"}) })
	w.do(w.Alice.Reopen(pr))
	w.quiet() // the check says what it said before
	w.published(pr)
	time.Sleep(time.Second) // the forge's clock has seconds
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
}

// Closing and reopening in one breath is still another asking.
func TestReopenedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.approved("reopened", machines("shop", "redis", "test-shop/01"))
	w.quiet()
	time.Sleep(time.Second) // the forge's clock has seconds
	w.Forge.PauseDeliveries()
	w.do(w.Alice.Close(pr))
	w.do(w.Alice.Reopen(pr))
	w.Forge.ResumeDeliveries()
	w.check(pr, "shepherd/approval", "action_required")
	w.quiet()
	time.Sleep(time.Second)
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
}

func TestRetargeted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(w.Dave.Commit(w.Repo, "other", "main", forgetest.Files{"notes.md": []byte("notes\n")}, "another branch"))(w)
	pr := w.approved("away", machines("shop", "redis", "test-shop/01"))
	w.do(w.Alice.Retarget(pr, "other"))
	w.eventually("the ticket to be cancelled", func() bool { return slices.Equal(w.statuses(pr), []string{"CANCELLED"}) })
	w.quiet()
	if n := w.count(`select count(*) from claims`); n != 0 {
		t.Errorf("%d claims", n)
	}
	must(w.Dave.Merge(pr, "merge"))(w)
	w.comment(pr, "Closed")
	w.quiet()
	w.absent("test-shop-shop-redis-01")
	w.noQuarantine()
}

// Two pull requests with the same commits: the forge calls both merged when one is, and nothing of the
// other stays behind.
func TestAbsorbed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.ask("first", machines("shop", "redis", "test-shop/01"))
	w.published(first)
	w.do(w.Alice.Push(w.Repo, "second", first.HeadSHA(), false))
	second := w.open("second", false)
	w.problem(second, "DUPLICATE_PENDING_REQUEST", vmPath("shop", "redis", "test-shop/01"), 1)
	must(w.Bob.Approve(first))(w)
	w.eventually("the approval", func() bool { return slices.Equal(w.statuses(first), []string{"APPROVED"}) })
	if c, _ := first.Check("shepherd/approval"); c.Conclusion == "success" {
		t.Error("the approval of one pull request lets the other's problems through: they have the same head")
	}
	w.bypass(first)
	w.once("test-shop-shop-redis-01")
	if !second.Merged() {
		t.Fatal("the forge does not call the second merged")
	}
	w.comment(second, "Nothing had to be applied")
	w.quiet()
	for _, pr := range []*forgetest.Pull{first, second} {
		if got := w.strings(`select state from pull_requests where id = $1`, pr.Number()); got[0] != "merged" {
			t.Errorf("#%d is known as %v", pr.Number(), got)
		}
	}
	w.noQuarantine()
}

// A request for changes stops what it is about until the same person comes round.
func TestRequestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("shop", twoVMs())
	w.published(pr)
	must(w.Bob.RequestChanges(pr, "too small for a winter"))(w)
	w.check(pr, "shepherd/approval", "failure")
	w.comment(pr, "too small for a winter")
	if got := w.statuses(pr); !slices.Equal(got, []string{"REJECTED", "REJECTED"}) {
		t.Errorf("the tickets are %v", got)
	}
	must(w.Dave.Approve(pr))(w)
	w.quiet()
	w.check(pr, "shepherd/approval", "failure") // somebody else's approval lifts no veto
	must(w.Bob.Approve(pr))(w)
	w.eventually("it to be open again", func() bool {
		return slices.Equal(w.statuses(pr), []string{"REJECTED", "PENDING_APPROVAL", "REJECTED", "PENDING_APPROVAL"}) ||
			slices.Equal(w.statuses(pr), []string{"REJECTED", "APPROVED", "REJECTED", "APPROVED"})
	})
	w.quiet()
	if c, _ := pr.Check("shepherd/approval"); c.Conclusion == "action_required" {
		w.approve(w.Bob, pr)
	}
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
}
