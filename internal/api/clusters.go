package api

import (
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
