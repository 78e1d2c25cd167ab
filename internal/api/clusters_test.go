package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestPausedClusters(t *testing.T) {
	t.Parallel()
	m := &Metrics{registry: prometheus.NewRegistry()}
	of := map[string]time.Duration{"prod-1": 90 * time.Second}
	m.Clusters(func() map[string]time.Duration { return of })
	scrape := func() string {
		rec := httptest.NewRecorder()
		m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		return rec.Body.String()
	}
	if got := scrape(); !strings.Contains(got, `shepherd_cluster_paused_seconds{cluster="prod-1"} 90`) {
		t.Error(got)
	}
	delete(of, "prod-1")
	if got := scrape(); strings.Contains(got, "prod-1") {
		t.Error(got)
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		held       bool
		err        error
	}{{"held", "shepherd_presence_held 1", true, nil}, {"lost", "shepherd_presence_held 0", false, nil}, {"unknown", "", false, errors.New("no database")}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			m := &Metrics{registry: prometheus.NewRegistry(), log: slog.New(slog.NewTextHandler(&log, nil))}
			m.Presence(func(context.Context) (bool, error) { return c.held, c.err })
			e := scrape(t, m)
			if c.err != nil {
				e.absent(t, "shepherd_presence_held")
				if !strings.Contains(log.String(), "no database") {
					t.Errorf("the log says %q", log.String())
				}
				return
			}
			if !strings.Contains(string(e), c.want) {
				t.Error(e)
			}
		})
	}
}
