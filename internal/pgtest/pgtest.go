// Package pgtest gives tests and the demo a real PostgreSQL.
//
// New and Template hand out a database for one test. They live on the server that DATABASE_URL
// names (its user must be allowed to create databases), or else on a server that the test process
// starts for itself from the installed PostgreSQL binaries. That server has its own directory and
// a free port on loopback, and it goes away with the process, whether that ends well or is killed.
//
// Nothing is shared between processes but the initialised data directory that servers begin with,
// which is copied from a cache; so a server is up in well under a second.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// startTimeout bounds everything that happens once for a process.
const startTimeout = 2 * time.Minute

// TB is the part of testing.TB that this package needs.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// New returns the connection string of an empty database that nobody else uses. The database is
// dropped when the test ends, along with whatever is still connected to it.
func New(t TB) (dsn string) {
	t.Helper()
	return clone(t, "template1")
}

// Template is New for a database that prepare has set up, as a migration would. prepare runs once
// for a key in a process; every call gets a copy of what it left behind.
func Template(t TB, key string, prepare func(ctx context.Context, dsn string) error) (dsn string) {
	t.Helper()
	h, err := shared()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	name, err := h.template(key, prepare)
	if err != nil {
		t.Fatalf("pgtest: prepare template %s: %v", key, err)
	}
	return clone(t, name)
}

// clone creates a database for a test and sees to it that it is dropped afterwards.
func clone(t TB, template string) string {
	t.Helper()
	h, err := shared()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	name := h.newName()
	if err := h.create(t.Context(), name, template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := h.drop(ctx, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return h.dsn(name)
}

// shared returns the server on which this process creates its databases, starting it the first
// time.
var shared = sync.OnceValues(func() (*host, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if given := os.Getenv("DATABASE_URL"); given != "" {
		h, err := openHost(ctx, given)
		if err != nil {
			return nil, fmt.Errorf("use the server of DATABASE_URL: %w", err)
		}
		return h, h.sweep(ctx)
	}
	s, err := Start(ctx, "")
	if err != nil {
		return nil, err
	}
	h, err := openHost(ctx, s.DSN("postgres"))
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	h.server = s
	return h, nil
})
