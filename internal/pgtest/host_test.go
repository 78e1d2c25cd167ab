package pgtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestSweep plays the runs of three processes on one server that was given to them.
func TestSweep(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	killed, running, next := openTestHost(t, s), openTestHost(t, s), openTestHost(t, s)
	left, inUse := killed.newName(), running.newName()
	foreign := prefix + "notes"
	err = errors.Join(
		killed.create(t.Context(), left, "template1"),
		running.create(t.Context(), inUse, "template1"),
		running.create(t.Context(), foreign, "template1"),
		killed.lock.Close(t.Context()),
	)
	if err != nil {
		t.Fatal(err)
	}
	// The server notices the end of a connection a moment later than its client.
	for range 100 {
		if err := next.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(databases(t, next), left) {
			break
		}
	}
	got := databases(t, next)
	for name, want := range map[string]bool{left: false, inUse: true, foreign: true} {
		if slices.Contains(got, name) != want {
			t.Errorf("database %s exists: %t, want %t", name, !want, want)
		}
	}
}

func TestOpenHostWantsURL(t *testing.T) {
	t.Parallel()
	if _, err := openHost(t.Context(), "host=127.0.0.1 dbname=x"); err == nil {
		t.Error("a connection string that databases cannot be named in was accepted")
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]float64{
		"/usr/lib/postgresql/9.6/bin": 9.6,
		"/usr/lib/postgresql/18/bin":  18,
		"/usr/pgsql-16/bin":           16,
		"/usr/bin":                    0,
	} {
		if got := version(path); got != want {
			t.Errorf("version(%s) = %v, want %v", path, got, want)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := Start(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkCreateAndDrop(b *testing.B) {
	h, err := shared()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		name := h.newName()
		if err := errors.Join(h.create(b.Context(), name, "template1"), h.drop(b.Context(), name)); err != nil {
			b.Fatal(err)
		}
	}
}

func openTestHost(t *testing.T, s *Server) *host {
	t.Helper()
	h, err := openHost(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.admin.Close()
		_ = h.lock.Close(context.Background()) // may be closed already
	})
	return h
}

func databases(t *testing.T, h *host) []string {
	t.Helper()
	rows, err := h.admin.Query(t.Context(), "SELECT datname FROM pg_database")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}
