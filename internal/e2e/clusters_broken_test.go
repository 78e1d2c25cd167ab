package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// couple is a world with two clusters: test-1, and prod-1 behind a front.
type couple struct {
	*world
	prod *front
}

func newCouple(t testing.TB) *couple {
	t.Helper()
	f := &couple{world: setup{asleep: true, stage: []func(*stage.Options){func(o *stage.Options) { o.Forge.RateLimit = 1 << 30 }}}.world(t)}
	f.prod = f.second()
	if _, err := f.pool.Exec(t.Context(), `delete from clusters where id = 'prod-1'`); err != nil {
		t.Fatal(err) // it was the other control plane
	}
	f.addCluster("prod-1", f.prod.kubeconfig)
	f.baseline(f.Repo.Head("main"))
	f.serve()
	f.land("first", forgetest.Files{
		"systems/shop/system.yaml": stage.System("the web shop"), "systems/shop/redis/service.yaml": stage.Service("the cache"),
	})
	return f
}

// ready is an approved pull request for a number of VMs of one environment.
func (f *couple) ready(environment, size string, from, n int) *forgetest.Pull {
	f.t.Helper()
	files := forgetest.Files{}
	for i := range n {
		files[fmt.Sprintf("systems/shop/redis/%s-shop/%02d.yaml", environment, from+i)] = stage.VM(size, "one of many")
	}
	return f.approved(fmt.Sprintf("%s-%d", environment, from), files)
}

// again has the server try prod-1 at once, as after new credentials.
func (f *couple) again() {
	f.t.Helper()
	if _, err := f.pool.Exec(f.t.Context(), `update clusters set generation = generation + 1 where id = 'prod-1'`); err != nil {
		f.t.Fatal(err)
	}
}

func (f *couple) inProd() int {
	f.t.Helper()
	var list kubevirtv1.VirtualMachineList
	f.do(f.prod.kube.Client().List(f.t.Context(), &list, client.InNamespace(f.kubeNamespace("prod"))))
	return len(list.Items)
}

// latencies are how long each VM of a pull request took from the merge's transaction until it was applied.
func (f *couple) latencies(pr *forgetest.Pull) []time.Duration {
	f.t.Helper()
	f.eventually(fmt.Sprintf("#%d to be applied", pr.Number()), func() bool {
		return f.count(`select count(*) from events where pull_request = $1 and status <> 'COMPLETED'`, pr.Number()) == 0
	})
	var out []time.Duration
	for _, us := range f.strings(`select (extract(epoch from finished_at - processed_at) * 1000000)::bigint::text from events where pull_request = $1`, pr.Number()) {
		var n int64
		_, _ = fmt.Sscan(us, &n)
		out = append(out, time.Duration(n)*time.Microsecond)
	}
	slices.Sort(out)
	return out
}

// idle is how much processor time the process takes in a second in which nothing is asked of it.
func (f *couple) idle() time.Duration {
	f.t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		f.do(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	const span = 3
	before := used()
	time.Sleep(span * time.Second)
	return (used() - before) / span
}

// While prod-1 is out of order in one way after the other, with work waiting for it, VMs on test-1 are applied as
// fast as ever; the pull request that waits says why; and when prod-1 is back, all of its VMs are applied, once.
func TestABrokenClusterDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	f := newCouple(t)
	const each, waiting = 6, 10
	ways := []struct {
		name   string
		answer answer
	}{
		{"alone", nil}, {"silent", silent}, {"10 s a call", slow}, {"2 s a call", sluggish}, {"429", refuses(429, "TooManyRequests")}, {"401", refuses(401, "Unauthorized")},
	}
	var tests []*forgetest.Pull
	for i := range ways {
		tests = append(tests, f.ready("test", "small", 10+i*each, each))
	}
	dead := f.ready("prod", "medium", 200, waiting)
	f.quiet()
	calm := f.idle()
	for i, way := range ways {
		if way.answer != nil {
			f.prod.answers(way.answer)
			f.again()
			if i == 1 {
				f.merge(dead, "merge")
			}
			f.eventually("prod-1 to be tried", func() bool {
				before := f.prod.requests.Load()
				time.Sleep(50 * time.Millisecond)
				return before > 0 && f.count(`select count(*) from river_job where queue = 'cluster_prod-1' and attempt > 0`) > 0
			})
		}
		f.merge(tests[i], "merge")
		took := f.latencies(tests[i])
		t.Logf("%-12s p50 %6.1f ms  p95 %6.1f ms", way.name, ms(took[len(took)/2]), ms(took[len(took)-1]))
		if slowest := took[len(took)-1]; slowest > 10*time.Second {
			t.Errorf("%s: a VM on test-1 took %s", way.name, slowest)
		}
	}
	said := f.comment(dead, "does not accept Shepherd's credentials")
	at := strings.Index(said, "does not accept Shepherd")
	t.Log(said[max(0, at-500):min(len(said), at+400)])
	f.eventually("nobody to work on prod-1", func() bool {
		return f.count(`select count(*) from river_job where queue = 'cluster_prod-1' and state = 'running'`) == 0 &&
			f.count(`select count(*) from clusters where id = 'prod-1' and paused_until > now()`) == 1
	})
	f.eventually("everybody to be told", func() bool {
		return f.count(`select count(*) from river_job where queue = 'default' and state not in ('completed', 'cancelled', 'discarded') and kind <> 'heartbeat'`) == 0
	})
	if _, err := f.pool.Exec(t.Context(), `delete from river_job where kind = 'verify_vm' and state <> 'running'`); err != nil {
		t.Fatal(err) // the VMs of test-1, which nobody starts here, are watched: that is work too
	}
	sent := f.prod.requests.Load()
	paused := f.idle()
	t.Logf("processor time in a second: %s when nothing waits, %s with a backlog for a paused cluster; %d requests there in three seconds", calm, paused, f.prod.requests.Load()-sent)
	if n := f.prod.requests.Load() - sent; n > 3 {
		t.Errorf("%d requests to a paused cluster", n)
	}
	f.prod.mend()
	f.addCluster("prod-1", f.prod.kubeconfig)
	f.eventually("prod-1 to be worked on", func() bool { return f.inProd() == waiting })
	f.latencies(dead)
	if n := f.count(`select count(*) from audit_log where action_code = 'EXECUTION_COMPLETED' and pull_request = $1`, dead.Number()); n != waiting {
		t.Errorf("%d of %d VMs were applied", n, waiting)
	}
	if n := f.count(`select count(*) from clusters where paused_until is not null`); n != 0 {
		t.Error("prod-1 still counts as paused")
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
