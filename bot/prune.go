package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/ent/membership"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// pruneBatch is how many deliveries a statement looks at: few enough that its locks are gone before
// anybody waits for one.
const pruneBatch = 1000

// Pruner deletes deliveries and notes of effects of which nothing is needed any more, and what was once said of people's teams. What
// deliveries said of pushes, reviews and commands has its own copy; their ids stay there and in the audit log.
type Pruner struct {
	db    *store.DB
	keep  time.Duration
	batch int
	log   *slog.Logger
	now   func() time.Time
}

// NewPruner gives a pruner of what is older than keep; it deletes nothing when keep is 0.
func NewPruner(db *store.DB, keep time.Duration, log *slog.Logger, now func() time.Time) *Pruner {
	return &Pruner{db: db, keep: keep, batch: pruneBatch, log: log, now: now}
}

// Run deletes in batches, each a transaction of its own: what is done stays done when a later one fails.
func (p *Pruner) Run(ctx context.Context, _ jobs.PruneDeliveries) error {
	if p.keep == 0 {
		return nil
	}
	began, before := time.Now(), p.now().Add(-p.keep)
	total := 0
	var err error
	for at := (position{}); ; {
		var gone, seen int
		gone, seen, err = p.prune(ctx, before, &at)
		total += gone
		if err != nil || seen < p.batch {
			break
		}
	}
	effects, forgot := p.effects(ctx, before)
	err = errors.Join(err, p.memberships(ctx, before), forgot)
	if total > 0 || effects > 0 {
		p.log.InfoContext(ctx, "old deliveries deleted", "deliveries", total, "effects", effects, "before", before, "took", time.Since(began))
	}
	if err != nil {
		return fmt.Errorf("prune deliveries: %w", err)
	}
	return nil
}

// memberships forgets answers of the forge that are too old to count: who has left, and teams that nobody is asked
// about any more, are not asked about again, and their rows would stay.
func (p *Pruner) memberships(ctx context.Context, before time.Time) error {
	if _, err := p.db.Membership.Delete().Where(membership.AskedAtLT(before)).Exec(ctx); err != nil {
		return fmt.Errorf("forget old memberships: %w", err)
	}
	return nil
}

// position is a place in the order of deliveries, from which the next batch goes on: so that none that has
// to stay is looked at twice, and no index entry of one that is gone.
type position struct {
	at time.Time
	id string
}

// prune looks at the next batch of deliveries that were routed or ignored, moves the position behind them,
// and deletes those whose job is over. It says how many it deleted of how many it saw. The newest delivery that
// came by itself stays, however old: it says when something last came in.
func (p *Pruner) prune(ctx context.Context, before time.Time, at *position) (gone, seen int, err error) {
	const statement = `with old as materialized (
  select id, received_at from deliveries
  where status in ('routed', 'ignored') and received_at < $1 and (received_at, id) > ($2, $3)
    and (sent_at is not null or received_at < (select max(received_at) from deliveries where sent_at is null))
  order by received_at, id limit $4 for update skip locked
), gone as (
  delete from deliveries d using old where d.id = old.id and not exists (
    select 1 from river_job j where j.kind = 'route_delivery' and j.args ->> 'delivery_id' = d.id
      and j.state not in ('completed', 'cancelled', 'discarded'))
  returning 1
)
select received_at, id, (select count(*) from gone), (select count(*) from old) from old order by received_at desc, id desc limit 1`
	to := *at
	err = p.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		err := tx.PGX.QueryRow(ctx, statement, before, at.at, at.id, p.batch).Scan(&to.at, &to.id, &gone, &seen)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	*at = to
	return gone, seen, nil
}
