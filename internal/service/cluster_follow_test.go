package service

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/jobs"
)

// listed notes which clusters are worked on.
type listed struct{ names []string }

func (l *listed) WorkOn(_ context.Context, names []string) error {
	slices.Sort(names)
	l.names = names
	return nil
}

// followed is a world whose cluster prod-1 can be cut off, and the follower.
type followed struct {
	*watched
	*Follower
	line *line
	work listed
}

func newFollowed(t *testing.T) *followed {
	t.Helper()
	f := &followed{watched: newWatched(t)}
	f.add("test-1")
	var kubeconfig []byte
	f.line, kubeconfig = newLine(f.world)
	f.world.kubeconfig = kubeconfig
	f.add("prod-1")
	f.Follower = NewFollower(f.world.clusters, &f.work, f.world.gateway, slog.New(slog.DiscardHandler))
	return f
}

// worked is what is worked on after a round.
func (f *followed) worked(want ...string) {
	f.T.Helper()
	f.ok(f.round(f.T.Context()))
	f.same("worked on", want, f.work.names)
}

// use is a job's look at a cluster.
func (f *followed) use(name string) error {
	_, _, _, err := f.world.clusters.Live(f.T.Context(), name, f.ns, "vm")
	return err
}

// breaks cuts a cluster off and has jobs notice.
func (f *followed) breaks() {
	f.T.Helper()
	f.line.cut()
	f.world.clusters.Registry().Forget("prod-1") // and its connections
	for range 3 {
		if err := f.use("prod-1"); err == nil {
			f.T.Fatal("it answers")
		}
	}
}

const paused = `select id || ': ' || paused_reason || ' ' || (paused_until > now()) from clusters where paused_until is not null`

// A paused cluster is not worked on; what waits for it says so, once, also what comes later. When it answers
// again it is worked on again.
func TestFollowPause(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.worked("prod-1", "test-1")
	id := f.merged()
	f.breaks()
	const why = "cluster prod-1 does not work at the moment: it refuses connections"
	for range 3 {
		f.worked("test-1")
	}
	f.same("paused", []string{"prod-1: " + why + " true"}, f.lines(paused))
	if e := f.event(id); e.ErrorCode != "CLUSTER_UNREACHABLE" || e.ErrorMessage != why || e.Status != "PROCESSING" {
		t.Errorf("%s %s %s", e.Status, e.ErrorCode, e.ErrorMessage)
	}
	f.line.mend()
	f.eventually("it is back", func() bool {
		f.ok(f.round(t.Context()))
		return slices.Contains(f.work.names, "prod-1")
	})
	f.same("paused", nil, f.lines(paused))
	f.ok(f.world.vms.Execute(t.Context(), id))
}

// What makes it worth to try a cluster at once: new credentials, and a look that found it well. That it was found
// to be away is no reason.
func TestFollowWhatChanges(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	for name, tt := range map[string]struct {
		change func()
		want   []string
	}{
		"away":            {func() { f.become("unreachable") }, []string{"test-1"}},
		"well":            {func() { f.become("unreachable"); f.ok(f.round(t.Context())); f.become("healthy") }, []string{"prod-1", "test-1"}},
		"new credentials": {func() { f.line.mend(); f.add("prod-1") }, []string{"prod-1", "test-1"}},
	} {
		f.become("healthy")
		f.world.clusters.Registry().Forget("prod-1")
		f.worked("prod-1", "test-1")
		f.breaks()
		f.worked("test-1")
		tt.change()
		f.ok(f.round(t.Context()))
		f.same(name, tt.want, f.work.names)
	}
}

func (f *followed) become(is string) {
	f.T.Helper()
	_, err := f.pool.Exec(f.T.Context(), `update clusters set health = $1 where id = 'prod-1'`, is)
	f.ok(err)
}

// Clusters come and go while the server runs; nothing of those that went is kept.
func TestFollowAddAndRemove(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.worked("prod-1", "test-1")
	f.add("test-2")
	f.worked("prod-1", "test-1", "test-2")
	f.breaks()
	f.worked("test-1", "test-2")
	f.ok(f.world.clusters.Remove(t.Context(), f.queue, "prod-1", operator))
	f.worked("test-1", "test-2")
	f.worked("test-1", "test-2")
	if p := f.world.clusters.Registry().Paused(); len(p) > 0 {
		t.Errorf("kept: %v", p)
	}
}

// With the real workers: the backlog of a dead cluster is not touched, however long it is, and that of another
// one is done meanwhile.
func TestFollowLeavesTheBacklogAlone(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.breaks()
	done := make(chan string, 100)
	runner, err := jobs.NewRunner(f.pool, jobs.Config{Logger: slog.New(slog.DiscardHandler), Clusters: []string{"test-1"}}, jobs.Workers{
		VerifyVM: func(_ context.Context, args jobs.VerifyVM) error { done <- fmt.Sprint(args.EventID); return nil },
		Event:    f.world.vms,
	})
	f.ok(err)
	f.ok(runner.Start(context.WithoutCancel(t.Context())))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := runner.StopAndCancel(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err = f.pool.Exec(t.Context(), `insert into river_job (args, kind, max_attempts, queue)
select jsonb_build_object('event_id', gen_random_uuid()), 'verify_vm', 25, q from generate_series(1, 500), unnest(array['cluster_prod-1']) q
union all select jsonb_build_object('event_id', gen_random_uuid()), 'verify_vm', 25, 'cluster_test-1' from generate_series(1, 50)`)
	f.ok(err)
	f.worker = runner
	f.ok(f.round(t.Context()))
	for range 50 {
		<-done
	}
	f.same("jobs", []string{"cluster_prod-1 available 0 500"}, f.lines(`select queue || ' ' || state || ' ' || max(attempt) || ' ' || count(*)
from river_job where queue = 'cluster_prod-1' group by queue, state`))
	if len(done) > 0 || strings.Contains(fmt.Sprint(f.lines(paused)), "false") {
		t.Error("the dead cluster's jobs ran")
	}
}

// Events that were asked to come back later are tried at once when the cluster has new credentials, was found to be
// well, or is not paused any more; those of other clusters wait on, and so does what only watches.
func TestFollowHurries(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	f.worked("prod-1", "test-1")
	wait := func() {
		t.Helper()
		_, err := f.pool.Exec(t.Context(), `with gone as (delete from river_job)
insert into river_job (args, kind, max_attempts, queue, state, scheduled_at)
select '{}', kind, 25, queue, state::river_job_state, now() + interval '40 minutes' from unnest(array['event_job', 'verify_vm']) kind,
  unnest(array['cluster_prod-1', 'cluster_test-1']) queue, unnest(array['scheduled', 'retryable']) state`)
		f.ok(err)
	}
	const now = `select queue || ' ' || kind || ' ' || count(*) from river_job where state = 'available' and scheduled_at <= now() group by queue, kind`
	hurried := []string{"cluster_prod-1 event_job 2"}
	wait()
	f.worked("prod-1", "test-1")
	f.same("nothing happened", nil, f.lines(now))
	f.add("prod-1")
	f.ok(f.round(t.Context()))
	f.same("new credentials", hurried, f.lines(now))

	f.become("unreachable")
	wait()
	f.ok(f.round(t.Context()))
	f.same("found to be away", nil, f.lines(now))
	f.become("healthy")
	f.ok(f.round(t.Context()))
	f.same("found to be well", hurried, f.lines(now))

	f.breaks()
	f.worked("test-1")
	wait()
	f.worked("test-1")
	f.same("paused", nil, f.lines(now))
	f.line.mend()
	f.eventually("it is back", func() bool {
		f.ok(f.round(t.Context()))
		return slices.Contains(f.work.names, "prod-1")
	})
	f.same("not paused any more", hurried, f.lines(now))
}
