package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// odd is a file that no program would write like this: whatever is restored is restored as it was.
func odd() []byte {
	return []byte("# by hand\napiVersion: \"kubevirt-shepherd.io/v1alpha1\"\nkind:   VirtualMachine\n\nspec:\n" +
		"  {template: ubuntu-24.04, size: small,\n   power: running, reason: 'written by hand'}   # no newline at the end")
}

var linesToConfirm = regexp.MustCompile("`(/confirm [^`]+)`")

// confirmAll copies the lines that the comment asks for.
func (w *world) confirmAll(u *forgetest.User, pr *forgetest.Pull) {
	w.t.Helper()
	lines := linesToConfirm.FindAllStringSubmatch(w.comment(pr, "/confirm "), -1)
	var said []string
	for _, l := range lines {
		if !slices.Contains(said, l[1]) {
			said = append(said, l[1])
		}
	}
	must(u.Comment(pr, strings.Join(said, "\n")))(w)
}

// What was removed without anybody's word stays on the cluster, comes back as it was, and can be removed properly.
func TestDeletionsPastTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stage.Options) {
		o.Files["platform/roles/owners.yaml"] = bindRole("system-admin", "alice", "101")
	})
	one, two, three := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "prod-shop/02"), vmPath("shop", "redis", "test-shop/03")
	names := []string{"test-shop-shop-redis-01", "prod-shop-shop-redis-02", "test-shop-shop-redis-03"}
	files := machines("shop", "redis")
	for _, path := range []string{one, two, three} {
		files[path] = odd()
	}
	made := w.approved("made", files)
	w.merge(made, "rebase")
	w.once(names...)

	unconfirmed := w.ask("unconfirmed", forgetest.Files{one: nil})
	w.approve(w.Bob, unconfirmed)
	w.eventually("the approval", func() bool { return slices.Equal(w.statuses(unconfirmed), []string{"APPROVED"}) })
	first := w.bypass(unconfirmed)
	w.stopped(first, "DELETE_CONFIRMATION_REQUIRED", one)

	unapproved := w.ask("unapproved", forgetest.Files{two: nil})
	w.published(unapproved)
	w.confirmAll(w.Alice, unapproved)
	w.eventually("the confirmation", func() bool {
		return w.count(`select count(*) from confirmations where pull_request = $1`, unapproved.Number()) == 1
	})
	w.quiet()
	second := must(w.Dave.MergeBypassing(unapproved, "squash"))(w)
	w.stopped(second, "APPROVAL_BYPASSED", two)

	third := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{three: nil, "systems/shop/redis/service.yaml": nil}, "quickly"))(w)
	w.stopped(third, "APPROVAL_BYPASSED", three, "systems/shop/redis/service.yaml")
	for _, name := range names {
		w.vm(name)
	}

	// Newest first, and oldest last: the order does not matter.
	for _, commit := range []string{third, first, second} {
		undo := w.undo(commit)
		w.check(undo, "shepherd/approval", "success")
		w.merge(undo, "merge")
	}
	for _, path := range []string{one, two, three} {
		if got := w.onMain(path); string(got) != string(odd()) {
			t.Errorf("after the undo %s is\n%s", path, got)
		}
	}
	w.quiet()
	w.once(names...)

	for _, commit := range []string{first, second} {
		branch := "shepherd/redo-" + commit[:8]
		w.eventually(branch, func() bool { return w.Repo.Head(branch) != "" })
		redo := w.open(branch, false)
		w.published(redo)
		w.confirmAll(w.Alice, redo)
		w.approve(w.Bob, redo)
		w.check(redo, "shepherd/approval", "success")
		w.merge(redo, "merge")
	}
	w.eventually("the machines to go", func() bool {
		return w.count(`select count(*) from vms where name = any($1) and status = 'DELETED'`, names) == 2
	})
	w.absent(names[0], names[1])
	w.vm(names[2])
}

// What comes from a fork is never submitted, so that its merge is no decision; asked for from a branch it is.
func TestMergedFromAFork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	path := vmPath("shop", "redis", "test-shop/01")
	fork := must(w.Alice.Fork(w.Repo))(w)
	must(w.Alice.Commit(fork, "far", "main", forgetest.Files{path: stage.VM("small", "from afar"), "systems/shop/mongo/service.yaml": stage.Service("a store")}, "from afar"))(w)
	pr := must(w.Alice.OpenPull(w.Repo, "From afar", "alice:far", "main", "", false))(w)
	w.check(pr, "shepherd/validate", "success")
	commit := w.bypass(pr)
	w.stopped(commit, "APPROVAL_BYPASSED", path, "systems/shop/mongo/service.yaml")
	undo := w.undo(commit)
	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "rebase")
	branch := "shepherd/redo-" + commit[:8]
	w.comment(undo, branch)
	redo := w.open(branch, false)
	w.approve(w.Bob, redo)
	w.merge(redo, "squash")
	w.once("test-shop-shop-redis-01")
}
