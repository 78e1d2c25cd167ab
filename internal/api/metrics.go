package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Metrics are what Prometheus is shown.
type Metrics struct {
	registry   *prometheus.Registry
	log        *slog.Logger
	deliveries *prometheus.CounterVec
	jobs       *prometheus.HistogramVec
	steps      *prometheus.HistogramVec
	asked      *prometheus.CounterVec
	held       *prometheus.CounterVec
}

// seconds are the buckets of all durations: a judging takes tens of milliseconds, an apply too, a job
// that waits for a cluster minutes.
var seconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// NewMetrics registers everything. What the database knows (readings) is read when it is asked for.
func NewMetrics(pool *pgxpool.Pool, log *slog.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), log: log,
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shepherd_deliveries_total", Help: "Webhooks by how they were answered.",
		}, []string{"outcome"}),
		jobs: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shepherd_job_duration_seconds", Help: "Duration of jobs by kind and result.", Buckets: seconds,
		}, []string{"kind", "result"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shepherd_step_duration_seconds", Help: "Duration of the steps that users wait for: judge, apply.", Buckets: seconds,
		}, []string{"step"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shepherd_forge_questions_total", Help: "Questions to the forge by what became of them: those of which the answer was known and is unchanged cost nothing.",
		}, []string{"outcome"}),
		held: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shepherd_forge_held_total", Help: "Requests that were not sent because of the forge's limits, by reason and by what they are for; they come back later.",
		}, []string{"reason", "class"}),
	}
	for _, outcome := range []string{"bad signature", "not stored"} {
		m.deliveries.WithLabelValues(outcome) // from 0 on: Prometheus sees no increase in what appears
	}
	m.registry.MustRegister(m.deliveries, m.jobs, m.steps, m.asked, m.held, &state{pool: pool, log: log},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Delivery counts a webhook.
func (m *Metrics) Delivery(outcome string) { m.deliveries.WithLabelValues(outcome).Inc() }

// Step notes how long a step took.
func (m *Metrics) Step(name string, took time.Duration) {
	m.steps.WithLabelValues(name).Observe(took.Seconds())
}

// Asked counts a question to the forge by what became of it.
func (m *Metrics) Asked(outcome string) { m.asked.WithLabelValues(outcome).Inc() }

// Held counts a request to the forge that was not sent because of its limits.
func (m *Metrics) Held(reason string, news bool) {
	class := "decision"
	if news {
		class = "news"
	}
	m.held.WithLabelValues(reason, class).Inc()
}

// Middleware measures jobs.
func (m *Metrics) Middleware() rivertype.Middleware {
	return river.WorkerMiddlewareFunc(func(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
		began := time.Now()
		err := work(ctx)
		m.jobs.WithLabelValues(job.Kind, resultOf(err)).Observe(time.Since(began).Seconds())
		return err
	})
}

// resultOf tells a job that waits from one that failed, and one that will never work from one that is tried
// again.
func resultOf(err error) string {
	var snooze *river.JobSnoozeError
	var cancel *river.JobCancelError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &snooze):
		return "later"
	case errors.As(err, &cancel):
		return "never"
	}
	return "error"
}
