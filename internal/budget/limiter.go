package budget

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Rate is so many in a time.
type Rate struct {
	N   int
	Per time.Duration
}

// Options are what differs between installations.
type Options struct {
	// Content is how fast the forge lets us create: no limit when empty.
	Content []Rate
	// Held hears of each request that was not sent, with why: blocked, spent, reserved, content.
	Held func(why string, news bool)
	Log  *slog.Logger
	Now  func() time.Time
}

// The numbers of the limiter.
const (
	// reserve is the part of a limit that is left to decisions: a fifth.
	reserve = 5
	// edge is how many requests are left at most where each is counted in the database. What is under way in all
	// processes at once has to fit in.
	edge = 200
	// memory is for how long a process goes by what it read.
	memory = 2 * time.Second
	// telling is how often a process writes down what it learnt while nothing is scarce.
	telling = 15 * time.Second
	// jitter is how much two servers of the forge may differ in when a period ends, in seconds.
	jitter = 2
)

// Why a request is held.
const (
	Blocked  = "blocked"  // the forge asked for silence
	Spent    = "spent"    // the period's requests are used up
	Reserved = "reserved" // what is left is for decisions
	Content  = "content"  // so much was created lately that more would be refused
)

// Limiter keeps to limits. It is for any number of goroutines, and of processes on one database.
type Limiter struct {
	pool *pgxpool.Pool
	opts Options

	mu    sync.Mutex
	known map[string]*knowledge
}

// knowledge is what a process knows of an identity's limits.
type knowledge struct {
	limit, remaining int
	period           int64
	resets           time.Time
	blocked          time.Time
	reason           string
	read, wrote      time.Time // when the database was last read and written
}

// New gives a limiter.
func New(pool *pgxpool.Pool, o Options) *Limiter {
	if o.Held == nil {
		o.Held = func(string, bool) {}
	}
	return &Limiter{pool: pool, opts: o, known: map[string]*knowledge{}}
}

// Take gives leave to send a request, or says in a [forge.LaterError] when to ask again.
func (l *Limiter) Take(ctx context.Context, ask forge.Ask) error {
	k := l.current(ctx, ask.Identity)
	now := l.opts.Now()
	switch {
	case now.Before(k.blocked):
		return l.hold(ask, Blocked, k.blocked, k.reason)
	case ask.News && k.scarce(now):
		return l.hold(ask, Reserved, k.resets, "few requests are left in this hour, and they are for decisions")
	}
	if ask.Creates && len(l.opts.Content) > 0 {
		if err := l.takeContent(ctx, ask); err != nil {
			return err
		}
	}
	if k.counted(now) {
		return l.takeRequest(ctx, ask, k)
	}
	return nil
}

// hold says when to come back.
func (l *Limiter) hold(ask forge.Ask, why string, until time.Time, reason string) error {
	l.opts.Held(why, ask.News)
	return forge.LaterError{Until: until, Reason: reason}
}

// scarce says that what is left is for decisions.
func (k knowledge) scarce(now time.Time) bool {
	return k.limit > 0 && now.Before(k.resets) && k.remaining*reserve <= k.limit
}

// counted says that so little is left that each request is counted in the database.
func (k knowledge) counted(now time.Time) bool {
	return k.limit > 0 && now.Before(k.resets) && (k.remaining <= edge || k.scarce(now))
}

// current is what is known of an identity, read anew where that was a while ago. One goroutine reads; the others go by
// what was known.
func (l *Limiter) current(ctx context.Context, identity string) knowledge {
	l.mu.Lock()
	k, now := l.of(identity), l.opts.Now()
	if now.Sub(k.read) < memory {
		defer l.mu.Unlock()
		return *k
	}
	k.read = now
	l.mu.Unlock()
	row, found, err := l.read(ctx, identity)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.opts.Log.WarnContext(ctx, "read the forge's limits", "error", err)
	} else if found {
		k.learn(row)
	}
	return *k
}

// of is an identity's knowledge. The caller holds the lock.
func (l *Limiter) of(identity string) *knowledge {
	k := l.known[identity]
	if k == nil {
		k = &knowledge{}
		l.known[identity] = k
	}
	return k
}

// learn takes over what another process may have written.
func (k *knowledge) learn(row knowledge) {
	if row.blocked.After(k.blocked) {
		k.blocked, k.reason = row.blocked, row.reason
	}
	switch {
	case row.limit == 0:
	case row.period > k.period+jitter:
		k.limit, k.remaining, k.period, k.resets = row.limit, row.remaining, row.period, row.resets
	case row.period >= k.period-jitter:
		k.remaining = min(k.remaining, row.remaining)
	}
}

// Told hears what the answer to a request said of the limits.
func (l *Limiter) Told(ctx context.Context, ask forge.Ask, a forge.Allowance) {
	l.mu.Lock()
	k, now := l.of(ask.Identity), l.opts.Now()
	k.hear(ask, a, now)
	due := a.Wait > 0 || a.Limit > 0 && (k.counted(now) || now.Sub(k.wrote) >= telling)
	if due {
		k.wrote = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	// An answer that came is worth keeping also where whoever asked has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := l.write(ctx, ask, a); err != nil {
		l.opts.Log.WarnContext(ctx, "write down the forge's limits", "error", err)
	}
	if a.Wait > 0 {
		l.opts.Log.WarnContext(ctx, "the forge asks us to wait", "identity", ask.Identity, "wait", a.Wait, "reason", a.Reason, "creating", ask.Creates)
	}
}

// hear notes an answer. One that was overtaken by another is no news of how many requests are left.
func (k *knowledge) hear(ask forge.Ask, a forge.Allowance, now time.Time) {
	if until := now.Add(a.Wait); a.Wait > 0 && stopsAll(ask, a) && until.After(k.blocked) {
		k.blocked, k.reason = until, a.Reason
	}
	switch {
	case a.Limit == 0:
	case a.Period > k.period+jitter:
		k.limit, k.remaining, k.period, k.resets = a.Limit, a.Remaining, a.Period, now.Add(a.Reset)
	case a.Period < k.period-jitter:
	case a.Free:
		k.remaining = max(k.remaining, min(k.remaining+1, a.Remaining))
	default:
		k.remaining = min(k.remaining, a.Remaining)
	}
}

// stopsAll says that a refusal is about all requests, and not only about creating.
func stopsAll(ask forge.Ask, a forge.Allowance) bool { return a.Spent || !ask.Creates }
