package jobs

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Every process looks, and needs no leader for it: the leader may be the one that died.
const (
	lookEvery   = 500 * time.Millisecond
	lookTimeout = 10 * time.Second
	// graceOfOthers is for how long the lock of a process has to be free, while the database answers, until it counts
	// as dead. A living one that loses its lock has it back within a fraction of this.
	graceOfOthers = 2 * time.Second
	// graceOfOwn is how long a job of this process may be over before the database knows: River tells it again and
	// again, with pauses of some seconds. What then still seems to run was taken, and the answer got lost.
	graceOfOwn = 15 * time.Second
)

// rescuer gives back what nobody runs any more, within seconds: River itself waits until a job has been running for
// longer than any may.
type rescuer struct {
	pool    *pgxpool.Pool
	id      string
	holding *holding
	now     func() time.Time

	blind bool                 // the last look failed
	free  map[string]time.Time // processes whose lock is free, and since when
	lost  map[taken]time.Time  // jobs that this process is believed to run, and does not
}

func newRescuer(pool *pgxpool.Pool, id string, h *holding) *rescuer {
	return &rescuer{pool: pool, id: id, holding: h, now: time.Now, free: map[string]time.Time{}, lost: map[taken]time.Time{}}
}

// Rescue makes the jobs of dead processes available again, and ends the leadership of a dead leader, until ctx ends.
// It also gives back the jobs that the database believes this process to run, and of which it knows nothing.
func (r *Runner) Rescue(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		r.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Runner) look(ctx context.Context) {
	look, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	rescued, err := r.rescuer.look(look)
	if rescued > 0 {
		r.log.WarnContext(ctx, "jobs that nobody runs any more were taken back", "jobs", rescued)
	}
	if err != nil && !r.rescuer.blind && ctx.Err() == nil { // once: it is tried twice a second
		r.log.WarnContext(ctx, "look for the jobs of dead processes", "error", err)
	}
	r.rescuer.blind = err != nil
}

// look looks once, and returns how many jobs it gave back. A look that fails makes all waiting begin anew: the
// database may have been away, and all locks with it.
func (r *rescuer) look(ctx context.Context) (rescued int64, err error) {
	defer func() {
		if err != nil {
			clear(r.free)
			clear(r.lost)
		}
	}()
	running, err := r.running(ctx)
	if err != nil {
		return 0, err
	}
	others := map[string]bool{}
	own := map[taken]bool{}
	for _, row := range running {
		switch {
		case row.Client != r.id:
			others[row.Client] = true
		case row.ID != 0 && !r.holding.holds(taken{row.ID, row.Attempt}):
			own[taken{row.ID, row.Attempt}] = true
		}
	}
	n, err := r.ofOthers(ctx, others)
	if err != nil {
		return n, err
	}
	m, err := r.ofOwn(ctx, own)
	return n + m, err
}

// believed is what a process is believed to do: it runs a job, or, with no id, it leads.
type believed struct {
	ID      int64
	Attempt int
	Client  string
}

func (r *rescuer) running(ctx context.Context) ([]believed, error) {
	const query = `select id, attempt::int, attempted_by[array_upper(attempted_by, 1)] as client from river_job
where state = 'running' and attempted_by is not null
union all select 0, 0, leader_id from river_leader where expires_at > now()`
	rows, err := r.pool.Query(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read who runs jobs: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[believed])
	if err != nil {
		return nil, fmt.Errorf("read who runs jobs: %w", err)
	}
	return out, nil
}

func (r *rescuer) ofOthers(ctx context.Context, ids map[string]bool) (rescued int64, err error) {
	dead, err := r.waited(ctx, ids)
	if err != nil {
		return 0, err
	}
	for _, id := range dead {
		n, err := r.rescue(ctx, id)
		if err != nil {
			return rescued, fmt.Errorf("rescue the jobs of %s: %w", id, err)
		}
		rescued += n
	}
	return rescued, nil
}

// waited are those whose lock has been free at every look for the time of grace. To look does not keep anybody from
// looking, too.
func (r *rescuer) waited(ctx context.Context, ids map[string]bool) (dead []string, err error) {
	for id := range ids {
		var free bool
		const query = "select pg_try_advisory_xact_lock_shared(hashtextextended($1, 0))"
		if err := r.pool.QueryRow(ctx, query, presenceKey(id)).Scan(&free); err != nil {
			return nil, fmt.Errorf("look whether %s lives: %w", id, err)
		}
		if !free {
			delete(r.free, id)
		} else if since(r.free, id, r.now()) >= graceOfOthers {
			dead = append(dead, id)
		}
	}
	maps.DeleteFunc(r.free, func(id string, _ time.Time) bool { return !ids[id] })
	return dead, nil
}

// since is for how long a key has been seen, which may be now for the first time.
func since[K comparable](seen map[K]time.Time, key K, now time.Time) time.Duration {
	at, there := seen[key]
	if !there {
		seen[key] = now
		return 0
	}
	return now.Sub(at)
}

// rescue takes the jobs of one process, and its leadership, if its lock is free. The lock is held for the
// transaction, so that two rescuers do not meet.
func (r *rescuer) rescue(ctx context.Context, id string) (n int64, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var dead bool
		if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock(hashtextextended($1, 0))", presenceKey(id)).Scan(&dead); err != nil || !dead {
			return err
		}
		tag, err := tx.Exec(ctx, `update river_job set state = 'available', scheduled_at = now()
where state = 'running' and attempted_by[array_upper(attempted_by, 1)] = $1`, id)
		if err != nil {
			return err
		}
		n = tag.RowsAffected()
		// What River's own leader writes when it resigns: the others vote at once.
		_, err = tx.Exec(ctx, `with gone as (delete from river_leader where leader_id = $1 returning leader_id)
select pg_notify(current_schema() || '.river_leadership', json_build_object('leader_id', leader_id, 'action', 'resigned')::text) from gone`, id)
		return err
	})
	return n, err
}

// ofOwn gives back what this process has not run for the time of grace, since it ended or never began.
func (r *rescuer) ofOwn(ctx context.Context, jobs map[taken]bool) (rescued int64, err error) {
	for job := range jobs {
		if since(r.lost, job, r.now()) < graceOfOwn {
			continue
		}
		tag, err := r.pool.Exec(ctx, `update river_job set state = 'available', scheduled_at = now()
where id = $1 and attempt = $2 and state = 'running' and attempted_by[array_upper(attempted_by, 1)] = $3`, job.id, job.attempt, r.id)
		if err != nil {
			return rescued, fmt.Errorf("give job %d back: %w", job.id, err)
		}
		rescued += tag.RowsAffected()
	}
	maps.DeleteFunc(r.lost, func(job taken, _ time.Time) bool { return !jobs[job] })
	return rescued, nil
}
