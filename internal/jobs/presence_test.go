package jobs

import (
	"context"
	"sync/atomic"
	"testing"

	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// Whether the lock is held is seen from outside: a process whose connection broke may not know yet. It is taken
// again, whatever was done to it and however often.
func TestPresenceIsKept(t *testing.T) {
	t.Parallel()
	server, dsn := storetest.Server(t)
	pool := open(t, dsn)
	var again atomic.Int64
	p, err := Attend(t.Context(), pool, "me", quiet(), func(ctx context.Context) {
		if err := pool.Ping(ctx); err != nil {
			t.Errorf("called, and the pool does not work: %v", err)
		}
		again.Add(1)
	})
	if err != nil {
		t.Fatal(err)
	}
	held := func() bool {
		is, err := p.Held(t.Context(), pool)
		return err == nil && is
	}
	if !held() {
		t.Error("not held at first")
	}
	calls := func(n int64) {
		t.Helper()
		eventually(t, "the call", func() bool { return again.Load() == n })
	}
	for i := range int64(3) {
		pid := p.pid.Load()
		if _, err := pool.Exec(t.Context(), `select pg_terminate_backend($1)`, pid); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lock to be held again", func() bool { return p.pid.Load() != pid && held() })
		calls(i + 1)
	}
	for i, how := range []pgtest.Ending{pgtest.Fast, pgtest.Immediate, pgtest.Killed} {
		if err := server.Halt(how); err != nil {
			t.Fatal(err)
		}
		if is, err := p.Held(t.Context(), pool); err == nil {
			t.Errorf("%s: held: %t without a database", how, is)
		}
		if err := server.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lock to be held after "+string(how), held)
		calls(int64(4 + i))
	}
	p.Leave(t.Context())
	eventually(t, "the lock to be free", func() bool { return !held() })
}

// Whoever leaves while the database is away does not wait for it, and nobody attends who does not reach it.
func TestPresenceWithoutDatabase(t *testing.T) {
	t.Parallel()
	server, dsn := storetest.Server(t)
	pool := open(t, dsn)
	p := attend(t, pool, "me")
	if err := server.Halt(pgtest.Killed); err != nil {
		t.Fatal(err)
	}
	p.Leave(t.Context())
	if _, err := Attend(context.WithoutCancel(t.Context()), pool, "me", quiet(), func(context.Context) {}); err == nil {
		t.Error("attended without a database")
	}
}
