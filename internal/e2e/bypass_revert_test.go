package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// revert opens the pull request of the forge's revert button: a merge taken back.
func (c clone) revert(commit string) *forgetest.Pull {
	c.w.t.Helper()
	branch := "revert-" + commit[:8]
	c.git("fetch", "-q", "origin")
	c.git("checkout", "-q", "-B", branch, "origin/main")
	args := []string{"revert", "--no-edit", commit}
	if strings.Count(c.git("rev-list", "--parents", "-n1", commit), " ") == 2 {
		args = append(args, "-m", "1")
	}
	c.git(args...)
	c.git("push", "-q", "origin", branch)
	return c.w.open(branch, false)
}

// Several commits are one request, whatever way they are merged: what stood only in between is never carried
// out. A revert is a request like any other.
func TestManyCommitsAndReverts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	methods := []string{"squash", "rebase", "merge"}
	files := machines("shop", "redis")
	at := func(i, n int) string { return vmPath("shop", "redis", fmt.Sprintf("test-shop/%d%d", n, i)) }
	name := func(i, n int) string { return fmt.Sprintf("test-shop-shop-redis-%d%d", n, i) }
	for i := range methods {
		files[at(i, 1)], files[at(i, 2)] = stage.VM("small", "to grow"), stage.VM("small", "to go")
	}
	made := w.approved("made", files)
	w.merge(made, "squash")
	for i := range methods {
		w.once(name(i, 1), name(i, 2))
	}

	merged := map[string]string{}
	for i, method := range methods {
		w.push(method, forgetest.Files{at(i, 1): nil, at(i, 2): stage.VM("medium", "to go"), at(i, 3): stage.VM("small", "for a while")})
		w.push(method, forgetest.Files{at(i, 1): stage.VM("small", "to grow a lot"), at(i, 2): nil})
		w.push(method, forgetest.Files{at(i, 1): stage.VM("medium", "to grow"), at(i, 3): nil, at(i, 4): stage.VM("small", "to stay"),
			"systems/shop/redis/service.yaml": stage.Service("merged by " + method)})
		pr := w.open(method, false)
		w.published(pr)
		w.confirmAll(w.Alice, pr)
		w.approve(w.Bob, pr)
		w.check(pr, "shepherd/approval", "success")
		merged[method] = w.merge(pr, method)
		w.once(name(i, 4))
		w.eventually("the machines of "+method, func() bool {
			return w.count(`select count(*) from events where pull_request = $1 and status = 'COMPLETED'`, pr.Number()) == 4
		})
		if got := w.strings(`select operation from events where pull_request = $1 and status <> 'CANCELLED' and subject = any($2) order by 1`,
			pr.Number(), []string{name(i, 1), name(i, 2), name(i, 3)}); fmt.Sprint(got) != "[DELETE_VM MODIFY_VM]" {
			t.Errorf("%s: carried out: %v", method, got)
		}
	}
	w.quiet()
	for i := range methods {
		w.absent(name(i, 2), name(i, 3))
		if got := w.vm(name(i, 1)).Spec.Template.Spec.Domain.Memory.Guest.String(); got != "4Gi" {
			t.Errorf("%s: memory %s", methods[i], got)
		}
	}
	w.noQuarantine()

	// The last one taken back: a change, a deletion, and a machine that cannot come back under its old index.
	c := w.clone(w.Alice)
	back := c.revert(merged["merge"])
	w.problem(back, "INDEX_TAKEN", at(2, 2), 1)
	w.push(back.HeadRef(), forgetest.Files{at(2, 2): nil})
	w.published(back)
	w.confirmAll(w.Alice, back)
	w.approve(w.Bob, back)
	w.check(back, "shepherd/approval", "success")
	w.merge(back, "squash")
	w.eventually("the machine to be small again", func() bool { return w.vm(name(2, 1)).Spec.Template.Spec.Domain.Memory.Guest.String() == "2Gi" })
	w.eventually("the other to go", func() bool {
		return w.count(`select count(*) from vms where name = $1 and status = 'DELETED'`, name(2, 4)) == 1
	})
	w.noQuarantine()

	// The revert of what was merged past the gate is its undo.
	past := w.ask("past", forgetest.Files{at(0, 1): stage.VM("small", "nobody has looked"), at(0, 5): stage.VM("small", "nor here"), at(0, 4): nil})
	w.published(past)
	commit := must(w.Dave.MergeBypassing(past, "rebase"))(w)
	w.eventually("the quarantine", func() bool {
		return w.count(`select count(*) from audit_log where params->>'commit' = $1`, commit) >= 3
	})
	undo := w.undo(commit)
	revert := c.revert(commit)
	w.check(revert, "shepherd/validate", "success")
	done := w.check(revert, "shepherd/approval", "success")
	if done.Title != "Nothing changes" {
		t.Errorf("the revert's check: %s\n%s", done.Title, done.Summary)
	}
	w.merge(revert, "merge")
	w.quiet()
	w.check(undo, "shepherd/approval", "success")
	again := w.approved("again", forgetest.Files{at(0, 1): stage.VM("small", "asked for")})
	w.merge(again, "merge")
	w.eventually("the machine to be small", func() bool { return w.vm(name(0, 1)).Spec.Template.Spec.Domain.Memory.Guest.String() == "2Gi" })
	w.absent(name(0, 5))
}

// A branch that was rewritten stops everything; the new start accepts no machine that nobody approved, forgets
// none that lives, and from there it goes on.
func TestRewrittenAndOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stage.Options) { o.Unprotected = true })
	one, two, three := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "test-shop/02"), vmPath("shop", "redis", "test-shop/03")
	start := w.Repo.Head("main")
	made := w.approved("made", machines("shop", "redis", "test-shop/01", "test-shop/02"))
	w.merge(made, "merge")
	w.once("test-shop-shop-redis-01", "test-shop-shop-redis-02")

	files := machines("shop", "redis", "test-shop/03")
	files[two] = stage.VM("medium", "another story")
	must(w.Dave.ForcePush(w.Repo, "main", start, files, "another story"))(w)
	w.eventually("the walker to stop", func() bool {
		return w.count(`select count(*) from repository where blocked = 'HISTORY_REWRITTEN'`) == 1
	})
	result := w.baseline(w.Repo.Head("main"))
	if diff := cmp.Diff([]string{two, three}, result.Waiting); diff != "" {
		t.Errorf("accepted without anybody's word (-want +got):\n%s", diff)
	}
	w.quiet()
	w.absent("test-shop-shop-redis-03")
	w.once("test-shop-shop-redis-01", "test-shop-shop-redis-02")

	waits := w.ask("waits", forgetest.Files{three: stage.VM("medium", "on top of what nobody approved")})
	w.problem(waits, "QUARANTINED", three, 1)
	tidy := w.ask("tidy", forgetest.Files{
		one: stage.VM("small", "a machine of redis"), two: stage.VM("small", "a machine of redis"), three: nil,
	})
	if c := w.check(tidy, "shepherd/approval", "success"); c.Title != "Nothing changes" {
		t.Errorf("back to what is accepted: %s", c.Title)
	}
	w.merge(tidy, "squash")
	w.quiet()
	next := w.approved("next", forgetest.Files{one: stage.VM("medium", "larger"), three: stage.VM("small", "properly")})
	w.merge(next, "rebase")
	w.once("test-shop-shop-redis-03")
	w.eventually("the larger machine", func() bool {
		return w.vm("test-shop-shop-redis-01").Spec.Template.Spec.Domain.Memory.Guest.String() == "4Gi"
	})
	w.noQuarantine()
}
