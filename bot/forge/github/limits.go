package github

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Limiter keeps to the forge's limits. It is asked before each request and told of each answer, from any goroutine.
type Limiter interface {
	// Take gives leave to send a request, or says in a [forge.LaterError] when to ask again.
	Take(ctx context.Context, ask forge.Ask) error
	// Told hears what the answer to a request said of the limits.
	Told(ctx context.Context, ask forge.Ask, a forge.Allowance)
}

// limited sends what the limiter lets pass. A refusal for a limit becomes a forge.LaterError here, before go-github
// sees it: that would keep a note of its own of when to go on, by a clock that may differ from the forge's, and for
// one process and all requests alike.
type limited struct {
	identity string
	limiter  Limiter
	now      func() time.Time
	next     http.RoundTripper
}

func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	ask := forge.Ask{Identity: l.identity, Creates: req.Method != http.MethodGet && req.Method != http.MethodHead, News: forge.IsNews(ctx)}
	if err := l.limiter.Take(ctx, ask); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	a, err := allowance(resp, l.now())
	if err != nil {
		return nil, err
	}
	l.limiter.Told(ctx, ask, a)
	if a.Wait > 0 {
		resp.Body.Close()
		return nil, forge.LaterError{Until: l.now().Add(a.Wait), Reason: a.Reason}
	}
	resp.Header.Del("X-RateLimit-Reset") // for go-github: see above
	return resp, nil
}

// maxWait bounds for how long an answer can silence the bot. GitHub counts by the hour.
const maxWait = 2 * time.Hour

// allowance reads what an answer says of the limits. Times of the forge are taken relative to its own clock.
func allowance(resp *http.Response, now time.Time) (forge.Allowance, error) {
	clock, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		clock = now
	}
	var a forge.Allowance
	if resource := resp.Header.Get("X-RateLimit-Resource"); resource == "" || resource == "core" {
		a.Limit, a.Remaining, a.Period = number(resp, "X-RateLimit-Limit"), number(resp, "X-RateLimit-Remaining"), int64(number(resp, "X-RateLimit-Reset"))
		a.Reset = min(max(time.Unix(a.Period, 0).Sub(clock), 0), maxWait)
		if a.Period == 0 {
			a.Limit = 0
		}
	}
	a.Free = resp.StatusCode == http.StatusNotModified
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		return a, nil
	}
	message, err := messageOf(resp)
	if err != nil {
		return a, err
	}
	a.Wait, a.Spent, a.Reason = refused(resp, clock, message)
	a.Wait = min(a.Wait, maxWait)
	return a, nil
}

func number(resp *http.Response, header string) int {
	n, _ := strconv.Atoi(resp.Header.Get(header)) // 0 where there is none
	return min(max(n, 0), 1<<40)
}

// messageOf reads the message of an error's answer, which can be read again afterwards.
func messageOf(resp *http.Response) (string, error) {
	body, err := io.ReadAll(resp.Body) // in memory already
	if err != nil {
		return "", err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var said struct{ Message string }
	_ = json.Unmarshal(body, &said) // another error's answer may be no JSON
	return strings.ToLower(said.Message), nil
}

// refused recognises the refusals that ask to wait.
func refused(resp *http.Response, clock time.Time, message string) (wait time.Duration, spent bool, reason string) {
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	spent = resp.Header.Get("X-RateLimit-Remaining") == "0"
	switch {
	case err == nil && after >= 0:
		return time.Duration(min(max(after, 1), 1<<20)) * time.Second, spent, "a secondary limit was hit"
	case spent:
		reset := time.Unix(int64(number(resp, "X-RateLimit-Reset")), 0)
		return max(reset.Sub(clock), time.Second), true, "the hourly limit of requests is used up"
	case resp.StatusCode == http.StatusTooManyRequests || strings.Contains(message, "rate limit") || strings.Contains(message, "abuse detection"):
		return secondaryWait, false, "a secondary limit was hit"
	}
	return 0, false, ""
}
