package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
)

// size is how much of it there is. The environment says otherwise: SHEPHERD_CHAOS_PULLS, _WEBHOOKS, _SERVERS
// and _AT_ONCE.
type size struct {
	pulls, webhooks, processes, atOnce int
	kills, halts                       int
}

var short = size{pulls: 16, webhooks: 400, processes: 2, atOnce: 8, kills: 3, halts: 1}

// run is one chaos.
type run struct {
	*world
	size
	ctx     context.Context //nolint:containedctx // the run's own end
	seed    uint64
	estate  *estate
	began   time.Time
	killed  atomic.Int64
	termed  atomic.Int64
	halted  atomic.Int64
	stories atomic.Int64
}

// TestChaos lets everything go wrong at once, and then asks an independent checker. SHEPHERD_CHAOS_SEED
// repeats a run, as far as the machine's own timing does.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed, size := seedOf(t), sizeOf(t)
	t.Logf("SHEPHERD_CHAOS_SEED=%d", seed)
	w := newWorld(t, seed)
	w.script = newScript(t, w.artifacts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what people did and what servers said is in %s", w.artifacts)
			t.Logf("to repeat: %s", size.again(seed))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &run{world: w, size: size, ctx: ctx, seed: seed, estate: &estate{}, began: time.Now()}
	_, err := w.Alice.Commit(w.Repo, "other", "main", forgetest.Files{"notes/other.md": []byte("another branch\n")}, "another branch")
	w.do(err)
	w.launch(size.processes)
	// Of those that are neither dropped, delayed nor put back more than a third is doubled: a fifth of all.
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Drop: 0.1, Duplicate: 0.35, Reorder: 0.2, Delay: 0.2, MaxDelay: 2 * time.Second})
	stop := r.progress()
	r.people()
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
	r.quiet()
	stop()
	r.judge()
}

func seedOf(t *testing.T) uint64 {
	if s := os.Getenv("SHEPHERD_CHAOS_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return uint64(rand.Uint32())
}

func sizeOf(t *testing.T) size {
	s := short
	set := func(name string, into *int) {
		if v := os.Getenv("SHEPHERD_CHAOS_" + name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			*into = n
		}
	}
	set("PULLS", &s.pulls)
	set("WEBHOOKS", &s.webhooks)
	set("SERVERS", &s.processes)
	set("AT_ONCE", &s.atOnce)
	s.kills, s.halts = max(s.kills, s.webhooks/200), max(s.halts, s.webhooks/1200)
	return s
}

// again is the command that repeats a run.
func (s size) again(seed uint64) string {
	return fmt.Sprintf("SHEPHERD_CHAOS_SEED=%d SHEPHERD_CHAOS_PULLS=%d SHEPHERD_CHAOS_WEBHOOKS=%d SHEPHERD_CHAOS_SERVERS=%d SHEPHERD_CHAOS_AT_ONCE=%d "+
		"go test -count=1 -timeout 4h -run '^TestChaos$' -v ./internal/chaos", seed, s.pulls, s.webhooks, s.processes, s.atOnce)
}

// people play their stories, some at once, while disasters happen.
func (r *run) people() {
	disasters := make(chan struct{})
	go func() { defer close(disasters); r.disasters() }()
	var wg sync.WaitGroup
	for range r.atOnce {
		wg.Go(func() {
			for n := int(r.stories.Add(1)); n <= r.pulls; n = int(r.stories.Add(1)) {
				r.play(n)
			}
		})
	}
	wg.Wait()
	r.chatter()
	r.over.Store(true)
	<-disasters
}

// chatter goes on until as many webhooks were sent as there are to be.
func (r *run) chatter() {
	rng := rand.New(rand.NewPCG(r.seed, 0))
	pulls := r.Repo.Pulls()
	for r.sent() < r.webhooks && len(pulls) > 0 {
		s := &story{run: r, rng: rng, pr: pick(rng, pulls...), author: r.Alice}
		s.noise()
		s.sleep(20)
	}
}

func (r *run) sent() int { return len(r.App.Deliveries()) }

// disasters happen after numbers of webhooks that the seed gives.
func (r *run) disasters() {
	rng := rand.New(rand.NewPCG(r.seed, 1<<32))
	total := r.kills + r.halts
	at := int64(0)
	for i := range total {
		at += int64(1 + rng.IntN(2*r.webhooks/(total+1)))
		for r.balancer.seen.Load() < at {
			if r.over.Load() {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		if i%(total/r.halts) == total/r.halts-1 {
			r.halt(rng)
		} else {
			r.kill(rng)
		}
	}
}

// kill ends one server, or all of them.
func (r *run) kill(rng *rand.Rand) {
	sig, pause := syscall.SIGKILL, time.Duration(rng.IntN(2500))*time.Millisecond
	if rng.IntN(8) == 0 {
		sig = syscall.SIGTERM
	}
	victims := []*server{pick(rng, r.servers...)}
	if rng.IntN(5) == 0 {
		victims = r.servers
	}
	for _, s := range victims {
		r.script.line("%s: %s, back after %s", s.name, sig, pause)
		s.signal(sig, pause)
		if sig == syscall.SIGKILL {
			r.killed.Add(1)
		} else {
			r.termed.Add(1)
		}
	}
}

// halt ends PostgreSQL for a while.
func (r *run) halt(rng *rand.Rand) {
	how, pause := pick(rng, pgtest.Fast, pgtest.Immediate, pgtest.Killed), time.Duration(rng.IntN(3000))*time.Millisecond
	r.script.line("PostgreSQL: %s, back after %s", how, pause)
	if err := r.database.Halt(how); err != nil {
		r.t.Errorf("halt PostgreSQL: %v", err)
	}
	time.Sleep(pause)
	if err := r.database.Resume(r.t.Context()); err != nil {
		r.t.Errorf("resume PostgreSQL: %v", err)
	}
	r.halted.Add(1)
}

// progress says every few seconds how far it is.
func (r *run) progress() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				r.t.Log(r.standing())
				r.script.line("jobs: %s", r.jobs())
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (r *run) standing() string {
	return fmt.Sprintf("%4.0f s: seed %d, story %d of %d, %d webhooks (%d attempts seen, %d not taken), %d writes, %d killed, %d told to stop, %d PostgreSQL",
		time.Since(r.began).Seconds(), r.seed, min(int(r.stories.Load()), r.pulls), r.pulls, r.sent(), r.balancer.seen.Load(), r.balancer.failed.Load(),
		r.front.count(), r.killed.Load(), r.termed.Load(), r.halted.Load())
}

// jobs are what is queued and under way, for those who read the script.
func (r *run) jobs() (out string) {
	const query = `select coalesce(string_agg(line, ', '), '') from (select concat_ws(' ', count(*), kind, state,
'attempt', max(attempt), 'due in', max(scheduled_at) - now(), 'since', now() - min(attempted_at), array_agg(distinct attempted_by[cardinality(attempted_by)])) line
from river_job where state not in ('completed', 'cancelled', 'discarded') group by kind, state) jobs`
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
	defer cancel()
	if err := r.pool.QueryRow(ctx, query).Scan(&out); err != nil {
		return err.Error()
	}
	return out
}

// there reports whether a machine is on the cluster as it was asked for.
func (r *run) there(v *living) bool {
	var vm kubevirtv1.VirtualMachine
	err := r.kube.Client().Get(r.ctx, client.ObjectKey{Namespace: r.namespace(v.environment), Name: v.name}, &vm)
	return err == nil && object(&vm).Memory == fmt.Sprintf("%dGi", v.memory) && object(&vm).Running == (v.power == "running")
}

// busy are the jobs that are not at an end, but for those that come again and again: what they find shows.
const busy = `select count(*) from river_job where state not in ('completed', 'cancelled', 'discarded')
and kind not in ('heartbeat', 'sweep_pull_requests', 'sweep_deliveries', 'walk_branch', 'check_clusters', 'prune_deliveries', 'remind')`

// quiet waits until all servers are up and nothing has happened for two sweeps.
func (r *run) quiet() {
	r.t.Helper()
	const most = 8 * time.Minute
	began := time.Now()
	last, since := "", time.Now()
	for time.Since(since) < 2*sweepEvery+2*time.Second {
		if time.Since(began) > most {
			r.t.Errorf("after %s there is still something going on: %s, %s", most, last, r.jobs())
			return
		}
		time.Sleep(250 * time.Millisecond)
		jobs, err := r.count(r.ctx, busy)
		if now := fmt.Sprintf("%d webhooks, %d writes, %d jobs, %v", r.sent(), r.front.count(), jobs, err); now != last || jobs > 0 || !r.allReady() {
			if now != last {
				r.script.line("not quiet: %s, ready %t", now, r.allReady())
			}
			last, since = now, time.Now()
		}
	}
}

func (r *run) allReady() bool {
	for _, s := range r.servers {
		if !s.ready(r.ctx) {
			return false
		}
	}
	return true
}

// judge asks the checker.
func (r *run) judge() {
	r.t.Helper()
	r.t.Log(r.standing())
	began := time.Now()
	h := r.history()
	read := time.Since(began)
	v, err := Check(h)
	r.do(err)
	r.t.Logf("the history was read in %s and judged in %s", read, time.Since(began)-read)
	dropped := r.dropped()
	r.t.Logf("%d webhooks: %d dropped by the forge, %d doubled, %d met nobody", len(h.Events), dropped,
		int(r.balancer.seen.Load())-len(h.Events)+dropped, r.balancer.failed.Load())
	r.t.Logf("%d pull requests, %d webhooks; %d steps of the branch with %d changes of machines: %d applied, %d rightly refused, %d open; %d writes, %d machines at the end",
		len(h.Pulls), len(h.Events), v.Spans, v.Merged, v.Applied, v.Refused, v.Open, len(h.Writes), len(h.Objects))
	for _, f := range v.Findings {
		r.t.Error(f)
	}
	r.keep(h)
}

// dropped are the webhooks that the forge never tried to deliver.
func (r *run) dropped() (n int) {
	for _, d := range r.App.Deliveries() {
		if d.Done && d.StatusCode == 0 {
			n++
		}
	}
	return n
}

// keep writes down what is said of every pull request at the end.
func (r *run) keep(h History) {
	var b strings.Builder
	for _, p := range h.Pulls {
		fmt.Fprintf(&b, "=== #%d %s %s %v\n", p.Number, p.HeadRef, p.State, p.Checks)
		for _, c := range p.Comments {
			fmt.Fprintf(&b, "--- %s\n%s\n", c.Author, c.Body)
		}
	}
	r.do(os.WriteFile(filepath.Join(r.artifacts, "pulls.log"), []byte(b.String()), 0o600))
	r.do(os.WriteFile(filepath.Join(r.artifacts, "judgings.log"), []byte(r.judgings()), 0o600))
}

// judgings are what was asked for and what was done, for whoever looks for the cause of a finding.
func (r *run) judgings() (out string) {
	const query = `select coalesce(string_agg(concat_ws(' ', '#' || id, state, head_sha, 'wanted', wanted, 'judged', judged, 'queued', queued), E'\n' order by id), '') from pull_requests`
	if err := r.pool.QueryRow(r.ctx, query).Scan(&out); err != nil {
		return err.Error()
	}
	return out
}
