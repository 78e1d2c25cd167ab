// Package faulttest breaks database transactions on purpose, at every statement in turn, so that a test
// can show that a transaction is written whole or not at all.
package faulttest

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrInjected is what a broken statement answers.
var ErrInjected = errors.New("injected")

// Pool breaks the Nth statement that its transactions send, whatever it is: a read, a write, a
// savepoint, the commit. The statement does not reach the server, so that a caller who goes on after
// the error would commit half of its work. It is a store.Pool.
type Pool struct {
	*pgxpool.Pool
	nth int

	mu    sync.Mutex
	sent  int
	fired string
}

// Nth gives a pool that breaks the nth statement, counted from 1.
func Nth(pool *pgxpool.Pool, nth int) *Pool { return &Pool{Pool: pool, nth: nth} }

// Fired is the statement that was broken, empty while none was.
func (p *Pool) Fired() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired
}

// Begin opens a transaction that counts.
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := p.Pool.Begin(ctx)
	return &faultyTx{tx, p}, err
}

func (p *Pool) next(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	if p.sent == p.nth {
		p.fired = what
		return ErrInjected
	}
	return nil
}

// Everywhere calls run with a pool whose first statement is broken, then with one whose second is, and
// so on until run gets through; it returns how many statements there were. after sees the statement
// that was broken and what run returned for it; false ends the rounds.
func Everywhere(pool *pgxpool.Pool, run func(*Pool) error, after func(nth int, fired string, err error) bool) (statements int, err error) {
	for nth := 1; ; nth++ {
		p := Nth(pool, nth)
		err := run(p)
		fired := p.Fired()
		if fired == "" {
			return nth - 1, err
		}
		if !after(nth, fired, err) {
			return nth, nil
		}
	}
}

type faultyTx struct {
	pgx.Tx
	pool *Pool
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
func (b brokenBatch) QueryRow() pgx.Row                { return brokenRow(b) }
func (b brokenBatch) Close() error                     { return b.err }
