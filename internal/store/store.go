// Package store is the way to PostgreSQL: one pool, one kind of transaction that ent and River
// share, the migrations. What is written in a transaction, and why, is its callers' business.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/pgwatch"
)

// Pool is what the store needs of a pgx pool. Tests wrap it to break transactions on purpose.
type Pool interface {
	querier
	Begin(context.Context) (pgx.Tx, error)
}

// DB is the database. Ent on it reads and writes outside of any transaction.
type DB struct {
	*ent.Client
	pool Pool
}

// Open connects to the database that dsn names and makes sure that it answers. The caller closes
// the pool.
func Open(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the database address: %w", scrub(err))
	}
	cfg.MaxConns = max(cfg.MaxConns, 40)
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnIdleTime = 10 * time.Minute
	cfg.ConnConfig.ConnectTimeout = cmp.Or(cfg.ConnConfig.ConnectTimeout, connectTimeout)
	cfg.AfterConnect = pgwatch.Prepare
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	return pool, nil
}

// connectTimeout is how long a database may take to greet: who waits for it longer has been given up.
const connectTimeout = 5 * time.Second

// scrub drops pgx's parse error, which may quote the address with its password.
func scrub(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("it is not a PostgreSQL URL or key=value string")
	}
	return err
}

// New gives the store on a pool.
func New(pool Pool) *DB {
	return &DB{Client: ent.NewClient(ent.Driver(entDriver{pool})), pool: pool}
}

// Tx is an open transaction: ent's client bound to it, and the pgx transaction for River and for
// plain SQL.
type Tx struct {
	*ent.Client
	PGX pgx.Tx
}

// InTx runs do in a transaction, which is committed when do returns nil and rolled back otherwise.
// A serialisation failure or deadlock is tried again a few times: do must have no effect but on tx.
func (db *DB) InTx(ctx context.Context, do func(ctx context.Context, tx *Tx) error) error {
	for try := 1; ; try++ {
		err := db.inTx(ctx, do)
		if err == nil || !again(err) || try == 4 {
			return err
		}
	}
}

func (db *DB) inTx(ctx context.Context, do func(ctx context.Context, tx *Tx) error) error {
	ptx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// A rollback must reach the server even when ctx was what ended the work.
	defer func() { _ = ptx.Rollback(context.WithoutCancel(ctx)) }()
	if err := do(ctx, &Tx{Client: ent.NewClient(ent.Driver(entDriver{ptx})), PGX: ptx}); err != nil {
		return err
	}
	if err := ptx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// again reports whether PostgreSQL asks to run the whole transaction once more.
func again(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// Lock takes the transaction-scoped advisory lock of a name and waits for it.
func (tx *Tx) Lock(ctx context.Context, name string) error {
	if _, err := tx.PGX.Exec(ctx, "select pg_advisory_xact_lock($1)", lockKey(name)); err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	return nil
}

// ErrLocked says that somebody else holds the lock, or that as many locks are held as the pool bears.
var ErrLocked = errors.New("locked by another worker")

// ErrLockLost says that the database dropped the lock while work was done under it: it restarted, or the
// connection broke.
var ErrLockLost = errors.New("the lock was lost")

// WithLock runs do while this process holds the session-scoped advisory lock of a name. It does not
// wait: where the lock is taken it returns ErrLocked. The lock goes with its connection, so a dead
// process holds none. Where the connection breaks while do runs, others can have the lock: do's context ends at
// once, with ErrLockLost as its cause, and do has to return. Nothing is in a transaction here: do may talk to the
// outside.
//
// A quarter of the pool is left to what is done under the locks: holders that all wait for one more
// connection would wait for ever.
func WithLock(ctx context.Context, pool *pgxpool.Pool, name string, do func(ctx context.Context) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	defer conn.Release()
	if stat := pool.Stat(); stat.AcquiredConns() > max(stat.MaxConns()*3/4, 1) {
		return fmt.Errorf("lock %s: %d connections are in use: %w", name, stat.AcquiredConns(), ErrLocked)
	}
	var got bool
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", lockKey(name)).Scan(&got); err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	if !got {
		return fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", lockKey(name)); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the lock must not outlive its holder
		}
	}()
	err = watched(ctx, conn.Conn(), do)
	if errors.Is(err, ErrLockLost) {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	return err
}

// watched runs do, whose context ends when the connection does. What do makes of that is no verdict on its work:
// it is told, not passed on.
func watched(ctx context.Context, conn *pgx.Conn, do func(ctx context.Context) error) error {
	work, lost := context.WithCancelCause(ctx)
	watch, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if err := pgwatch.Watch(watch, conn); err != nil {
			lost(fmt.Errorf("%w: %w", ErrLockLost, err))
		}
	})
	defer func() {
		stop()
		watcher.Wait()
		lost(nil)
	}()
	err := do(work)
	if cause := context.Cause(work); err != nil && errors.Is(cause, ErrLockLost) {
		return fmt.Errorf("%w (%v)", cause, err)
	}
	return err
}

func lockKey(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return int64(h.Sum64())
}

// Rows runs a query that ent has no words for and calls each for every row.
func (db *DB) Rows(ctx context.Context, query string, args []any, each func(pgx.Rows) error) error {
	rows, err := db.pool.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
