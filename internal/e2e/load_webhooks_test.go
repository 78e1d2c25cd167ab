package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/stage"
	"kv-shepherd.io/shepherd/internal/store"
)

// load sends webhooks to the server of a world, as a forge would but as fast as they are answered.
type load struct {
	*world
	client  *http.Client
	senders int
	size    int // of a body, at least
	pulls   []int
}

// newLoad has a few pull requests that are judged again and again while webhooks come.
func newLoad(t testing.TB) *load {
	t.Helper()
	w := newWorld(t, func(o *stage.Options) { o.Unprotected, o.Forge.RateLimit = true, 1<<30 })
	l := &load{world: w, senders: 16, size: 1 << 10}
	l.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	t.Cleanup(l.client.CloseIdleConnections)
	for i := range 5 {
		system := fmt.Sprintf("load%d", i)
		l.pulls = append(l.pulls, l.ask(system, machines(system, system, "test-shop/01")).Number())
	}
	return l
}

// next is the nth webhook: of fifty most are of no meaning, ten are comments, five are pushes to other branches, one
// asks for a judging.
func (l *load) next(n int) (event string, body []byte) {
	number := l.pulls[n%len(l.pulls)]
	whole := map[string]any{
		"repository": map[string]any{"id": l.Repo.ID(), "full_name": "acme/vms"}, "sender": map[string]any{"id": 101, "login": "alice", "type": "User"},
	}
	more := map[string]any{"action": "created", "label": map[string]any{"name": "x"}}
	switch k := n % 50; {
	case k == 0:
		event, more = "pull_request", map[string]any{"action": "edited", "number": number, "pull_request": map[string]any{"number": number}}
	case k < 11:
		event, more = "issue_comment", map[string]any{
			"action": "created", "issue": map[string]any{"number": number, "pull_request": map[string]any{}},
			"comment": map[string]any{"id": n + 1, "body": "looks good to me", "user": map[string]any{"id": 101, "login": "alice", "type": "User"}},
		}
	case k < 16:
		sha := fmt.Sprintf("%040x", n+1)
		event, more = "push", map[string]any{"ref": "refs/heads/topic", "before": sha, "after": sha, "pusher": map[string]any{"name": "alice"}}
	default:
		event = "label"
	}
	for key, value := range more {
		whole[key] = value
	}
	whole["padding"] = strings.Repeat("x", l.size)
	body, err := json.Marshal(whole)
	if err != nil {
		panic(err) // of our own making
	}
	return event, body
}

// post sends a webhook and says whether it was accepted.
func (l *load) post(ctx context.Context, n int) bool {
	event, body := l.next(n)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.address+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(l.Secret))
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", uuid.NewString())
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := l.client.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusAccepted
}

// bare is what no intake can do without: a delivery and its job in one transaction.
func (l *load) bare(ctx context.Context, db *store.DB, queue *jobs.Queue, n int) bool {
	event, body := l.next(n)
	id := uuid.NewString()
	return db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		const insert = `insert into deliveries (id, event, body, received_at) values ($1, $2, $3, now())`
		if _, err := tx.PGX.Exec(ctx, insert, id, event, body); err != nil {
			return err
		}
		return queue.Add(ctx, tx.PGX, jobs.RouteDelivery{DeliveryID: id})
	}) == nil
}

// outcome is how a load went.
type outcome struct {
	sent, failed int
	took         []time.Duration // sorted
	period       time.Duration
}

func (o outcome) rate() float64 { return float64(o.sent) / o.period.Seconds() }

func (o outcome) at(q float64) float64 {
	return float64(o.took[int(q*float64(len(o.took)-1))].Microseconds()) / 1000
}

// send lets all senders do something, until there were enough or the time is over.
func (l *load) send(enough int, within time.Duration, do func(n int) bool) outcome {
	l.t.Helper()
	var (
		next, failed atomic.Int64
		wg           sync.WaitGroup
		each         = make([][]time.Duration, l.senders)
		began        = time.Now()
	)
	for s := range l.senders {
		wg.Go(func() {
			for time.Since(began) < within {
				n := int(next.Add(1))
				if n > enough {
					return
				}
				at := time.Now()
				if !do(n) {
					failed.Add(1)
				}
				each[s] = append(each[s], time.Since(at))
			}
		})
	}
	wg.Wait()
	out := outcome{took: slices.Concat(each...), period: time.Since(began), failed: int(failed.Load())}
	slices.Sort(out.took)
	out.sent = len(out.took)
	return out
}

const endless = 1 << 40

// routed waits until every delivery was routed and every job is done.
func (l *load) routed() {
	l.t.Helper()
	l.eventuallyWithin(20*time.Minute, "every delivery to be routed", func() bool {
		return l.count(`select count(*) from (select from river_job where kind in ('route_delivery', 'judge_pull_request', 'tell_pull_request')
and state in ('available', 'running', 'retryable', 'scheduled') limit 1) j`) == 0
	})
	if n := l.count(`select count(*) from deliveries where status = 'received'`); n != 0 {
		l.t.Errorf("%d deliveries were not routed", n)
	}
}

// heap is what is in use once everything is at rest.
func (l *load) heap() float64 {
	l.t.Helper()
	l.routed()
	l.client.CloseIdleConnections()
	l.Forge.ResetCalls()
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// What a server needs does not grow with the number of webhooks that it has taken.
func TestMemoryIsFlat(t *testing.T) {
	l := newLoad(t)
	l.size = 20 << 10
	few := 600
	take := func(n int) {
		t.Helper()
		if o := l.send(n, time.Hour, func(n int) bool { return l.post(t.Context(), n) }); o.failed > 0 || o.sent != n {
			t.Errorf("%d of %d were not accepted", o.failed, o.sent)
		}
	}
	take(few)
	first := l.heap()
	take(3 * few)
	second := l.heap()
	t.Logf("%.1f MB after %d webhooks, %.1f MB after %d", first, few, second, 4*few)
	if bodies := float64(3*few*l.size) / (1 << 20); second > first+bodies/6 {
		t.Errorf("%.1f MB after %d webhooks, %.1f MB after %d", first, few, second, 4*few)
	}
	if n := l.count(`select count(*) from pushes where ref = 'refs/heads/topic'`); n == 0 {
		t.Error("no push was routed")
	}
}

// seconds is how long a turn of a measurement is: SHEPHERD_LOAD_SECONDS.
func seconds(b *testing.B) time.Duration {
	n, err := strconv.Atoi(os.Getenv("SHEPHERD_LOAD_SECONDS"))
	if err != nil {
		n = 2
	}
	return time.Duration(n) * time.Second
}

// resident is the process's memory, in MB.
func resident(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kB, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kB / 1024
}

// BenchmarkSustainedWebhooks takes turns with bare inserts of the same into the same database, while the server's workers
// work on both, and reports throughput, how long senders waited, and what is left of the bare inserts' throughput.
func BenchmarkSustainedWebhooks(b *testing.B) {
	l := newLoad(b)
	db, queue := store.New(l.pool), must(jobs.NewQueue())(l.world)
	for _, c := range []struct {
		name          string
		senders, size int
		slow, idle    int
	}{
		{"senders=16/KB=1", 16, 1 << 10, 0, 0},
		{"senders=64/KB=1", 64, 1 << 10, 0, 0},
		{"senders=16/KB=20", 16, 20 << 10, 0, 0},
		{"senders=64/KB=20", 64, 20 << 10, 0, 0},
		{"senders=16/KB=1024", 16, 1 << 20, 0, 0},
		{"senders=16/KB=1/slow=200", 16, 1 << 10, 200, 0},
		{"senders=16/KB=1/idle=2000", 16, 1 << 10, 0, 2000},
	} {
		b.Run(c.name, func(b *testing.B) {
			inner := *l
			inner.senders, inner.size = c.senders, c.size
			defer inner.crowd(b, c.slow, c.idle)()
			var over, bare []outcome
			for b.Loop() {
				bare = append(bare, inner.send(endless, seconds(b), func(n int) bool { return inner.bare(b.Context(), db, queue, n) }))
				over = append(over, inner.send(endless, seconds(b), func(n int) bool { return inner.post(b.Context(), n) }))
			}
			b.StopTimer()
			report(b, over, bare)
			l.routed()
			b.ReportMetric(inner.heap(), "heap-MB")
			b.ReportMetric(resident(b), "RSS-MB")
		})
	}
}

func report(b *testing.B, over, bare []outcome) {
	b.Helper()
	var all, base outcome
	for i := range over {
		all.sent, all.period, all.failed = all.sent+over[i].sent, all.period+over[i].period, all.failed+over[i].failed
		base.sent, base.period = base.sent+bare[i].sent, base.period+bare[i].period
		all.took = append(all.took, over[i].took...)
	}
	slices.Sort(all.took)
	b.ReportMetric(all.rate(), "webhooks/s")
	b.ReportMetric(all.rate()/base.rate(), "of-bare")
	b.ReportMetric(all.at(0.5), "p50-ms")
	b.ReportMetric(all.at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op") // a turn is as long as it was asked to be
	if all.failed > 0 {
		b.Errorf("%d of %d were not accepted", all.failed, all.sent)
	}
}

// crowd opens connections that send a byte of a large body now and then, and some that send nothing. It returns what
// closes them.
func (l *load) crowd(b *testing.B, slow, idle int) (leave func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for n := range slow + idle {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.address)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			defer func() { _ = conn.Close() }()
			if n < slow {
				trickle(ctx, conn)
			}
			<-ctx.Done()
		})
	}
	return func() { cancel(); wg.Wait() }
}

func trickle(ctx context.Context, conn net.Conn) {
	const head = "POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\nX-GitHub-Event: push\r\n\r\n"
	for _, err := io.WriteString(conn, head); err == nil && ctx.Err() == nil; _, err = io.WriteString(conn, "x") {
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// BenchmarkMinute sends webhooks for a minute, or SHEPHERD_LOAD_SECONDS, and reports what is in use at the start, after a third
// of them and at the end.
func BenchmarkMinute(b *testing.B) {
	l := newLoad(b)
	l.size = 8 << 10
	for b.Loop() {
		turn := max(seconds(b), 6*time.Second) / 3
		var all outcome
		for i, name := range []string{"first", "second", "third"} {
			o := l.send(endless, turn, func(n int) bool { return l.post(b.Context(), i<<30+n) })
			all.sent, all.period, all.failed, all.took = all.sent+o.sent, all.period+o.period, all.failed+o.failed, append(all.took, o.took...)
			b.ReportMetric(resident(b), name+"-RSS-MB")
			began := time.Now()
			l.routed()
			b.ReportMetric(float64(o.sent)/(o.period+time.Since(began)).Seconds(), name+"-routed/s")
			b.ReportMetric(l.heap(), name+"-heap-MB")
			b.ReportMetric(o.rate(), name+"/s")
		}
		slices.Sort(all.took)
		b.ReportMetric(all.at(0.5), "p50-ms")
		b.ReportMetric(all.at(0.99), "p99-ms")
		b.ReportMetric(float64(all.sent), "webhooks")
		if all.failed > 0 {
			b.Errorf("%d of %d were not accepted", all.failed, all.sent)
		}
	}
	b.ReportMetric(0, "ns/op")
}
