package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// holders are the sessions that hold an advisory lock in this database.
func holders(t *testing.T, pool *pgxpool.Pool) (pids []int) {
	t.Helper()
	const query = `select coalesce(array_agg(pid), '{}') from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`
	if err := pool.QueryRow(t.Context(), query).Scan(&pids); err != nil {
		t.Fatal(err)
	}
	return pids
}

// A lock goes with its connection: nobody waits for the dead, and who relied on it hears of it at once.
func TestWithLockOfADeadConnection(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	said := errors.New("what the work said")
	err := store.WithLock(t.Context(), pool, "vm/a", func(ctx context.Context) error {
		pids := holders(t, pool)
		if len(pids) != 1 {
			t.Fatalf("held by %v", pids)
		}
		if _, err := pool.Exec(t.Context(), `select pg_terminate_backend($1)`, pids[0]); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Second):
			t.Fatal("the work was not told")
		}
		if cause := context.Cause(ctx); !errors.Is(cause, store.ErrLockLost) {
			t.Errorf("told %v", cause)
		}
		free := func() error {
			return store.WithLock(t.Context(), pool, "vm/a", func(context.Context) error { return nil })
		}
		err := free()
		for end := time.Now().Add(10 * time.Second); errors.Is(err, store.ErrLocked) && time.Now().Before(end); err = free() {
			time.Sleep(5 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("after the connection broke: %v", err)
		}
		return said
	})
	if !errors.Is(err, store.ErrLockLost) || errors.Is(err, said) || !strings.Contains(err.Error(), said.Error()) {
		t.Errorf("%v", err)
	}
	if err := store.WithLock(t.Context(), pool, "vm/a", func(context.Context) error { return said }); !errors.Is(err, said) {
		t.Errorf("afterwards: %v", err)
	}
}

// Work that was done when the lock was lost is done.
func TestWithLockThatIsLostTooLate(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	err := store.WithLock(t.Context(), pool, "vm/a", func(ctx context.Context) error {
		if _, err := pool.Exec(t.Context(), `select pg_terminate_backend($1)`, holders(t, pool)[0]); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// However the work ends, the lock is given back.
func TestWithLockIsGivenBack(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	for _, end := range []func(){func() {}, func() { panic("x") }, cancel} {
		func() {
			defer func() { _ = recover() }()
			_ = store.WithLock(ctx, pool, "vm/a", func(context.Context) error { ran++; end(); return errors.New("x") })
		}()
	}
	if ran != 3 {
		t.Errorf("ran %d times", ran)
	}
	if pids := holders(t, pool); len(pids) != 0 {
		t.Errorf("still held by %v", pids)
	}
}

// Of many who want a lock one has it at a time; names do not stand in each other's way.
func TestWithLockExcludes(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	var inside, most, ran atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				err := store.WithLock(t.Context(), pool, "vm/a", func(context.Context) error {
					most.Store(max(most.Load(), inside.Add(1)))
					time.Sleep(time.Millisecond)
					inside.Add(-1)
					ran.Add(1)
					return nil
				})
				if !errors.Is(err, store.ErrLocked) {
					if err != nil {
						t.Error(err)
					}
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 || ran.Load() != 20 {
		t.Errorf("%d at once, %d ran", most.Load(), ran.Load())
	}
}

// However many want locks, those who have one find a connection to work with.
func TestWithLockLeavesConnections(t *testing.T) {
	t.Parallel()
	cfg := storetest.Open(t).Config()
	cfg.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			for {
				err := store.WithLock(ctx, pool, fmt.Sprint("vm/", n), func(ctx context.Context) error {
					most.Store(max(most.Load(), inside.Add(1)))
					defer inside.Add(-1)
					_, err := pool.Exec(ctx, "select pg_sleep(0.002)")
					return err
				})
				if !errors.Is(err, store.ErrLocked) {
					if err != nil {
						t.Error(err)
					}
					return
				}
				time.Sleep(time.Duration(1+n%7) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got < 1 || got > 3 {
		t.Errorf("%d locks were held at once", got)
	}
}

func TestWithoutDatabase(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	db := store.New(pool)
	pool.Close()
	never := func(context.Context) error { t.Error("it ran"); return nil }
	if err := store.WithLock(t.Context(), pool, "vm/a", never); err == nil || !strings.Contains(err.Error(), "lock vm/a") || errors.Is(err, store.ErrLocked) {
		t.Errorf("lock: %v", err)
	}
	if err := db.InTx(t.Context(), func(ctx context.Context, _ *store.Tx) error { return never(ctx) }); err == nil || !strings.Contains(err.Error(), "begin") {
		t.Errorf("begin: %v", err)
	}
	if err := db.Rows(t.Context(), "select 1", nil, nil); err == nil {
		t.Error("rows: no error")
	}
	if _, err := db.Effect.Query().Count(t.Context()); err == nil {
		t.Error("ent: no error")
	}
	if _, err := db.Effect.Delete().Exec(t.Context()); err == nil {
		t.Error("ent: no error of a statement")
	}
}

// Migrations say what they were doing when the database went.
func TestMigratorWithoutDatabase(t *testing.T) {
	t.Parallel()
	pool, err := store.Open(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	m, err := store.NewMigrator(pool)
	if err != nil {
		t.Fatal(err)
	}
	pool.Close()
	defer func() { _ = m.Close() }()
	_, up := m.Up(t.Context())
	_, down := m.Down(t.Context(), false)
	_, all := m.Down(t.Context(), true)
	_, status := m.Status(t.Context())
	_, pending := m.Pending(t.Context())
	for name, err := range map[string]error{"up": up, "down": down, "down --all": all, "status": status, "pending": pending} {
		if err == nil || !strings.Contains(err.Error(), "migrat") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
