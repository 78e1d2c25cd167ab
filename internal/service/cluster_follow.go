package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/store"
)

// The numbers of the follower: how often it looks, how long a pause counts that was written down, beyond the
// moment at which the cluster is tried again, and how many waiting events are told in one round.
const (
	followEvery = time.Second
	pauseGrace  = 15 * time.Second
	tellAtOnce  = 50
)

// Worker is who takes the jobs of clusters: jobs.Runner.
type Worker interface {
	WorkOn(ctx context.Context, clusters []string) error
}

// Follower keeps this process in step with the clusters: with those that are added, removed or given other
// credentials while it runs, and with those that are paused. The jobs of a paused cluster are left alone; the
// follower tries the cluster instead of them, and has the pull requests say what they wait for.
type Follower struct {
	clusters *Clusters
	worker   Worker
	gateway  *approval.Gateway
	log      *slog.Logger

	seen    map[string]*ent.Cluster // as of the last round
	noted   map[string]time.Time    // the pauses that this process wrote down
	again   chan struct{}
	mu      sync.Mutex
	proving map[string]bool
}

// NewFollower gives the follower; Run it.
func NewFollower(c *Clusters, w Worker, g *approval.Gateway, log *slog.Logger) *Follower {
	return &Follower{
		clusters: c, worker: w, gateway: g, log: log,
		noted: map[string]time.Time{}, again: make(chan struct{}, 1), proving: map[string]bool{},
	}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.again:
		case <-tick.C:
		}
		err := f.round(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			f.log.WarnContext(ctx, "follow the clusters", "error", err) // once, not every second
		}
		failed = err != nil
	}
}

func (f *Follower) round(ctx context.Context) error {
	rows, err := f.clusters.db.Cluster.Query().Select(cluster.FieldID, cluster.FieldGeneration, cluster.FieldHealth).All(ctx)
	if err != nil {
		return fmt.Errorf("read the clusters: %w", err)
	}
	if err := f.hurry(ctx, f.forget(rows)...); err != nil {
		return err
	}
	paused := map[string]provider.Pause{}
	for _, p := range f.clusters.Registry().Paused() {
		paused[p.Cluster] = p
	}
	var open []string
	var errs []error
	for _, row := range rows {
		p, shut := paused[row.ID]
		if !shut {
			open = append(open, row.ID)
			errs = append(errs, f.resumed(ctx, row.ID))
			continue
		}
		f.prove(ctx, p)
		errs = append(errs, f.tell(ctx, p))
	}
	return errors.Join(append(errs, f.worker.WorkOn(ctx, open))...)
}

// forget lets go of the connections to clusters of which something changed, so that they are tried at once and
// anew: that are gone, have other credentials, or were found to be well, or to be others, by a look at them. It
// returns those of them that there still are.
func (f *Follower) forget(rows []*ent.Cluster) (changed []string) {
	now := make(map[string]*ent.Cluster, len(rows))
	for _, row := range rows {
		now[row.ID] = row
	}
	for name, was := range f.seen {
		is := now[name]
		if is == nil || is.Generation != was.Generation || is.Health != was.Health && is.Health != cluster.HealthUnreachable {
			f.clusters.Registry().Forget(name)
			if is != nil {
				changed = append(changed, name)
			}
		}
	}
	f.seen = now
	return changed
}

// hurry has the jobs of clusters not wait until the end of the pause that they were asked to make: what they waited
// for is there.
func (f *Follower) hurry(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	return f.clusters.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := jobs.Hurry(ctx, tx.PGX, names...)
		return err
	})
}

// prove tries a cluster whose pause is over, beside everything else: it may take as long as a call may.
func (f *Follower) prove(ctx context.Context, p provider.Pause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.proving[p.Cluster] || time.Now().Before(p.Until) {
		return
	}
	f.proving[p.Cluster] = true
	go func() {
		err := f.clusters.Registry().Prove(ctx, p.Cluster) // what it says stands in the registry
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.proving, p.Cluster)
		if err == nil {
			select {
			case f.again <- struct{}{}:
			default:
			}
		}
	}()
}

// tell writes down that a cluster is paused, for `shepherd cluster list`, and has the pull requests whose events
// wait for it say so. That ends by itself where this process dies.
func (f *Follower) tell(ctx context.Context, p provider.Pause) error {
	if f.noted[p.Cluster] != p.Until {
		err := f.clusters.db.Cluster.UpdateOneID(p.Cluster).SetPausedUntil(p.Until.Add(pauseGrace)).SetPausedReason(p.Reason.Message).Exec(ctx)
		if err != nil && !ent.IsNotFound(err) {
			return fmt.Errorf("note the pause of cluster %s: %w", p.Cluster, err)
		}
		f.noted[p.Cluster] = p.Until
	}
	waiting, err := f.waiting(ctx, p)
	if err != nil {
		return fmt.Errorf("look who waits for cluster %s: %w", p.Cluster, err)
	}
	for _, id := range waiting {
		if err := f.gateway.Wait(ctx, id, p.Reason); err != nil {
			return err
		}
	}
	return nil
}

// waiting are events of a cluster that do not say yet what they wait for.
func (f *Follower) waiting(ctx context.Context, p provider.Pause) (ids []uuid.UUID, err error) {
	const query = `select e.id from events e join vms v on v.path = e.path
where v.cluster = $1 and e.status = 'PROCESSING' and (e.error_code, e.error_message) is distinct from ($2, $3) order by e.created_at limit $4`
	err = f.clusters.db.Rows(ctx, query, []any{p.Cluster, string(p.Reason.Code), p.Reason.Message, tellAtOnce}, func(rows pgx.Rows) error {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, err
}

// resumed takes back what was written down of a pause.
func (f *Follower) resumed(ctx context.Context, name string) error {
	if _, ok := f.noted[name]; !ok {
		return nil
	}
	err := f.clusters.db.Cluster.UpdateOneID(name).ClearPausedUntil().SetPausedReason("").Exec(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return fmt.Errorf("note that cluster %s is back: %w", name, err)
	}
	delete(f.noted, name)
	return f.hurry(ctx, name)
}
