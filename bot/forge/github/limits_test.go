package github

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

// gate is a limiter that refuses what it is told to, and remembers what it hears.
type gate struct {
	mu     sync.Mutex
	refuse func(forge.Ask) error
	asks   []forge.Ask
	told   []forge.Allowance
}

func (g *gate) Take(_ context.Context, ask forge.Ask) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asks = append(g.asks, ask)
	if g.refuse != nil {
		return g.refuse(ask)
	}
	return nil
}

func (g *gate) Told(_ context.Context, _ forge.Ask, a forge.Allowance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = append(g.told, a)
}

func (g *gate) client(t *testing.T, w *wire) *Client {
	t.Helper()
	return w.client(t, func(cfg *Config) { cfg.Limiter = g })
}

// What the limiter does not let pass is not sent, and its caller knows when to come back.
func TestHeldRequests(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{onePull: answer(200, pullJSON(1))})
	until := testNow.Add(7 * time.Minute)
	g := &gate{refuse: func(forge.Ask) error { return forge.LaterError{Until: until, Reason: "as much was created"} }}
	c := g.client(t, w)
	ctx := t.Context()
	_, err := c.PullRequest(ctx, 1)
	_, err2 := c.CreateComment(forge.News(ctx), 1, "hello")
	for _, err := range []error{err, err2} {
		var later forge.LaterError
		if !errors.As(err, &later) || !later.Until.Equal(until) || !strings.Contains(err.Error(), "as much was created") {
			t.Errorf("the error is %v", err)
		}
	}
	if len(w.seen()) != 0 {
		t.Errorf("sent %v", w.seen())
	}
	who := "token/" + fingerprint(testToken)
	if diff := cmp.Diff([]forge.Ask{{Identity: who}, {Identity: who, Creates: true, News: true}}, g.asks); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(who, testToken) {
		t.Error("the token is its own name")
	}
}

// The limiter hears what each answer says of the limits, by the forge's clock.
func TestToldLimits(t *testing.T) {
	t.Parallel()
	clock := testNow.Add(-3 * time.Hour) // the forge's clock is slow
	date := clock.Format(http.TimeFormat)
	reset := strconv.FormatInt(clock.Add(20*time.Minute).Unix(), 10)
	period := clock.Add(20 * time.Minute).Unix()
	message := func(s string) fields { return fields{"message": s} }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    forge.Allowance
	}{
		"plenty": {answer(200, pullJSON(1), "Date", date, "X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "4321", "X-RateLimit-Reset", reset, "X-RateLimit-Resource", "core"),
			forge.Allowance{Limit: 5000, Remaining: 4321, Period: period, Reset: 20 * time.Minute}},
		"another resource": {answer(200, pullJSON(1), "Date", date, "X-RateLimit-Limit", "30", "X-RateLimit-Remaining", "3", "X-RateLimit-Reset", reset, "X-RateLimit-Resource", "search"),
			forge.Allowance{}},
		"nothing": {answer(200, pullJSON(1), "Date", date), forge.Allowance{}},
		"nonsense": {answer(200, pullJSON(1), "Date", date, "X-RateLimit-Limit", "many", "X-RateLimit-Remaining", "-4", "X-RateLimit-Reset", "soon"),
			forge.Allowance{}},
		"not found": {answer(404, message("Not Found"), "Date", date, "X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "7", "X-RateLimit-Reset", reset),
			forge.Allowance{Limit: 60, Remaining: 7, Period: period, Reset: 20 * time.Minute}},
		"forbidden": {answer(403, message("Resource not accessible by integration"), "Date", date, "X-RateLimit-Remaining", "7"),
			forge.Allowance{Remaining: 7}},
		"used up": {answer(403, message("API rate limit exceeded"), "Date", date, "X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset),
			forge.Allowance{Limit: 60, Period: period, Reset: 20 * time.Minute, Wait: 20 * time.Minute, Spent: true, Reason: "the hourly limit of requests is used up"}},
		"used up until now": {answer(429, message("API rate limit exceeded"), "Date", date, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", strconv.FormatInt(clock.Unix(), 10)),
			forge.Allowance{Period: clock.Unix(), Wait: time.Second, Spent: true, Reason: "the hourly limit of requests is used up"}},
		"too fast": {answer(403, message("You have exceeded a secondary rate limit."), "Date", date, "Retry-After", "17"),
			forge.Allowance{Wait: 17 * time.Second, Reason: "a secondary limit was hit"}},
		"too fast, without a time": {answer(403, message("You have exceeded a secondary rate limit."), "Date", date),
			forge.Allowance{Wait: time.Minute, Reason: "a secondary limit was hit"}},
		"too many": {answer(429, message("slow down"), "Date", date), forge.Allowance{Wait: time.Minute, Reason: "a secondary limit was hit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gate{}
			client := g.client(t, newWire(t, routes{onePull: c.handler}))
			_, err := client.PullRequest(t.Context(), 1)
			if len(g.told) == 0 {
				t.Fatal("it hears nothing")
			}
			if diff := cmp.Diff(c.want, g.told[0]); diff != "" {
				t.Error(diff)
			}
			var later forge.LaterError
			if got := errors.As(err, &later); got != (c.want.Wait > 0) || got && !later.Until.Equal(testNow.Add(c.want.Wait)) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// Whatever the headers say, nobody is silenced for long, and no number is out of range.
func FuzzAllowance(f *testing.F) {
	f.Add(403, "0", "5000", "0", "1769170000", "Fri, 23 Jan 2026 12:00:09 GMT", `{"message": "API rate limit exceeded"}`)
	f.Add(429, "99999999999999999999", "-1", "9223372036854775807", "9223372036854775807", "", "")
	f.Add(200, "", "9223372036854775807", "9223372036854775807", "-9223372036854775808", "yesterday", "[")
	f.Add(403, "9223372036854775807", "", "", "", "", `{"message": "secondary rate limit"}`)
	f.Fuzz(func(t *testing.T, status int, after, limit, remaining, reset, date, body string) {
		resp := &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{
			"Retry-After": {after}, "X-Ratelimit-Limit": {limit}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}, "Date": {date},
		}}
		a, err := allowance(resp, testNow)
		if err != nil {
			t.Fatal(err)
		}
		if a.Wait < 0 || a.Wait > maxWait || a.Reset < 0 || a.Reset > maxWait || a.Limit < 0 || a.Remaining < 0 || a.Limit*5 < 0 || a.Remaining*5 < 0 || a.Period < 0 {
			t.Errorf("%+v", a)
		}
		if limited := status == 403 || status == 429; a.Wait > 0 && (!limited || a.Reason == "") {
			t.Errorf("%d: %+v", status, a)
		}
	})
}

// When to go on is the limiter's to say: go-github keeps no note of its own.
func TestGoingOnIsTheLimiters(t *testing.T) {
	t.Parallel()
	reset := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	last := answer(200, pullJSON(1), "X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset)
	spent := answer(403, fields{"message": "API rate limit exceeded"}, "X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset)
	fast := answer(403, fields{"message": "You have exceeded a secondary rate limit.", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}, "Retry-After", "600")
	w := newWire(t, routes{onePull: inTurn(last, spent, fast, answer(200, pullJSON(1)))})
	c := (&gate{}).client(t, w)
	for i, fails := range []bool{false, true, true, false} {
		if _, err := c.PullRequest(t.Context(), 1); (err != nil) != fails {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if n := len(w.seen()); n != 4 {
		t.Errorf("%d requests were sent", n)
	}
}

// An App as such and its installation have limits of their own; tokens for other rights share the installation's. What
// mints tokens is not held.
func TestWhoseLimits(t *testing.T) {
	t.Parallel()
	_, key := newKey(t)
	minted := answer(201, fields{"token": "ghs_installationtoken", "expires_at": time.Now().Add(time.Hour)})
	w := newWire(t, routes{
		onePull: answer(200, pullJSON(1)), "POST /app/installations/9/access_tokens": minted, "GET /app": answer(200, fields{"id": 3, "slug": "shepherd"}),
		"GET /users/shepherd%5Bbot%5D":               answer(200, fields{"id": 33, "login": "shepherd[bot]", "type": "Bot"}),
		"POST /repos/acme/vms/deployments":           answer(201, fields{"id": 5}),
		"POST /repos/acme/vms/check-runs":            answer(201, fields{"id": 6}),
		"GET /repos/acme/vms/deployments/5/statuses": answer(200, []fields{}),
	})
	g := &gate{}
	c := w.client(t, func(cfg *Config) {
		cfg.Token, cfg.App, cfg.Limiter = "", &AppConfig{ID: 3, InstallationID: 9, PrivateKeyPEM: key}, g
	})
	ctx := t.Context()
	if _, err := c.PullRequest(ctx, 1); err != nil {
		t.Error(err)
	}
	if _, err := c.Self(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.CreateDeployment(ctx, forge.Deployment{SHA: headSHA, Environment: "east"}); err != nil {
		t.Error(err)
	}
	want := []forge.Ask{{Identity: "installation/9"}, {Identity: "app/3"}, {Identity: "installation/9"}, {Identity: "installation/9", Creates: true}}
	if diff := cmp.Diff(want, g.asks); diff != "" {
		t.Error(diff)
	}
}
