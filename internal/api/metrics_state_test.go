package api

import (
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/storetest"
)

// given brings a database into a state.
func given(t testing.TB, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

const (
	job    = `insert into river_job (kind, args, state, created_at, finalized_at, max_attempts, queue) values `
	cursor = `insert into repository (id, branch, cursor, last_sweep_at, deliveries_swept_to) values
(1, 'main', 'c1', now() - interval '700 seconds', now() - interval '800 seconds')`
	events = `insert into events (id, type, operation, subject, path, payload, requested_by, requested_by_login, pull_request, status, processed_at, created_at)
select gen_random_uuid(), 'x', 'CREATE_VM', 's', path, '{}', 1, 'alice', 1, status, now() - ago, now() - interval '1 day' from `
	vms = `insert into vms (id, name, path, system, service, namespace, instance, environment, kubernetes_namespace, cluster, accepted_plan, created_by, created_by_login, created_at, updated_at)
select gen_random_uuid(), 'vm' || n, 'p' || n, 's', 's', 'n', '01', 'test', 'n', 'east', gen_random_uuid(), 1, 'alice', now(), now() from generate_series(1, %d) n`
	clusters = `insert into clusters (id, uid, kubeconfig, key_id, health, checked_at, created_at) values
('east', 'u1', '', 'k', 'healthy', now() - interval '30 seconds', now() - interval '9 days'),
('west', 'u2', '', 'k', 'unreachable', now() - interval '40 seconds', now() - interval '9 days'),
('new', 'u3', '', 'k', 'unknown', null, now() - interval '50 seconds')`
	pulls  = `insert into pull_requests (id, state, wanted, judged, url, created_at) values `
	limits = `insert into forge_limits (id, allowed, remaining, resets_at, blocked_until, content_blocked_until, updated_at) values `
	spans  = `insert into audit_log (performed_at, action_code, performed_by, params) values `
)

// Everything that is read says what it should of a database in a known state.
func TestReadings(t *testing.T) {
	t.Parallel()
	// Each value is allowed half a minute more: a test may be slow.
	type series map[string]float64
	for _, c := range []struct {
		name   string
		given  []string
		want   series
		absent []string
	}{
		{"nothing", nil, series{
			"shepherd_oldest_unrouted_delivery_age_seconds": 0, "shepherd_unjudged_pull_requests": 0, "shepherd_oldest_unjudged_pull_request_age_seconds": 0,
			"shepherd_oldest_untold_pull_request_age_seconds": 0, "shepherd_tickets_waiting": 0, "shepherd_oldest_ticket_age_seconds": 0,
			"shepherd_quarantined_spans": 0, `shepherd_clusters{health="healthy"}`: 0, `shepherd_clusters{health="unknown"}`: 0, "shepherd_leader_present": 0,
			"shepherd_branch_behind_seconds": 0,
		}, []string{
			"shepherd_last_delivery_age_seconds", "shepherd_last_sweep_age_seconds", "shepherd_last_walk_age_seconds", "shepherd_lost_deliveries_swept_age_seconds",
			"shepherd_branch_blocked", "shepherd_oldest_event_age_seconds", "shepherd_cluster_look_age_seconds", "shepherd_jobs",
		}},
		{"sweeps and a walk", []string{
			cursor, job + `('walk_branch', '{}', 'completed', now(), now() - interval '60 seconds', 1, 'default'),
('walk_branch', '{}', 'completed', now(), now() - interval '90 seconds', 1, 'default'), ('walk_branch', '{}', 'discarded', now(), now(), 1, 'default')`,
		}, series{
			"shepherd_last_sweep_age_seconds": 700, "shepherd_lost_deliveries_swept_age_seconds": 800, "shepherd_last_walk_age_seconds": 60, "shepherd_branch_blocked": 0,
			"shepherd_branch_behind_seconds": 0, `shepherd_jobs{kind="walk_branch",state="discarded"}`: 1,
		}, nil},
		{"the branch was rewritten", []string{cursor, `update repository set blocked = 'HISTORY_REWRITTEN'`}, series{"shepherd_branch_blocked": 1}, nil},
		{"a push that nobody followed", []string{
			cursor, pushed(`'refs/heads/main', 'c2', 300`, `'refs/heads/feature', 'c3', 100`),
			job + `('walk_branch', '{}', 'completed', now(), now() - interval '400 seconds', 1, 'default')`,
		}, series{"shepherd_branch_behind_seconds": 300}, nil},
		{"a push that was followed", []string{cursor, pushed(`'refs/heads/main', 'c0', 400`, `'refs/heads/main', 'c1', 300`)}, series{"shepherd_branch_behind_seconds": 0}, nil},
		{"a walk after the push", []string{
			cursor, pushed(`'refs/heads/main', 'c0', 400`), job + `('walk_branch', '{}', 'completed', now(), now() - interval '60 seconds', 1, 'default')`,
		}, series{"shepherd_branch_behind_seconds": 0}, nil},
		{"deliveries", []string{
			`insert into deliveries (id, event, body, received_at, status) values ('old', 'push', '', now() - interval '1 hour', 'routed'),
('waits', 'push', '', now() - interval '500 seconds', 'received'), ('gave up', 'push', '', now() - interval '600 seconds', 'received'), ('late', 'push', '', now() - interval '90 seconds', 'received')`,
			job + `('route_delivery', '{"delivery_id": "old"}', 'completed', now(), now(), 1, 'default'), ('route_delivery', '{"delivery_id": "waits"}', 'retryable', now(), null, 1, 'default'),
('route_delivery', '{"delivery_id": "gave up"}', 'discarded', now(), now(), 1, 'default'), ('route_delivery', '{"delivery_id": "late"}', 'available', now(), null, 1, 'default')`,
		}, series{
			"shepherd_last_delivery_age_seconds": 90, "shepherd_oldest_unrouted_delivery_age_seconds": 600,
			`shepherd_jobs{kind="route_delivery",state="retryable"}`: 1, `shepherd_jobs{kind="route_delivery",state="discarded"}`: 1, `shepherd_jobs{kind="route_delivery",state="available"}`: 1,
		}, []string{`shepherd_jobs{kind="route_delivery",state="completed"}`}},
		{"pull requests that wait", []string{
			pulls + `(1, 'open', 2, 2, '', now()), (2, 'open', 3, 2, '', now() - interval '1 day'), (3, 'closed', 3, 2, '', now() - interval '1 day'), (4, 'open', 5, 2, '', now() - interval '1 day')`,
			job + `('judge_pull_request', '{"number": 2}', 'available', now() - interval '200 seconds', null, 1, 'default'),
('judge_pull_request', '{"number": 2}', 'discarded', now() - interval '1 day', now() - interval '1 day', 1, 'default'),
('judge_pull_request', '{"number": 4}', 'discarded', now() - interval '1 day', now() - interval '300 seconds', 1, 'default'),
('tell_pull_request', '{"number": 1}', 'scheduled', now() - interval '400 seconds', null, 1, 'default'), ('tell_pull_request', '{"number": 2}', 'completed', now() - interval '1 day', now(), 1, 'default')`,
		}, series{
			"shepherd_unjudged_pull_requests": 2, "shepherd_oldest_unjudged_pull_request_age_seconds": 300, "shepherd_oldest_untold_pull_request_age_seconds": 400,
		}, nil},
		{"a judging without a job", []string{pulls + `(1, 'open', 2, 1, '', now() - interval '1000 seconds')`},
			series{"shepherd_oldest_unjudged_pull_request_age_seconds": 1000}, nil},
		{"events and tickets", []string{
			vmsOf(2), events + `(values ('p1', 'PROCESSING', interval '100 seconds'), ('p2', 'PROCESSING', interval '700 seconds'), ('p2', 'COMPLETED', interval '1 day'),
('gone', 'PROCESSING', interval '80 seconds')) e(path, status, ago)`, ticketsOf(`'PENDING_APPROVAL'`), `update tickets set created_at = now() - interval '1000 seconds' where path = 'p1'`,
		}, series{
			`shepherd_events_processing{cluster="east"}`: 2, `shepherd_oldest_event_age_seconds{cluster="east"}`: 700, `shepherd_oldest_event_age_seconds{cluster=""}`: 80,
			"shepherd_tickets_waiting": 3, "shepherd_oldest_ticket_age_seconds": 1000,
		}, nil},
		{"clusters", []string{clusters, `insert into river_leader (name, leader_id, elected_at, expires_at) values ('default', 'a', now(), now() + interval '1 hour')`}, series{
			`shepherd_clusters{health="healthy"}`: 1, `shepherd_clusters{health="unhealthy"}`: 0, `shepherd_clusters{health="unreachable"}`: 1, `shepherd_clusters{health="unknown"}`: 1,
			`shepherd_cluster_look_age_seconds{cluster="east"}`: 30, `shepherd_cluster_look_age_seconds{cluster="new"}`: 50, "shepherd_leader_present": 1,
		}, nil},
		{"the forge's limits", []string{limits + `('plenty', 5000, 4000, now() + interval '10 minutes', null, null, now()), ('used up', 5000, 0, now() + interval '10 minutes', now() + interval '600 seconds', null, now()),
('over', 5000, 0, now() - interval '10 minutes', now() - interval '10 minutes', null, now()), ('quiet', 0, 0, null, null, now() + interval '60 seconds', now())`}, series{
			`shepherd_forge_requests_remaining{identity="plenty"}`: 4000, `shepherd_forge_requests_used_percent{identity="plenty"}`: 20, `shepherd_forge_blocked_seconds{identity="plenty"}`: 0,
			`shepherd_forge_requests_remaining{identity="used up"}`: 0, `shepherd_forge_requests_used_percent{identity="used up"}`: 100,
			`shepherd_forge_requests_remaining{identity="over"}`: 5000, `shepherd_forge_requests_used_percent{identity="over"}`: 0, `shepherd_forge_blocked_seconds{identity="over"}`: 0,
		}, []string{`shepherd_forge_requests_remaining{identity="quiet"}`}},
		{"a leader that died", []string{`insert into river_leader (name, leader_id, elected_at, expires_at) values ('default', 'a', now() - interval '1 hour', now() - interval '1 second')`},
			series{"shepherd_leader_present": 0}, nil},
		{"quarantined spans", []string{
			spans + `(now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "none"}'), (now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "none"}'), (now(), 'APPROVAL_BYPASSED', 'a', '{"commit": "open"}'),
(now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "unseen"}'), (now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "merged"}'), (now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "closed"}'),
(now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "by hand"}'), (now(), 'CHANGE_ACCEPTED', 'a', '{"commit": "good"}')`,
			`insert into effects (id, status, result, created_at) values ('undo:open', 'done', 'https://forge/o/r/pull/1', now()), ('undo:merged', 'done', 'https://forge/o/r/pull/2', now()),
('undo:closed', 'done', 'https://forge/o/r/pull/3', now()), ('undo:by hand', 'done', '', now()), ('undo:unseen', 'done', 'https://forge/o/r/pull/4', now())`,
			pulls + `(1, 'open', 0, 0, '', now()), (2, 'merged', 0, 0, '', now()), (3, 'closed', 0, 0, '', now())`,
		}, series{"shepherd_quarantined_spans": 3}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pool := storetest.Open(t)
			given(t, pool, c.given...)
			e := scrape(t, NewMetrics(pool, slog.New(slog.DiscardHandler)))
			for name, want := range c.want {
				slack := 0.0
				if want >= 30 {
					slack = 29
				}
				e.expect(t, name, want, want+slack)
			}
			for _, name := range c.absent {
				e.absent(t, name)
			}
		})
	}
}

// A scrape costs the same with an empty database and with one that is full.
func BenchmarkScrape(b *testing.B) {
	for _, c := range []struct {
		name string
		full bool
	}{{"empty", false}, {"full", true}} {
		b.Run(c.name, func(b *testing.B) {
			pool := storetest.Open(b)
			if c.full {
				given(b, pool, crowd()...)
			}
			m := NewMetrics(pool, slog.New(slog.DiscardHandler))
			for b.Loop() {
				if w := get(m.Handler(), "GET", "/metrics"); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// With 100,000 deliveries and 10,000 machines, all of it while work goes on, a scrape takes the database less
// than 50 ms.
func TestScrapeOfMuch(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	took := func(statements ...string) time.Duration {
		pool := storetest.Open(t)
		given(t, pool, statements...)
		m := NewMetrics(pool, slog.New(slog.DiscardHandler))
		best := time.Hour
		// The best of them, for as long as that is too much: others use the machine too.
		for i, end := 0, time.Now().Add(20*time.Second); i < 15 || best > limit && time.Now().Before(end); i++ {
			began := time.Now()
			scrape(t, m).expect(t, "shepherd_leader_present", 0, 1)
			best = min(best, time.Since(began))
		}
		return best
	}
	empty, full := took(), took(crowd()...)
	t.Logf("empty %s, full %s", empty, full)
	if full > empty+limit {
		t.Errorf("a scrape takes %s more than of an empty database", full-empty)
	}
}
