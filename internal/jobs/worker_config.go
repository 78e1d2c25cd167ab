package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

// Workers are the functions behind the kinds.
type Workers struct {
	RouteDelivery    func(context.Context, RouteDelivery) error
	JudgePullRequest func(context.Context, JudgePullRequest) error
	TellPullRequest  func(context.Context, TellPullRequest) error
	WalkBranch       func(context.Context, WalkBranch) error
	OfferUndo        func(context.Context, OfferUndo) error
	PrepareRedo      func(context.Context, PrepareRedo) error
	VerifyVM         func(context.Context, VerifyVM) error
	Heartbeat        func(context.Context, Heartbeat) error
	Sweep            func(context.Context, SweepPullRequests) error
	SweepDeliveries  func(context.Context, SweepDeliveries) error
	AnswerCommands   func(context.Context, AnswerCommands) error
	MergePullRequest func(context.Context, MergePullRequest) error
	CheckMergeGroup  func(context.Context, CheckMergeGroup) error
	Remind           func(context.Context, Remind) error
	CheckClusters    func(context.Context, CheckClusters) error
	PruneDeliveries  func(context.Context, PruneDeliveries) error
	Event            Executor
}

// Config is what differs between installations.
type Config struct {
	Logger *slog.Logger
	// ID names this process among the replicas: see Presence.
	ID         string
	Middleware []rivertype.Middleware
	// Periodic are jobs that the leader queues again and again.
	Periodic []Periodic
	// Clusters have a queue each; see also Runner.WorkOn.
	Clusters []string
}

// Periodic is a job that the leader queues every so often, and once at start.
type Periodic struct {
	Every time.Duration
	Args  func() river.JobArgs
}

// The numbers of the design: workers of a process, and how long a job and its record live.
const (
	defaultWorkers = 10
	clusterWorkers = 4
	jobTimeout     = 6 * time.Minute
)

// Runner takes jobs and runs them.
type Runner struct {
	*river.Client[pgx.Tx]
	clusters clusterQueues
	rescuer  *rescuer
	log      *slog.Logger
}

// NewRunner registers the workers. Start it with Runner.Start, end it with Runner.Stop.
func NewRunner(pool *pgxpool.Pool, cfg Config, w Workers) (*Runner, error) {
	held := &holding{jobs: map[taken]bool{}}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:                          cfg.ID,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: defaultWorkers}},
		Workers:                     register(w),
		Logger:                      slog.New(warnings{cfg.Logger.Handler()}),
		ErrorHandler:                failures{cfg.Logger},
		Middleware:                  append([]rivertype.Middleware{held}, cfg.Middleware...),
		PeriodicJobs:                periodic(cfg.Periodic),
		JobTimeout:                  jobTimeout,
		MaxAttempts:                 attempts,
		RetryPolicy:                 retries{},
		RescueStuckJobsAfter:        jobTimeout + time.Minute,
		CompletedJobRetentionPeriod: 24 * time.Hour,
		CancelledJobRetentionPeriod: 24 * time.Hour,
		DiscardedJobRetentionPeriod: 168 * time.Hour,
		FetchPollInterval:           pollInterval,
		FetchCooldown:               fetchCooldown,
	})
	if err != nil {
		return nil, fmt.Errorf("set up River: %w", err)
	}
	return &Runner{
		Client: client, clusters: clusterQueues{names: cfg.Clusters, open: map[string]bool{}},
		rescuer: newRescuer(pool, client.ID(), held), log: cfg.Logger,
	}, nil
}

// fetchCooldown bounds how soon after one fetch the next may follow: it is most of the time between
// a job's insertion and its start.
const fetchCooldown = 5 * time.Millisecond

// pollInterval is how often a queue looks by itself: for jobs that were snoozed, whose time comes
// without a notification.
const pollInterval = 250 * time.Millisecond

func register(w Workers) *river.Workers {
	ws := river.NewWorkers()
	add(ws, w.RouteDelivery)
	add(ws, w.JudgePullRequest)
	add(ws, w.TellPullRequest)
	add(ws, w.WalkBranch)
	add(ws, w.OfferUndo)
	add(ws, w.PrepareRedo)
	add(ws, w.VerifyVM)
	add(ws, w.Heartbeat)
	add(ws, w.Sweep)
	add(ws, w.SweepDeliveries)
	add(ws, w.AnswerCommands)
	add(ws, w.MergePullRequest)
	add(ws, w.CheckMergeGroup)
	add(ws, w.Remind)
	add(ws, w.CheckClusters)
	add(ws, w.PruneDeliveries)
	river.AddWorker(ws, &eventWorker{exec: w.Event})
	return ws
}

func add[A river.JobArgs](ws *river.Workers, f func(context.Context, A) error) {
	river.AddWorker(ws, river.WorkFunc(func(ctx context.Context, job *river.Job[A]) error {
		return outcome(f(ctx, job.Args))
	}))
}

func periodic(ps []Periodic) []*river.PeriodicJob {
	var out []*river.PeriodicJob
	for _, p := range ps {
		out = append(out, river.NewPeriodicJob(river.PeriodicInterval(p.Every),
			func() (river.JobArgs, *river.InsertOpts) { return p.Args(), nil },
			&river.PeriodicJobOpts{RunOnStart: true}))
	}
	return out
}
