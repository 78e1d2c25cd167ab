package store_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/accepted"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

func note(id string) func(context.Context, *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error { return tx.Effect.Create().SetID(id).Exec(ctx) }
}

// Ent and plain SQL share the transaction: both are there afterwards, or neither.
func TestInTx(t *testing.T) {
	t.Parallel()
	db := store.New(storetest.Open(t))
	count := func() int {
		n, err := db.Effect.Query().Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	both := func(end error) error {
		return db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if err := note("ent")(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.PGX.Exec(ctx, "insert into effects (id, created_at) values ('sql', now())"); err != nil {
				return err
			}
			return end
		})
	}
	broken := errors.New("broken")
	if err := both(broken); !errors.Is(err, broken) || count() != 0 {
		t.Errorf("got %v, %d rows", err, count())
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_ = note("panic")(ctx, tx)
			panic("in the middle")
		})
	}()
	if count() != 0 {
		t.Error("a panic left something behind")
	}
	if err := both(nil); err != nil || count() != 2 {
		t.Errorf("got %v, %d rows", err, count())
	}
	if err := db.InTx(t.Context(), note("ent")); !ent.IsConstraintError(err) {
		t.Errorf("a doubled key: got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	err := db.InTx(cancelled, func(ctx context.Context, tx *store.Tx) error {
		defer cancel()
		return note("late")(ctx, tx)
	})
	if !errors.Is(err, context.Canceled) || count() != 2 {
		t.Errorf("cancelled before the commit: got %v, %d rows", err, count())
	}
}

// Where PostgreSQL asks for another try it gets one, up to a limit; other errors are final.
func TestInTxTriesAgain(t *testing.T) {
	t.Parallel()
	db := store.New(storetest.Open(t))
	for _, tt := range []struct {
		code  string
		fails int
		tries int
		ok    bool
	}{
		{"40001", 1, 2, true}, {"40P01", 3, 4, true}, {"40001", 9, 4, false}, {"23505", 9, 1, false},
	} {
		tries := 0
		id := uuid.NewString()
		err := db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tries++
			if err := note(id)(ctx, tx); err != nil {
				return err
			}
			if tries <= tt.fails {
				return &pgconn.PgError{Code: tt.code}
			}
			return nil
		})
		there, countErr := db.Effect.Query().Where().All(t.Context())
		if countErr != nil {
			t.Fatal(countErr)
		}
		found := false
		for _, e := range there {
			found = found || e.ID == id
		}
		if tries != tt.tries || (err == nil) != tt.ok || found != tt.ok {
			t.Errorf("%+v: %d tries, %v, written %v", tt, tries, err, found)
		}
	}
}

// A real deadlock ends with both transactions done.
func TestInTxDeadlock(t *testing.T) {
	t.Parallel()
	db := store.New(storetest.Open(t))
	for _, id := range []string{"a", "b"} {
		if err := db.InTx(t.Context(), note(id)); err != nil {
			t.Fatal(err)
		}
	}
	var tries atomic.Int32
	both := make(chan struct{}, 2)
	run := func(first, second string, done chan<- error) {
		tried := false
		done <- db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tries.Add(1)
			const update = "update effects set result = result || 'x' where id = $1"
			if _, err := tx.PGX.Exec(ctx, update, first); err != nil {
				return err
			}
			if !tried {
				tried = true
				both <- struct{}{}
				for len(both) < 2 {
					time.Sleep(time.Millisecond)
				}
			}
			_, err := tx.PGX.Exec(ctx, update, second)
			return err
		})
	}
	done := make(chan error, 2)
	go run("a", "b", done)
	go run("b", "a", done)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if tries.Load() < 3 {
		t.Errorf("%d tries: there was no deadlock", tries.Load())
	}
	for _, id := range []string{"a", "b"} {
		if e, err := db.Effect.Get(t.Context(), id); err != nil || e.Result != "xx" {
			t.Errorf("%s: %v, %v", id, e, err)
		}
	}
}

func TestWithLock(t *testing.T) {
	t.Parallel()
	pool := openEmpty(t)
	broken := errors.New("broken")
	err := store.WithLock(t.Context(), pool, "pull/7", func(ctx context.Context) error {
		if err := store.WithLock(ctx, pool, "pull/7", func(context.Context) error { return nil }); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a taken lock: got %v", err)
		}
		if err := store.WithLock(ctx, pool, "pull/8", func(context.Context) error { return nil }); err != nil {
			t.Errorf("another lock: got %v", err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	err = store.WithLock(cancelled, pool, "pull/7", func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := store.WithLock(t.Context(), pool, "pull/7", func(context.Context) error { return nil }); err != nil {
		t.Errorf("the lock outlived its holder: %v", err)
	}
}

// A transaction's lock goes with the transaction.
func TestTxLock(t *testing.T) {
	t.Parallel()
	db := store.New(openEmpty(t))
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	var freed atomic.Bool
	go func() {
		done <- db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			err := tx.Lock(ctx, "vm")
			close(held)
			<-release
			freed.Store(true)
			return err
		})
	}()
	<-held
	go func() {
		done <- db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			err := tx.Lock(ctx, "vm")
			if !freed.Load() {
				return errors.New("the lock was given twice")
			}
			return err
		})
	}()
	time.Sleep(50 * time.Millisecond)
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Ent reads the key of an upsert back, whether it was inserted or was there.
func TestUpsert(t *testing.T) {
	t.Parallel()
	db := store.New(storetest.Open(t))
	for _, commit := range []string{"first", "second"} {
		err := db.Accepted.Create().SetID("a.yaml").SetKind("System").SetName("a").SetSpec([]byte("{}")).SetDocument([]byte("a")).SetCommit(commit).
			OnConflictColumns(accepted.FieldID).Update(func(u *ent.AcceptedUpsert) { u.UpdateCommit() }).Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if row, err := db.Accepted.Get(t.Context(), "a.yaml"); err != nil || row.Commit != commit {
			t.Errorf("got %v, %v", row, err)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	db := store.New(openEmpty(t))
	var got []string
	each := func(r pgx.Rows) error {
		var s string
		defer func() { got = append(got, s) }()
		return r.Scan(&s)
	}
	if err := db.Rows(t.Context(), "select unnest($1::text[])", []any{[]string{"a", "b"}}, each); err != nil || strings.Join(got, "") != "ab" {
		t.Errorf("got %v, %v", got, err)
	}
	broken := errors.New("broken")
	if err := db.Rows(t.Context(), "select 1", nil, func(pgx.Rows) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := db.Rows(t.Context(), "select nothing", nil, each); err == nil {
		t.Error("a wrong query succeeded")
	}
}

// What is wrong with an address is told without the address: it may hold a password.
func TestOpenHidesTheAddress(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://u:hunter2@host:port/db", "postgres://u:hunter2@%zz/db"} {
		_, err := store.Open(t.Context(), dsn)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", dsn, err)
		}
	}
}
