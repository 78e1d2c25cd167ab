package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// sender is a forge that keeps what it sent.
type sender struct {
	sent   []forge.SentDelivery // oldest first
	bodies map[int64][]byte
	fails  map[int64]error // by the delivery that is asked for; 0: the list
	since  time.Time
	asked  []int64
	said   []forge.PullComment
	heard  []time.Time // since when it was asked what was said
}

func (s *sender) Comments(_ context.Context, since time.Time) ([]forge.PullComment, error) {
	s.heard = append(s.heard, since)
	return s.said, s.fails[-1]
}

func (s *sender) Deliveries(_ context.Context, since time.Time) ([]forge.SentDelivery, error) {
	s.since = since
	newest := slices.Clone(s.sent)
	slices.Reverse(newest)
	return newest, s.fails[0]
}

func (s *sender) DeliveryBody(_ context.Context, d forge.SentDelivery) ([]byte, error) {
	s.asked = append(s.asked, d.ID)
	if err := s.fails[d.ID]; err != nil {
		return nil, err
	}
	return s.bodies[d.ID], nil
}

// add has the forge send a webhook, some time before now.
func (s *sender) add(d *database, id int, ago time.Duration, event string, who forge.Person, more map[string]any) {
	d.Helper()
	s.sent = append(s.sent, forge.SentDelivery{ID: int64(id), GUID: guid(id), Event: event, RepositoryID: repo.ID, SentAt: clock.Add(-ago)})
	if s.bodies == nil {
		s.bodies, s.fails = map[int64][]byte{}, map[int64]error{}
	}
	s.bodies[int64(id)] = encode(d, body(who, more))
}

// sweeping is a redeliverer with what it logs.
func sweeping(d *database, f DeliveryForge) (*Redeliverer, *bytes.Buffer) {
	d.exec(`insert into repository (id, branch) values ($1, $2)`, repo.ID, repo.Branch)
	log := &bytes.Buffer{}
	return NewRedeliverer(NewIntake(envelope(), d.db, d.queue, slog.New(slog.NewTextHandler(log, nil)), now, func(string) {}), d.router(), f, repo), log
}

func (d *database) sweptTo() time.Time {
	d.Helper()
	var at time.Time
	d.ok(d.pool.QueryRow(d.Context(), `select coalesce(deliveries_swept_to, 'epoch') from repository`).Scan(&at))
	return at.UTC()
}

func (s *sender) wantAsked(d *database, want ...int64) {
	d.Helper()
	if !slices.Equal(s.asked, want) {
		d.Errorf("asked for %v, want %v", s.asked, want)
	}
	s.asked = nil
}

// What is missing is fetched, oldest first and once, however often it was tried; what is there and what is
// another repository's costs nothing.
func TestRedeliver(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{}
	r, log := sweeping(d, f)
	f.add(d, 1, 50*time.Hour, "push", alice, pushEvent("refs/heads/x", commit1, commit2))
	f.add(d, 2, 40*time.Hour, "issue_comment", alice, nil)
	f.add(d, 3, 30*time.Hour, "issue_comment", alice, nil)
	f.add(d, 4, 20*time.Hour, "push", alice, nil)
	f.sent[3].RepositoryID = repo.ID + 1
	f.add(d, 5, 10*time.Hour, "membership", alice, nil)
	f.sent[4].RepositoryID = 0
	f.sent = append(f.sent, forge.SentDelivery{ID: 6, GUID: guid(1), Event: "push", RepositoryID: repo.ID, SentAt: clock})
	d.deliver(2, "issue_comment", alice, nil)
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	f.wantAsked(d, 1, 3, 5)
	d.same("stored", []string{guid(1) + " push " + clock.Add(-50*time.Hour).Format(time.RFC3339), guid(3) + " issue_comment " + clock.Add(-30*time.Hour).Format(time.RFC3339), guid(5) + " membership " + clock.Add(-10*time.Hour).Format(time.RFC3339)},
		d.lines(`select id || ' ' || event || ' ' || to_char(sent_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') from deliveries where sent_at is not null order by id`))
	if n := d.count("river_job"); n != 3 {
		t.Errorf("%d jobs", n)
	}
	if want := clock.Add(-deliveriesKept); !f.since.Equal(want) {
		t.Errorf("the first sweep begins at %s, want %s", f.since, want)
	}
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	f.wantAsked(d)
	if want := clock.Add(-deliveryOverlap); !f.since.Equal(want) {
		t.Errorf("the second sweep begins at %s, want %s", f.since, want)
	}
	if n := strings.Count(log.String(), "webhooks that never came were fetched"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log)
	}
	d.ok(d.router().Route(t.Context(), jobs.RouteDelivery{DeliveryID: guid(1)}))
	d.same("when it was pushed", []string{"true"}, d.lines(`select (p.at = d.sent_at)::text from pushes p join deliveries d on d.id = p.delivery_id`))
}

// After a long outage a sweep takes its share, and the next one goes on where it ended.
func TestRedeliverInShares(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{}
	r, _ := sweeping(d, f)
	r.fetches = 2
	for id := 1; id <= 5; id++ {
		f.add(d, id, time.Duration(60-id)*time.Hour, "issue_comment", alice, nil)
	}
	for _, c := range []struct {
		asked []int64
		to    time.Time
	}{{[]int64{1, 2}, clock.Add(-57 * time.Hour)}, {[]int64{3, 4}, clock.Add(-55 * time.Hour)}, {[]int64{5}, clock}, {nil, clock}} {
		d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
		f.wantAsked(d, c.asked...)
		if at := d.sweptTo(); !at.Equal(c.to) {
			t.Errorf("swept to %s, want %s", at, c.to)
		}
	}
	d.exec(`update repository set deliveries_swept_to = $1`, clock.Add(-1000*time.Hour))
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	if want := clock.Add(-deliveriesKept); !f.since.Equal(want) {
		t.Errorf("after a long outage it begins at %s, want %s", f.since, want)
	}
}

// What the forge will not hand out is passed over; what may come later is waited for.
func TestRedeliverFailing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{}
	r, log := sweeping(d, f)
	for id := 1; id <= 4; id++ {
		f.add(d, id, time.Duration(10-id)*time.Hour, "issue_comment", alice, nil)
	}
	f.fails[1], f.fails[2] = fmt.Errorf("x: %w", forge.ErrNotFound), fmt.Errorf("x: %w", forge.ErrRefused)
	f.fails[4] = forge.LaterError{Until: time.Now().Add(time.Hour), Reason: "a limit"}
	if err := r.Run(t.Context(), jobs.SweepDeliveries{}); !jobs.IsLater(err) {
		t.Errorf("a limit: %v", err)
	}
	f.wantAsked(d, 1, 2, 3, 4)
	if at := d.sweptTo(); !at.Equal(clock.Add(-6 * time.Hour)) {
		t.Errorf("swept to %s", at)
	}
	if n := strings.Count(log.String(), "cannot be fetched"); n != 2 {
		t.Errorf("said of %d:\n%s", n, log)
	}
	delete(f.fails, 4)
	f.sent = f.sent[2:]
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	f.wantAsked(d, 4)
	if at := d.sweptTo(); !at.Equal(clock) {
		t.Errorf("swept to %s", at)
	}
	f.fails[0] = errors.New("broken")
	if err := r.Run(t.Context(), jobs.SweepDeliveries{}); err == nil || !strings.Contains(err.Error(), "sweep the deliveries: broken") {
		t.Errorf("%v", err)
	}
}

// Where deliveries cannot be seen it is said once, until they can; a forge without them is never asked.
func TestRedeliverUnseen(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{fails: map[int64]error{0: fmt.Errorf("x: %w", forge.ErrRefused)}}
	r, log := sweeping(d, f)
	said := func(want int) {
		t.Helper()
		if n := strings.Count(log.String(), "admin:repo_hook"); n != want {
			t.Errorf("said %d times, want %d:\n%s", n, want, log)
		}
	}
	for range 3 {
		d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	}
	said(1)
	if at := d.sweptTo(); at.Year() != 1970 {
		t.Errorf("swept to %s", at)
	}
	delete(f.fails, 0)
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	f.fails[0] = forge.ErrNotFound
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	said(2)
	r.forge = nil
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	said(2)
}

// A dismissal that was lost with the push that it came from is the forge's, as if both had come.
func TestRedeliveredDismissal(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{}
	r, _ := sweeping(d, f)
	d.routed(1, "pull_request_review", bob, reviewEvent("submitted", 7, 11, bob, "approved", commit1, ""))
	f.add(d, 2, time.Hour, "pull_request", alice, synchronize(7, commit1, commit2))
	f.add(d, 3, time.Hour-time.Second, "pull_request_review", alice, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit1, ""))
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	if err := d.route(3); !jobs.IsLater(err) {
		t.Fatalf("before its push: %v", err)
	}
	d.ok(d.route(2))
	d.ok(d.route(3))
	d.same("review", []string{"11 #7 102/bob bot=f approved 1111  dismissed 101 forge=t"}, d.reviews())
}

// What was asked for anew stays so, when an older webhook that asked for the same is fetched afterwards.
func TestRedeliveredReopening(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{}
	r, _ := sweeping(d, f)
	d.routed(3, "pull_request", alice, pullEvent("opened", 7, nil))
	f.add(d, 1, 2*time.Hour, "pull_request", alice, pullEvent("reopened", 7, nil))
	d.routed(2, "pull_request", alice, pullEvent("reopened", 7, nil))
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	d.ok(d.route(1))
	d.same("epoch", []string{"t"}, d.lines(`select (epoch = $1)::text::char(1) from pull_requests where id = 7`, clock))
}

// After an outage that was longer than the forge keeps what it sent, the commands are taken from the comments: once, as
// they were said first, and not those that were heard before.
func TestCommandsOfAForgottenOutage(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	f := &sender{fails: map[int64]error{}}
	r, log := sweeping(d, f)
	swept := clock.Add(-deliveriesKept - time.Hour)
	say := func(id int64, who forge.Person, at time.Time, edited bool, body string) {
		f.said = append(f.said, forge.PullComment{PullRequest: 7, Comment: forge.Comment{ID: id, Author: who, Body: body, CreatedAt: at, Edited: edited}})
	}
	say(1, alice, swept.Add(-time.Hour), false, "/retry")
	say(2, alice, swept.Add(-time.Minute), false, "/unhold")
	say(3, bob, swept.Add(time.Minute), false, "/hold for the budget\n/explain")
	say(4, bob, swept.Add(2*time.Minute), true, "/confirm 12345678")
	say(5, alice, swept.Add(3*time.Minute), false, "Thanks!")
	say(6, self, swept.Add(4*time.Minute), false, "/help")

	d.exec(`update repository set deliveries_swept_to = $1`, clock.Add(-time.Hour))
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	if len(f.heard) != 0 {
		t.Errorf("after a short outage it is asked what was said since %v", f.heard)
	}

	d.exec(`update repository set deliveries_swept_to = $1`, swept)
	f.fails[-1] = errors.New("not now")
	if err := r.Run(t.Context(), jobs.SweepDeliveries{}); !errors.Is(err, f.fails[-1]) || !d.sweptTo().Equal(swept) {
		t.Errorf("%v; swept to %s", err, d.sweptTo())
	}
	f.fails[-1] = fmt.Errorf("no issues: %w", forge.ErrRefused)
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	if n := strings.Count(log.String(), "comments cannot be read"); n != 1 || d.sweptTo().Equal(swept) {
		t.Errorf("said %d times, swept to %s", n, d.sweptTo())
	}
	d.exec(`update repository set deliveries_swept_to = $1`, swept)
	delete(f.fails, -1)
	f.heard = f.heard[:1]
	d.deliver(9, "issue_comment", bob, map[string]any{"action": "created", "issue": map[string]any{"number": 7, "pull_request": map[string]any{}}, "comment": map[string]any{
		"id": 3, "body": "/hold for the budget\n/explain", "user": map[string]any{"id": bob.ID, "login": bob.Login, "type": "User"}, "created_at": swept.Add(time.Minute), "updated_at": swept.Add(time.Minute),
	}})
	d.ok(d.router().Route(t.Context(), jobs.RouteDelivery{DeliveryID: guid(9)}))
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	d.same("heard", []string{"2 unhold by alice", "3 hold by bob", "3 explain by bob"},
		d.lines(`select source_id || ' ' || verb || ' by ' || author_login from commands order by source_id, ordinal`))
	d.same("jobs", []string{"2"}, d.lines(`select count(*) from river_job where kind = 'answer_commands'`))
	if want := swept.Add(-deliveryOverlap); len(f.heard) != 2 || !f.heard[1].Equal(want) {
		t.Errorf("asked what was said since %v, want %s", f.heard, want)
	}
	d.ok(r.Run(t.Context(), jobs.SweepDeliveries{}))
	if n := strings.Count(log.String(), "comments were read instead"); n != 1 || len(f.heard) != 2 {
		t.Errorf("said %d times, asked %d times:\n%s", n, len(f.heard), log)
	}
}
