package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// Heartbeat proves that jobs are queued, taken and finished, and gives back what dead processes hold.
type Heartbeat struct{}

// Kind names the job in the database; it is never renamed.
func (Heartbeat) Kind() string { return "heartbeat" }

// InsertOpts lets a heartbeat that nobody could run be forgotten: the next one comes soon.
func (Heartbeat) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

// HeartbeatEvery is how often the heart beats, and HeartbeatStale from when on it has stopped.
const (
	HeartbeatEvery = 10 * time.Second
	HeartbeatStale = time.Minute
)

// LastHeartbeat is when a heartbeat last finished; zero when none is known.
func LastHeartbeat(ctx context.Context, pool *pgxpool.Pool) (time.Time, error) {
	var at *time.Time
	const query = `select max(finalized_at) from river_job where kind = 'heartbeat' and state = 'completed' and finalized_at > now() - interval '1 hour'`
	if err := pool.QueryRow(ctx, query).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read the last heartbeat: %w", err)
	}
	if at == nil {
		return time.Time{}, nil
	}
	return *at, nil
}

// Presence shows that a process lives: a session lock under its id, which the database drops with the
// connection when the process dies, however it dies.
type Presence struct {
	conn *pgxpool.Conn
	pid  uint32 // the connection's, as the database knows it
}

// Attend takes the lock of id. End it with Leave.
func Attend(ctx context.Context, pool *pgxpool.Pool, id string) (*Presence, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("show presence: %w", err)
	}
	if _, err := conn.Exec(ctx, "select pg_advisory_lock(hashtextextended($1, 0))", presenceKey(id)); err != nil {
		conn.Release()
		return nil, fmt.Errorf("show presence: %w", err)
	}
	return &Presence{conn, conn.Conn().PgConn().PID()}, nil
}

// Held says whether the lock is still held: the database drops it when it restarts or the connection breaks,
// and others then take this process for dead.
func (p *Presence) Held(ctx context.Context, pool *pgxpool.Pool) (held bool, err error) {
	const query = `select exists(select from pg_locks where locktype = 'advisory' and granted and pid = $1
and database = (select oid from pg_database where datname = current_database()))`
	if err := pool.QueryRow(ctx, query, p.pid).Scan(&held); err != nil {
		return false, fmt.Errorf("look for the lock of this process: %w", err)
	}
	return held, nil
}

// Leave gives the lock back.
func (p *Presence) Leave(ctx context.Context) {
	_ = p.conn.Conn().Close(ctx)
	p.conn.Release()
}

func presenceKey(id string) string { return "process/" + id }

// Rescue makes the jobs of dead processes available again, at once: River itself waits until a job has
// been running for longer than any may. It returns how many there were.
func Rescue(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	clients, err := running(ctx, pool)
	if err != nil {
		return 0, err
	}
	var rescued int64
	for _, id := range clients {
		n, err := rescueOf(ctx, pool, id)
		if err != nil {
			return rescued, fmt.Errorf("rescue the jobs of %s: %w", id, err)
		}
		rescued += n
	}
	return rescued, nil
}

func running(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	rows, err := pool.Query(ctx, `select distinct attempted_by[array_upper(attempted_by, 1)] from river_job where state = 'running'`)
	if err != nil {
		return nil, fmt.Errorf("read who runs jobs: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read who runs jobs: %w", err)
	}
	return ids, nil
}

// rescueOf takes the jobs of one process if its lock is free. The lock is held for the transaction, so
// that two rescuers do not meet.
func rescueOf(ctx context.Context, pool *pgxpool.Pool, id string) (n int64, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var dead bool
		if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock(hashtextextended($1, 0))", presenceKey(id)).Scan(&dead); err != nil || !dead {
			return err
		}
		tag, err := tx.Exec(ctx, `update river_job set state = 'available', scheduled_at = now()
where state = 'running' and attempted_by[array_upper(attempted_by, 1)] = $1`, id)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}
