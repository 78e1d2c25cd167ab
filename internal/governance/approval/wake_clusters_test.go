package approval

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// Those whose plan is for the cluster, and those that found none, are judged again; closed ones and those of
// other clusters are not. A name that reads as a path of JSON is a name.
func TestWakeClusters(t *testing.T) {
	t.Parallel()
	refused := func(index int, code domain.Code) judge.Change {
		return newVM(index, func(c *judge.Change) {
			c.Plan, c.Problems = nil, domain.Problems{{Code: code, Severity: domain.Error, Message: "no"}}
		})
	}
	for name, want := range map[string][]string{
		"east":            {"7 at 4", "9 at 4", "10 at 4", "11 at 4"},
		"west":            {"8 at 4", "9 at 4", "10 at 4", "11 at 4"},
		"nowhere":         {"9 at 4", "10 at 4", "11 at 4"},
		`x") || ("" == "`: {"9 at 4", "10 at 4", "11 at 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for number := 9; number <= 13; number++ {
				w.pull(number)
			}
			for number, c := range map[int]judge.Change{
				7: newVM(1, cluster("east")), 8: newVM(2, cluster("west")), 9: refused(3, domain.NoEligibleCluster),
				10: refused(4, domain.ClusterUnreachable), 11: refused(5, domain.StorageClassUnknown), 12: refused(6, domain.SizeUnknown), 13: newVM(7, cluster(name)),
			} {
				w.submit(number, c)
			}
			w.sql("update pull_requests set state = 'closed' where id = 13")
			for range 2 { // while one waits another one is not needed
				w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return WakeClusters(ctx, tx, w.queue, name) }))
			}
			w.same("judged again", want, w.judgings())
		})
	}
}

// What a cluster has more than before is news for those that lacked something, and for nobody else.
func TestWakeLacking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []string
	for i, code := range []domain.Code{
		domain.NoEligibleCluster, domain.ClusterUnreachable, domain.StorageClassUnknown, domain.CapabilityUnknown, domain.ClusterRefused, domain.SizeUnknown, "",
	} {
		c := newVM(i+1, cluster("east"))
		if code != "" {
			c.Problems = domain.Problems{{Code: code, Severity: domain.Warning, Message: "no"}}
		}
		w.pull(10 + i)
		w.submit(10+i, c)
		if i < 5 {
			want = append(want, fmt.Sprintf("%d at 4", 10+i))
		}
	}
	w.sql("update pull_requests set state = 'closed' where id = 11")
	w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return WakeLacking(ctx, tx, w.queue) }))
	w.same("judged again", slices.Delete(want, 1, 2), w.judgings())
}
