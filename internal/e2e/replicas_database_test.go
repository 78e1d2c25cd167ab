package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// PostgreSQL ends under two replicas that work, in order and not, for moments and for longer, and comes back. They say
// that they are not ready, refuse webhooks so that the forge knows, and recover by themselves: what was refused is
// fetched, and everything is done and said once.
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	server, dsn := storetest.Server(t)
	w := setup{asleep: true, kubeconfig: far(100 * time.Millisecond), config: func(c *config.Config) {
		c.Database = seal.NewSecret(dsn)
	}}.world(t)
	w.baseline(w.Repo.Head("main"))
	f := w.replicas(2)
	var pulls []*forgetest.Pull
	for i, how := range []pgtest.Ending{pgtest.Fast, pgtest.Immediate, pgtest.Killed} {
		system := fmt.Sprintf("base%d", i)
		pr := w.approved(system, threeMachines(system))
		talk := w.ask("talk-"+system, machines("talk-"+system, "talk", "test-shop/01"))
		w.published(talk)
		w.merge(pr, "merge")
		const begun = `select count(*) from river_job where kind = 'event_job' and state = 'running'`
		w.eventually("the apply to begin", func() bool { return w.count(begun) > 0 })

		w.do(server.Halt(how))
		w.deafFleet(f, talk, how == pgtest.Killed)
		w.do(server.Resume(t.Context()))
		w.wakes(f, how)

		w.eventually("the command to be heard, of which only its webhook tells", func() bool {
			return w.count(`select count(*) from audit_log where action_code = 'HOLD_PLACED' and pull_request = $1`, talk.Number()) > 0
		})
		w.finished(pr, threeOf(system)...)
		pulls = append(pulls, pr)
	}
	w.quiet()
	for _, pr := range pulls {
		w.saidOnce(pr)
	}
	if n := w.count(`select count(*) from commands where verb = 'hold' and status = 'done'`); n != len(pulls) {
		t.Errorf("/hold was done %d times, and said %d times: %v", n, len(pulls), w.strings(`select verb || ' ' || status from commands`))
	}
}

// A replica stands still in the midst of an apply while the database restarts: it loses all its locks and cannot take
// them again, so that the other one does its work. When it goes on it finds itself replaced, and does nothing twice.
func TestHeldUp(t *testing.T) {
	t.Parallel()
	server, dsn := storetest.Server(t)
	w := setup{asleep: true, kubeconfig: far(100 * time.Millisecond), config: func(c *config.Config) {
		c.Database = seal.NewSecret(dsn)
	}}.world(t)
	w.baseline(w.Repo.Head("main"))
	f := w.replicas(2)
	pr := w.approved("held", threeMachines("held"))
	w.merge(pr, "merge")
	still := w.worker(f)
	w.do(still.cmd.Process.Signal(syscall.SIGSTOP))
	w.t.Cleanup(func() { _ = still.cmd.Process.Signal(syscall.SIGCONT) }) // an error where it has ended
	w.do(server.Restart(t.Context()))
	w.pool.Reset()
	w.eventually("the other one to take over", func() bool { return w.count(heldBy, still.like()) == 0 })
	w.eventually("all to be applied", func() bool {
		return w.count(`select count(*) from events where subject = any($1) and status = 'COMPLETED'`, threeOf("held")) == 3
	})
	w.do(still.cmd.Process.Signal(syscall.SIGCONT))
	w.eventually("the process to be known to live", func() bool { return strings.Contains(scrape(still), "shepherd_presence_held 1") })
	f.all(2)
	w.finished(pr, threeOf("held")...)
	w.quiet()
	w.saidOnce(pr)
	if n := len(w.deployments(pr)); n != 2 {
		t.Errorf("#%d: %d deployments, want one a cluster", pr.Number(), n)
	}
}

// deafFleet holds what replicas do without a database, while somebody says something.
func (w *world) deafFleet(f *replicaSet, pr *forgetest.Pull, long bool) {
	w.t.Helper()
	for _, r := range f.members() {
		w.eventually("a replica not to be ready", func() bool { return r.answers("/health/ready") == http.StatusServiceUnavailable })
		if status := r.answers("/health/live"); status != http.StatusOK {
			w.t.Errorf("live: %d; nothing is gained by a restart", status)
		}
		if status := w.signed(r); status != http.StatusServiceUnavailable {
			w.t.Errorf("a webhook that cannot be stored was answered with %d, want 503", status)
		}
	}
	must(w.Bob.Comment(pr, "/hold until the database is back"))(w)
	w.do(w.Forge.WaitIdle(w.t.Context()))
	if !long {
		return
	}
	const tired = "Too many errors; giving up" // for now: what River says when it could not note three times that a job has ended
	w.eventually("River to be tired of trying", func() bool { return strings.Contains(w.log.String(), tired) })
}

// wakes waits until replicas are as they were before the database went, and tells how long that took.
func (w *world) wakes(f *replicaSet, how pgtest.Ending) {
	w.t.Helper()
	back := time.Now()
	w.pool.Reset()
	since := func() time.Duration { return time.Since(back).Round(time.Millisecond) }
	first := f.members()[0]
	w.eventually("a webhook to be accepted", func() bool { return w.signed(first) == http.StatusAccepted })
	accepted := since()
	w.eventually("a job to be run", func() bool {
		return w.count(`select count(*) from river_job where attempted_at > $1`, back) > 0
	})
	began := w.strings(`select (min(attempted_at) - $1)::text from river_job where attempted_at > $1`, back)[0]
	for _, r := range f.members() {
		w.eventually("the process to be known to live", func() bool { return strings.Contains(scrape(r), "shepherd_presence_held 1") })
	}
	present := since()
	f.all(len(f.members()))
	ready := since()
	w.eventually("a leader", func() bool { return w.leader() != "" })
	w.t.Logf("%s: back for %s when a webhook was accepted, %s when a job was begun, %s when all were known to live, %s when all were ready, %s when one led",
		how, accepted, began, present, ready, since())
}

func scrape(r *replica) string {
	resp, err := http.Get("http://" + r.addr + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// signed sends a webhook to a replica and returns how it was answered; 0: not at all.
func (w *world) signed(r *replica) int {
	w.t.Helper()
	body := []byte(`{"zen": "Keep it logically awesome.", "hook_id": 1}`)
	mac := hmac.New(sha256.New, []byte(w.Secret))
	mac.Write(body)
	req := must(http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+r.addr+"/webhooks/github", bytes.NewReader(body)))(w)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": "ping", "X-GitHub-Delivery": uuid.NewString(),
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
