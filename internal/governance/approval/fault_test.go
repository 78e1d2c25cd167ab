package approval

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/store"
)

var errInjected = errors.New("injected")

// faultyPool breaks the fail-th statement that a transaction sends, whatever it is: a read, a write, a
// savepoint, the commit. The statement does not reach the server, so that a caller who goes on after
// the error would commit half of its work.
type faultyPool struct {
	*pgxpool.Pool
	fail  int
	sent  int
	fired string // what was broken
}

func (p *faultyPool) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := p.Pool.Begin(ctx)
	return &faultyTx{tx, p}, err
}

func (p *faultyPool) next(what string) error {
	p.sent++
	if p.sent == p.fail {
		p.fired = what
		return errInjected
	}
	return nil
}

type faultyTx struct {
	pgx.Tx
	pool *faultyPool
}

func (t *faultyTx) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := t.pool.next("savepoint"); err != nil {
		return nil, err
	}
	tx, err := t.Tx.Begin(ctx)
	return &faultyTx{tx, t.pool}, err
}

func (t *faultyTx) Commit(ctx context.Context) error {
	if err := t.pool.next("commit"); err != nil {
		return err
	}
	return t.Tx.Commit(ctx)
}

func (t *faultyTx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.pool.next(sql); err != nil {
		return pgconn.CommandTag{}, err
	}
	return t.Tx.Exec(ctx, sql, args...)
}

func (t *faultyTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.pool.next(sql); err != nil {
		return nil, err
	}
	return t.Tx.Query(ctx, sql, args...)
}

func (t *faultyTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.pool.next(sql); err != nil {
		return brokenRow{err}
	}
	return t.Tx.QueryRow(ctx, sql, args...)
}

func (t *faultyTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	if err := t.pool.next("copy " + table.Sanitize()); err != nil {
		return 0, err
	}
	return t.Tx.CopyFrom(ctx, table, columns, src)
}

// SendBatch breaks a batch as a whole: its statements travel together.
func (t *faultyTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := t.pool.next("batch"); err != nil {
		return brokenBatch{err}
	}
	return t.Tx.SendBatch(ctx, b)
}

type brokenRow struct{ err error }

func (r brokenRow) Scan(...any) error { return r.err }

type brokenBatch struct{ err error }

func (b brokenBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }
func (b brokenBatch) Query() (pgx.Rows, error)         { return nil, b.err }
func (b brokenBatch) QueryRow() pgx.Row                { return brokenRow{b.err} }
func (b brokenBatch) Close() error                     { return b.err }

// breakEverywhere runs a transaction again and again, each time with its next statement broken, until
// it gets through. Every failure has to be reported and to leave the database as it was, byte by byte.
// It returns how many statements the transaction has.
func breakEverywhere(w *world, run func(*Gateway) error) int {
	w.Helper()
	before := w.dump()
	for n := 1; ; n++ {
		pool := &faultyPool{Pool: w.pool, fail: n}
		err := run(New(store.New(pool), w.queue, now))
		if pool.fired == "" {
			if err != nil {
				w.Fatalf("without a fault: %v", err)
			}
			return n - 1
		}
		if !errors.Is(err, errInjected) {
			w.Errorf("statement %d was broken and the caller was told %v:\n%s", n, err, pool.fired)
		}
		if diff := cmp.Diff(before, w.dump()); diff != "" {
			w.Fatalf("statement %d was broken and left something behind:\n%s\n%s", n, pool.fired, diff)
		}
	}
}

// Each transaction of the gateway is written whole or not at all, and leaves the trail and the jobs that
// it should.
func TestTransactions(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			run := s.given(w)
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
