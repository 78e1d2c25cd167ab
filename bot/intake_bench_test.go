package bot

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// senders is how many webhooks are on their way at once.
const senders = 16

// measure calls do b.N times from several senders and reports throughput and tail.
func measure(b *testing.B, do func(n int) bool) float64 {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next, failed atomic.Int64
	b.ResetTimer()
	began := time.Now()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
				at := time.Now()
				if !do(n) {
					failed.Add(1)
				}
				took[n-1] = time.Since(at)
			}
		})
	}
	wg.Wait()
	rate := float64(b.N) / time.Since(began).Seconds()
	b.StopTimer()
	if failed.Load() > 0 {
		b.Fatalf("%d of %d were not stored", failed.Load(), b.N)
	}
	slices.Sort(took)
	b.ReportMetric(rate, "webhooks/s")
	b.ReportMetric(float64(took[(len(took)-1)*99/100].Microseconds())/1000, "p99-ms")
	return rate
}

// payload has the size of a usual webhook.
func payload(b *testing.B) []byte {
	e := synchronize(7, commit1, commit2)
	e["padding"] = string(make([]byte, 4<<10))
	return encode(b, body(alice, e))
}

func (d *database) intake(b *testing.B, data []byte) float64 {
	i := newIntake(d)
	requests := make([]*http.Request, b.N)
	for n := range requests {
		requests[n] = webhook(newGUID(), data)
	}
	return measure(b, func(n int) bool { return post(i, requests[n-1]) == http.StatusAccepted })
}

// bare is what no intake can do without: a delivery and its job in one transaction.
func (d *database) bare(b *testing.B, data []byte) float64 {
	ids := make([]string, b.N)
	for n := range ids {
		ids[n] = newGUID()
	}
	return measure(b, func(n int) bool {
		return d.db.InTx(b.Context(), func(ctx context.Context, tx *store.Tx) error {
			const insert = `insert into deliveries (id, event, body, received_at) values ($1, $2, $3, $4)`
			if _, err := tx.PGX.Exec(ctx, insert, ids[n-1], "pull_request", data, now()); err != nil {
				return err
			}
			return d.queue.Add(ctx, tx.PGX, jobs.RouteDelivery{DeliveryID: ids[n-1]})
		}) == nil
	})
}

func BenchmarkIntake(b *testing.B) { newDatabase(b).intake(b, payload(b)) }

func BenchmarkBareTwoRowInsert(b *testing.B) { newDatabase(b).bare(b, payload(b)) }

// BenchmarkIntakeShare takes turns on one database, so that both meet the same machine, and reports what
// verifying and answering leave of the bare inserts' throughput.
func BenchmarkIntakeShare(b *testing.B) {
	d, data := newDatabase(b), payload(b)
	var intake, bare float64
	const turns = 4
	for range turns {
		bare += d.bare(b, data)
		intake += d.intake(b, data)
	}
	b.ReportMetric(intake/turns, "webhooks/s")
	b.ReportMetric(intake/bare, "of-bare")
}

// stock is how many deliveries a month leaves in a busy table.
const stock = 100_000

// fill stores deliveries that were acted on long ago, with bodies that do not compress.
func (d *database) fill(n int) {
	d.Helper()
	d.exec(`insert into deliveries (id, event, body, received_at, status)
select gen_random_uuid()::text, 'pull_request', (select decode(string_agg(md5(n::text || i::text), ''), 'hex') from generate_series(1, 64) i),
  $2::timestamptz + n * interval '1 second', 'routed'
from generate_series(1, $1::int) n`, n, clock.Add(-2*keep))
	d.exec(`vacuum analyze deliveries`)
}

// BenchmarkIntakeFullTable takes turns on an empty table and on one with 100,000 deliveries, and reports what
// those leave of the throughput.
func BenchmarkIntakeFullTable(b *testing.B) {
	empty, full, data := newDatabase(b), newDatabase(b), payload(b)
	full.fill(stock)
	b.Run("of-empty", func(b *testing.B) {
		var few, many float64
		const turns = 4
		for range turns {
			few += empty.within(b).intake(b, data)
			many += full.within(b).intake(b, data)
		}
		b.ReportMetric(many/turns, "webhooks/s")
		b.ReportMetric(many/few, "of-empty")
	})
}

// BenchmarkIntakeWhilePruning reports what is left of the throughput while 100,000 deliveries are deleted, and
// how fast they are.
func BenchmarkIntakeWhilePruning(b *testing.B) {
	d, data := newDatabase(b), payload(b)
	alone := d.intake(b, data)
	d.fill(stock)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	began, took := time.Now(), make(chan time.Duration, 1)
	go func() {
		if err := d.pruner(new(bytes.Buffer)).Run(ctx, jobs.PruneDeliveries{}); err == nil {
			took <- time.Since(began)
		}
		close(took)
	}()
	beside := d.intake(b, data)
	b.ReportMetric(beside/alone, "of-alone")
	b.ReportMetric(stock/(<-took).Seconds(), "deleted/s")
}

// within is the database for a benchmark inside the one that made it.
func (d *database) within(b *testing.B) *database {
	inner := *d
	inner.TB = b
	return &inner
}
