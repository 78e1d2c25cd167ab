package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// querier is what a pgx pool and a pgx transaction have in common.
type querier interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
}

// entDriver lets ent run on pgx itself, so that ent and River share one pool and one transaction.
type entDriver struct{ q querier }

func (d entDriver) Exec(ctx context.Context, query string, args, result any) error {
	tag, err := d.q.Exec(ctx, query, args.([]any)...)
	if err != nil {
		return err
	}
	if r, ok := result.(*sql.Result); ok {
		*r = driver.RowsAffected(tag.RowsAffected())
	}
	return nil
}

func (d entDriver) Query(ctx context.Context, query string, args, rows any) error {
	out, ok := rows.(*entsql.Rows)
	if !ok {
		return fmt.Errorf("query into %T: want *sql.Rows", rows)
	}
	r, err := d.q.Query(ctx, query, args.([]any)...)
	if err != nil {
		return err
	}
	*out = entsql.Rows{ColumnScanner: rowScanner{r}}
	return nil
}

// Tx answers with itself: the transaction is the caller's, ent only joins it.
func (d entDriver) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(d), nil }
func (d entDriver) Close() error                           { return nil }
func (d entDriver) Dialect() string                        { return dialect.Postgres }

// rowScanner gives pgx's rows the face that ent scans from.
type rowScanner struct{ pgx.Rows }

// Scan takes ent's ids of upserts, which it wants as a driver.Value: pgx knows no such target, but any.
func (s rowScanner) Scan(dest ...any) error {
	for i, d := range dest {
		if v, ok := d.(*driver.Value); ok {
			dest[i] = (*any)(v)
		}
	}
	return s.Rows.Scan(dest...)
}

func (s rowScanner) Close() error {
	s.Rows.Close()
	return s.Err()
}

func (s rowScanner) ColumnTypes() ([]*sql.ColumnType, error) {
	return nil, errors.New("column types are not known to this driver")
}

func (s rowScanner) Columns() ([]string, error) {
	fields := s.FieldDescriptions()
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names, nil
}

func (s rowScanner) NextResultSet() bool { return false }
