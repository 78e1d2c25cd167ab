package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// clone is somebody's working copy of the spec repository.
type clone struct {
	w   *world
	dir string
}

func (w *world) clone(u *forgetest.User) clone {
	w.t.Helper()
	c := clone{w, filepath.Join(w.t.TempDir(), "clone")}
	if out, err := exec.CommandContext(w.t.Context(), "git", "clone", "-q", w.Repo.CloneURLFor(u), c.dir).CombinedOutput(); err != nil {
		w.t.Fatalf("git clone: %v\n%s", err, out)
	}
	c.git("config", "user.name", u.Login())
	c.git("config", "user.email", u.Email())
	return c
}

func (c clone) git(args ...string) string {
	c.w.t.Helper()
	cmd := exec.CommandContext(c.w.t.Context(), "git", args...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// mergeWith merges a branch into main with more in the merge commit than the branch has, and pushes it.
func (c clone) mergeWith(branch string, files forgetest.Files, how ...string) string {
	c.w.t.Helper()
	c.git("fetch", "-q", "origin")
	c.git("checkout", "-q", "-B", "main", "origin/main")
	c.git(append([]string{"merge", "-q", "--no-commit", "origin/" + branch}, how...)...)
	for path, data := range files {
		at := filepath.Join(c.dir, path)
		if data == nil {
			c.w.do(os.Remove(at))
			continue
		}
		c.w.do(os.MkdirAll(filepath.Dir(at), 0o750))
		c.w.do(os.WriteFile(at, data, 0o600))
	}
	c.git("add", "-A")
	c.git("commit", "-q", "-m", "merge "+branch)
	c.git("push", "-q", "origin", "main")
	return c.git("rev-parse", "HEAD")
}

// Whoever merges by hand can put anything into the merge. What was approved passes, what nobody asked for does
// not, even where asking would have been enough.
func TestMergeCommitWithEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two, three := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "test-shop/02"), vmPath("shop", "redis", "test-shop/03")
	const system = "systems/shop/system.yaml"
	first := w.approved("first", machines("shop", "redis", "test-shop/01"))
	w.merge(first, "merge")
	w.once("test-shop-shop-redis-01")

	pr := w.approved("second", forgetest.Files{two: stage.VM("small", "as approved")})
	before := map[string][]byte{one: w.onMain(one), system: w.onMain(system)}
	edits := forgetest.Files{
		one:    w.replace(before[one], "power: running", "power: stopped"),
		system: append(slices.Clone(before[system]), "  owners:\n    - login: carol\n      id: 103\n"...),
		three:  stage.VM("small", "nobody asked"),
	}
	c := w.clone(w.Dave)
	commit := c.mergeWith("second", edits, "--no-ff")
	w.stopped(commit, "DIGEST_MISMATCH", one, system, three)
	w.once("test-shop-shop-redis-01", "test-shop-shop-redis-02")
	w.comment(pr, "3 of 4 quarantined")
	undo := w.undo(commit)
	w.comment(pr, undo.URL())

	// The machine that passed goes on living; the redo leaves it alone.
	larger := w.approved("larger", forgetest.Files{two: stage.VM("medium", "as approved")})
	w.merge(larger, "squash")
	w.eventually("the larger machine", func() bool {
		return w.vm("test-shop-shop-redis-02").Spec.Template.Spec.Domain.Memory.Guest.String() == "4Gi"
	})
	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "squash")
	for path, want := range before {
		if got := w.onMain(path); string(got) != string(want) {
			t.Errorf("after the undo %s is\n%s", path, got)
		}
	}
	branch := "shepherd/redo-" + commit[:8]
	w.comment(undo, branch)
	w.comment(pr, "It has been taken back. To have it applied after all, open a pull request from `"+branch+"`")
	redo := w.open(branch, false)
	w.published(redo)
	w.untold(redo, "test-shop-shop-redis-02")
	w.approve(w.Bob, redo)
	w.merge(redo, "rebase")
	w.once("test-shop-shop-redis-03")
	w.eventually("the stop", func() bool {
		return w.count(`select count(*) from events where subject = 'test-shop-shop-redis-01' and operation = 'STOP_VM' and status = 'COMPLETED'`) == 1
	})
	if got := w.vm("test-shop-shop-redis-02").Spec.Template.Spec.Domain.Memory.Guest.String(); got != "4Gi" {
		t.Errorf("the redo made it %s again", got)
	}
}

// stopped waits until a span is settled, and holds that just these paths of it are quarantined.
func (w *world) stopped(commit, code string, paths ...string) {
	w.t.Helper()
	const quarantined = `select params->>'path' || ' ' || (params->>'code') from audit_log
where action_code in ('CHANGE_QUARANTINED', 'APPROVAL_BYPASSED') and params->>'commit' = $1 order by 1`
	var want []string
	for _, path := range slices.Sorted(slices.Values(paths)) {
		want = append(want, path+" "+code)
	}
	w.eventually(commit+" to be settled", func() bool { return len(w.strings(quarantined, commit)) > 0 })
	w.quiet()
	if diff := cmp.Diff(want, w.strings(quarantined, commit)); diff != "" {
		w.t.Errorf("quarantined of %s (-want +got):\n%s", commit, diff)
	}
	if n := w.count(`select count(*) from events where merge_commit = $1 and path = any($2)`, commit, paths); n != 0 {
		w.t.Errorf("%d events of what is quarantined", n)
	}
}

// Merged by hand, but as approved, is merged; the same content without the pull request is a push.
func TestMergedByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.clone(w.Dave)
	clean := w.approved("clean", machines("shop", "redis", "test-shop/01"))
	c.mergeWith("clean", nil, "--no-ff")
	w.once("test-shop-shop-redis-01")

	forward := w.approved("forward", forgetest.Files{vmPath("shop", "redis", "test-shop/02"): stage.VM("small", "forward")})
	w.do(w.Dave.Push(w.Repo, "main", forward.HeadSHA(), false))
	w.once("test-shop-shop-redis-02")
	w.noQuarantine()
	if !clean.Merged() || !forward.Merged() {
		t.Fatal("the forge does not call them merged")
	}

	third := vmPath("shop", "redis", "test-shop/03")
	squashed := w.approved("squashed", forgetest.Files{third: stage.VM("small", "squashed")})
	commit := c.mergeWith("squashed", nil, "--squash")
	w.quarantined("APPROVAL_BYPASSED", "test-shop-shop-redis-03")
	w.problem(squashed, "QUARANTINED", third, 1)
	undo := w.undo(commit)
	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "merge")
	// The pull request is as good as before: nothing has to be pushed, and whether its approval still counts
	// is for the plan to say.
	w.check(squashed, "shepherd/validate", "success")
}
