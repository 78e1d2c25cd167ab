package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/bot/forge"
)

const (
	// slack is added to each time in which so much may be created: what is sent at a pace need not arrive at it.
	slack = time.Second
	// soon is how long after a decision could have come back news still make way for it.
	soon = 6 * time.Second
)

// content is the log of what was created, at a moment. All times are the database's, in milliseconds.
type content struct {
	now        int64
	created    []int64 // oldest first
	refused    int     // since something was created
	decisions  int64   // until then decisions come back, before all news
	blocked    int64   // the forge wants nothing created before
	allBlocked int64   // nor anything asked
	changed    bool
}

// takeContent takes leave to create something, or says when to ask again.
func (l *Limiter) takeContent(ctx context.Context, ask forge.Ask) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var wait time.Duration
	var why string
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		c, err := lockContent(ctx, tx, ask.Identity)
		if err != nil {
			return err
		}
		wait, why = c.take(l.opts.Content, ask.News)
		return c.save(ctx, tx, ask.Identity)
	})
	if err != nil {
		l.opts.Log.WarnContext(ctx, "take leave to create", "error", err)
		return nil
	}
	if wait > 0 {
		return l.hold(ask, why, l.opts.Now().Add(wait), reasons[why])
	}
	return nil
}

var reasons = map[string]string{
	Blocked: "the forge asked to create nothing for a while",
	Content: "as much was created lately as the forge allows",
}

// lockContent reads the log, which is the caller's until its transaction ends.
func lockContent(ctx context.Context, tx pgx.Tx, identity string) (content, error) {
	c, err := readContent(ctx, tx, identity)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = tx.Exec(ctx, `insert into forge_limits (id, updated_at) values ($1, now()) on conflict do nothing`, identity); err == nil {
			c, err = readContent(ctx, tx, identity)
		}
	}
	if err != nil {
		return c, fmt.Errorf("read what was created: %w", err)
	}
	return c, nil
}

func readContent(ctx context.Context, tx pgx.Tx, identity string) (c content, err error) {
	const query = `select coalesce(created, '[]'), refused,
coalesce(extract(epoch from decisions_until) * 1000, 0)::bigint, coalesce(extract(epoch from content_blocked_until) * 1000, 0)::bigint,
coalesce(extract(epoch from blocked_until) * 1000, 0)::bigint, (extract(epoch from clock_timestamp()) * 1000)::bigint
from forge_limits where id = $1 for update`
	var created []byte
	if err := tx.QueryRow(ctx, query, identity).Scan(&created, &c.refused, &c.decisions, &c.blocked, &c.allBlocked, &c.now); err != nil {
		return c, err
	}
	return c, json.Unmarshal(created, &c.created)
}

// take notes that something is created, or says for how long it has to wait, and why.
func (c *content) take(rates []Rate, news bool) (wait time.Duration, why string) {
	if until := max(c.blocked, c.allBlocked); until > c.now {
		return millis(until - c.now), Blocked
	}
	until := int64(0)
	for _, r := range rates {
		until = max(until, c.free(r, news))
	}
	if news {
		until = max(until, c.decisions)
	}
	if until <= c.now {
		c.forget(rates)
		c.created, c.refused, c.changed = append(c.created, max(c.now, c.last())), 0, true
		return 0, ""
	}
	c.refused, c.changed = c.refused+1, true
	if !news {
		c.decisions = max(c.decisions, until+soon.Milliseconds())
	}
	return millis(until - c.now), Content
}

// free is when a rate lets something be created: in the past where it does now. Those who wait get one time each, the
// ones that the log's entries run out at.
func (c *content) free(r Rate, news bool) int64 {
	n := r.N
	if news {
		n = max(n-n/reserve, 1)
	}
	window := (r.Per + slack).Milliseconds()
	first, _ := slices.BinarySearch(c.created, c.now-window+1)
	within := c.created[first:]
	if len(within) < n {
		return 0
	}
	ends := within[len(within)-n:]
	return ends[c.refused%len(ends)] + window
}

func (c *content) last() int64 {
	if len(c.created) == 0 {
		return 0
	}
	return c.created[len(c.created)-1]
}

// forget drops what no rate looks back to.
func (c *content) forget(rates []Rate) {
	longest := time.Duration(0)
	for _, r := range rates {
		longest = max(longest, r.Per+slack)
	}
	first, _ := slices.BinarySearch(c.created, c.now-longest.Milliseconds())
	c.created = c.created[first:]
}

// save writes the log back.
func (c *content) save(ctx context.Context, tx pgx.Tx, identity string) error {
	if !c.changed {
		return nil
	}
	created, err := json.Marshal(c.created)
	if err != nil {
		return err
	}
	const query = `update forge_limits set created = $2, refused = $3, decisions_until = to_timestamp($4::float8 / 1000), updated_at = now() where id = $1`
	if _, err := tx.Exec(ctx, query, identity, created, c.refused, c.decisions); err != nil {
		return fmt.Errorf("write what was created: %w", err)
	}
	return nil
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
