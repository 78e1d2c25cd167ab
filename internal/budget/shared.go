package budget

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/bot/forge"
)

// patience is how long a look into the database may take before a request goes without.
const patience = 2 * time.Second

// Times are compared by the database's clock alone, and handed out as how long they are from now: processes need not
// agree on what time it is.

// read is what is written down of an identity.
func (l *Limiter) read(ctx context.Context, identity string) (row knowledge, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const query = `select allowed, remaining, period, blocked_reason,
coalesce(extract(epoch from resets_at - clock_timestamp()), 0)::float8, coalesce(extract(epoch from blocked_until - clock_timestamp()), 0)::float8
from forge_limits where id = $1`
	var resets, blocked float64
	err = l.pool.QueryRow(ctx, query, identity).Scan(&row.limit, &row.remaining, &row.period, &row.reason, &resets, &blocked)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, false, nil
	}
	if err != nil {
		return row, false, err
	}
	row.resets, row.blocked = l.in(resets), l.in(blocked)
	return row, true, nil
}

// in is the time that comes in so many seconds; none where it has passed.
func (l *Limiter) in(seconds float64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return l.opts.Now().Add(time.Duration(seconds * float64(time.Second)))
}

// write notes what an answer told. A counter goes up only with a new period, or for an answer that cost nothing: what is
// under way was taken from it already.
func (l *Limiter) write(ctx context.Context, ask forge.Ask, a forge.Allowance) error {
	const query = `insert into forge_limits as f (id, allowed, remaining, period, resets_at, blocked_until, blocked_reason, content_blocked_until, updated_at)
values ($1, $2, $3, $4, clock_timestamp() + $5, case when $7 then clock_timestamp() + $9 end, $10, case when $11 then clock_timestamp() + $9 end, now())
on conflict (id) do update set updated_at = now(),
allowed = case when $2 = 0 then f.allowed else $2 end,
remaining = case when $2 = 0 or $4 < f.period - $8 then f.remaining when $4 > f.period + $8 then $3 else least(f.remaining + $6, $3) end,
resets_at = case when $2 = 0 or $4 <= f.period + $8 then f.resets_at else clock_timestamp() + $5 end,
period = case when $2 = 0 or $4 <= f.period + $8 then f.period else $4 end,
blocked_until = case when $7 then greatest(f.blocked_until, clock_timestamp() + $9) else f.blocked_until end,
blocked_reason = case when $7 then $10 else f.blocked_reason end,
content_blocked_until = case when $11 then greatest(f.content_blocked_until, clock_timestamp() + $9) else f.content_blocked_until end`
	free := 0
	if a.Free {
		free = 1
	}
	all := a.Wait > 0 && stopsAll(ask, a)
	_, err := l.pool.Exec(ctx, query, ask.Identity, a.Limit, a.Remaining, a.Period, a.Reset, free, all, jitter, a.Wait, a.Reason, a.Wait > 0 && !all)
	return err
}

// takeRequest takes one of the few requests that are left.
func (l *Limiter) takeRequest(ctx context.Context, ask forge.Ask, k knowledge) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const query = `with f as (select id, remaining, resets_at from forge_limits where id = $1 and resets_at > clock_timestamp() for update),
taken as (update forge_limits t set remaining = t.remaining - 1, updated_at = now() from f where t.id = f.id and f.remaining > 0 returning t.remaining)
select coalesce((select remaining from taken), -1), extract(epoch from resets_at - clock_timestamp())::float8 from f`
	var left int
	var resets float64
	err := l.pool.QueryRow(ctx, query, ask.Identity).Scan(&left, &resets)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // the period is over, or nobody has written of it yet
		return nil
	case err != nil:
		l.opts.Log.WarnContext(ctx, "take a request", "error", err)
		if k.remaining > 0 {
			return nil
		}
		left, resets = -1, k.resets.Sub(l.opts.Now()).Seconds()
	}
	if left < 0 {
		return l.hold(ask, Spent, l.in(max(resets, 1)), "the hourly limit of requests is used up")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.of(ask.Identity)
	own.remaining = min(own.remaining, left)
	return nil
}
