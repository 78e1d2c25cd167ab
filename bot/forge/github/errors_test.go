package github

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
)

const onePull = "GET /repos/acme/vms/pulls/1"

func TestErrorsAreSortedInOnePlace(t *testing.T) {
	t.Parallel()
	msg := func(s string) fields { return fields{"message": s} }
	// go-github itself looks at the real clock for the hourly limit.
	reset := time.Now().Add(20 * time.Minute).Truncate(time.Second)
	secondaryDoc := "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	cases := map[string]struct {
		handler http.HandlerFunc
		want    error     // nil: may pass when tried again
		until   time.Time // a LaterError
	}{
		"401":                  {handler: answer(401, msg("Bad credentials")), want: forge.ErrRefused},
		"403":                  {handler: answer(403, msg("Resource not accessible by integration")), want: forge.ErrRefused},
		"404":                  {handler: answer(404, msg("Not Found")), want: forge.ErrNotFound},
		"405":                  {handler: answer(405, msg("Pull Request is not mergeable")), want: forge.ErrConflict},
		"409":                  {handler: answer(409, msg("Head branch was modified")), want: forge.ErrConflict},
		"410":                  {handler: answer(410, msg("Gone")), want: forge.ErrNotFound},
		"422":                  {handler: answer(422, msg("Validation Failed")), want: forge.ErrRefused},
		"422 text error":       {handler: answer(422, fields{"message": "Unprocessable", "errors": []string{"no"}}), want: forge.ErrRefused},
		"422 lost race":        {handler: answer(422, msg("Update is not a fast forward")), want: forge.ErrConflict},
		"422 sha":              {handler: answer(422, msg("sha does not match")), want: forge.ErrConflict},
		"422 exists":           {handler: answer(422, fields{"message": "Validation Failed", "errors": []fields{{"message": "A pull request already exists for acme:add."}}}), want: forge.ErrConflict},
		"500":                  {handler: answer(500, msg("oops"))},
		"502 not JSON":         {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); w.Write([]byte("<html>")) }},
		"301 to the same name": {handler: answer(301, msg("Moved Permanently"), "Location", "/elsewhere")},
		"hourly limit": {
			handler: answer(403, msg("API rate limit exceeded"), "X-RateLimit-Remaining", "0", "X-RateLimit-Limit", "5000",
				"X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10)),
			until: reset,
		},
		"hourly limit as 429": {
			handler: answer(429, msg("API rate limit exceeded"), "X-RateLimit-Remaining", "0",
				"X-RateLimit-Reset", strconv.FormatInt(testNow.Add(9*time.Minute).Unix(), 10)),
			until: testNow.Add(9 * time.Minute),
		},
		"secondary with a time": {
			handler: answer(403, fields{"message": "slow down", "documentation_url": secondaryDoc}, "Retry-After", "17"),
			until:   testNow.Add(17 * time.Second),
		},
		"secondary without a time": {
			handler: answer(403, fields{"message": "slow down", "documentation_url": secondaryDoc},
				"X-RateLimit-Remaining", "4000", "X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10)),
			until: testNow.Add(time.Minute),
		},
		"secondary by its words": {
			handler: answer(403, msg("You have exceeded a secondary rate limit")),
			until:   testNow.Add(time.Minute),
		},
		"429":             {handler: answer(429, msg("Too Many Requests"), "Retry-After", "30"), until: testNow.Add(30 * time.Second)},
		"429 with zero":   {handler: answer(429, msg("Too Many Requests"), "Retry-After", "0"), until: testNow.Add(time.Second)},
		"429 by the date": {handler: answer(429, msg("Too Many Requests"), "Retry-After", "Fri, 23 Jan 2026 12:00:09 GMT"), until: testNow.Add(time.Minute)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{onePull: tc.handler, "GET /repositories/4711": answer(200, repoJSON("acme", "vms"))})
			_, err := w.client(t).PullRequest(t.Context(), 1)
			checkKind(t, err, tc.want, tc.until)
		})
	}
}

// checkKind asserts that err is of exactly one kind.
func checkKind(t *testing.T, err, want error, until time.Time) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, kind := range []error{forge.ErrNotFound, forge.ErrConflict, forge.ErrRefused} {
		if got := errors.Is(err, kind); got != (kind == want) {
			t.Errorf("is %q: %v, want %v (%v)", kind, got, kind == want, err)
		}
	}
	var later forge.LaterError
	if got := errors.As(err, &later); got != !until.IsZero() || !later.Until.Equal(until) {
		t.Errorf("wait until %v, want %v (%v)", later.Until, until, err)
	}
}

func TestRememberedLimitsMakeNoCall(t *testing.T) {
	t.Parallel()
	reset := time.Now().Add(20 * time.Minute).Truncate(time.Second)
	doc := "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	for name, limited := range map[string]http.HandlerFunc{
		"hourly": answer(403, fields{"message": "API rate limit exceeded"}, "X-RateLimit-Remaining", "0",
			"X-RateLimit-Limit", "5000", "X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10)),
		"secondary": answer(403, fields{"message": "slow down", "documentation_url": doc}, "Retry-After", "600"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{onePull: limited})
			c := w.client(t)
			for range 3 {
				_, err := c.PullRequest(t.Context(), 1)
				var later forge.LaterError
				if !errors.As(err, &later) || later.Until.Before(testNow) {
					t.Fatalf("got %v", err)
				}
			}
			if got := w.seen(); len(got) != 1 {
				t.Errorf("calls %v, want one", got)
			}
		})
	}
}

func TestBrokenConnectionsMayPass(t *testing.T) {
	t.Parallel()
	reset := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(`{"number": 1,`))
	}
	for name, handler := range map[string]http.HandlerFunc{
		"reset": reset, "cut off": half,
		"empty":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
		"not JSON":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { tooLarge(w) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{onePull: handler})
			_, err := w.client(t).PullRequest(t.Context(), 1)
			checkKind(t, err, nil, time.Time{})
		})
	}
}

func tooLarge(w http.ResponseWriter) {
	block := []byte(strings.Repeat(" ", 1<<20))
	for range maxAnswer>>20 + 1 {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
	w.Write([]byte(`{"number": 1}`))
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	stuck := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	t.Run("the request's own", func(t *testing.T) {
		t.Parallel()
		w := newWire(t, routes{onePull: stuck})
		c := w.client(t, func(cfg *Config) { cfg.Timeout = 50 * time.Millisecond })
		_, err := c.PullRequest(t.Context(), 1)
		checkKind(t, err, nil, time.Time{})
	})
	t.Run("the caller's", func(t *testing.T) {
		t.Parallel()
		w := newWire(t, routes{onePull: stuck})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := w.client(t).PullRequest(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("by default", func(t *testing.T) {
		t.Parallel()
		c := newWire(t, nil).client(t, func(cfg *Config) { cfg.Timeout = 0 })
		if got := c.gh.Client().Transport.(*bearer).next.(*guard).timeout; got != 30*time.Second {
			t.Errorf("timeout %v", got)
		}
	})
	t.Run("minting's", func(t *testing.T) {
		t.Parallel()
		_, pem := newKey(t)
		w := newWire(t, routes{minting: stuck})
		c := w.client(t, appConfig(pem), func(cfg *Config) { cfg.App.InstallationID, cfg.Timeout = 77, 50*time.Millisecond })
		_, _, err := c.GitCredentials(t.Context())
		checkKind(t, err, nil, time.Time{})
	})
}

func TestErrorTextsAreShortLines(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{onePull: answer(422, fields{"message": "no\nway\x1b[31m" + strings.Repeat("é", 5000)})})
	_, err := w.client(t).PullRequest(t.Context(), 1)
	if err == nil || len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("got %d bytes: %.100q", len(err.Error()), err)
	}
}
