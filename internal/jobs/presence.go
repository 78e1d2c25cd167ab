package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/pgwatch"
)

// Presence shows that a process lives: a session lock under its id, which the database drops with the
// connection when the process dies, however it dies. When only the connection dies, or the database restarts, the
// lock is taken again as soon as the database answers, long before others take the process for dead: see graceOfOthers.
type Presence struct {
	pool  *pgxpool.Pool
	id    string
	log   *slog.Logger
	again func(context.Context)
	conn  *pgx.Conn     // not one of the pool: a pool that is used up must not make a process look dead
	pid   atomic.Uint32 // the connection's, as the database knows it
	end   context.CancelFunc
	done  sync.WaitGroup
}

// Attend takes the lock of id and keeps it. again is called whenever it was lost and is held again: the database may
// have been away, and may even be another one that knows less. End it with Leave.
func Attend(ctx context.Context, pool *pgxpool.Pool, id string, log *slog.Logger, again func(context.Context)) (*Presence, error) {
	p := &Presence{pool: pool, id: id, log: log, again: again}
	if err := p.take(ctx); err != nil {
		return nil, err
	}
	kept, end := context.WithCancel(context.WithoutCancel(ctx))
	p.end = end
	p.done.Go(func() { p.keep(kept) })
	return p, nil
}

// take takes the lock on a new connection. It waits where somebody looks whether it is free, and where the database
// has not noticed yet that the former connection broke.
func (p *Presence) take(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("show presence: %w", err)
	}
	if err = pgwatch.Prepare(ctx, conn); err == nil {
		_, err = conn.Exec(ctx, "select pg_advisory_lock(hashtextextended($1, 0))", presenceKey(p.id))
	}
	if err != nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // it is of no use; why is said already
		return fmt.Errorf("show presence: %w", err)
	}
	p.conn = conn
	p.pid.Store(conn.PgConn().PID())
	return nil
}

// keep takes the lock again whenever it is lost.
func (p *Presence) keep(ctx context.Context) {
	for {
		err := pgwatch.Watch(ctx, p.conn)
		if err == nil {
			return
		}
		lost := time.Now()
		p.log.WarnContext(ctx, "the lock that shows that this process lives was lost; it is taken again", "error", err)
		_ = p.conn.Close(ctx) // it is broken
		if !p.retake(ctx) {
			return
		}
		p.log.InfoContext(ctx, "the lock that shows that this process lives is held again", "after", time.Since(lost))
		p.pool.Reset() // what broke one connection has mostly broken all
		p.again(ctx)
	}
}

// retakeEvery is how often a database that has gone is tried, and retakeTimeout for how long each time.
const (
	retakeEvery   = 100 * time.Millisecond
	retakeTimeout = 30 * time.Second
)

func (p *Presence) retake(ctx context.Context) bool {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, retakeTimeout)
		err := p.take(try)
		cancel()
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retakeEvery):
		}
	}
	return false
}

// Held says whether the lock is held, as the database sees it. Where it is not, others take this process for dead
// before long.
func (p *Presence) Held(ctx context.Context, pool *pgxpool.Pool) (held bool, err error) {
	const query = `select exists(select from pg_locks where locktype = 'advisory' and granted and pid = $1
and database = (select oid from pg_database where datname = current_database()))`
	if err := pool.QueryRow(ctx, query, p.pid.Load()).Scan(&held); err != nil {
		return false, fmt.Errorf("look for the lock of this process: %w", err)
	}
	return held, nil
}

// leaveTimeout is how long the database may take to say that the lock is free.
const leaveTimeout = 2 * time.Second

// Leave gives the lock back.
func (p *Presence) Leave(ctx context.Context) {
	p.end()
	p.done.Wait()
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	_, _ = p.conn.Exec(ctx, "select pg_advisory_unlock_all()") // the database may take a moment to see that we have gone
	_ = p.conn.Close(ctx)                                      // the lock goes with it either way
}

func presenceKey(id string) string { return "process/" + id }
