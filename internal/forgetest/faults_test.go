package forgetest_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"net/http/httptest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

func TestRESTFaults(t *testing.T) {
	t.Parallel()
	limited := func(err error) bool {
		abuse := new(github.AbuseRateLimitError)
		return asError(err, &abuse) && abuse.GetRetryAfter() == 7*time.Second
	}
	status := func(code int) func(error) bool {
		return func(err error) bool {
			e := new(github.ErrorResponse)
			return asError(err, &e) && e.Response.StatusCode == code
		}
	}
	for name, tc := range map[string]struct {
		kind forgetest.FaultKind
		want func(error) bool
	}{
		"500":             {forgetest.ServerError, status(500)},
		"502":             {forgetest.BadGateway, status(502)},
		"secondary limit": {forgetest.SecondaryLimit, limited},
		"429": {forgetest.TooMany, func(err error) bool {
			e := new(github.ErrorResponse)
			return asError(err, &e) && e.Response.StatusCode == 429 && e.Response.Header.Get("Retry-After") == "7"
		}},
		"reset": {forgetest.Reset, func(err error) bool { return err != nil && strings.Contains(err.Error(), "EOF") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.pull("redis")
			w.srv.Fail(forgetest.Fault{Route: "POST /repos/{owner}/{repo}/issues/{number}/comments", Kind: tc.kind, Times: 2, RetryAfter: 7 * time.Second})
			post := func() error {
				_, _, err := w.as(w.alice).Issues.CreateComment(t.Context(), "acme", "vms", 1, &github.IssueComment{Body: github.String("x")})
				return err
			}
			got[*github.PullRequest](t)(w.as(w.alice).PullRequests.Get(t.Context(), "acme", "vms", 1))
			for range 2 {
				if err := post(); !tc.want(err) {
					t.Errorf("error is %v", err)
				}
			}
			do(t, post())
			if n := len(p.Comments()); n != 1 {
				t.Errorf("%d comments", n)
			}
		})
	}
}

func TestFaultAfterTheDeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	w.srv.Fail(forgetest.Fault{Route: "/comments", Kind: forgetest.Reset, After: true})
	_, _, err := w.as(w.alice).Issues.CreateComment(t.Context(), "acme", "vms", 1, &github.IssueComment{Body: github.String("x")})
	if err == nil || len(p.Comments()) != 1 {
		t.Errorf("error %v, %d comments", err, len(p.Comments()))
	}
	w.srv.Fail(forgetest.Fault{Kind: forgetest.BadGateway, Times: -1})
	w.srv.ClearFaults()
	got[*github.PullRequest](t)(w.as(w.alice).PullRequests.Get(t.Context(), "acme", "vms", 1))
}

func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.Fail(forgetest.Fault{Route: "GET /users/", Kind: forgetest.Slow, Latency: 80 * time.Millisecond})
	start := time.Now()
	got[*github.User](t)(w.as(w.alice).Users.Get(t.Context(), "bob"))
	if took := time.Since(start); took < 80*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
}

// burst sends n comments under faults and gives the bodies as they arrived, and the webhook's memory.
func burst(t *testing.T, n int, f forgetest.DeliveryFaults) (w *world, hooks *receiver, id int64) {
	t.Helper()
	w = newWorld(t, forgetest.Options{Seed: 7})
	hooks = newReceiver(t, "x")
	p := w.pull("redis")
	id = w.repo.AddHook(hooks.url, "x", "issue_comment")
	w.wait()
	w.srv.SetDeliveryFaults(f)
	w.srv.PauseDeliveries()
	for i := range n {
		must[forgetest.Comment](t)(w.bob.Comment(p, fmt.Sprintf("%03d", i)))
	}
	w.srv.ResumeDeliveries()
	w.wait()
	return w, hooks, id
}

func bodies(r *receiver) []string {
	var out []string
	for _, a := range r.all() {
		if ev, is := a.parsed.(*github.IssueCommentEvent); is {
			out = append(out, ev.GetComment().GetBody())
		}
	}
	return out
}

func TestDeliveriesComeInOrder(t *testing.T) {
	t.Parallel()
	_, hooks, _ := burst(t, 30, forgetest.DeliveryFaults{})
	if b := bodies(hooks); len(b) != 30 || !slices.IsSorted(b) {
		t.Errorf("arrived %v", b)
	}
}

func TestDroppedDeliveriesCanBeRedelivered(t *testing.T) {
	t.Parallel()
	w, hooks, id := burst(t, 30, forgetest.DeliveryFaults{Drop: 0.5})
	arrived := len(bodies(hooks))
	if arrived == 0 || arrived == 30 {
		t.Fatalf("%d of 30 arrived", arrived)
	}
	w.srv.SetDeliveryFaults(forgetest.DeliveryFaults{})
	c := w.as(w.root).Repositories
	var failed []int64
	for _, d := range got[[]*github.HookDelivery](t)(c.ListHookDeliveries(t.Context(), "acme", "vms", id, &github.ListCursorOptions{PerPage: 100})) {
		if d.GetStatusCode() == 0 {
			failed = append(failed, d.GetID())
		}
	}
	if len(failed) != 30-arrived {
		t.Fatalf("%d failed deliveries are listed, %d arrived", len(failed), arrived)
	}
	for _, d := range failed {
		if _, _, err := c.RedeliverHookDelivery(t.Context(), "acme", "vms", id, d); err != nil {
			if accepted := new(github.AcceptedError); !asError(err, &accepted) {
				t.Fatal(err)
			}
		}
	}
	w.wait()
	b := bodies(hooks)
	slices.Sort(b)
	if len(slices.Compact(b)) != 30 {
		t.Errorf("after redelivery there are %d", len(b))
	}
}

func TestLostDeliveriesAreNotListed(t *testing.T) {
	t.Parallel()
	w, hooks, id := burst(t, 30, forgetest.DeliveryFaults{Lose: 0.5})
	arrived := len(bodies(hooks))
	if arrived == 0 || arrived == 30 || len(w.repo.Deliveries(id)) != arrived+1 { // and the ping
		t.Errorf("%d arrived, %d are listed", arrived, len(w.repo.Deliveries(id)))
	}
}

func TestDuplicatesKeepTheirGUID(t *testing.T) {
	t.Parallel()
	_, hooks, _ := burst(t, 30, forgetest.DeliveryFaults{Duplicate: 0.5})
	times := map[string]int{}
	for _, a := range hooks.all() {
		times[a.guid]++
	}
	doubled := 0
	for _, n := range times {
		if n == 2 {
			doubled++
		}
	}
	if len(times) != 31 || doubled == 0 || doubled == 31 || len(hooks.all()) != 31+doubled {
		t.Errorf("%d GUIDs, %d doubled, %d arrivals", len(times), doubled, len(hooks.all()))
	}
}

func TestReorderAndDelay(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]forgetest.DeliveryFaults{
		"reorder": {Reorder: 0.5}, "delay": {Delay: 0.5, MaxDelay: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, hooks, _ := burst(t, 30, f)
			b := bodies(hooks)
			if slices.IsSorted(b) {
				t.Errorf("still in order: %v", b)
			}
			slices.Sort(b)
			if len(slices.Compact(b)) != 30 {
				t.Errorf("%d of 30 arrived", len(b))
			}
		})
	}
}

func TestFaultsRepeatWithTheirSeed(t *testing.T) {
	t.Parallel()
	_, one, _ := burst(t, 20, forgetest.DeliveryFaults{Drop: 0.3, Reorder: 0.3})
	_, two, _ := burst(t, 20, forgetest.DeliveryFaults{Drop: 0.3, Reorder: 0.3})
	if diff := cmp.Diff(bodies(one), bodies(two)); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
}

func TestWaitIdleGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.srv.PauseDeliveries()
	w.repo.AddHook("http://127.0.0.1:1/", "x")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.srv.WaitIdle(ctx); err != context.DeadlineExceeded {
		t.Errorf("error is %v", err)
	}
}

func TestAThousandWebhooks(t *testing.T) {
	t.Parallel()
	srv := published.Start(t, forgetest.Options{DeliveryConcurrency: 8})
	repo := srv.Repository("acme", "vms")
	alice := srv.User("alice")
	repo.SetPermission(alice, "write")
	var arrived atomic.Int64
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(sink.Close)
	do(t, second(alice.Commit(repo, "redis", "main", forgetest.Files{"x": []byte("x")}, "x")))
	p := must[*forgetest.Pull](t)(alice.OpenPull(repo, "x", "redis", "main", "", false))
	repo.AddHook(sink.URL, "x", "issue_comment")
	start := time.Now()
	for i := range 1000 {
		must[forgetest.Comment](t)(alice.Comment(p, fmt.Sprint(i)))
	}
	do(t, srv.WaitIdle(t.Context()))
	took := time.Since(start)
	t.Logf("1,000 webhooks in %v: %.0f a second", took, 1000/took.Seconds())
	if n := arrived.Load(); n != 1001 {
		t.Errorf("%d arrived", n)
	}
}
