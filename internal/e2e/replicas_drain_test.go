package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
)

// A job that takes longer than a stopping server may wait is cut off, and another replica does it, once.
func TestDrainCutsOff(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true, kubeconfig: far(250 * time.Millisecond), config: func(c *config.Config) {
		c.Drain = config.Drain{Linger: config.Duration(time.Second), Jobs: config.Duration(time.Second)}
	}}.world(t)
	w.baseline(w.Repo.Head("main"))
	f := w.replicas(2)
	pr := w.approved("long", machines("long", "long", "test-shop/01"))
	w.merge(pr, "merge")
	busy := w.worker(f)
	w.do(busy.cmd.Process.Signal(syscall.SIGTERM))
	if err := busy.cmd.Wait(); err != nil {
		t.Errorf("the replica that was told to stop ended with %v", err)
	}
	if !strings.Contains(w.log.String(), "jobs were cut off") {
		t.Error("nothing was cut off")
	}
	w.finished(pr, "test-shop-long-long-01")
	w.quiet()
	w.saidOnce(pr)
	const runs = `select array_length(attempted_by, 1) || ' runs, ' || state || ' at attempt ' || attempt from river_job where kind = 'event_job'`
	if got := w.strings(runs); len(got) != 1 || got[0] != "2 runs, completed at attempt 1" {
		t.Errorf("%v: want the one that was cut off, which does not count, and the one that ended", got)
	}
}
