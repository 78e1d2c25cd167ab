package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// prefix marks the databases that belong to tests: prefix, run, number.
const prefix = "pgtest_"

// host creates and drops databases on one server.
//
// A host has a random run number, part of the names of its databases, and holds the advisory lock
// of that number for as long as the process lives. So another process can tell databases in use
// from those that a killed run left behind.
type host struct {
	server *Server  // nil for a given server; kept here, as it ends when nobody holds it
	base   *url.URL // its path names the database to connect to for creating others
	admin  *pgxpool.Pool
	lock   *pgx.Conn // holds the advisory lock; never closed
	run    int64
	count  atomic.Int64

	mu        sync.Mutex
	templates map[string]*template
}

// template is a database to copy from, prepared once.
type template struct {
	once sync.Once
	name string
	err  error
}

func openHost(ctx context.Context, dsn string) (*host, error) {
	base, err := url.Parse(dsn)
	if err != nil || base.Scheme == "" {
		return nil, errors.New("the connection string is not a postgres:// URL")
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 4
	admin, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), cfg)
	if err != nil {
		return nil, err
	}
	h := &host{base: base, admin: admin, run: newRun(), templates: map[string]*template{}}
	if err := h.takeLock(ctx, cfg.ConnConfig); err != nil {
		admin.Close()
		return nil, err
	}
	return h, nil
}

// takeLock holds the lock of the run on a connection of its own until the process ends.
func (h *host) takeLock(ctx context.Context, cfg *pgx.ConnConfig) (err error) {
	if h.lock, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		return err
	}
	if _, err := h.lock.Exec(ctx, "SELECT pg_advisory_lock($1)", h.run); err != nil {
		return fmt.Errorf("mark the run: %w", errors.Join(err, h.lock.Close(ctx)))
	}
	return nil
}

func newRun() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

// dsn returns the connection string of a database on this server.
func (h *host) dsn(database string) string {
	u := *h.base
	u.Path = "/" + database
	return u.String()
}

func (h *host) newName() string {
	return fmt.Sprintf("%s%x_%d", prefix, h.run, h.count.Add(1))
}

func (h *host) create(ctx context.Context, name, template string) error {
	stmt := "CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template)
	if _, err := h.admin.Exec(ctx, stmt); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

func (h *host) drop(ctx context.Context, name string) error {
	stmt := "DROP DATABASE IF EXISTS " + quote(name) + " WITH (FORCE)"
	if _, err := h.admin.Exec(ctx, stmt); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	return nil
}

// template returns the name of the database for key, preparing it on the first call.
func (h *host) template(key string, prepare func(ctx context.Context, dsn string) error) (string, error) {
	h.mu.Lock()
	tmpl := h.templates[key]
	if tmpl == nil {
		tmpl = &template{name: h.newName()}
		h.templates[key] = tmpl
	}
	h.mu.Unlock()
	tmpl.once.Do(func() {
		// Not the context of the test that happens to come first: others wait for the result.
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		tmpl.err = h.prepare(ctx, tmpl.name, prepare)
	})
	return tmpl.name, tmpl.err
}

func (h *host) prepare(ctx context.Context, name string, prepare func(ctx context.Context, dsn string) error) error {
	if err := h.create(ctx, name, "template1"); err != nil {
		return err
	}
	if err := prepare(ctx, h.dsn(name)); err != nil {
		return err
	}
	return h.seal(ctx, name)
}

// seal closes a database to everyone, as one that somebody is connected to cannot be copied.
func (h *host) seal(ctx context.Context, name string) error {
	if _, err := h.admin.Exec(ctx, "ALTER DATABASE "+quote(name)+" ALLOW_CONNECTIONS false"); err != nil {
		return fmt.Errorf("seal template: %w", err)
	}
	const end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
	if _, err := h.admin.Exec(ctx, end, name); err != nil {
		return fmt.Errorf("disconnect from template: %w", err)
	}
	return nil
}

// sweep drops the databases of runs that have ended without doing so.
func (h *host) sweep(ctx context.Context) error {
	const list = "SELECT datname FROM pg_database WHERE starts_with(datname, $1)"
	rows, err := h.admin.Query(ctx, list, prefix)
	if err != nil {
		return fmt.Errorf("list left-over databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list left-over databases: %w", err)
	}
	for _, name := range names {
		if err := h.dropAbandoned(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// dropAbandoned drops a database unless the run in its name holds its lock.
func (h *host) dropAbandoned(ctx context.Context, name string) error {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "_")
	run, err := strconv.ParseInt(id, 16, 64)
	if err != nil {
		return nil // not one of ours
	}
	return h.admin.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		var abandoned bool
		err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", run).Scan(&abandoned)
		if err != nil || !abandoned {
			return err
		}
		err = h.drop(ctx, name)
		_, unlockErr := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", run)
		return errors.Join(err, unlockErr)
	})
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
