package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/jobs"
)

// A server deletes the webhooks that it acted on a month ago, and what they led to stays whole.
func TestRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("shop", "redis", "test-shop/01")
	w.quiet()
	const kept = `select 'push ' || p::text from pushes p union all select 'review ' || r::text from reviews r
union all select 'command ' || c::text from commands c union all select 'decision ' || d::text from decisions d order by 1`
	before := w.strings(kept)
	// As if all this had been long ago: a delivery's own time cannot be changed.
	must(w.pool.Exec(t.Context(), `insert into deliveries (id, event, body, received_at, status)
select id || '-' || days, event, body, received_at - days * interval '1 day', status from deliveries, unnest(array[29, 31]) days`))(w)
	all := w.count(`select count(*) from deliveries`)
	w.enqueue(jobs.PruneDeliveries{})
	w.quiet()
	old, young := w.count(`select count(*) from deliveries where id like '%-31'`), w.count(`select count(*) from deliveries`)
	if old != 0 || all == 0 || young != all/3*2 {
		t.Errorf("%d of a month ago are left; %d in all, %d before", old, young, all)
	}
	if after := w.strings(kept); len(before) == 0 || !cmp.Equal(before, after) {
		t.Errorf("what they led to (-before +after):\n%s", cmp.Diff(before, after))
	}
}
