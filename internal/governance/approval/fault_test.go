package approval

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/faulttest"
	"kv-shepherd.io/shepherd/internal/store"
)

// breakEverywhere runs a transaction again and again, each time with its next statement broken, until
// it gets through. Every failure has to be reported and to leave the database as it was, byte by byte.
// It returns how many statements the transaction has.
func breakEverywhere(w *world, run func(*Gateway) error) int {
	w.Helper()
	before := w.dump()
	statements, err := faulttest.Everywhere(w.pool,
		func(p *faulttest.Pool) error { return run(New(store.New(p), w.queue, now)) },
		func(n int, fired string, err error) bool {
			if !errors.Is(err, faulttest.ErrInjected) {
				w.Errorf("statement %d was broken and the caller was told %v:\n%s", n, err, fired)
			}
			if diff := cmp.Diff(before, w.dump()); diff != "" {
				w.Fatalf("statement %d was broken and left something behind:\n%s\n%s", n, fired, diff)
			}
			return true
		})
	if err != nil {
		w.Fatalf("without a fault: %v", err)
	}
	return statements
}

// Each transaction of the gateway is written whole or not at all, and leaves the trail and the jobs that
// it should.
func TestTransactions(t *testing.T) {
	t.Parallel()
	for _, s := range slices.Concat(scenarios, requests, merges) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			run := s.given(w)
			w.sql("update pull_requests set telling = false") // as if all had been told
			trail, job, before := w.last("audit_log"), w.last("river_job"), w.dump()
			statements := breakEverywhere(w, func(g *Gateway) error { return run(g) })
			if diff := cmp.Diff(s.trail, w.trail(trail)); diff != "" {
				t.Errorf("the trail (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(s.jobs, w.queued(job)); diff != "" {
				t.Errorf("the jobs (-want +got):\n%s", diff)
			}
			if s.nothing != (w.dump() == before) {
				t.Errorf("changes nothing: %v, want %v", !s.nothing, s.nothing)
			}
			if statements < s.statements {
				t.Errorf("only %d statements were broken: want at least %d", statements, s.statements)
			}
		})
	}
}
