package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader("{}")))
	return w
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

func check(name string, err error) Check {
	return Check{Name: name, Run: func(context.Context) error { return err }}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := New(Options{Webhooks: says("webhooks"), Metrics: says("metrics")})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/webhooks/github", 200, "webhooks"},
		{"GET", "/webhooks/github", 200, "webhooks"}, // the handler says what it takes
		{"GET", "/metrics", 200, "metrics"},
		{"POST", "/metrics", 405, ""},
		{"GET", "/health/live", 200, `{"status":"live"}`},
		{"HEAD", "/health/live", 200, ""},
		{"POST", "/health/live", 405, ""},
		{"GET", "/health/ready", 200, `{"status":"ready"}`},
		{"POST", "/health/ready", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/webhooks", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
	} {
		w := get(h, c.method, c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.body)
		}
	}
}

// Whatever is not so is named, and what is so beside it.
func TestReady(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		checks []Check
		status int
		want   map[string]string
	}{
		{"all is well", []Check{check("database", nil), check("jobs", nil)}, 200, map[string]string{"status": "ready", "database": "ok", "jobs": "ok"}},
		{"one fails", []Check{check("database", nil), check("jobs", errors.New("no heartbeat"))}, 503,
			map[string]string{"status": "not ready", "database": "ok", "jobs": "no heartbeat"}},
		{"the first fails, the others are looked at", []Check{check("database", errors.New("gone")), check("jobs", nil)}, 503,
			map[string]string{"status": "not ready", "database": "gone", "jobs": "ok"}},
		{"all fail", []Check{check("database", errors.New("gone")), check("jobs", errors.New("no heartbeat"))}, 503,
			map[string]string{"status": "not ready", "database": "gone", "jobs": "no heartbeat"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := get(New(Options{Webhooks: says(""), Metrics: says(""), Ready: c.checks}), "GET", "/health/ready")
			var got map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || w.Code != c.status || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d (-want +got):\n%s", w.Code, diff)
			}
		})
	}
}

// A check that hangs is not waited for without end.
func TestReadyIsBounded(t *testing.T) {
	t.Parallel()
	bounded := Check{Name: "slow", Run: func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			return errors.New("no deadline")
		}
		return nil
	}}
	if w := get(New(Options{Webhooks: says(""), Metrics: says(""), Ready: []Check{bounded}}), "GET", "/health/ready"); w.Code != 200 {
		t.Error(w.Body)
	}
}
