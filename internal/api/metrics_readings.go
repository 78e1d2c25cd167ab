package api

import "slices"

// readings are all that is read from the database. Each query stays within an index, so that a scrape costs
// the same after years: what waits is found through its job, not in the tables that only grow.
var readings = slices.Concat(freshness, backlog, governed, outside, forgeLimits)

// age is how long ago something was, in seconds.
func age(since string) string { return "extract(epoch from now() - (" + since + "))::float8" }

// zero is an age where nothing waits.
func zero(since string) string { return "coalesce(" + age(since) + ", 0)" }

// unfinished are the jobs that something still waits for.
const unfinished = `state in ('available', 'pending', 'retryable', 'running', 'scheduled')`

// notCompleted are their states, and those of jobs that ended and did not do their work.
const notCompleted = `'available', 'pending', 'retryable', 'running', 'scheduled', 'cancelled', 'discarded'`

// freshness is when Shepherd last learnt of the forge.
var freshness = []reading{
	read("shepherd_last_delivery_age_seconds", "Time since the last webhook that came by itself; those that were lost and fetched do not count.",
		`select `+age(`max(received_at)`)+` from deliveries where sent_at is null`),
	read("shepherd_last_sweep_age_seconds", "Time since the open pull requests were last compared with the forge.",
		`select `+age(`last_sweep_at`)+` from repository order by id limit 1`),
	read("shepherd_last_walk_age_seconds", "Time since the governed branch was last followed to its tip.",
		`select `+age(`max(finalized_at)`)+` from river_job where kind = 'walk_branch' and state = 'completed'`),
	read("shepherd_branch_blocked", "Whether the walker of the branch stands still until somebody sets a new baseline.",
		`select (blocked <> '')::int::float8 from repository order by id limit 1`),
	read("shepherd_lost_deliveries_swept_age_seconds", "Age of the moment up to which no webhook of the forge's list is missing.",
		`select `+age(`deliveries_swept_to`)+` from repository order by id limit 1`),
	// Keys of pushes grow with time, so that the last few are found without reading all.
	read("shepherd_branch_behind_seconds", "Age of the newest push to the governed branch, where the branch was not followed since; 0 otherwise.",
		`with pushed as (
  select p.at, p.after, r.cursor from (select ref, at, after from pushes order by id desc limit 500) p, repository r
  where p.ref = 'refs/heads/' || r.branch and r.cursor <> '' order by p.at desc limit 1)
select `+zero(`select at from pushed where after <> cursor and at > coalesce(
  (select max(finalized_at) from river_job where kind = 'walk_branch' and state = 'completed'), '-infinity')`)),
}

// backlog is what was taken in and is not done yet.
var backlog = []reading{
	read("shepherd_oldest_unrouted_delivery_age_seconds", "Age of the oldest webhook that is stored and was not looked at; 0 without any.",
		`select `+zero(`min(d.received_at)`)+` from river_job j join deliveries d on d.id = j.args->>'delivery_id'
where j.kind = 'route_delivery' and j.state in (`+notCompleted+`) and d.status = 'received'`),
	read("shepherd_unjudged_pull_requests", "Open pull requests that are to be judged anew.",
		`select count(*)::float8 from pull_requests where state = 'open' and wanted > judged`),
	read("shepherd_oldest_unjudged_pull_request_age_seconds", "How long the longest waiting of them has waited; 0 without any.",
		`with tried as (
  select (args->>'number')::bigint as id, min(created_at) filter (where finalized_at is null) as waits, max(finalized_at) as ended from river_job
  where kind = 'judge_pull_request' and state in (`+notCompleted+`) group by 1)
select `+zero(`min(coalesce(t.waits, t.ended, p.created_at))`)+` from pull_requests p left join tried t on t.id = p.id where p.state = 'open' and p.wanted > p.judged`),
	read("shepherd_oldest_untold_pull_request_age_seconds", "How long the oldest news has waited to be told on its pull request; 0 without any.",
		`select `+zero(`min(created_at)`)+` from river_job where kind = 'tell_pull_request' and `+unfinished),
	read("shepherd_queue_jobs", "Jobs of a queue by state.",
		`select queue, state::text, count(*)::float8 from river_job where `+unfinished+` group by 1, 2`, "queue", "state"),
	read("shepherd_queue_lag_seconds", "Age of the oldest job of a queue that could run and does not.",
		`select queue, `+age(`min(scheduled_at)`)+` from river_job where state = 'available' group by 1`, "queue"),
	read("shepherd_jobs", "Jobs by kind and state, without those that ended well; discarded ones used up their attempts and are kept for a week.",
		`select kind, state::text, count(*)::float8 from river_job where `+unfinished+` or state = 'discarded' group by 1, 2`, "kind", "state"),
}

// governed is what people and clusters have not settled.
var governed = []reading{
	read("shepherd_tickets_waiting", "Tickets that wait for an approval.",
		`select count(*)::float8 from tickets where status = 'PENDING_APPROVAL'`),
	read("shepherd_oldest_ticket_age_seconds", "Age of the oldest ticket that waits for an approval; 0 without any.",
		`select `+zero(`min(created_at)`)+` from tickets where status = 'PENDING_APPROVAL'`),
	read("shepherd_events_processing", "Approved and merged changes that are being carried out, by cluster; those without a machine have none.",
		`select coalesce(v.cluster, ''), count(*)::float8 from events e left join vms v on v.path = e.path where e.status = 'PROCESSING' group by 1`, "cluster"),
	read("shepherd_oldest_event_age_seconds", "Time since the merge of the oldest change that is being carried out, by cluster.",
		`select coalesce(v.cluster, ''), `+age(`min(coalesce(e.processed_at, e.created_at))`)+`
from events e left join vms v on v.path = e.path where e.status = 'PROCESSING' group by 1`, "cluster"),
	read("shepherd_quarantined_spans", "Spans of the branch with changes that did not pass, whose undo is not merged or closed.",
		`select count(*)::float8 from (select distinct params->>'commit' as commit from audit_log
  where action_code in ('CHANGE_QUARANTINED', 'APPROVAL_BYPASSED') and params ? 'commit') q
left join lateral (select status, result from effects where id = 'undo:' || q.commit limit 1) e on true
left join pull_requests p on p.id = substring(e.result from '/([0-9]{1,18})$')::bigint
where e.status is distinct from 'done' or e.result <> '' and coalesce(p.state, 'open') = 'open'`),
}

// forgeLimits is what the forge lets us do, by the identity that it counts.
var forgeLimits = []reading{
	read("shepherd_forge_requests_remaining", "Requests that the forge still answers in this period, as last told.",
		`select id, (case when resets_at > now() then remaining else allowed end)::float8 from forge_limits where allowed > 0`, "identity"),
	read("shepherd_forge_requests_used_percent", "How much is used of the requests of this period; from 80 on news wait.",
		`select id, case when resets_at > now() then 100 - 100 * remaining / allowed::float8 else 0 end from forge_limits where allowed > 0`, "identity"),
	read("shepherd_forge_blocked_seconds", "For how long nothing is sent to the forge, or nothing is created there, because it asked for that; 0 otherwise.",
		`select id, extract(epoch from coalesce(greatest(blocked_until, content_blocked_until), now()) - now())::float8 from forge_limits`, "identity"),
}

// outside is how the clusters and the other processes are.
var outside = []reading{
	read("shepherd_clusters", "Clusters by health.",
		`select h, count(c.id)::float8 from unnest(array['healthy', 'unhealthy', 'unreachable', 'unknown']) h left join clusters c on c.health = h group by 1`, "health"),
	read("shepherd_cluster_look_age_seconds", "Time since a cluster was last looked at, or since it was added.",
		`select id, `+age(`coalesce(checked_at, created_at)`)+` from clusters`, "cluster"),
	read("shepherd_leader_present", "Whether one of the processes leads: it queues what is done periodically.",
		`select exists(select from river_leader where expires_at > now())::int::float8`),
}
