package e2e

import (
	"net/http"
	"syscall"
	"testing"
	"time"
)

// A server that is told to stop while it applies a machine says at once that it is not ready, goes on to
// take webhooks for a moment, ends what it has begun and nothing else, and leaves without an error.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true, kubeconfig: far(200 * time.Millisecond)}.world(t)
	w.baseline(w.Repo.Head("main"))
	cmd := w.start()
	pr := w.approved("slow", machines("slow", "slow", "test-shop/01"))
	w.eventually("the server to be ready", func() bool { return w.asked("/health/ready") == http.StatusOK })
	w.merge(pr, "merge")
	const begun = `select count(*) from river_job where kind = 'event_job' and state = 'running'`
	w.eventually("the apply to begin", func() bool { return w.count(begun) > 0 })

	told := time.Now()
	w.do(cmd.Process.Signal(syscall.SIGTERM))
	w.eventually("the server not to be ready", func() bool { return w.asked("/health/ready") != http.StatusOK })
	noticed := time.Since(told)
	if status := w.asked("/health/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("ready: %d, want 503 from a server that still answers", status)
	}
	if noticed > time.Second {
		t.Errorf("not ready only after %s", noticed)
	}
	if w.count(begun) == 0 {
		t.Fatal("the apply was over before the server could be told to wait for it")
	}
	const stored = `select count(*) from deliveries`
	before := w.count(stored)
	late := w.ask("late", machines("late", "late", "test-shop/01"))
	w.eventually("a webhook that came late to be stored", func() bool { return w.count(stored) > before })

	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	t.Logf("not ready after %s, gone after %s", noticed.Round(time.Millisecond), time.Since(told).Round(time.Millisecond))
	if n := w.count(`select count(*) from river_job where state = 'running'`); n != 0 {
		t.Errorf("%d jobs are left running", n)
	}
	if n := w.count(`select count(*) from river_job where kind = 'event_job' and state = 'completed' and attempt = 1`); n != 1 {
		t.Errorf("%d applies ended at the first attempt, want 1", n)
	}
	if n := w.count(`select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`); n != 0 {
		t.Errorf("%d locks are left", n)
	}
	if n := w.count(`select count(*) from pull_requests where title like '%late%'`); n != 0 {
		t.Error("a server that stops began something new")
	}
	w.vm("test-shop-slow-slow-01")

	w.launch() // and whoever comes next takes up what was left
	w.check(late, "shepherd/validate", "success")
}

// asked is how the server answers; 0: not at all.
func (w *world) asked(path string) int {
	resp, err := http.Get("http://" + w.cfg.Listen + path)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
