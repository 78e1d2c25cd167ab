package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/stage"
)

// past is a table that grows with what happened, and how to fill it with what happened long ago. $1 is how many rows.
type past struct{ table, fill string }

// pastOf are all such tables, in an order in which each may refer to those before it. Numbers and people are far from
// those of a test; times are of a year ago.
var pastOf = []past{
	{"pull_requests", `insert into pull_requests (id, title, url, author_id, author_login, head_sha, base_ref, state, wanted, judged, report, created_at)
select 1000000 + n, 'Machines', 'https://forge.test', 5000 + n % 100, 'past', md5(n::text) || 'ffffffff', 'main', (array['merged', 'closed'])[1 + n % 2], 3, 3,
  '{"changes": [{"path": "systems/past/x/test-shop/01.yaml", "ref": {"system": "past"}, "problems": [{"code": "QUOTA_EXCEEDED"}]}]}', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"deliveries", `insert into deliveries (id, event, body, received_at, status, outcome)
select gen_random_uuid()::text, 'pull_request', '{}', now() - interval '20 days' + n * interval '1 second', 'routed', 'pull_request opened' from generate_series(1, $1::int) n`},
	{"river_job", `insert into river_job (kind, args, state, max_attempts, created_at, scheduled_at, attempted_at, finalized_at, queue, priority)
select (array['route_delivery', 'judge_pull_request', 'tell_pull_request', 'event_job'])[1 + n % 4],
  case n % 4 when 0 then jsonb_build_object('delivery_id', gen_random_uuid()) else jsonb_build_object('number', 1000000 + n) end,
  'completed', 25, now() - interval '20 hours', now() - interval '20 hours', now() - interval '20 hours', now() - interval '20 hours', 'default', 1 from generate_series(1, $1::int) n`},
	{"pushes", `insert into pushes (id, delivery_id, ref, pull_request, before, after, pusher_id, pusher_login, at)
select gen_random_uuid(), 'past-' || n, 'refs/heads/past', 1000000 + n, md5(n::text) || '00000000', md5(n::text) || 'ffffffff', 5000 + n % 100, 'past', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"reviews", `insert into reviews (id, pull_request, reviewer_id, reviewer_login, state, commit_sha, submitted_at)
select 1000000000 + n, 1000000 + n, 5000 + n % 100, 'past', 'approved', md5(n::text) || 'ffffffff', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"commands", `insert into commands (id, source, source_id, ordinal, pull_request, author_id, author_login, verb, at, status)
select gen_random_uuid(), 'comment', 1000000000 + n, 0, 1000000 + n, 5000 + n % 100, 'past', 'plan', now() - interval '1 year', 'done' from generate_series(1, $1::int) n`},
	{"confirmations", `insert into confirmations (id, pull_request, path, subject, change_digest, person_id, person_login, command_id, at, created_at)
select gen_random_uuid(), 1000000 + n, 'systems/past/x/test-shop/' || n, 'past-' || n, md5(n::text), 5000 + n % 100, 'past', gen_random_uuid(), now(), now() from generate_series(1, $1::int) n`},
	{"plans", `insert into plans (id, pull_request, path, change_digest, effective_digest, manifests, published_at, created_at)
select md5('plan' || n)::uuid, 1000000 + n, 'systems/past/x/test-shop/' || n, md5(n::text), md5(n::text), '[]', now() - interval '1 year', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"plan_heads", `insert into plan_heads (plan_id, sha, created_at) select md5('plan' || n)::uuid, md5(n::text) || 'ffffffff', now() from generate_series(1, $1::int) n`},
	{"events", `insert into events (id, type, operation, subject, path, payload, requested_by, requested_by_login, pull_request, status, sequence, merge_commit, created_at, finished_at, archived_at)
select md5('event' || n)::uuid, 'VM_MODIFICATION_REQUESTED', 'MODIFY_VM', 'past-' || n, 'systems/past/x/test-shop/' || n, '{}', 5000 + n % 100, 'past', 1000000 + n,
  (array['COMPLETED', 'CANCELLED', 'FAILED'])[1 + n % 3], n, md5(n::text) || 'ffffffff', now() - interval '1 year', now() - interval '1 year', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"tickets", `insert into tickets (id, event_id, plan_id, pull_request, operation, environment, path, subject, system, service, namespace, requester_id, requester_login, change_digest, status, created_at, updated_at)
select md5('ticket' || n)::uuid, md5('event' || n)::uuid, md5('plan' || n)::uuid, 1000000 + n, 'MODIFY_VM', 'test', 'systems/past/x/test-shop/' || n, 'past-' || n, 'past', 'x', 'test-shop', 5000 + n % 100, 'past', md5(n::text),
  (array['COMPLETED', 'CANCELLED', 'FAILED'])[1 + n % 3], now() - interval '1 year', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"decisions", `insert into decisions (id, ticket_id, plan_id, review_id, reviewer_id, reviewer_login, verdict, created_at)
select gen_random_uuid(), md5('ticket' || n)::uuid, md5('plan' || n)::uuid, 1000000000 + n, 5000 + n % 100, 'past', 'approve', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"effects", `insert into effects (id, status, created_at, done_at) select 'past/' || n, 'done', now() - interval '1 year', now() - interval '1 year' from generate_series(1, $1::int) n`},
	{"audit_log", `insert into audit_log (performed_at, action_code, actor_id, performed_by, subject, environment, pull_request, params)
select now() - interval '1 year', (array['VM_APPLIED', 'TICKET_APPROVED', 'QUARANTINED', 'MERGED_BY_SHEPHERD'])[1 + n % 4], 5000 + n % 100, 'past', 'past-' || n, 'test', 1000000 + n, '{}' from generate_series(1, $1::int) n`},
	{"grants", `insert into grants (id, ticket_id, event_id, path, vm, environment, person_id, person_login, pull_request, granted_at, expires_at)
select gen_random_uuid(), md5('ticket' || n)::uuid, md5('event' || n)::uuid, 'access/past/' || n, 'past-' || n, 'prod', 5000 + n % 100, 'past', 1000000 + n, now() - interval '1 year', now() - interval '1 year' from generate_series(1, $1::int) n`},
}

// age gives the database a long past.
func (w *world) age(rows int) {
	w.t.Helper()
	for _, p := range pastOf {
		if _, err := w.pool.Exec(w.t.Context(), p.fill, rows); err != nil {
			w.t.Fatalf("fill %s: %v", p.table, err)
		}
	}
	must(w.pool.Exec(w.t.Context(), "vacuum analyze"))(w)
}

// withoutPast leaves the trail of a failing test to what it did.
func (w *world) withoutPast() {
	must(w.pool.Exec(context.WithoutCancel(w.t.Context()), `begin; set local session_replication_role = replica; delete from audit_log where performed_by = 'past'; commit`, pgx.QueryExecModeSimpleProtocol))(w)
}

// read is what was read of the tables with a past since the database forgot what it had counted, where it was as much as
// all that they hold: from beginning to end, or by an index without an end.
func (w *world) read(rows int) (out []string) {
	w.t.Helper()
	var tables []string
	for _, p := range pastOf {
		tables = append(tables, p.table)
	}
	return w.strings(`select format('%s: %s rows in %s scans, %s rows by indexes in %s', relname, seq_tup_read, seq_scan, idx_tup_fetch, idx_scan) from pg_stat_user_tables
where relname = any($1) and seq_tup_read + idx_tup_fetch >= $2
and not (relname = 'effects' and seq_tup_read < 2 * $2::int and idx_tup_fetch < $2) -- by the pruner, once an hour
order by 1`, tables, rows)
}

// What happened long ago costs nothing: from the first push to the running machine, a change of one reads no table
// with a past from its beginning to its end, nor do the sweeps.
func TestThePastCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("shop", "redis", "test-shop/01")
	const rows = 20_000
	w.age(rows)
	t.Cleanup(w.withoutPast)
	w.stop()
	must(w.pool.Exec(t.Context(), "select pg_stat_reset()"))(w)
	w.serve()
	pr := w.ask("more", forgetest.Files{vmPath("shop", "redis", "prod-shop/02"): stage.VM("small", "one more")})
	w.published(pr)
	must(w.Bob.Comment(pr, "/hold\n/plan"))(w)
	must(w.Carol.RequestChanges(pr, "smaller"))(w)
	w.push("more", forgetest.Files{vmPath("shop", "redis", "prod-shop/02"): stage.VM("medium", "one more")})
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	must(w.Bob.Comment(pr, "/unhold"))(w)
	w.merge(pr, "squash")
	w.once("prod-shop-shop-redis-02")
	dropped := w.ask("dropped", forgetest.Files{vmPath("shop", "redis", "test-shop/03"): stage.VM("small", "and another")})
	w.published(dropped)
	w.do(w.Alice.Close(dropped))
	w.do(w.Alice.Reopen(dropped))
	for _, sweep := range []func(){
		func() { w.enqueue(jobs.SweepPullRequests{RepositoryID: w.Repo.ID()}) }, func() { w.enqueue(jobs.SweepDeliveries{RepositoryID: w.Repo.ID()}) },
		func() { w.enqueue(jobs.Remind{RepositoryID: w.Repo.ID()}) }, func() { w.enqueue(jobs.CheckClusters{}) },
	} {
		w.quiet()
		sweep()
	}
	w.quiet()
	w.stop() // a connection tells what it read when it ends
	if got := w.read(rows); len(got) > 0 {
		t.Errorf("as much was read as there is:\n%s", strings.Join(got, "\n"))
	}
	if !slices.Contains(w.strings(`select relname::text from pg_stat_user_tables where idx_scan > 10`), "tickets") {
		t.Error("no tickets were read by an index: nothing was counted")
	}
}
