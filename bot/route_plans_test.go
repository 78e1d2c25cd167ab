package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// listener notes which statements were sent, with arguments of theirs.
type listener struct {
	mu   sync.Mutex
	sent map[string][]any
}

func (l *listener) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[q.SQL] = q.Args
	return ctx
}

func (l *listener) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// overheard is a database of which every statement is noted.
func overheard(t testing.TB) (*database, *listener) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(storetest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{sent: map[string][]any{}}
	cfg.ConnConfig.Tracer = l
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	queue, err := jobs.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	return &database{TB: t, pool: pool, db: store.New(pool), queue: queue}, l
}

// many fills what grows with the number of webhooks: their deliveries and jobs, and what is kept of them.
func (d *database) many(n int) {
	d.Helper()
	for _, fill := range []string{
		`insert into deliveries (id, event, body, received_at, status) select gen_random_uuid()::text, 'pull_request', '{}', $2::timestamptz - n * interval '10 seconds', 'routed' from generate_series(1, $1::int) n`,
		`insert into river_job (kind, args, state, max_attempts, finalized_at, queue) select (array['route_delivery', 'judge_pull_request'])[1 + n % 2],
case n % 2 when 0 then jsonb_build_object('delivery_id', gen_random_uuid()) else jsonb_build_object('number', 1000000 + n) end, 'completed', 25, $2::timestamptz - n * interval '1 second', 'default' from generate_series(1, $1::int) n`,
		`insert into pull_requests (id, head_sha, base_ref, state, author_id, created_at) select 1000000 + n, md5(n::text) || '00000000', 'main', 'merged', 5000 + n % 100, $2 from generate_series(1, $1::int) n`,
		`insert into pushes (id, delivery_id, ref, pull_request, before, after, pusher_id, pusher_login, at) select gen_random_uuid(), 'x' || n, 'refs/heads/x', 1000000 + n, '', md5(n::text) || '00000000', 5000 + n % 100, 'x', $2 from generate_series(1, $1::int) n`,
		`insert into reviews (id, pull_request, reviewer_id, reviewer_login, state, submitted_at) select 1000000000 + n, 1000000 + n, 5000 + n % 100, 'x', 'approved', $2 from generate_series(1, $1::int) n`,
		`insert into commands (id, source, source_id, ordinal, pull_request, author_id, author_login, verb, at, status) select gen_random_uuid(), 'comment', 1000000000 + n, 0, 1000000 + n, 5000 + n % 100, 'x', 'plan', $2, 'done' from generate_series(1, $1::int) n`,
		`insert into audit_log (performed_at, action_code, performed_by, pull_request) select $2, 'TEXT_EDITED', 'x', 1000000 + n from generate_series(1, $1::int) n`,
	} {
		d.exec(fill, n, clock)
	}
	d.exec(`vacuum analyze`)
}

// step is a part of a plan that was carried out.
type step struct {
	Type    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Index   string  `json:"Index Name"`
	Rows    float64 `json:"Actual Rows"`
	Removed float64 `json:"Rows Removed by Filter"`
	Loops   float64 `json:"Actual Loops"`
	Plans   []step
}

// much lists where a statement reads more rows of a table that grows than a webhook can be about: from beginning to end,
// or by an index that does not narrow it.
func (d *database) much(sql string, args []any) (steps []string) {
	d.Helper()
	tx, err := d.pool.Begin(d.Context())
	d.ok(err)
	defer func() { d.ok(tx.Rollback(context.WithoutCancel(d.Context()))) }()
	var plan []byte
	if err := tx.QueryRow(d.Context(), "explain (analyze, format json) "+sql, args...).Scan(&plan); err != nil {
		d.Fatalf("explain %s: %v", sql, err)
	}
	var found []struct{ Plan step }
	d.ok(json.Unmarshal(plan, &found))
	var walk func(step)
	walk = func(s step) {
		if read := (s.Rows + s.Removed) * s.Loops; slices.Contains(grown, s.Table) && (read > 1000 || s.Type == "Seq Scan") {
			steps = append(steps, fmt.Sprintf("%s of %s %s: %.0f rows", s.Type, s.Table, s.Index, read))
		}
		for _, part := range s.Plans {
			walk(part)
		}
	}
	walk(found[0].Plan)
	return steps
}

// grown are the tables of many.
var grown = []string{"deliveries", "river_job", "pull_requests", "pushes", "reviews", "commands", "audit_log"}

// Whatever a webhook leads to at once, and what looks for lost ones, finds its rows by an index however many there
// have been.
func TestStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	d, heard := overheard(t)
	d.many(30_000)
	d.exec(`insert into pull_requests (id, head_sha, base_ref, state, created_at) values (7, $1, 'main', 'open', now())`, commit2)
	d.exec(`insert into memberships (organization, team, person, member, asked_at) values (5, 6, $1, true, now())`, bob.ID)
	clear(heard.sent)
	d.everyEvent()
	r := NewRedeliverer(newIntake(d), d.router(), nil, repo)
	var sent []forge.SentDelivery
	for n := range 200 {
		sent = append(sent, forge.SentDelivery{ID: int64(n), GUID: guid(n), SentAt: clock.Add(time.Duration(n) * time.Second)})
	}
	_, err := r.missing(t.Context(), sent)
	d.ok(err)
	looked := 0
	heard.mu.Lock()
	statements := maps.Clone(heard.sent)
	heard.mu.Unlock()
	for _, sql := range slices.Sorted(maps.Keys(statements)) {
		word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(sql)), " ")
		if !slices.Contains([]string{"select", "insert", "update", "delete", "with"}, word) {
			continue
		}
		looked++
		for _, step := range d.much(sql, statements[sql]) {
			t.Errorf("%s:\n%s", step, sql)
		}
	}
	if looked < 15 {
		t.Errorf("only %d statements were heard", looked)
	}
}

// everyEvent lets every kind of webhook come, some twice.
func (d *database) everyEvent() {
	d.Helper()
	edited := body(bob, commentEvent("edited", 7, 5, alice))
	edited["changes"] = map[string]any{"body": map[string]any{"from": "/hold"}}
	ours := body(bob, commentEvent("deleted", 7, 6, self))
	reopened := body(alice, pullEvent("reopened", 7, nil))
	events := append(usual(), example{event: "issue_comment", body: encode(d, edited)}, example{event: "issue_comment", body: encode(d, ours)},
		example{event: "pull_request", body: encode(d, reopened)}, example{event: "pull_request", body: encode(d, reopened)})
	i := newIntake(d)
	for n, e := range events {
		for range 2 {
			r := webhook(guid(n), e.body)
			r.Header.Set("X-GitHub-Event", e.event)
			post(i, r)
		}
		d.ok(d.router().Route(d.Context(), jobs.RouteDelivery{DeliveryID: guid(n)}))
	}
}
