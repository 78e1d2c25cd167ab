package jobs

import (
	"context"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
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

func (w *eventWorker) Work(ctx context.Context, job *river.Job[EventJob]) error {
	err := w.exec.Execute(ctx, job.Args.EventID)
	last := job.Attempt >= job.MaxAttempts && !IsLater(err)
	if err == nil || (!IsTerminal(err) && !last) {
		return outcome(err)
	}
	if failed := w.exec.Fail(ctx, job.Args.EventID, err); failed != nil {
		return failed // the failure itself could not be written down: try again
	}
	return river.JobCancel(err)
}
