package e2e

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Each of three replicas is replaced in turn while webhooks flow: none of them is refused, none is lost or worked on
// twice, and what was merged meanwhile is applied once.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true, kubeconfig: far(50 * time.Millisecond), config: func(c *config.Config) {
		c.Drain.Linger = config.Duration(3 * time.Second)
	}}.world(t)
	w.baseline(w.Repo.Head("main"))
	f := w.replicas(3)
	var pulls []*forgetest.Pull
	for i := range 3 {
		system := fmt.Sprintf("roll%d", i)
		pulls = append(pulls, w.ask(system, threeMachines(system)))
	}
	for _, pr := range pulls {
		w.approve(w.Bob, pr)
	}
	talk := w.ask("talk", machines("talk", "talk", "test-shop/01"))
	ctx, stop := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	said := 0
	talking.Go(func() {
		for ; ctx.Err() == nil; said++ {
			if err := w.Alice.EditPull(talk, fmt.Sprintf("Machines, %d", said), ""); err != nil {
				t.Error(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	for i, old := range f.members() {
		w.check(pulls[i], "shepherd/approval", "success")
		w.merge(pulls[i], "merge")
		f.replace(old)
	}
	stop()
	talking.Wait()
	for i, pr := range pulls {
		w.finished(pr, threeOf(fmt.Sprintf("roll%d", i))...)
	}
	w.quiet()
	for _, pr := range pulls {
		w.saidOnce(pr)
	}
	if refused := f.refused(); len(refused) > 0 {
		t.Errorf("refused: %v", refused)
	}
	w.storedOnce()
	t.Logf("%d webhooks, while three replicas were replaced and a title was edited %d times: %v", len(w.App.Deliveries()), said, f.answers)
	if title := w.strings(`select title from pull_requests where id = $1`, talk.Number()); len(title) != 1 || title[0] != talk.Title() {
		t.Errorf("the last title is %q, and known is %q", talk.Title(), title)
	}
}

// storedOnce holds that each webhook that was accepted is stored once, and was routed by one job that ran once.
func (w *world) storedOnce() {
	w.t.Helper()
	sent := map[string]bool{}
	for _, d := range w.App.Deliveries() {
		if d.StatusCode != http.StatusAccepted {
			w.t.Errorf("%s %s was answered with %d", d.Event, d.GUID, d.StatusCode)
		}
		sent[d.GUID] = true
	}
	if n := w.count(`select count(*) from deliveries where received_at is not null`); n != len(sent) {
		w.t.Errorf("%d webhooks were sent, %d are stored", len(sent), n)
	}
	if n := w.count(`select count(*) from river_job where kind = 'route_delivery'`); n != len(sent) {
		w.t.Errorf("%d webhooks were sent, %d jobs were queued", len(sent), n)
	}
	if odd := w.strings(`select state || ' after ' || attempt from river_job where kind = 'route_delivery' and (state <> 'completed' or attempt <> 1)`); len(odd) > 0 {
		w.t.Errorf("routed otherwise than once: %v", odd)
	}
}
