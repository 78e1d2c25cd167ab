package bot

import (
	"context"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/internal/store"
)

// effects forgets what was done outside long ago and is looked up no more: checks and groups, which are written down
// anew when they are posted again; what was done to clusters for events that are over; and what was asked and said while
// a pull request was open that is not any more. Of these it does not matter any more how they went; what else nobody knows
// the end of stays. So does what keeps something from being said or made twice for as long as its pull request can be
// told of: replies, last words, undos, deployments.
func (p *Pruner) effects(ctx context.Context, before time.Time) (gone int64, err error) {
	const statement = `delete from effects e where coalesce(e.done_at, e.created_at) < $1 and case
  when split_part(e.id, ':', 1) in ('check', 'group') then true
  when split_part(e.id, ':', 1) in ('review', 'decided', 'reminder') then not exists (
    select 1 from pull_requests r where r.id = split_part(e.id, ':', 2)::bigint and r.state = 'open')
  when e.status = 'intended' then false
  when split_part(e.id, ':', 1) = 'merge' then not exists (
    select 1 from pull_requests r where r.id = split_part(e.id, ':', 2)::bigint and r.state = 'open')
  when split_part(e.id, ':', 1) in ('apply', 'restart') then exists (
    select 1 from events v where v.id = split_part(e.id, ':', 2)::uuid and v.status not in ('PENDING', 'PROCESSING'))
  else false end`
	err = p.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		tag, err := tx.PGX.Exec(ctx, statement, before)
		gone = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget old effects: %w", err)
	}
	return gone, nil
}
