package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// startAttempts is how many ports are tried: a free port may be taken before the server has it.
const startAttempts = 3

// Server is a PostgreSQL of our own on loopback. It lives until Stop, but no longer than this process
// and than somebody holds on to the Server.
type Server struct {
	install   *installation
	dir       string
	temporary bool // dir goes away with the server
	password  string

	mu   sync.Mutex
	port int
	proc *process // nil when stopped
}

// Start starts a server that keeps its data in dir, which is created when needed; a directory that
// an earlier server has left is used as it is. With an empty dir the data is temporary.
//
// Root runs the server under the account postgres or nobody, which has to be able to reach dir.
// Nothing is flushed to the disk: data survives a crash of the server but not of the machine.
func Start(ctx context.Context, dir string) (*Server, error) {
	in, err := findInstallation()
	if err != nil {
		return nil, err
	}
	s := &Server{install: in, dir: dir, temporary: dir == ""}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare PostgreSQL: %w", errors.Join(err, s.discard()))
	}
	if err := s.startOnFreePort(ctx); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", errors.Join(err, s.discard()))
	}
	return s, nil
}

// DSN returns the connection string of the superuser for a database.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", superuser, s.password, s.port, database)
}

// CreateDatabase creates an empty database unless it exists, and returns its connection string.
func (s *Server) CreateDatabase(ctx context.Context, name string) (dsn string, err error) {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var exists bool
	const query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, query, name).Scan(&exists); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+quote(name)); err != nil {
			return "", fmt.Errorf("create database %s: %w", name, err)
		}
	}
	return s.DSN(name), nil
}

// Stop disconnects everyone and stops the server for good. Temporary data is removed. Stopping twice does
// nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.halt(Fast), s.discard())
}

// Ending is a way for a server to end.
type Ending string

// What happens to a server: it is asked to end and disconnects its clients in order, it ends at once and recovers
// from its log when it comes back, or it is killed without a word and does so, too.
const (
	Fast      Ending = orderStop
	Immediate Ending = orderCrash
	Killed    Ending = orderKill
)

// Halt ends the server until Resume: its connections break, and nobody answers on its port. The data stays. A
// server that is down already stays so. A process that dies while its server is down leaves temporary data behind.
func (s *Server) Halt(how Ending) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halt(how)
}

func (s *Server) halt(how Ending) error {
	if s.proc == nil {
		return nil
	}
	err := s.proc.end(string(how))
	s.proc = nil
	return err
}

// Resume starts a server that was halted, with the same data on the same port, and waits until it answers. One
// that runs goes on.
func (s *Server) Resume(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		return nil
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("resume PostgreSQL: %w", err)
	}
	return nil
}

// Restart crashes the server and starts it again with the same data on the same port. Its clients
// see their connections break.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Halt(Immediate); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	return s.Resume(ctx)
}

func (s *Server) prepare(ctx context.Context) error {
	if err := s.prepareDir(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.dir, "data", "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := s.install.initialise(ctx, s.dir); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(filepath.Join(s.dir, "password"))
	s.password = string(bytes.TrimSpace(password))
	return err
}

func (s *Server) prepareDir() (err error) {
	if s.temporary {
		s.dir, err = s.install.tempDir()
		return err
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if !s.install.reaches(s.dir) {
		return fmt.Errorf("PostgreSQL does not run as root, and the account it runs under cannot reach %s; choose a directory that all users can enter", s.dir)
	}
	return s.install.own(s.dir)
}

func (s *Server) startOnFreePort(ctx context.Context) (err error) {
	for range startAttempts {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.start(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// start runs the server on its port and waits until it answers.
func (s *Server) start(ctx context.Context) error {
	proc, err := s.install.supervise(s.dir, s.temporary, s.flags())
	if err != nil {
		return err
	}
	if err := s.waitReady(ctx, proc); err != nil {
		return errors.Join(err, proc.end(orderCrash))
	}
	s.proc = proc
	return nil
}

func (s *Server) flags() []string {
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=",
		"fsync=off", "full_page_writes=off",
		"wal_level=minimal", "max_wal_senders=0", "max_connections=300", "shared_buffers=64MB",
		"dynamic_shared_memory_type=mmap", "jit=off", "timezone=UTC", "log_timezone=UTC",
	}
	flags := []string{"-D", "data"}
	for _, setting := range settings {
		flags = append(flags, "-c", setting)
	}
	return flags
}

func (s *Server) waitReady(ctx context.Context, proc *process) error {
	for {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-proc.gone:
			return fmt.Errorf("the server ended: %s", proc.lastLines())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %s", context.Cause(ctx), err, proc.lastLines())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers checks that the server on the port is this one: when another took the port first, ours
// is about to give up.
func (s *Server) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	var dir string
	err = conn.QueryRow(ctx, "SHOW data_directory").Scan(&dir)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	if want := filepath.Join(s.dir, "data"); !sameFile(dir, want) {
		return fmt.Errorf("port %d belongs to the server of %s", s.port, dir)
	}
	return nil
}

// discard removes temporary data.
func (s *Server) discard() error {
	if !s.temporary || s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func sameFile(a, b string) bool {
	ai, aErr := os.Stat(a)
	bi, bErr := os.Stat(b)
	return aErr == nil && bErr == nil && os.SameFile(ai, bi)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
