package api

import (
	"fmt"
	"strings"
)

// pushed are rows of pushes: the ref, the commit, and how many seconds ago.
func pushed(rows ...string) string {
	return `insert into pushes (id, delivery_id, ref, before, after, pusher_id, pusher_login, at)
select gen_random_uuid(), after, ref, '', after, 1, 'alice', now() - ago * interval '1 second' from (values (` + strings.Join(rows, "), (") + `)) p(ref, after, ago)`
}

// vmsOf are machines at the paths p1, p2 and so on, on the cluster east.
func vmsOf(n int) string { return fmt.Sprintf(vms, n) }

// ticketsOf is a ticket of each path that has an event under way, with a status.
func ticketsOf(status string) string {
	return `with e as (select distinct on (path) id, path, gen_random_uuid() as plan from events where status = 'PROCESSING'),
planned as (insert into plans (id, pull_request, path, change_digest, effective_digest, created_at) select plan, 1, path, '', '', now() from e returning id)
insert into tickets (id, pull_request, operation, path, subject, requester_id, requester_login, change_digest, status, created_at, updated_at, event_id, plan_id)
select gen_random_uuid(), 1, 'CREATE_VM', e.path, 's', 1, 'alice', '', ` + status + `, now(), now(), e.id, p.id from e join planned p on p.id = e.plan`
}

// crowd is a database after a long time: much that is done, and some work under way.
func crowd() []string {
	return []string{
		`insert into repository (id, branch, cursor, last_sweep_at) values (1, 'main', 'c1', now())`, clusters,
		`insert into deliveries (id, event, body, received_at, status)
select n, 'pull_request', convert_to(repeat(md5(n::text), 30), 'UTF8'), now() - n * interval '1 second', case when n <= 100 then 'received' else 'routed' end from generate_series(1, 100000) n`,
		`insert into river_job (kind, args, state, created_at, finalized_at, max_attempts, queue)
select case when n % 30 = 0 then 'walk_branch' when n % 3 = 0 then 'judge_pull_request' else 'route_delivery' end, jsonb_build_object('delivery_id', n, 'number', n % 10000),
  'completed', now() - n * interval '1 second', now() - n * interval '0.8 seconds', 25, 'default' from generate_series(1, 100000) n`,
		`insert into river_job (kind, args, state, created_at, max_attempts, queue)
select case when n % 2 = 0 then 'judge_pull_request' else 'route_delivery' end, jsonb_build_object('delivery_id', n::text, 'number', n), 'available', now(), 25, 'default' from generate_series(1, 1000) n`,
		`insert into pull_requests (id, state, wanted, judged, created_at, report)
select n, case when n <= 300 then 'open' else 'merged' end, 5, case when n <= 100 then 4 else 5 end, now(), jsonb_build_object('problems', repeat(md5(n::text), 30)) from generate_series(1, 10000) n`,
		`insert into pushes (id, delivery_id, ref, before, after, pusher_id, pusher_login, at)
select gen_random_uuid(), n, 'refs/heads/main', '', n, 1, 'alice', now() - n * interval '1 minute' from generate_series(1, 20000) n`,
		vmsOf(10000),
		events + `(select 'p' || n, 'COMPLETED', interval '1 day' from generate_series(1, 30000) n union all select 'p' || n, 'PROCESSING', interval '1 minute' from generate_series(1, 300) n) e(path, status, ago)`,
		ticketsOf(`'PENDING_APPROVAL'`),
		`insert into audit_log (performed_at, action_code, performed_by, params)
select now(), case when n <= 500 then 'CHANGE_QUARANTINED' else 'CHANGE_ACCEPTED' end, 'a', jsonb_build_object('commit', 'c' || n) from generate_series(1, 100000) n`,
		`insert into effects (id, status, result, created_at)
select 'undo:c' || n, 'done', 'https://forge.example/o/r/pull/' || n, now() from generate_series(1, 500) n`,
		`insert into effects (id, status, created_at) select 'comment:' || n, 'done', now() from generate_series(1, 50000) n`,
		`analyze`,
	}
}
