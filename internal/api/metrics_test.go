package api

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// exposition is what Prometheus reads.
type exposition string

func scrape(t *testing.T, m *Metrics) exposition {
	t.Helper()
	w := get(m.Handler(), "GET", "/metrics")
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return exposition(w.Body.String())
}

// value is that of a series, and whether there is one.
func (e exposition) value(t *testing.T, series string) (float64, bool) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (.*)$`).FindStringSubmatch(string(e))
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v, true
}

func (e exposition) expect(t *testing.T, series string, least, most float64) {
	t.Helper()
	if v, ok := e.value(t, series); !ok || v < least || v > most {
		t.Errorf("%s is %v (there: %v): want %v to %v", series, v, ok, least, most)
	}
}

func (e exposition) absent(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(string(e), "\n"+text) {
		t.Errorf("there is a %s", text)
	}
}

func TestMetricsOfSteps(t *testing.T) {
	t.Parallel()
	m := NewMetrics(storetest.Open(t), slog.New(slog.DiscardHandler))
	m.Delivery("accepted")
	m.Delivery("accepted")
	m.Delivery("bad signature")
	m.Step("judge", 30*time.Millisecond)
	m.Step("apply", 2*time.Second)
	e := scrape(t, m)
	e.expect(t, `shepherd_deliveries_total{outcome="accepted"}`, 2, 2)
	e.expect(t, `shepherd_deliveries_total{outcome="bad signature"}`, 1, 1)
	e.expect(t, `shepherd_step_duration_seconds_bucket{step="judge",le="0.025"}`, 0, 0)
	e.expect(t, `shepherd_step_duration_seconds_bucket{step="judge",le="0.05"}`, 1, 1)
	e.expect(t, `shepherd_step_duration_seconds_sum{step="apply"}`, 2, 2)
	e.expect(t, `shepherd_step_duration_seconds_count{step="apply"}`, 1, 1)
	e.expect(t, `go_goroutines`, 1, 1e6)
}

// The queues and the freshness are those of the database at the moment.
func TestMetricsOfTheDatabase(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	m := NewMetrics(pool, slog.New(slog.DiscardHandler))
	e := scrape(t, m)
	e.absent(t, "shepherd_last_delivery_age_seconds")
	e.absent(t, "shepherd_queue_lag_seconds")
	for _, sql := range []string{
		`insert into deliveries (id, event, body, received_at) values ('1', 'push', '', now() - interval '1 hour'), ('2', 'push', '', now() - interval '90 seconds')`,
		`insert into deliveries (id, event, body, received_at, sent_at) values ('lost and fetched', 'push', '', now(), now() - interval '30 seconds')`,
		`insert into river_job (args, kind, max_attempts, state, scheduled_at, queue, finalized_at) values
('{}', 'a', 1, 'available', now() - interval '50 seconds', 'default', null),
('{}', 'a', 1, 'available', now() - interval '10 seconds', 'default', null),
('{}', 'a', 1, 'running', now() - interval '500 seconds', 'default', null),
('{}', 'a', 1, 'scheduled', now() + interval '500 seconds', 'cluster_prod-1', null),
('{}', 'a', 1, 'completed', now() - interval '500 seconds', 'cluster_prod-1', now()),
('{}', 'a', 1, 'available', now() + interval '1 second', 'cluster_test-1', null)`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	e = scrape(t, m)
	e.expect(t, `shepherd_last_delivery_age_seconds`, 90, 120)
	e.expect(t, `shepherd_queue_lag_seconds{queue="default"}`, 50, 80)
	e.expect(t, `shepherd_queue_lag_seconds{queue="cluster_test-1"}`, 0, 29)
	e.expect(t, `shepherd_queue_jobs{queue="default",state="available"}`, 2, 2)
	e.expect(t, `shepherd_queue_jobs{queue="default",state="running"}`, 1, 1)
	e.expect(t, `shepherd_queue_jobs{queue="cluster_prod-1",state="scheduled"}`, 1, 1)
	e.absent(t, `shepherd_queue_jobs{queue="cluster_prod-1",state="completed"}`)
	e.absent(t, `shepherd_queue_lag_seconds{queue="cluster_prod-1"}`)
}

// Without a database the process still tells what it knows of itself, and the log why that is not all.
func TestMetricsWithoutDatabase(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	var log strings.Builder
	m := NewMetrics(pool, slog.New(slog.NewTextHandler(&log, nil)))
	m.Delivery("not stored")
	pool.Close()
	e := scrape(t, m)
	e.expect(t, `shepherd_deliveries_total{outcome="not stored"}`, 1, 1)
	e.absent(t, "shepherd_queue_jobs")
	if !strings.Contains(log.String(), "read the database for metrics") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestResultOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"ok": nil, "error": errors.New("502"), "later": river.JobSnooze(time.Second), "never": river.JobCancel(errors.New("gone")),
	} {
		if got := resultOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

// Jobs that River runs are measured by kind and result.
func TestMetricsOfJobs(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	m := NewMetrics(pool, slog.New(slog.DiscardHandler))
	var waited atomic.Bool
	runner, err := jobs.NewRunner(pool, jobs.Config{Logger: slog.New(slog.DiscardHandler), Middleware: []rivertype.Middleware{m.Middleware()}}, jobs.Workers{
		WalkBranch: func(context.Context, jobs.WalkBranch) error { time.Sleep(20 * time.Millisecond); return nil },
		TellPullRequest: func(context.Context, jobs.TellPullRequest) error {
			if !waited.Swap(true) {
				return jobs.Later(time.Millisecond, errors.New("too soon"))
			}
			return jobs.Never(errors.New("gone"))
		},
		OfferUndo: func(context.Context, jobs.OfferUndo) error { return errors.New("502") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runner.StopAndCancel(context.Background()) })
	queue, err := jobs.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		return queue.AddMany(t.Context(), tx, []river.JobArgs{jobs.WalkBranch{RepositoryID: 1}, jobs.TellPullRequest{Number: 7}, jobs.OfferUndo{}})
	})
	if err != nil {
		t.Fatal(err)
	}
	series := func(kind, result string) string {
		return `shepherd_job_duration_seconds_count{kind="` + kind + `",result="` + result + `"}`
	}
	all := []string{series("walk_branch", "ok"), series("tell_pull_request", "later"), series("tell_pull_request", "never"), series("offer_undo", "error")}
	deadline := time.Now().Add(15 * time.Second)
	for _, s := range all {
		for {
			if _, ok := scrape(t, m).value(t, s); ok {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("waited for %s", s)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	scrape(t, m).expect(t, `shepherd_job_duration_seconds_sum{kind="walk_branch",result="ok"}`, 0.02, 5)
}
