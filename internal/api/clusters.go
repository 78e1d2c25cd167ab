package api

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var paused = prometheus.NewDesc("shepherd_cluster_paused_seconds",
	"For how long this process has sent nothing to a cluster that does not work; only clusters that are paused are listed.", []string{"cluster"}, nil)

// pausedClusters asks when it is scraped.
type pausedClusters func() map[string]time.Duration

// Clusters shows for how long clusters have been paused.
func (m *Metrics) Clusters(of func() map[string]time.Duration) {
	m.registry.MustRegister(pausedClusters(of))
}

// Describe implements prometheus.Collector.
func (pausedClusters) Describe(ch chan<- *prometheus.Desc) { ch <- paused }

// Collect implements prometheus.Collector.
func (p pausedClusters) Collect(ch chan<- prometheus.Metric) {
	for cluster, since := range p() {
		ch <- prometheus.MustNewConstMetric(paused, prometheus.GaugeValue, since.Seconds(), cluster)
	}
}

var present = prometheus.NewDesc("shepherd_presence_held",
	"Whether this process still holds the lock that keeps others from taking its jobs for those of a dead one.", nil, nil)

// presence asks when it is scraped.
type presence struct {
	held func(context.Context) (bool, error)
	log  *slog.Logger
}

// Presence shows whether the process holds the lock that says it lives.
func (m *Metrics) Presence(held func(context.Context) (bool, error)) {
	m.registry.MustRegister(&presence{held, m.log})
}

// Describe implements prometheus.Collector.
func (p *presence) Describe(ch chan<- *prometheus.Desc) { ch <- present }

// Collect implements prometheus.Collector. What cannot be read is left out.
func (p *presence) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	held, err := p.held(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "read the presence for metrics", "error", err)
		return
	}
	value := 0.0
	if held {
		value = 1
	}
	ch <- prometheus.MustNewConstMetric(present, prometheus.GaugeValue, value)
}
