// Package storetest gives tests databases with the schema of this program: each its own, made from a
// template in milliseconds.
package storetest

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/store"
)

// TB is the part of testing.TB that this package needs.
type TB interface {
	pgtest.TB
	Fatal(args ...any)
}

// DSN is the address of a migrated, empty database that goes away with the test.
func DSN(t TB) string {
	t.Helper()
	return pgtest.Template(t, "schema", migrate)
}

// Open opens such a database for the length of the test.
func Open(t TB) *pgxpool.Pool {
	t.Helper()
	pool, err := store.Open(t.Context(), DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Server is such a database on a server of its own, which can be halted and resumed, for the length of the test.
func Server(t TB) (server *pgtest.Server, dsn string) {
	t.Helper()
	server, err := pgtest.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	})
	dsn, err = server.CreateDatabase(t.Context(), "shepherd")
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return server, dsn
}

func migrate(ctx context.Context, dsn string) error {
	pool, err := store.Open(ctx, dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = store.Migrate(ctx, pool)
	return err
}
