package bot

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// routers is how many deliveries a server routes at once.
const routers = 10

// routing stores n comments without a command and routes them, and says how many a second.
func (d *database) routing(b *testing.B, n int) float64 {
	b.Helper()
	data := encode(b, body(alice, commentEvent("created", 7, 5, alice)))
	ids := make([]string, n)
	for i := range ids {
		ids[i] = newGUID()
	}
	d.exec(`insert into deliveries (id, event, body, received_at) select unnest($1::text[]), 'issue_comment', $2, $3`, ids, data, clock)
	r := d.router()
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range routers {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := r.Route(b.Context(), jobs.RouteDelivery{DeliveryID: ids[i-1]}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// BenchmarkRouteFullTable takes turns on an empty table and on one with 100,000 deliveries, and reports what those leave
// of the throughput.
func BenchmarkRouteFullTable(b *testing.B) {
	empty, full := newDatabase(b), newDatabase(b)
	full.fill(stock)
	for range 4 { // until the caches and the vacuum are through with what was filled
		empty.routing(b, 1000)
		full.routing(b, 1000)
	}
	var few, many float64
	turns := 0
	for b.Loop() {
		few += empty.routing(b, 1000)
		many += full.routing(b, 1000)
		turns++
	}
	b.ReportMetric(many/float64(turns), "routed/s")
	b.ReportMetric(many/few, "of-empty")
}

// BenchmarkKnownDeliveries is a sweep's question which of the 20,000 deliveries that a forge lists at most are there,
// in a table of 100,000.
func BenchmarkKnownDeliveries(b *testing.B) {
	d := newDatabase(b)
	d.fill(stock)
	var listed []forge.SentDelivery
	for _, id := range d.lines(`select id from deliveries order by received_at desc limit 19900`) {
		listed = append(listed, forge.SentDelivery{GUID: id, SentAt: clock})
	}
	for range 100 {
		listed = append(listed, forge.SentDelivery{GUID: newGUID(), SentAt: clock})
	}
	r := NewRedeliverer(newIntake(d), d.router(), nil, repo)
	for b.Loop() {
		missing, err := r.missing(b.Context(), listed)
		if err != nil || len(missing) != 100 {
			b.Fatalf("%d are missing (%v)", len(missing), err)
		}
	}
}
