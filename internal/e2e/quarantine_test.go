package e2e

import (
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// Merged without approval: nothing is applied, the undo takes it back, the redo asks for it properly.
func TestQuarantineUndoRedo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("bypass", twoVMs())
	w.published(pr)
	commit := w.bypass(pr)
	w.quarantined("APPROVAL_BYPASSED", "test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	w.comment(pr, "uarantined")

	undo := w.undo(commit)
	w.comment(pr, undo.URL())
	w.check(undo, "shepherd/validate", "success")
	w.check(undo, "shepherd/approval", "success")
	for path := range twoVMs() {
		_, ok := w.Repo.File(undo.HeadRef(), path)
		if recorded := !strings.HasPrefix(path, "systems/shop/redis/test-shop") && !strings.HasPrefix(path, "systems/shop/redis/prod-shop"); ok != recorded {
			t.Errorf("%s is in the undo: %v", path, ok)
		}
	}
	w.merge(undo, "merge")
	branch := "shepherd/redo-" + commit[:8]
	w.comment(undo, branch)
	w.quiet()
	w.absent("test-shop-shop-redis-01", "prod-shop-shop-redis-02")

	redo := w.open(branch, false)
	w.check(redo, "shepherd/validate", "success")
	w.untold(redo, "shop/redis") // it exists by now
	w.approve(w.Bob, redo)
	w.merge(redo, "squash")
	w.once("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	for path, content := range twoVMs() {
		if got, _ := w.Repo.File("main", path); string(got) != string(content) {
			t.Errorf("after the redo %s is\n%s", path, got)
		}
	}
}

// quarantined waits until subjects are written down as merged without passing, and holds that nothing of
// them is applied.
func (w *world) quarantined(code string, subjects ...string) {
	w.t.Helper()
	action := "CHANGE_QUARANTINED"
	if code == "APPROVAL_BYPASSED" {
		action = code
	}
	for _, subject := range subjects {
		w.eventually(subject+" to be quarantined: "+code, func() bool {
			return w.count(`select count(*) from audit_log where action_code = $1 and subject = $2 and params->>'code' = $3`, action, subject, code) == 1
		})
	}
	w.quiet()
	if n := w.count(`select count(*) from events where subject = any($1) and status not in ('CANCELLED', 'PENDING')`, subjects); n != 0 {
		w.t.Errorf("%d events of what is quarantined", n)
	}
	for _, subject := range subjects {
		if !strings.Contains(subject, "/") {
			w.absent(subject)
		}
	}
}

// undo waits for the pull request that takes a commit back.
func (w *world) undo(commit string) *forgetest.Pull {
	w.t.Helper()
	var found *forgetest.Pull
	w.eventually("the undo of "+commit, func() bool {
		i := slices.IndexFunc(w.Repo.Pulls(), func(p *forgetest.Pull) bool { return p.HeadRef() == "shepherd/undo-"+commit[:8] })
		if i >= 0 {
			found = w.Repo.Pulls()[i]
		}
		return i >= 0
	})
	return found
}

// untold holds that the table of changes has no such subject.
func (w *world) untold(pr *forgetest.Pull, subject string) {
	w.t.Helper()
	if c, _ := pr.Check("shepherd/approval"); strings.Contains(c.Summary, "`"+subject+"`") {
		w.t.Errorf("#%d changes %s:\n%s", pr.Number(), subject, c.Summary)
	}
}

// structure makes a system and a service that are accepted.
func (w *world) structure(system, service string) {
	w.t.Helper()
	pr := w.ask("structure-"+system, machines(system, service))
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "squash")
	w.eventually("the structure to be accepted", func() bool {
		return w.count(`select count(*) from accepted where system = $1`, system) == 2
	})
}

// A push past every pull request, and taking it back by hand.
func TestDirectPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	path := vmPath("shop", "redis", "test-shop/01")
	pushed := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{
		path:                                    stage.VM("small", "quickly"),
		"systems/shop/mongo/service.yaml":       stage.Service("a store"),
		vmPath("shop", "mongo", "test-shop/01"): stage.VM("small", "in a hurry"),
	}, "quickly"))(w)
	w.quarantined("APPROVAL_BYPASSED", "test-shop-shop-redis-01", "shop/mongo", "test-shop-shop-mongo-01")
	undo := w.undo(pushed)
	w.check(undo, "shepherd/approval", "success")

	// What is quarantined can neither be changed nor built on.
	change := w.ask("change", forgetest.Files{path: stage.VM("medium", "larger")})
	w.problem(change, "QUARANTINED", path, 1)
	child := w.ask("child", forgetest.Files{vmPath("shop", "mongo", "test-shop/02"): stage.VM("small", "beside it")})
	w.problem(child, "SERVICE_UNKNOWN", vmPath("shop", "mongo", "test-shop/02"), 1)
	w.quiet()
	w.untouched(change)
	w.untouched(child)

	// Taken back by hand it is no change; the undo has nothing left to do.
	quarantined := w.count(`select count(*) from audit_log where action_code = 'APPROVAL_BYPASSED'`)
	must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{
		path: nil, "systems/shop/mongo/service.yaml": nil, vmPath("shop", "mongo", "test-shop/01"): nil,
	}, "take it back"))(w)
	w.eventually("the cursor to move", func() bool {
		return w.count(`select count(*) from repository where "cursor" = $1`, w.Repo.Head("main")) == 1
	})
	w.quiet()
	if n := w.count(`select count(*) from audit_log where action_code = 'APPROVAL_BYPASSED'`); n != quarantined {
		t.Errorf("taking it back by hand was quarantined: %d entries, were %d", n, quarantined)
	}
	w.do(w.Dave.UpdateBranch(undo))
	w.check(undo, "shepherd/approval", "success")
	pr := w.approved("properly", forgetest.Files{path: stage.VM("small", "properly")})
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01")
}

// Rules that nobody has approved are not in force, wherever they are written.
func TestDirectPushOfThePlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const size, roles = "platform/sizes/small.yaml", "platform/roles/approvers.yaml"
	good, _ := w.Repo.File("main", size)
	approvers, _ := w.Repo.File("main", roles)
	pushed := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{
		size:  w.replace(good, "memory: 2Gi", "memory: 64Gi"),
		roles: w.replace(w.replace(approvers, "login: bob", "login: carol"), "id: 102", "id: 103"),
	}, "larger"))(w)
	undo := w.undo(pushed)
	w.quarantined("APPROVAL_BYPASSED", w.strings(`select subject from audit_log where action_code = 'APPROVAL_BYPASSED'`)...)

	pr := w.ask("shop", twoVMs())
	w.approve(w.Carol, pr)
	w.comment(pr, "carol")
	w.quiet()
	w.check(pr, "shepherd/approval", "action_required")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	if got := w.vm("test-shop-shop-redis-01").Spec.Template.Spec.Domain.Memory.Guest.String(); got != "2Gi" {
		t.Errorf("memory %s: a size that nobody has approved", got)
	}

	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "rebase")
	w.quiet()
	for path, want := range map[string][]byte{size: good, roles: approvers} {
		if got, _ := w.Repo.File("main", path); string(got) != string(want) {
			t.Errorf("after the undo %s is\n%s", path, got)
		}
	}
}

// What was merged is held to what was approved, not to its name.
func TestMergedIsNotWhatWasApproved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	one, two := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "test-shop/02")

	larger := w.approved("larger", forgetest.Files{one: stage.VM("small", "as approved")})
	w.quiet()
	w.Forge.PauseDeliveries()
	w.push("larger", forgetest.Files{one: stage.VM("medium", "not as approved")})
	commit := w.bypass(larger)
	w.Forge.ResumeDeliveries()
	w.quarantined("DIGEST_MISMATCH", "test-shop-shop-redis-01")
	w.comment(larger, "DIGEST_MISMATCH")
	w.undo(commit)

	moved := w.approved("moved", forgetest.Files{two: stage.VM("small", "in test")})
	w.quiet()
	w.Forge.PauseDeliveries()
	w.push("moved", forgetest.Files{two: nil, vmPath("shop", "redis", "prod-shop/02"): stage.VM("small", "in test")})
	w.bypass(moved)
	w.Forge.ResumeDeliveries()
	w.quarantined("NAMESPACE_IMMUTABLE", "prod-shop-shop-redis-02")
	w.absent("test-shop-shop-redis-02")
	if n := w.count(`select count(*) from vms`); n != 0 {
		t.Errorf("%d VMs accepted", n)
	}
}

// A rewritten branch stops the walker until somebody has looked.
func TestHistoryRewritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stage.Options) { o.Unprotected = true })
	w.structure("shop", "redis")
	before := w.Repo.Head("main")
	commit := must(w.Repo.Commit(before))(w)
	must(w.Dave.ForcePush(w.Repo, "main", commit.Parents[0], machines("shop", "redis"), "another story"))(w)
	w.eventually("the walker to stop", func() bool {
		return w.count(`select count(*) from repository where blocked = 'HISTORY_REWRITTEN'`) == 1
	})
	if n := w.audited("HISTORY_REWRITTEN", "main"); n != 1 {
		t.Errorf("audited %d times", n)
	}
	pr := w.ask("during", forgetest.Files{vmPath("shop", "redis", "test-shop/01"): stage.VM("small", "while it stands still")})
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	base := w.Repo.Head("main")
	w.merge(pr, "merge")
	w.quiet()
	w.absent("test-shop-shop-redis-01")

	w.baseline(base)
	next := w.approved("after", forgetest.Files{vmPath("shop", "redis", "test-shop/02"): stage.VM("small", "when it goes on")})
	w.merge(next, "merge")
	w.once("test-shop-shop-redis-01", "test-shop-shop-redis-02")
}
