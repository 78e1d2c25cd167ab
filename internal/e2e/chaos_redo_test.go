package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// The bot died after it had written the redo's branch, before it said so; people went on with the branch
// meanwhile. What they made of it stays, and the branch is named all the same.
func TestRedoThatPeopleWentOnWith(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("bypass", twoVMs())
	w.published(pr)
	commit := w.bypass(pr)
	undo := w.undo(commit)
	w.check(undo, "shepherd/approval", "success")
	branch := "shepherd/redo-" + commit[:8]
	theirs := w.push(branch, forgetest.Files{vmPath("shop", "redis", "test-shop/01"): stage.VM("medium", "larger than at first")})
	w.merge(undo, "merge")
	w.comment(undo, branch)
	w.quiet()
	if at := w.Repo.Head(branch); at != theirs {
		t.Errorf("the branch is at %s, was at %s", at, theirs)
	}
	if n := w.count(`select count(*) from river_job where kind = 'prepare_redo' and state <> 'completed'`); n != 0 {
		t.Errorf("%d jobs still want to write the branch", n)
	}
}
