package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// clusterQueues are the queues of clusters that this process takes jobs from.
type clusterQueues struct {
	names []string // from the start
	mu    sync.Mutex
	open  map[string]bool // false: it takes no more jobs, and its last ones still run
}

// Start begins to take jobs. The queues of clusters are opened when River runs: one that were closed while it
// starts would keep it from ever being stopped.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.Client.Start(ctx); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	return r.WorkOn(ctx, r.clusters.names)
}

// closeWait is how long the closing of a queue waits for its jobs before somebody else's turn comes. What still
// runs then is waited for at the next call.
const closeWait = 50 * time.Millisecond

// WorkOn has this process take the jobs of these clusters and of no others. Jobs of the others stay where they
// are, and cost nothing, until some process works on their cluster. Jobs that run are not cut off: a cluster whose
// jobs have not finished yet is opened again by a later call.
func (r *Runner) WorkOn(ctx context.Context, names []string) error {
	r.clusters.mu.Lock()
	defer r.clusters.mu.Unlock()
	var errs []error
	for name, open := range r.clusters.open {
		if !open || !slices.Contains(names, name) {
			errs = append(errs, r.closeCluster(ctx, name))
		}
	}
	for _, name := range names {
		if _, there := r.clusters.open[name]; there {
			continue
		}
		if err := r.Queues().Add(ClusterQueue(name), river.QueueConfig{MaxWorkers: clusterWorkers}); err != nil {
			errs = append(errs, fmt.Errorf("open the queue of cluster %s: %w", name, err))
			continue
		}
		r.clusters.open[name] = true
	}
	return errors.Join(errs...)
}

func (r *Runner) closeCluster(ctx context.Context, name string) error {
	r.clusters.open[name] = false
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	err := r.Queues().Remove(ctx, ClusterQueue(name))
	var gone *river.QueueNotFoundError
	switch {
	case err == nil, errors.As(err, &gone):
		delete(r.clusters.open, name)
	case !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("close the queue of cluster %s: %w", name, err)
	}
	return nil
}

// Hurry lets the events of clusters that wait for a moment to come be tried at once, in the caller's transaction: they
// were asked to come back later, or had failed. Those that watch machines keep their own pace. It returns how many
// there were.
func Hurry(ctx context.Context, tx pgx.Tx, clusters ...string) (int64, error) {
	queues := make([]string, len(clusters))
	for i, name := range clusters {
		queues[i] = ClusterQueue(name)
	}
	tag, err := tx.Exec(ctx, `update river_job set state = 'available', scheduled_at = now()
where queue = any($1) and kind = $2 and state in ('scheduled', 'retryable')`, queues, EventJob{}.Kind())
	if err != nil {
		return 0, fmt.Errorf("hurry the events of clusters %v: %w", clusters, err)
	}
	return tag.RowsAffected(), nil
}
