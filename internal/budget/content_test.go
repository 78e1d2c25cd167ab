package budget

import (
	"slices"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/storetest"
)

// Two processes want to create more than is allowed. The forge has not to refuse any, everything is created in the end, and
// from when decisions have to wait no news go before the last of them.
func TestContentIsShared(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	rate := Rate{20, time.Second}
	s := &server{limit: 50_000, period: time.Now().Add(time.Hour), rate: rate}
	var mu sync.Mutex
	var order []string
	var wg sync.WaitGroup
	for range 2 {
		p := newProcess(t, pool, rate)
		for i := range 32 {
			ask, kind := creation, "decision"
			if i%2 == 0 {
				ask, kind = remark, "news"
			}
			wg.Go(func() {
				for {
					wait := p.send(s, ask, false)
					if wait == 0 {
						mu.Lock()
						order = append(order, kind)
						mu.Unlock()
						return
					}
					select {
					case <-t.Context().Done():
						return
					case <-time.After(wait):
					}
				}
			})
		}
	}
	wg.Wait()
	if s.refused != 0 || len(order) != 64 {
		t.Errorf("%d were created and %d refused", len(order), s.refused)
	}
	for i := range s.created[:len(s.created)-rate.N] {
		if d := s.created[i+rate.N].Sub(s.created[i]); d < rate.Per {
			t.Errorf("%d were created within %v", rate.N+1, d)
		}
	}
	// The first 20 go as they come; of what follows, the decisions come before the news.
	first := slices.Index(order[rate.N:], "news")
	if last := len(order) - 1 - rate.N; first < 0 || slices.Contains(order[rate.N+first:][:last-first], "decision") {
		t.Errorf("the order is %v", order)
	}
}

// take is tried without a database, by the second.
func TestTake(t *testing.T) {
	t.Parallel()
	second := func(n int) int64 { return int64(n) * 1000 }
	times := func(seconds ...int) (out []int64) {
		for _, s := range seconds {
			out = append(out, second(s))
		}
		return out
	}
	minute := Rate{5, time.Minute}
	for _, c := range []struct {
		name string
		c    content
		news bool
		wait time.Duration
		why  string
	}{
		{"nothing yet", content{now: second(100)}, false, 0, ""},
		{"four of five", content{now: second(100), created: times(90, 91, 92, 93)}, false, 0, ""},
		{"four of five, news", content{now: second(100), created: times(90, 91, 92, 93)}, true, 51 * time.Second, Content},
		{"five of five", content{now: second(100), created: times(90, 91, 92, 93, 94)}, false, 51 * time.Second, Content},
		{"the next comes after the one that waits", content{now: second(100), created: times(90, 91, 92, 93, 94), refused: 1}, false, 52 * time.Second, Content},
		{"and the sixth with the first", content{now: second(100), created: times(90, 91, 92, 93, 94), refused: 5}, false, 51 * time.Second, Content},
		{"one is long ago", content{now: second(152), created: times(90, 91, 92, 93, 94)}, false, 0, ""},
		{"one is almost long ago", content{now: second(151) - 1, created: times(90, 91, 92, 93, 94)}, false, time.Millisecond, Content},
		{"decisions come back", content{now: second(100), decisions: second(110)}, true, 10 * time.Second, Content},
		{"decisions do not wait for themselves", content{now: second(100), decisions: second(110)}, false, 0, ""},
		{"blocked", content{now: second(100), blocked: second(130)}, false, 30 * time.Second, Blocked},
		{"all is blocked", content{now: second(100), blocked: second(130), allBlocked: second(160)}, false, time.Minute, Blocked},
		{"blocked until now", content{now: second(100), blocked: second(100)}, false, 0, ""},
	} {
		before := len(c.c.created)
		wait, why := c.c.take([]Rate{minute, {500, time.Hour}}, c.news)
		if wait != c.wait || why != c.why {
			t.Errorf("%s: %v (%s), want %v (%s)", c.name, wait, why, c.wait, c.why)
		}
		if taken := len(c.c.created) > before; taken != (c.wait == 0) {
			t.Errorf("%s: it is taken: %v", c.name, taken)
		}
	}
}

// The log does not grow, and the hour counts.
func TestTakeForHours(t *testing.T) {
	t.Parallel()
	c, rates := content{}, []Rate{{80, time.Minute}, {500, time.Hour}}
	var taken []int64
	for c.now < (3 * time.Hour).Milliseconds() {
		wait, _ := c.take(rates, false)
		if wait == 0 {
			taken = append(taken, c.now)
		}
		c.now += max(wait.Milliseconds(), 100)
		if len(c.created) > 501 {
			t.Fatalf("%d entries", len(c.created))
		}
	}
	for _, r := range rates {
		for i := range taken[:len(taken)-r.N] {
			if d := taken[i+r.N] - taken[i]; d < r.Per.Milliseconds() {
				t.Fatalf("%d within %v", r.N+1, millis(d))
			}
		}
	}
	if len(taken) < 1490 {
		t.Errorf("only %d in three hours", len(taken))
	}
}
