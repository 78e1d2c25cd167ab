package jobs

import (
	"context"
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
	p := attend(t, pool, "me")
	held := func() bool {
		is, err := p.Held(t.Context(), pool)
		return err == nil && is
	}
	if !held() {
		t.Error("not held at first")
	}
	for range 3 {
		pid := p.pid.Load()
		if _, err := pool.Exec(t.Context(), `select pg_terminate_backend($1)`, pid); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lock to be held again", func() bool { return p.pid.Load() != pid && held() })
	}
	for _, how := range []pgtest.Ending{pgtest.Fast, pgtest.Immediate, pgtest.Killed} {
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
	if _, err := Attend(context.WithoutCancel(t.Context()), pool, "me", quiet()); err == nil {
		t.Error("attended without a database")
	}
}
