package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// The forge does what it is asked and its answer gets lost: nothing is said or opened twice.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient()
	lose := func(route string) {
		w.Forge.Fail(forgetest.Fault{Route: route, Kind: forgetest.Reset, After: true})
	}
	lose("POST /repos/{owner}/{repo}/issues/{number}/comments")
	lose("POST /repos/{owner}/{repo}/check-runs")
	pr := w.approved("shop", machines("shop", "redis", "test-shop/01"))
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01")
	w.quiet()
	lose("POST /repos/{owner}/{repo}/issues/{number}/comments") // the closing remark
	w.do(kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key("test-shop-shop-redis-01"), kubevirtv1.VirtualMachineStatusRunning))
	w.eventually("the closing remark", func() bool { return len(w.remarks(pr)) >= 2 })
	w.quiet()
	w.saidOnce(pr)

	for _, route := range []string{"POST /repos/{owner}/{repo}/git/refs", "POST /repos/{owner}/{repo}/pulls"} {
		lose(route)
	}
	pushed := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{vmPath("shop", "redis", "test-shop/02"): stage.VM("small", "quickly")}, "quickly"))(w)
	undo := w.undo(pushed)
	w.check(undo, "shepherd/approval", "success")
	w.quiet()
	lose("POST /repos/{owner}/{repo}/issues/{number}/comments") // that names the redo
	w.merge(undo, "squash")
	w.comment(undo, "shepherd/redo-")
	w.quiet()
	redos := 0
	for _, c := range w.comments(undo) {
		if strings.Contains(c.Body, "shepherd/redo-") {
			redos++
		}
	}
	if n := len(w.Repo.Pulls()); redos != 1 || n != 2 {
		t.Errorf("the redo is named %d times, there are %d pull requests", redos, n)
	}
}

// impatient lets nothing wait that is to be tried again.
func (w *world) impatient() {
	const now = `update river_job set state = 'available', scheduled_at = now() where state in ('retryable', 'scheduled') and kind <> 'verify_vm'`
	ctx := w.t.Context() // ends before the database goes
	done := make(chan struct{})
	w.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = w.pool.Exec(ctx, now) // again in a moment
			time.Sleep(100 * time.Millisecond)
		}
	}()
}

// The branch goes on while an undo and a redo are being written: they are written all the same.
func TestUndoOnAMovingBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient()
	w.structure("shop", "redis")
	about := 0
	meanwhile := func(route, branch string, act func()) {
		w.Forge.Fail(forgetest.Fault{Route: route, Kind: forgetest.BadGateway, Times: -1})
		act()
		w.eventually(branch, func() bool { return w.Repo.Head(branch) != "" })
		about++
		must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{"README.md": fmt.Append(nil, "about ", about, "\n")}, "about"))(w)
		time.Sleep(500 * time.Millisecond) // for another attempt or two
		w.Forge.ClearFaults()
	}
	path := vmPath("shop", "redis", "test-shop/01")
	pushed := must(w.Dave.Commit(w.Repo, "side", "main", forgetest.Files{path: stage.VM("small", "quickly")}, "quickly"))(w)
	meanwhile("POST /repos/{owner}/{repo}/pulls", "shepherd/undo-"+pushed[:8], func() { w.do(w.Dave.Push(w.Repo, "main", pushed, false)) })
	undo := w.undo(pushed)
	w.check(undo, "shepherd/approval", "success")
	w.quiet()
	redo := "shepherd/redo-" + pushed[:8]
	meanwhile("POST /repos/{owner}/{repo}/issues/{number}/comments", redo, func() { w.merge(undo, "merge") })
	w.comment(undo, redo)
	pr := w.open(redo, false)
	w.approve(w.Bob, pr)
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01")
}

// What is no document is taken back like one.
func TestUndoOfWhatIsNoFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	link, odd := vmPath("shop", "redis", "test-shop/01"), "systems/shop/redis/test-shop/02.yml"
	pushed := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{link: []byte("/etc/passwd"), odd: stage.VM("small", "oddly")},
		"a link", forgetest.WithMode(link, "120000")))(w)
	undo := w.undo(pushed)
	w.check(undo, "shepherd/validate", "success")
	w.check(undo, "shepherd/approval", "success")
	for _, path := range []string{link, odd} {
		if _, ok := w.Repo.File(undo.HeadRef(), path); ok {
			t.Errorf("%s is still there", path)
		}
	}
	w.merge(undo, "merge")
	w.quiet()
	pr := w.approved("properly", forgetest.Files{link: stage.VM("small", "properly")})
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01")
}
