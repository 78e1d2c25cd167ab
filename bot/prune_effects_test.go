package bot

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/jobs"
)

// Of what was done outside long ago that goes which nothing looks up any more; what keeps something from being said
// or made twice stays, and so does what nobody knows the end of while it matters.
func TestPruneEffects(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	const over, runs = "01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"
	for id, status := range map[string]string{over: "COMPLETED", runs: "PROCESSING"} {
		d.exec(`insert into events (id, type, operation, subject, path, payload, requested_by, requested_by_login, pull_request, status, error_code, error_message, sequence, merge_commit, created_at) values ($1::uuid, 'x', 'CREATE_VM', 'a vm', $1::text, '{}', 101, 'alice', 7, $2, '', '', 0, '', now())`, id, status)
	}
	d.exec(`insert into pull_requests (id, state, created_at) values (7, 'open', now()), (8, 'merged', now())`)
	note := func(id, status string, age time.Duration) {
		d.exec(`insert into effects (id, status, note, result, created_at, done_at) values ($1, $2::text, '', '', $3::timestamptz, case when $2::text = 'done' then $3::timestamptz end)`, id, status, clock.Add(-age))
	}
	for _, id := range []string{
		"apply:" + over, "restart:" + over, "check:7:shepherd/validate", "check:8:shepherd/validate", "check:abc:shepherd/approval", "group:abc",
		"review:8:bob", "review:9:team acme/ops", "merge:8:abc", "decided:8:x", "reminder:8:x",
	} {
		note(id, "done", 2*keep)
	}
	want := []string{
		"apply:" + runs, "restart:" + runs, "review:7:bob", "merge:7:abc", "decided:7:x", "reminder:7:x", "reply:comment:1", "closing:8", "undo:abc",
		"redo:abc", "plan:x", "deployment:8:prod/prod-1", "deployment-status:5:1", "something:else",
	}
	for _, id := range want {
		note(id, "done", 2*keep)
	}
	for id, age := range map[string]time.Duration{"check:8:young": time.Hour, "check:8:exactly": keep} {
		note(id, "done", age)
		want = append(want, id)
	}
	for _, id := range []string{"check:8:moot", "decided:8:moot", "reminder:8:moot", "review:8:moot"} {
		note(id, "intended", 2*keep)
	}
	for _, id := range []string{"decided:7:nobody knows", "merge:8:nobody knows", "apply:" + over + ":nobody knows", "reply:comment:2"} {
		note(id, "intended", 2*keep)
		want = append(want, id)
	}
	var log bytes.Buffer
	for range 2 {
		d.ok(d.pruner(&log).Run(t.Context(), jobs.PruneDeliveries{}))
	}
	d.same("left", want, d.lines(`select id from effects order by array_position($1::text[], id)`, want))
	if diff := cmp.Diff(1, strings.Count(log.String(), "effects=15 ")); diff != "" {
		t.Errorf("logged %s", log.String())
	}
}
