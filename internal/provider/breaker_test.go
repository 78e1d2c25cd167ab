package provider

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

// broken is a real API server behind a front that can be told what to answer, reached through a Registry whose
// clock is the test's.
type broken struct {
	bench
	*Registry
	source   *shelf
	uid      string
	requests atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc] // nil: the server's own

	mu    sync.Mutex
	ahead time.Duration
}

func newBroken(t *testing.T) *broken {
	t.Helper()
	b := &broken{bench: setup(t), source: &shelf{}}
	b.uid = string(b.read(namespaceObject("kube-system")).GetUID())
	text := b.frontConfig(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		b.requests.Add(1)
		if answer := b.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
		pass.ServeHTTP(w, r)
	})
	b.source.put("a", credentials{text, b.uid, "1"})
	b.Registry = New(b.source, Options{Timeout: time.Second})
	b.now = func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return time.Now().Add(b.ahead)
	}
	return b
}

func (b *broken) later(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead += d
}

func (b *broken) answers(h http.HandlerFunc) { b.answer.Store(&h) }
func (b *broken) mend()                      { b.answer.Store(nil) }

// call is one look at the cluster, as a job makes it.
func (b *broken) call() error {
	c, err := b.Registry.Cluster(b.t.Context(), "a")
	if err == nil {
		_, err = c.Observe(b.t.Context(), b.ns, "vm")
	}
	return err
}

// sent is how many requests do made.
func (b *broken) sent(do func()) int64 {
	before := b.requests.Load()
	do()
	return b.requests.Load() - before
}

func statusAnswer(code int, reason, message string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = fmt.Fprint(w, status(code, reason, message))
	}
}

func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// What opens a breaker, after how many calls, what is said then, and what does not open it.
func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	const rbac = `virtualmachines.kubevirt.io is forbidden: User \"u\" cannot get resource \"virtualmachines\" in API group \"kubevirt.io\"`
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		calls  int // after which it is open; 0: never
		says   string
		wait   time.Duration
	}{
		{"silence", silence, 3, "cluster a does not work at the moment: it does not answer in time", breakerFirst},
		{"too many requests", statusAnswer(429, "TooManyRequests", "wait", "Retry-After", "20"), 3, "it asks for fewer requests", 20 * time.Second},
		{"too many requests, for very long", statusAnswer(429, "TooManyRequests", "wait", "Retry-After", "9999"), 3, "it asks for fewer requests", breakerLongest},
		{"errors", statusAnswer(500, "InternalError", "etcdserver: no leader"), 3, "it answers with errors (500)", breakerFirst},
		{"unavailable", statusAnswer(503, "ServiceUnavailable", "starting", "Retry-After", "1"), 3, "it answers with errors (503)", breakerFirst},
		{"no page of an API server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, 3, "it answers with errors (502)", breakerFirst},
		{"the connection is lost", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 3, "cluster a does not work at the moment: ", breakerFirst},
		{"expired credentials", statusAnswer(401, "Unauthorized", "Unauthorized"), 1, "does not accept Shepherd's credentials", breakerFirst},
		{"no permission at all", statusAnswer(403, "Forbidden", rbac), 1, "has lost its permissions", breakerFirst},
		{"another cluster", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if strings.HasSuffix(r.URL.Path, "kube-system") {
				_, _ = fmt.Fprint(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"another"}}`)
				return
			}
			statusAnswer(403, "Forbidden", rbac)(w, r)
		}, 1, "lead to another cluster", breakerFirst},
		{"admission", statusAnswer(403, "Forbidden", "admission webhook denied the request"), 0, "", 0},
		{"a webhook is down", statusAnswer(500, "InternalError", "failed calling webhook x"), 0, "", 0},
		{"the kind is not served", statusAnswer(404, "NotFound", "the server could not find the requested resource"), 0, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBroken(t)
			if err := b.call(); err != nil {
				t.Fatal(err)
			}
			b.answers(tt.answer)
			for n := 1; n <= max(tt.calls, 5); n++ {
				if err := b.call(); err == nil {
					t.Fatal("it went well")
				}
				if open := len(b.Paused()) > 0; open != (tt.calls > 0 && n >= tt.calls) {
					t.Fatalf("open %v after %d calls", open, n)
				}
			}
			if tt.calls == 0 {
				return
			}
			var err error
			if n := b.sent(func() { err = b.call() }); n != 0 {
				t.Errorf("an open breaker let %d requests pass", n)
			}
			refusedAs(t, err, domain.ClusterUnreachable, Later, tt.says)
			p := b.Paused()[0]
			if wait := p.Until.Sub(p.Since).Round(time.Millisecond); p.Cluster != "a" || wait != tt.wait {
				t.Errorf("it waits %s, want %s", wait, tt.wait)
			}
		})
	}
}

// A pause doubles as long as the cluster stays away, and one call proves it; everything starts anew once something
// was carried out.
func TestBreakerProof(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	b.answers(statusAnswer(500, "InternalError", "no leader"))
	fail := func() {
		t.Helper()
		if err := b.call(); err == nil {
			t.Fatal("it went well")
		}
	}
	for range breakerFailures {
		fail()
	}
	var pauses []time.Duration
	for range 6 {
		p := b.Paused()[0]
		pauses = append(pauses, p.Until.Sub(b.now()).Round(time.Second))
		b.later(p.Until.Sub(b.now()) - time.Second)
		if n := b.sent(fail); n != 0 {
			t.Errorf("%d requests before the time", n)
		}
		b.later(time.Second)
		if n := b.sent(func() { fail(); fail() }); n != 1 {
			t.Errorf("a proof took %d requests, and who came after it was let pass", n)
		}
	}
	if diff := cmp.Diff([]time.Duration{5e9, 10e9, 20e9, 40e9, 60e9, 60e9}, pauses); diff != "" {
		t.Error(diff)
	}
	b.mend()
	b.later(breakerLongest)
	if err := b.Prove(t.Context(), "a"); err != nil || len(b.Paused()) > 0 {
		t.Fatalf("after a proof: %v, %v", err, b.Paused())
	}
	b.answers(statusAnswer(500, "InternalError", "no leader"))
	fail()
	if p := b.Paused(); len(p) != 1 || p[0].Until.Sub(b.now()) < 50*time.Second {
		t.Errorf("a cluster that only proves itself: %v", p)
	}
	b.mend()
	b.later(breakerLongest)
	for range 2 {
		if err := b.call(); err != nil {
			t.Fatal(err)
		}
	}
	b.answers(statusAnswer(500, "InternalError", "no leader"))
	fail()
	fail()
	if p := b.Paused(); len(p) != 0 {
		t.Errorf("a cluster that worked is not given three calls: %v", p)
	}
	fail()
	if p := b.Paused(); len(p) != 1 || p[0].Until.Sub(b.now()) > breakerFirst {
		t.Errorf("the pause did not start anew: %v", p)
	}
}

// Of many callers one proves, the others do not wait for it.
func TestBreakerIsProvedOnce(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	b.answers(statusAnswer(500, "InternalError", "no leader"))
	for range breakerFailures {
		_ = b.call()
	}
	b.later(breakerLongest)
	b.answers(silence)
	began := time.Now()
	n := b.sent(func() {
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if err := b.call(); err == nil {
					t.Error("it went well")
				}
			})
		}
		group.Wait()
	})
	if took := time.Since(began); n != 1 || took > 5*time.Second {
		t.Errorf("%d requests in %s", n, took)
	}
}

// A caller that gives up says nothing about the cluster, neither by its call nor by its proof.
func TestBreakerAndCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	c, err := b.Registry.Cluster(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b.answers(silence)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := c.Observe(ctx, b.ns, "vm")
		cancel()
		if err == nil || len(b.Paused()) > 0 {
			t.Fatalf("%v, %v", err, b.Paused())
		}
	}
	b.answers(statusAnswer(401, "Unauthorized", "Unauthorized"))
	_ = b.call()
	b.later(breakerFirst)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = b.Prove(ctx, "a")
	b.mend()
	if err := b.call(); err != nil {
		t.Errorf("a proof that was given up counts: %v", err)
	}
}

// One thing that RBAC does not allow is that thing's matter: the event fails with its reason, and others go on.
func TestBreakerLeavesSingleDenialsAlone(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	b.source.put("a", credentials{string(b.kube.Restricted(t, may("", "namespaces", "get"))), b.uid, "2"})
	for range 5 {
		refusedAs(t, b.call(), domain.NamespacePermissionDenied, Never, "may not get VirtualMachine")
	}
	if p := b.Paused(); len(p) > 0 {
		t.Error(p)
	}
}

// New credentials are tried at once, and a cluster that was never reached is paused too.
func TestBreakerOfAClusterThatWasNeverReached(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	good := b.source.stored["a"]
	b.source.put("a", credentials{kubeconfigText("server: https://127.0.0.1:1", "token: t"), b.uid, "1"})
	for range breakerFailures {
		refusedAs(t, b.call(), domain.ClusterUnreachable, Later, "it refuses connections")
	}
	refusedAs(t, b.call(), domain.ClusterUnreachable, Later, "cluster a does not work at the moment: it refuses connections")
	if len(b.Paused()) != 1 {
		t.Fatal("not paused")
	}
	good.generation = "2"
	b.source.put("a", good)
	if err := b.call(); err != nil || len(b.Paused()) > 0 {
		t.Errorf("%v, %v", err, b.Paused())
	}
	b.answers(statusAnswer(401, "Unauthorized", "Unauthorized"))
	_ = b.call()
	b.mend()
	b.Forget("a")
	if err := b.call(); err != nil {
		t.Errorf("a cluster that was forgotten is still paused: %v", err)
	}
}

func BenchmarkOpenBreaker(b *testing.B) {
	breaker := newBreaker("a", time.Now, Options{}.logger())
	breaker.note(outcomeShut, later(problem(domain.ClusterUnreachable, "", "gone"), time.Hour, nil))
	c := &Cluster{breaker: breaker, pinned: "u"}
	breaker.until = time.Now().Add(time.Hour)
	for b.Loop() {
		if _, err := c.Observe(b.Context(), "ns", "vm"); err == nil {
			b.Fatal("let pass")
		}
	}
}
