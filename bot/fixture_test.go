package bot

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// clock is the moment at which all tests play.
var clock = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

func now() time.Time { return clock }

var (
	self  = forge.Person{ID: 900, Login: "shepherd[bot]", Bot: true}
	alice = forge.Person{ID: 101, Login: "alice"}
	bob   = forge.Person{ID: 102, Login: "bob"}
	carol = forge.Person{ID: 103, Login: "carol"}
	repo  = Repository{ID: 42, Branch: "main"}
)

const (
	noCommit = "0000000000000000000000000000000000000000"
	commit1  = "1111111111111111111111111111111111111111"
	commit2  = "2222222222222222222222222222222222222222"
	commit3  = "3333333333333333333333333333333333333333"
)

// database is one with all tables that nobody else uses.
type database struct {
	testing.TB
	pool  *pgxpool.Pool
	db    *store.DB
	queue *jobs.Queue
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	pool := storetest.Open(t)
	queue, err := jobs.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	return &database{TB: t, pool: pool, db: store.New(pool), queue: queue}
}

func (d *database) ok(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// lines runs a query of one text column.
func (d *database) lines(query string, args ...any) []string {
	d.Helper()
	rows, err := d.pool.Query(d.Context(), query, args...)
	d.ok(err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	d.ok(err)
	return out
}

func (d *database) exec(sql string, args ...any) {
	d.Helper()
	_, err := d.pool.Exec(d.Context(), sql, args...)
	d.ok(err)
}

// jobs are those that wait, as kind and arguments, in the order in which they were queued.
func (d *database) jobs() []string {
	d.Helper()
	return d.lines(`select kind || ' ' || args::text from river_job where state = 'available' order by id`)
}

// body is a webhook's: the envelope that all have, and what the event adds.
func body(sender forge.Person, more map[string]any) map[string]any {
	out := map[string]any{"repository": map[string]any{"id": repo.ID, "full_name": "acme/vms"}, "sender": user(sender)}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func user(p forge.Person) map[string]any {
	kind := "User"
	if p.Bot {
		kind = "Bot"
	}
	return map[string]any{"id": p.ID, "login": p.Login, "type": kind}
}

func pullEvent(action string, number int, more map[string]any) map[string]any {
	pull := map[string]any{"number": number, "merged": false}
	out := map[string]any{"action": action, "number": number, "pull_request": pull}
	for k, v := range more {
		if k == "merged" {
			pull[k] = v
			continue
		}
		out[k] = v
	}
	return out
}

func synchronize(number int, before, after string) map[string]any {
	return pullEvent("synchronize", number, map[string]any{"before": before, "after": after})
}

func pushEvent(ref, before, after string) map[string]any {
	return map[string]any{"ref": ref, "before": before, "after": after, "pusher": map[string]any{"name": "alice"}, "forced": false}
}

func reviewEvent(action string, number int, id int64, by forge.Person, state, commit, text string) map[string]any {
	return map[string]any{"action": action, "pull_request": map[string]any{"number": number}, "review": map[string]any{
		"id": id, "user": user(by), "state": state, "commit_id": commit, "body": text, "submitted_at": clock.Format(time.RFC3339),
	}}
}

func commentEvent(action string, number int, id int64, by forge.Person) map[string]any {
	return map[string]any{
		"action":  action,
		"issue":   map[string]any{"number": number, "pull_request": map[string]any{"url": "https://forge.test/pulls/7"}},
		"comment": map[string]any{"id": id, "user": user(by), "body": "words"},
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func guid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func newGUID() string { return uuid.NewString() }
