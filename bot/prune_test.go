package bot

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/faulttest"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// keep is how long the tests keep deliveries.
const keep = 30 * 24 * time.Hour

func (d *database) pruner(log *bytes.Buffer) *Pruner {
	return NewPruner(d.db, keep, slog.New(slog.NewTextHandler(log, nil)), now)
}

// old stores a delivery of so long ago.
func (d *database) old(id, status string, age time.Duration) {
	d.Helper()
	d.exec(`insert into deliveries (id, event, body, received_at, status) values ($1, 'push', '{}', $2, $3)`, id, clock.Add(-age), status)
}

func (d *database) left() []string {
	d.Helper()
	return d.lines(`select id from deliveries order by id`)
}

// What was acted on goes when its time is over; what waits, what has a job and what came in last stays.
func TestPrune(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.old("ignored", "ignored", keep+time.Second)
	d.old("routed", "routed", 3*keep)
	d.old("kept: exactly as old", "routed", keep)
	d.old("kept: young", "routed", time.Hour)
	d.old("kept: waits", "received", 2*keep)
	for _, state := range []string{"available", "running", "retryable", "scheduled", "pending", "completed", "cancelled", "discarded"} {
		over := state == "completed" || state == "cancelled" || state == "discarded"
		id := "job over: " + state
		if !over {
			id = "kept: job is " + state
		}
		d.old(id, "routed", 2*keep)
		d.job("route_delivery", id, state, over)
	}
	d.old("job of another kind", "routed", 2*keep)
	d.job("another_kind", "job of another kind", "available", false)
	var log bytes.Buffer
	d.ok(d.pruner(&log).Run(t.Context(), jobs.PruneDeliveries{}))
	want := []string{
		"kept: exactly as old", "kept: job is available", "kept: job is pending", "kept: job is retryable", "kept: job is running",
		"kept: job is scheduled", "kept: waits", "kept: young",
	}
	if diff := cmp.Diff(want, d.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "deliveries=6 ") {
		t.Errorf("logged %q", got)
	}
	log.Reset()
	d.ok(d.pruner(&log).Run(t.Context(), jobs.PruneDeliveries{}))
	if log.Len() > 0 {
		t.Errorf("a second run logged %q", log.String())
	}
}

func (d *database) job(kind, delivery, state string, over bool) {
	d.Helper()
	d.exec(`insert into river_job (kind, args, state, max_attempts, finalized_at)
values ($1, jsonb_build_object('delivery_id', $2::text), $3::text::river_job_state, 25, case when $4 then now() end)`, kind, delivery, state, over)
}

// What the forge said of teams goes with the deliveries; what is not so old may still count.
func TestPruneMemberships(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(`insert into memberships (organization, team, person, member, asked_at)
select 1, 2, person, person <> 1, $1::timestamptz - person * interval '1 second' from generate_series(0, 2) person`, clock.Add(-keep+time.Second))
	d.ok(d.pruner(new(bytes.Buffer)).Run(t.Context(), jobs.PruneDeliveries{}))
	if diff := cmp.Diff([]string{"0", "1"}, d.lines(`select person::text from memberships order by person`)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// How long ago something came in last by itself can be told however long that is; what was lost and fetched says
// nothing of that.
func TestPruneKeepsTheLast(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.old("first", "routed", 4*keep)
	d.old("last", "routed", 3*keep)
	d.exec(`insert into deliveries (id, event, body, received_at, sent_at, status) values ('fetched', 'push', '{}', $1, $1, 'routed')`, clock.Add(-2*keep))
	d.ok(d.pruner(new(bytes.Buffer)).Run(t.Context(), jobs.PruneDeliveries{}))
	if diff := cmp.Diff([]string{"last"}, d.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestPruneNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.ok(d.pruner(new(bytes.Buffer)).Run(t.Context(), jobs.PruneDeliveries{})) // none there
	d.old("a", "routed", 100*keep)
	d.old("b", "routed", 0)
	var log bytes.Buffer
	p := d.pruner(&log)
	p.keep = 0
	d.ok(p.Run(t.Context(), jobs.PruneDeliveries{}))
	if got := d.left(); len(got) != 2 || log.Len() > 0 {
		t.Errorf("0 keeps %v and logs %q", got, log.String())
	}
}

// Batches go on behind one another, past what has to stay, also where many came in at one time.
func TestPruneInBatches(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(`insert into deliveries (id, event, body, received_at, status)
select to_char(n, 'FM0000'), 'push', '{}', $1::timestamptz + (n / 40) * interval '1 second', case when n % 7 = 0 then 'received' else 'routed' end
from generate_series(1, 1000) n`, clock.Add(-2*keep))
	d.exec(`insert into river_job (kind, args, state, max_attempts)
select 'route_delivery', jsonb_build_object('delivery_id', id), 'retryable', 25 from deliveries where id <= '0100' and status = 'routed'`)
	d.old("young", "routed", 0)
	var log bytes.Buffer
	p := d.pruner(&log)
	p.batch = 30
	d.ok(p.Run(t.Context(), jobs.PruneDeliveries{}))
	if n := d.count(`deliveries where id > '0100' and status = 'routed' and id <> 'young'`); n != 0 {
		t.Errorf("%d are left that could go", n)
	}
	if n := d.count(`deliveries where id = 'young' or id <= '0100' or status = 'received'`); n != 1+100+1000/7-100/7 {
		t.Errorf("%d that have to stay are left", n)
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "deliveries=772 ") {
		t.Errorf("logged %q", got)
	}
}

// A delivery that somebody works on is nobody's to wait for: it is left for the next time. Two that prune
// side by side delete each delivery once.
func TestPruneBesideOthers(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(`insert into deliveries (id, event, body, received_at, status)
select n::text, 'push', '{}', $1, 'routed' from generate_series(1, 500) n`, clock.Add(-2*keep))
	d.old("young", "routed", 0)
	tx, err := d.pool.Begin(t.Context())
	d.ok(err)
	_, err = tx.Exec(t.Context(), `select 1 from deliveries where id = '77' for update`)
	d.ok(err)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for n := range errs {
		p := d.pruner(new(bytes.Buffer))
		p.batch = 20
		wg.Go(func() { errs[n] = p.Run(t.Context(), jobs.PruneDeliveries{}) })
	}
	wg.Wait()
	for _, err := range errs {
		d.ok(err)
	}
	if diff := cmp.Diff([]string{"77", "young"}, d.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	d.ok(tx.Rollback(t.Context()))
}

// What a failing run did stays done and is said; the next one goes on.
func TestPruneFails(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(`insert into deliveries (id, event, body, received_at, status)
select n::text, 'push', '{}', $1, 'routed' from generate_series(1, 25) n`, clock.Add(-2*keep))
	d.old("young", "routed", 0)
	var log bytes.Buffer
	p := NewPruner(store.New(faulttest.Nth(d.pool, 3)), // the second batch: the first has its statement and its commit
		keep, slog.New(slog.NewTextHandler(&log, nil)), now)
	p.batch = 10
	if err := p.Run(t.Context(), jobs.PruneDeliveries{}); !errors.Is(err, faulttest.ErrInjected) || !strings.HasPrefix(err.Error(), "prune deliveries: ") {
		t.Errorf("told %v", err)
	}
	if n := d.count("deliveries"); n != 16 || !strings.Contains(log.String(), "deliveries=10 ") {
		t.Errorf("%d are left, logged %q", n, log.String())
	}
	d.ok(d.pruner(&log).Run(t.Context(), jobs.PruneDeliveries{}))
	if diff := cmp.Diff([]string{"young"}, d.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// One that comes in once more after it was deleted is taken in and routed again, and adds nothing to what
// was kept of it.
func TestRepeatedAfterPruning(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	r := NewRouter(d.db, d.queue, github.Parse, repo, self, now)
	deliver := func() {
		t.Helper()
		if got := post(newIntake(d), webhook(guid(1), encode(t, body(alice, synchronize(7, commit1, commit2))))); got != http.StatusAccepted {
			t.Fatal(got)
		}
		d.ok(r.Route(t.Context(), jobs.RouteDelivery{DeliveryID: guid(1)}))
	}
	deliver()
	pushes := d.lines(`select p::text from pushes p`)
	d.exec(`update river_job set state = 'completed', finalized_at = now()`)
	d.old("young", "routed", -2*keep)
	p := d.pruner(new(bytes.Buffer))
	p.now = func() time.Time { return clock.Add(2 * keep) }
	d.ok(p.Run(t.Context(), jobs.PruneDeliveries{}))
	if diff := cmp.Diff([]string{"young"}, d.left()); diff != "" {
		t.Fatalf("left (-want +got):\n%s", diff)
	}
	deliver()
	if diff := cmp.Diff(pushes, d.lines(`select p::text from pushes p`)); diff != "" || len(pushes) != 1 {
		t.Errorf("pushes (-first +second):\n%s", diff)
	}
}
