package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// state reads the database when it is scraped.
type state struct {
	pool *pgxpool.Pool
	log  *slog.Logger
}

// Describe implements prometheus.Collector.
func (s *state) Describe(ch chan<- *prometheus.Desc) {
	for _, r := range readings {
		ch <- r.desc
	}
}

// Collect implements prometheus.Collector. What cannot be read is left out.
func (s *state) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := s.collect(ctx, ch); err != nil {
		s.log.WarnContext(ctx, "read the database for metrics", "error", err)
	}
}

// collect asks everything in one round trip.
func (s *state) collect(ctx context.Context, ch chan<- prometheus.Metric) (err error) {
	batch := &pgx.Batch{}
	for _, r := range readings {
		batch.Queue(r.query)
	}
	results := s.pool.SendBatch(ctx, batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	for _, r := range readings {
		rows, err := results.Query()
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := r.show(rows, ch); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// reading is a gauge and the query that fills it: a row a series, the labels first, the value last. A
// value of null is none, and a clock that lags makes no age negative.
type reading struct {
	name, query string
	labels      int
	desc        *prometheus.Desc
}

func read(name, help, query string, labels ...string) reading {
	return reading{name: name, query: query, labels: len(labels), desc: prometheus.NewDesc(name, help, labels, nil)}
}

func (r reading) show(rows pgx.Rows, ch chan<- prometheus.Metric) error {
	defer rows.Close()
	for rows.Next() {
		var value *float64
		labels := make([]string, r.labels)
		var into []any
		for i := range labels {
			into = append(into, &labels[i])
		}
		if err := rows.Scan(append(into, &value)...); err != nil {
			return err
		}
		if value != nil {
			ch <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, max(*value, 0), labels...)
		}
	}
	return rows.Err()
}
