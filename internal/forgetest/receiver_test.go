package forgetest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-github/v60/github"
)

// arrival is one webhook as it arrived.
type arrival struct {
	event, action, guid string
	header              http.Header
	body                []byte
	parsed              any
}

// receiver takes webhooks: it checks signature, headers and payload, and remembers them in order.
type receiver struct {
	t      *testing.T
	url    string
	secret string

	mu       sync.Mutex
	arrivals []arrival
	status   int
	closing  bool
}

func newReceiver(t *testing.T, secret string) *receiver {
	t.Helper()
	r := &receiver{t: t, secret: secret, status: http.StatusAccepted}
	srv := httptest.NewServer(r)
	t.Cleanup(func() {
		r.mu.Lock()
		r.closing = true
		r.mu.Unlock()
		srv.Close()
	})
	r.url = srv.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closing { // else the end of the test cut it off
			r.t.Error(err)
		}
		return
	}
	event := req.Header.Get("X-GitHub-Event")
	if err := github.ValidateSignature(req.Header.Get("X-Hub-Signature-256"), body, []byte(r.secret)); err != nil {
		r.t.Errorf("%s: %v", event, err)
	}
	parsed, err := github.ParseWebHook(event, body)
	if err != nil {
		r.t.Errorf("parse %s: %v", event, err)
	}
	a := arrival{event: event, guid: req.Header.Get("X-GitHub-Delivery"), header: req.Header, body: body, parsed: parsed}
	var named struct{ Action string }
	if err := json.Unmarshal(body, &named); err != nil {
		r.t.Error(err)
	}
	a.action = named.Action
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrivals = append(r.arrivals, a)
	w.WriteHeader(r.status)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.arrivals)
}

// names lists event.action of what arrived, in order.
func (r *receiver) names() []string {
	var out []string
	for _, a := range r.all() {
		name := a.event
		if a.action != "" {
			name += "." + a.action
		}
		out = append(out, name)
	}
	return out
}

// last finds the newest webhook of a kind.
func last[T any](t *testing.T, r *receiver) T {
	t.Helper()
	for _, a := range slices.Backward(r.all()) {
		if v, is := a.parsed.(T); is {
			return v
		}
	}
	var none T
	t.Fatalf("no %T among %v", none, r.names())
	return none
}
