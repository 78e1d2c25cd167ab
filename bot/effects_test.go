package bot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/jobs"
)

// handled are the events that may lead to anything: all others only pass through.
var handled = map[string]bool{
	"pull_request": true, "pull_request_review": true, "issue_comment": true, "push": true, "check_run": true, "check_suite": true,
	"merge_group": true, "membership": true, "team": true, "organization": true, "member": true,
}

// aboutPeople are the events that may be an organisation's, and then name no repository.
var aboutPeople = map[string]bool{"membership": true, "team": true, "organization": true, "member": true}

// consequences are what a webhook led to beyond itself and its routing.
type consequences struct {
	status, outcome string
	rows            []string // what was written down, but for wishes
	jobs            []string // kinds
	numbers         []string // the pull requests to be judged
}

func (c consequences) none() bool { return len(c.rows) == 0 && len(c.jobs) == 0 && len(c.numbers) == 0 }

// through sends a signed webhook through the intake and the router of an empty database, and says what came of it. The answer is
// that of the intake; what it did not take has no consequences.
func (d *database) through(event string, body []byte) (answer int, c consequences) {
	d.Helper()
	id := newGUID()
	r := webhook(id, body)
	r.Header.Set("X-GitHub-Event", event)
	if answer = post(newIntake(d), r); answer != http.StatusAccepted {
		if n := d.count("deliveries where id = '" + id + "'"); n != 0 {
			d.Errorf("%s was answered %d and stored", event, answer)
		}
		return answer, c
	}
	if err := d.router().Route(d.Context(), jobs.RouteDelivery{DeliveryID: id}); err != nil {
		d.Errorf("%s was not routed: %v\n%.2000s", event, err, body)
	}
	const all = `select 'is', status || ': ' || outcome from deliveries
union all select 'kind', kind from river_job where kind <> 'route_delivery' union all select 'number', args->>'number' from river_job where args ? 'number'
union all select 'row', 'push ' || p from pushes p union all select 'row', 'review ' || r from reviews r
union all select 'row', 'command ' || c from commands c union all select 'row', 'audit ' || a from audit_log a`
	d.ok(d.db.Rows(d.Context(), all, nil, func(rows pgx.Rows) error {
		var what, value string
		err := rows.Scan(&what, &value)
		switch what {
		case "is":
			c.status, c.outcome, _ = strings.Cut(value, ": ")
		case "kind":
			c.jobs = append(c.jobs, value)
		case "number":
			c.numbers = append(c.numbers, value)
		default:
			c.rows = append(c.rows, value)
		}
		return err
	}))
	return answer, c
}

// forgetAll takes back everything, also what the database itself keeps for ever.
func (d *database) forgetAll() {
	d.Helper()
	conn, err := d.pool.Acquire(d.Context())
	d.ok(err)
	defer conn.Release()
	const all = `set session_replication_role = replica; delete from deliveries; delete from river_job; delete from pull_requests;
delete from pushes; delete from reviews; delete from commands; delete from audit_log; set session_replication_role = default`
	_, err = conn.Conn().PgConn().Exec(d.Context(), all).ReadAll()
	d.ok(err)
}

// innocent holds what came of a webhook to what any webhook may lead to: only events that mean something, about
// our repository, and nothing beyond what the body names. It reads the body by other means than the router.
func innocent(t testing.TB, event string, body []byte, c consequences) {
	t.Helper()
	if c.status == "received" || c.outcome == "" {
		t.Errorf("%s is %q: %q", event, c.status, c.outcome)
	}
	named := names(body)
	ours := named.repository == fmt.Sprint(repo.ID)
	switch {
	case c.none():
	case !handled[event]:
		t.Errorf("%s led to %+v", event, c)
	case !ours:
		t.Errorf("%s about %s led to %+v", event, named.repository, c)
	}
	if c.status == "routed" && !ours && !aboutPeople[event] {
		t.Errorf("%s about %s is routed: %s", event, named.repository, c.outcome)
	}
	for _, n := range c.numbers {
		if !named.integers[n] {
			t.Errorf("%s asks for #%s, which it does not name", event, n)
		}
	}
	for _, kind := range c.jobs {
		if !slices.Contains([]string{"judge_pull_request", "walk_branch", "answer_commands", "check_merge_group", "tell_pull_request"}, kind) {
			t.Errorf("%s queued %s", event, kind)
		}
	}
}

// naming is what a body says by its bare words: the number at repository.id, and every whole number anywhere.
type naming struct {
	repository string
	integers   map[string]bool
}

func names(body []byte) naming {
	out := naming{integers: map[string]bool{}}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var whole map[string]any
	if decoder.Decode(&whole) != nil {
		return out
	}
	if r, ok := whole["repository"].(map[string]any); ok {
		if id, ok := r["id"].(json.Number); ok {
			out.repository = id.String()
		}
	}
	var collect func(any)
	collect = func(v any) {
		switch v := v.(type) {
		case json.Number:
			if !strings.ContainsAny(v.String(), ".eE") {
				out.integers[v.String()] = true
			}
		case map[string]any:
			for _, part := range v {
				collect(part)
			}
		case []any:
			for _, part := range v {
				collect(part)
			}
		}
	}
	collect(whole)
	return out
}
