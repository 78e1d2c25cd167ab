package published

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// TB is the part of testing.TB that a watched stand-in needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	TempDir() string
}

// Watcher observes a stand-in (it is a forgetest.Observer) and holds everything that goes in and out against the
// published descriptions.
type Watcher struct {
	validated atomic.Int64

	mu    sync.Mutex
	found map[Violation][]string // without edition, and the editions that say so
}

// Totals is what all watchers of the process have seen.
type Totals struct {
	Answers, Webhooks int64
	Validated         int64 // of both together; the others were equal to one before, or one of very many
	Took              time.Duration
	AnswerKinds       int // operations with a status
	WebhookKinds      int // events with an action
}

// Watch fails the test at its end with each violation that was seen. It has to come before the stand-in starts, so
// that the stand-in has stopped by then.
func Watch(t TB) *Watcher {
	t.Helper()
	w := &Watcher{found: map[Violation][]string{}}
	t.Cleanup(func() {
		t.Helper()
		for _, v := range w.Violations() {
			t.Errorf("not as GitHub does it: %s", v)
		}
	})
	return w
}

// Violations returns what was found so far, sorted.
func (w *Watcher) Violations() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for v, editions := range w.found {
		slices.Sort(editions)
		v.Edition = strings.Join(slices.Compact(editions), ", ")
		out = append(out, v.String())
	}
	slices.Sort(out)
	return out
}

// Validated is how much this watcher has held against the descriptions.
func (w *Watcher) Validated() int64 { return w.validated.Load() }

var tally struct {
	answers, webhooks, validated, nanos atomic.Int64

	seen     sync.Map // hash of what was validated → struct{}
	routes   sync.Map // kind → *atomic.Int64, how many of it were new
	payloads sync.Map
}

// Of each kind, a route with its status or an event with its action, the first many are validated and then one in some:
// a run of ten thousand webhooks would spend half a minute on what it has seen.
const many, some = 200, 10

// due counts one of a kind and reports whether it is to be validated.
func due(kinds *sync.Map, kind string) bool {
	n, _ := kinds.LoadOrStore(kind, new(atomic.Int64))
	seen := n.(*atomic.Int64).Add(1)
	return seen <= many || seen%some == 0
}

var seed = maphash.MakeSeed()

// Answered takes one exchange of the REST interface.
func (w *Watcher) Answered(route string, r *http.Request, sent []byte, status int, header http.Header, body []byte) {
	tally.answers.Add(1)
	w.judge(&tally.routes, route+" "+strconv.Itoa(status), func(h *maphash.Hash) {
		fmt.Fprintln(h, route, r.URL.RawQuery, status, header.Get("Link"), r.UserAgent() == "")
		_, _ = h.Write(sent) // never fails
		_, _ = h.Write(body)
	}, func() []Violation {
		return CheckAnswer(Exchange{Route: route, Request: r, Sent: sent, Status: status, Header: header, Body: body})
	})
}

// Delivered takes one webhook.
func (w *Watcher) Delivered(header http.Header, body []byte) {
	tally.webhooks.Add(1)
	w.judge(&tally.payloads, kindOf(header, body), func(h *maphash.Hash) {
		_, _ = h.WriteString(header.Get("X-GitHub-Event"))
		_, _ = h.Write(body)
	}, func() []Violation { return CheckWebhook(header, body) })
}

func kindOf(header http.Header, body []byte) string {
	var payload struct {
		Action string `json:"action"`
	}
	_ = json.Unmarshal(body, &payload) // CheckWebhook tells what is wrong with it
	return header.Get("X-GitHub-Event") + " " + payload.Action
}

// judge validates what was not validated before in this process, as far as it is due, and notes what is wrong.
func (w *Watcher) judge(kinds *sync.Map, kind string, hash func(*maphash.Hash), check func() []Violation) {
	start := time.Now()
	var h maphash.Hash
	h.SetSeed(seed)
	hash(&h)
	if _, known := tally.seen.LoadOrStore(h.Sum64(), struct{}{}); known || !due(kinds, kind) {
		return
	}
	wrong := check()
	tally.validated.Add(1)
	w.validated.Add(1)
	tally.nanos.Add(int64(time.Since(start)))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range wrong {
		edition := v.Edition
		v.Edition = ""
		w.found[v] = append(w.found[v], edition)
	}
}

// Seen returns the totals.
func Seen() Totals {
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	return Totals{
		Answers: tally.answers.Load(), Webhooks: tally.webhooks.Load(), Validated: tally.validated.Load(),
		Took: time.Duration(tally.nanos.Load()), AnswerKinds: count(&tally.routes), WebhookKinds: count(&tally.payloads),
	}
}

// String tells the totals in one line.
func (t Totals) String() string {
	return fmt.Sprintf("%d answers of %d kinds and %d webhooks of %d kinds seen; %d of them validated in %s",
		t.Answers, t.AnswerKinds, t.Webhooks, t.WebhookKinds, t.Validated, t.Took.Round(time.Millisecond))
}
