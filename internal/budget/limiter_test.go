package budget

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/storetest"
)

const who = "installation/5"

var (
	question = forge.Ask{Identity: who}
	news     = forge.Ask{Identity: who, News: true}
	creation = forge.Ask{Identity: who, Creates: true}
	remark   = forge.Ask{Identity: who, Creates: true, News: true}
)

// server is a forge that knows its limits: so many requests in a period, and so much created in a window. It is used up
// by whoever asks, and counts what it refused.
type server struct {
	mu      sync.Mutex
	limit   int
	used    int
	period  time.Time
	refused int
	rate    Rate
	created []time.Time
}

// answer is the forge's answer to a request. free says that nothing had changed.
func (s *server) answer(ask forge.Ask, free bool) forge.Allowance {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := forge.Allowance{Limit: s.limit, Period: s.period.Unix(), Reset: time.Until(s.period), Free: free}
	switch {
	case s.used >= s.limit:
		s.refused++
		a.Wait, a.Spent, a.Reason = max(time.Until(s.period), time.Second), true, "used up"
	case ask.Creates && s.rate.N > 0 && s.full():
		s.used, s.refused = s.used+1, s.refused+1
		a.Wait, a.Reason = s.rate.Per-time.Since(s.created[len(s.created)-s.rate.N]), "too fast"
	default:
		if !free {
			s.used++
		}
		if ask.Creates {
			s.created = append(s.created, time.Now())
		}
	}
	a.Remaining = s.limit - s.used
	return a
}

func (s *server) full() bool {
	return len(s.created) >= s.rate.N && time.Since(s.created[len(s.created)-s.rate.N]) < s.rate.Per
}

// process is one of several on a database.
type process struct {
	*Limiter
	t    testing.TB
	mu   sync.Mutex
	held map[string]int
}

func newProcess(t testing.TB, pool *pgxpool.Pool, content ...Rate) *process {
	p := &process{t: t, held: map[string]int{}}
	p.Limiter = New(pool, Options{Content: content, Log: slog.New(slog.DiscardHandler), Now: time.Now, Held: func(why string, news bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if news {
			why += " news"
		}
		p.held[why]++
	}})
	return p
}

// send asks the forge where the limiter gives leave. It says for how long to wait where it does not.
func (p *process) send(s *server, ask forge.Ask, free bool) (wait time.Duration) {
	p.t.Helper()
	var later forge.LaterError
	switch err := p.Take(p.t.Context(), ask); {
	case errors.As(err, &later):
		return max(time.Until(later.Until), time.Millisecond)
	case err != nil:
		p.t.Errorf("take: %v", err)
		return 0
	}
	a := s.answer(ask, free)
	p.Told(p.t.Context(), ask, a)
	return a.Wait
}

// leave holds that the limiter lets a request go, or for how long about it holds it.
func (p *process) leave(what string, ask forge.Ask, least, most time.Duration) {
	p.t.Helper()
	var later forge.LaterError
	err := p.Take(p.t.Context(), ask)
	wait := time.Duration(0)
	if errors.As(err, &later) {
		wait = time.Until(later.Until)
	} else if err != nil {
		p.t.Errorf("%s: %v", what, err)
	}
	if wait < least || wait > most {
		p.t.Errorf("%s: told to wait for %v, want %v to %v (%v)", what, wait, least, most, err)
	}
}

// queries counts what is sent to the database.
type queries struct {
	mu sync.Mutex
	n  int
}

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.n++
	return ctx
}

func (q *queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (q *queries) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}

func traced(t testing.TB) (*pgxpool.Pool, *queries) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(storetest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	q := &queries{}
	cfg.ConnConfig.Tracer = q
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, q
}

// While many requests are left, the database is hardly asked.
func TestPlentyCostsNothing(t *testing.T) {
	t.Parallel()
	pool, q := traced(t)
	p := newProcess(t, pool)
	s := &server{limit: 50_000, period: time.Now().Add(time.Hour)}
	began := time.Now()
	for range 10_000 {
		p.send(s, question, false)
	}
	took := time.Since(began)
	if most := 4 + 2*int(took/memory) + 2*int(took/telling); q.count() > most {
		t.Errorf("%d round trips for 10,000 requests in %v, want at most %d", q.count(), took, most)
	}
	if s.refused != 0 || s.used != 10_000 {
		t.Errorf("%d sent, %d refused", s.used, s.refused)
	}
	t.Logf("10,000 requests in %v, %d round trips", took.Round(time.Microsecond), q.count())
}

// Two processes with many requests under way at once use up the period, and the forge has not to refuse one.
func TestLastRequestsAreShared(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	s := &server{limit: 300, period: time.Now().Add(time.Hour)}
	var wg sync.WaitGroup
	var processes []*process
	for range 2 {
		p := newProcess(t, pool)
		processes = append(processes, p)
		for range 10 {
			wg.Go(func() {
				for range 30 {
					p.send(s, question, false)
				}
			})
		}
	}
	wg.Wait()
	if s.refused != 0 {
		t.Errorf("the forge refused %d requests", s.refused)
	}
	if s.used < 295 {
		t.Errorf("only %d of 300 requests were sent", s.used)
	}
	for i, p := range processes {
		if p.held[Spent] == 0 {
			t.Errorf("process %d held nothing", i)
		}
		p.leave("what comes after", question, 50*time.Minute, time.Hour)
	}
}

// What only tells waits while a fifth is left, and what decides goes on to the end.
func TestDecisionsBeforeNews(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	p, other := newProcess(t, pool), newProcess(t, pool)
	s := &server{limit: 100, used: 78, period: time.Now().Add(time.Hour)}
	p.send(s, news, false)
	p.leave("news with 21 left", news, 0, 0)
	p.send(s, question, false)
	p.leave("news with a fifth left", news, 50*time.Minute, time.Hour)
	other.leave("news of another process", news, 50*time.Minute, time.Hour)
	sent := 0
	for p.send(s, question, false) == 0 {
		sent++
	}
	if s.refused != 0 || sent < 18 {
		t.Errorf("%d decisions went on, %d were refused", sent, s.refused)
	}
	p.leave("a decision with none left", question, 50*time.Minute, time.Hour)
}

// An answer that cost nothing is given back, so that questions without news go on for long.
func TestUnchangedCostsNothing(t *testing.T) {
	t.Parallel()
	p := newProcess(t, storetest.Open(t))
	s := &server{limit: 100, used: 90, period: time.Now().Add(time.Hour)}
	p.send(s, question, false)
	for i := range 100 {
		if wait := p.send(s, question, true); wait > 0 {
			t.Fatalf("request %d has to wait for %v", i, wait)
		}
	}
	if s.used != 91 {
		t.Errorf("%d are used", s.used)
	}
}

// A period that ends lets everybody go on.
func TestPeriodEnds(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	p, other := newProcess(t, pool), newProcess(t, pool)
	s := &server{limit: 5, period: time.Now().Add(3 * time.Second)}
	for p.send(s, question, false) == 0 {
	}
	other.leave("another process", question, time.Millisecond, 4*time.Second)
	time.Sleep(time.Until(s.period) + 100*time.Millisecond)
	s.mu.Lock()
	s.used, s.period = 0, time.Now().Add(time.Hour)
	s.mu.Unlock()
	for _, who := range []*process{p, other} {
		if wait := who.send(s, question, false); wait > 0 {
			t.Errorf("held for %v in the new period", wait)
		}
	}
	if s.refused != 0 {
		t.Errorf("%d were refused", s.refused)
	}
}

// Where the forge refuses what was asked too fast, nobody asks anything until the time that it named.
func TestRefusalStopsEverybody(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	p, other := newProcess(t, pool), newProcess(t, pool)
	s := &server{limit: 5000, period: time.Now().Add(time.Hour)}
	p.send(s, question, false)
	other.send(s, question, false) // it has read, and knows of nothing
	p.Told(t.Context(), question, forge.Allowance{Wait: 30 * time.Second, Reason: "too fast"})
	p.leave("a question", question, 25*time.Second, 30*time.Second)
	p.leave("a creation", creation, 25*time.Second, 30*time.Second)
	time.Sleep(memory + 50*time.Millisecond)
	other.leave("another process", question, 20*time.Second, 30*time.Second)
	late := newProcess(t, pool)
	late.leave("a process that starts", news, 20*time.Second, 30*time.Second)
}

// Where it refuses to create, all go on asking, and nobody creates.
func TestRefusedCreation(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	rates := []Rate{{80, time.Minute}, {500, time.Hour}}
	p, other := newProcess(t, pool, rates...), newProcess(t, pool, rates...)
	other.leave("before", creation, 0, 0)
	p.Told(t.Context(), creation, forge.Allowance{Wait: 30 * time.Second, Reason: "too fast"})
	for _, who := range []*process{p, other} {
		who.leave("a question", question, 0, 0)
		who.leave("a creation", creation, 25*time.Second, 30*time.Second)
		who.leave("news", remark, 25*time.Second, 30*time.Second)
		if who.held[Blocked] != 1 || who.held[Blocked+" news"] != 1 {
			t.Errorf("held %v", who.held)
		}
	}
	p.Told(t.Context(), creation, forge.Allowance{Wait: 40 * time.Second, Spent: true, Reason: "used up"})
	p.leave("a question after all is used up", question, 35*time.Second, 40*time.Second)
}

// A process whose clock is wrong waits for as long as the others.
func TestClocksDiffer(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	p := newProcess(t, pool, Rate{5, time.Minute})
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	wrong := New(pool, Options{Content: p.opts.Content, Log: slog.New(slog.DiscardHandler), Now: ahead})
	p.Told(t.Context(), question, forge.Allowance{Wait: 30 * time.Second, Reason: "too fast"})
	var later forge.LaterError
	if err := wrong.Take(t.Context(), question); !errors.As(err, &later) {
		t.Fatalf("it goes on: %v", err)
	}
	if wait := later.Until.Sub(ahead()); wait < 25*time.Second || wait > 30*time.Second {
		t.Errorf("it waits for %v", wait)
	}
}

// Without its database a process goes by what it knows.
func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	p := newProcess(t, pool, Rate{5, time.Minute})
	s := &server{limit: 5000, period: time.Now().Add(time.Hour)}
	p.send(s, creation, false)
	pool.Close()
	if wait := p.send(s, creation, false); wait > 0 {
		t.Errorf("held for %v", wait)
	}
	few := &server{limit: 3, period: time.Now().Add(2 * time.Hour)}
	for range 6 {
		p.send(few, question, false)
	}
	if few.used != 3 || few.refused != 0 {
		t.Errorf("%d of 3 sent, %d refused", few.used, few.refused)
	}
}
