package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// EventJob carries out one domain event. It is the only kind that changes clusters.
type EventJob struct {
	EventID uuid.UUID `json:"event_id"`
	// Cluster chooses the queue; it is no argument.
	Cluster string `json:"-"`
}

// Kind names the job in the database; it is never renamed.
func (EventJob) Kind() string { return "event_job" }

// InsertOpts gives every cluster a queue of its own, so that a slow one delays nobody else.
func (a EventJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: ClusterQueue(a.Cluster), MaxAttempts: 12}
}

// ClusterQueue is the queue of a cluster.
func ClusterQueue(cluster string) string {
	if cluster == "" {
		return river.QueueDefault
	}
	return "cluster_" + cluster
}

// Executor carries an event out. Fail writes down that it could not be, once no attempt is left or
// none would help.
type Executor interface {
	Execute(ctx context.Context, event uuid.UUID) error
	Fail(ctx context.Context, event uuid.UUID, cause error) error
}

type eventWorker struct {
	river.WorkerDefaults[EventJob]
	exec Executor
}

// Work carries the event out. Whatever way the last attempt ends, it is written down: an event that stayed
// unfinished would hold up all later ones of its VM.
func (w *eventWorker) Work(ctx context.Context, job *river.Job[EventJob]) error {
	id, last := job.Args.EventID, job.Attempt >= job.MaxAttempts
	defer func() {
		if p := recover(); p != nil {
			if last {
				_ = w.fail(ctx, id, fmt.Errorf("panic: %v", p)) // the panic says more
			}
			panic(p)
		}
	}()
	err := w.exec.Execute(ctx, id)
	switch {
	case err == nil:
		return nil
	case cutOff(ctx):
		return river.JobSnooze(0)
	case IsTerminal(err), last && !IsLater(err):
		return w.fail(ctx, id, err)
	}
	return outcome(err)
}

// How long the writing of a failure may take, and when it is tried again.
const (
	failTimeout = 10 * time.Second
	failPause   = 10 * time.Second
)

// fail ends the event, also when the job's time is up. Where even that is not possible the job stays, and
// does not count the attempt.
func (w *eventWorker) fail(ctx context.Context, id uuid.UUID, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
	defer cancel()
	if err := w.exec.Fail(ctx, id, cause); err != nil {
		return fmt.Errorf("write down that event %s failed: %w (%w)", id, err, river.JobSnooze(failPause))
	}
	return river.JobCancel(cause)
}

// cutOff reports whether a stopping server took the job's time away. That is not the event's fault.
func cutOff(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.Canceled) && !errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely)
}
