package e2e

import (
	"fmt"
	"sync"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Twenty machines of one service, each asked for by itself, are merged as fast as the forge goes: each gets
// its index and is applied once.
func TestTwentyMerges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	const n = 20
	pulls, names := make([]*forgetest.Pull, n), make([]string, n)
	for i := range n {
		index := fmt.Sprintf("%02d", i+1)
		names[i] = "test-shop-shop-redis-" + index
		pulls[i] = w.ask("vm-"+index, one(vmPath("shop", "redis", "test-shop/"+index), "small", "one of twenty"))
	}
	for _, pr := range pulls {
		w.approve(w.Bob, pr)
	}
	for _, pr := range pulls {
		w.check(pr, "shepherd/approval", "success")
	}
	var merges sync.WaitGroup
	errs := make([]error, n)
	for i, pr := range pulls {
		merges.Go(func() { _, errs[i] = w.Bob.Merge(pr, []string{"merge", "squash", "rebase"}[i%3]) })
	}
	merges.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("#%d: %v", pulls[i].Number(), err)
		}
	}
	w.once(names...)
	w.noQuarantine()
	for i, index := range w.strings(`select number::text from indexes where service = 'redis' order by indexes.number`) {
		if index != fmt.Sprint(i+1) {
			t.Errorf("index %d is %s", i+1, index)
		}
	}
	if got := w.count(`select count(*) from indexes where service = 'redis'`); got != n {
		t.Errorf("%d indexes, want %d", got, n)
	}
	if got := w.count(`select count(*) from claims`); got != 0 {
		t.Errorf("%d claims are left", got)
	}
	if got := w.count(`select count(*) from vms v join tickets t on t.path = v.path where v.instance <> t.instance or v.sequence <> 1`); got != 0 {
		t.Errorf("%d machines of another index", got)
	}
}
