// Package pgwatch notices that a connection to PostgreSQL has broken while nobody uses it: what a session holds
// (locks, above all) is gone from that moment, and whoever relies on it has to hear of it at once.
package pgwatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A server that ends says goodbye, and so does the kernel of its machine. One that vanishes says nothing: so it is
// asked again and again, and has to answer within a time.
const (
	pingEvery   = 2 * time.Second
	pingTimeout = 5 * time.Second
)

// Watch returns why the connection broke, as soon as it does, or nil when ctx ends: then the connection can be
// used again. Nobody else may use it in the meantime.
func Watch(ctx context.Context, conn *pgx.Conn) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, pingEvery)
		_, err := conn.WaitForNotification(quiet)
		ended := quiet.Err() != nil
		cancel()
		switch {
		case conn.IsClosed():
			return fmt.Errorf("the connection broke: %w", errors.Join(err))
		case ctx.Err() != nil:
			return nil
		case !ended:
			continue // a notification, meant for nobody
		}
		if err := ping(ctx, conn); err != nil {
			return err
		}
	}
}

// ping is not cut short by ctx: a query that is broken off breaks the connection with it.
func ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		return fmt.Errorf("the connection does not answer: %w", err)
	}
	return nil
}

// Prepare asks the server to notice within some twenty seconds, too, when our side vanishes without a word. Without
// it, it would keep for hours what the session holds. Over a Unix socket it means nothing. What the address of the
// database says of it itself stands.
func Prepare(ctx context.Context, conn *pgx.Conn) error {
	const ask = `select set_config(name, value, false) from (values ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'),
('tcp_keepalives_count', '3'), ('tcp_user_timeout', '20000')) as wanted (name, value) where name <> all ($1::text[])`
	given := make([]string, 0, len(conn.Config().RuntimeParams))
	for name := range conn.Config().RuntimeParams {
		given = append(given, name)
	}
	if _, err := conn.Exec(ctx, ask, pgx.QueryExecModeExec, given); err != nil {
		return fmt.Errorf("ask for keep-alives: %w", err)
	}
	return nil
}
