package api

import (
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
