package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"kv-shepherd.io/shepherd/migrations"
)

// Migrator moves the schema: River's tables by River's own migrations, ours by the versioned files
// in migrations/. River's go up first and down last, because ours set storage options on them.
type Migrator struct {
	pool *pgxpool.Pool
	db   *sql.DB
	own  *goose.Provider
}

// NewMigrator needs a pool that is not in a transaction. Close it.
func NewMigrator(pool *pgxpool.Pool) (*Migrator, error) {
	db := stdlib.OpenDBFromPool(pool)
	own, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Files)
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return &Migrator{pool: pool, db: db, own: own}, nil
}

// Close frees what NewMigrator took; the pool stays open.
func (m *Migrator) Close() error { return m.db.Close() }

// Migrate brings a database's schema to this program's and returns the names of what was applied.
func Migrate(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	m, err := NewMigrator(pool)
	if err != nil {
		return nil, err
	}
	names, err := m.Up(ctx)
	return names, errors.Join(err, m.Close())
}

// Migration is one step of the schema and when it was applied (zero: pending).
type Migration struct {
	Name      string
	AppliedAt time.Time
}

// Up applies all that is pending and returns the names of what it applied. Of several processes that start together
// one does, and the others wait for it.
func (m *Migrator) Up(ctx context.Context) (names []string, err error) {
	err = m.alone(ctx, func() (err error) {
		if names, err = m.river(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		results, err := m.own.Up(ctx)
		if err != nil {
			return fmt.Errorf("apply migrations: %w", err)
		}
		for _, r := range results {
			names = append(names, r.Source.Path)
		}
		return nil
	})
	return names, err
}

// Down takes back the last step; with all, every step, River's tables included.
func (m *Migrator) Down(ctx context.Context, all bool) (names []string, err error) {
	err = m.alone(ctx, func() (err error) {
		names, err = m.down(ctx, all)
		return err
	})
	return names, err
}

func (m *Migrator) down(ctx context.Context, all bool) ([]string, error) {
	if !all {
		r, err := m.own.Down(ctx)
		if err != nil {
			return nil, fmt.Errorf("take back a migration: %w", err)
		}
		return []string{r.Source.Path}, nil
	}
	results, err := m.own.DownTo(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("take back migrations: %w", err)
	}
	var names []string
	for _, r := range results {
		names = append(names, r.Source.Path)
	}
	river, err := m.river(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1})
	return append(names, river...), err
}

// migratePause is how often a process that waits for another one's migrations asks whether they are done.
const migratePause = 200 * time.Millisecond

// alone runs do while no other process moves the schema, and waits for that.
func (m *Migrator) alone(ctx context.Context, do func() error) error {
	conn, err := m.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lock the migrations: %w", err)
	}
	defer conn.Release()
	const name = "migrations"
	// Asked for again and again: an index that is built concurrently waits for every statement that waits.
	for {
		var got bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", lockKey(name)).Scan(&got); err != nil {
			return fmt.Errorf("lock the migrations: %w", err)
		}
		if got {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock the migrations: %w", ctx.Err())
		case <-time.After(migratePause):
		}
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", lockKey(name)); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the lock goes with it
		}
	}()
	return do()
}

func (m *Migrator) river(ctx context.Context, dir rivermigrate.Direction, opts *rivermigrate.MigrateOpts) ([]string, error) {
	mig, err := rivermigrate.New(riverpgxv5.New(m.pool), nil)
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}
	res, err := mig.Migrate(ctx, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("migrate River's tables: %w", err)
	}
	var names []string
	for _, v := range res.Versions {
		names = append(names, fmt.Sprintf("river %03d %s", v.Version, v.Name))
	}
	return names, nil
}

// Status lists our migrations in order, applied or pending.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	states, err := m.own.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the migrations' state: %w", err)
	}
	out := make([]Migration, len(states))
	for i, s := range states {
		out[i] = Migration{Name: s.Source.Path, AppliedAt: s.AppliedAt}
	}
	return out, nil
}

// Pending reports whether the database is behind this program.
func (m *Migrator) Pending(ctx context.Context) (bool, error) {
	pending, err := m.own.HasPending(ctx)
	if err != nil {
		return false, fmt.Errorf("read the migrations' state: %w", err)
	}
	if pending {
		return true, nil
	}
	mig, err := rivermigrate.New(riverpgxv5.New(m.pool), nil)
	if err != nil {
		return false, fmt.Errorf("read River's migrations: %w", err)
	}
	res, err := mig.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("check River's tables: %w", err)
	}
	return !res.OK, nil
}
