package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// The server is killed at any point from the first webhook to the last word, again and again: every machine is
// applied once, and everything is said once.
func TestKilled(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true, kubeconfig: far(20 * time.Millisecond)}.world(t)
	w.baseline(w.Repo.Head("main"))
	kill := w.launch()
	const rounds = 6
	var pulls []*forgetest.Pull
	for i := range rounds {
		system := fmt.Sprintf("kill%d", i)
		pulls = append(pulls, w.ask(system, machines(system, system, "test-shop/01", "test-shop/02", "prod-shop/03")))
	}
	for range 3 { // while the first words are said
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		kill()
		kill = w.launch()
	}
	for _, pr := range pulls {
		w.do(w.Alice.EditPull(pr, pr.Title()+"!", "")) // its webhook may have met a dead server
		w.approve(w.Bob, pr)
	}
	for _, pr := range pulls {
		w.check(pr, "shepherd/approval", "success")
	}
	for i, pr := range pulls {
		kill = w.round(pr, fmt.Sprintf("kill%d", i), kill)
	}
}

// round merges a pull request, kills the server at random points of what follows, and looks.
func (w *world) round(pr *forgetest.Pull, system string, kill func()) func() {
	w.t.Helper()
	var names []string
	for _, vm := range []string{"test-shop-%[1]s-%[1]s-01", "test-shop-%[1]s-%[1]s-02", "prod-shop-%[1]s-%[1]s-03"} {
		names = append(names, fmt.Sprintf(vm, system))
	}
	w.merge(pr, "merge")
	for range 3 {
		pause := time.Duration(rand.IntN(500)) * time.Millisecond
		time.Sleep(pause)
		kill()
		w.t.Logf("%s: killed after %s; events: %v", system, pause, w.strings(`select status from events where subject = any($1)`, names))
		kill = w.launch()
	}
	began := time.Now()
	w.once(names...)
	w.t.Logf("%s: applied %s after the last start", system, time.Since(began).Round(time.Millisecond))

	for _, name := range names {
		w.do(kubetest.SetVMStatus(w.t.Context(), w.kube.Client(), w.key(name), kubevirtv1.VirtualMachineStatusRunning))
	}
	time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
	kill()
	kill = w.launch()
	w.eventually("the closing remark", func() bool { return len(w.remarks(pr)) >= 2 })
	w.quiet()
	w.saidOnce(pr)
	if n := len(w.deployments(pr)); n != 2 {
		w.t.Errorf("#%d: %d deployments, want one a cluster", pr.Number(), n)
	}
	return kill
}

// saidOnce holds that there is one comment and one closing remark.
func (w *world) saidOnce(pr *forgetest.Pull) {
	w.t.Helper()
	closing := 0
	for _, c := range w.comments(pr) {
		if strings.Contains(c.Body, "the end") {
			closing++
		}
	}
	if n := len(w.remarks(pr)); n != 2 || closing != 1 {
		w.t.Errorf("#%d: %d comments, %d of them closing remarks", pr.Number(), n, closing)
	}
}
