package pgtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/pgtest"
)

// childVar makes the test binary start a server, print where it is, and wait to be killed.
const childVar = "PGTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child() error {
	s, err := pgtest.Start(context.Background(), "")
	if err != nil {
		return err
	}
	fmt.Println(s.DSN("postgres"))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestNewIsEmptyAndIsolated(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			conn := connect(t, pgtest.New(t))
			exec1(t, conn, "CREATE TABLE mine (id int)")
			if got := queryInt(t, conn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != 1 {
				t.Errorf("database has %d tables, want only the one just made", got)
			}
		})
	}
	wg.Wait()
}

func TestNewDropsDatabase(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = pgtest.New(t)
		connect(t, dsn) // still open when the database is dropped
	})
	_, err := pgx.Connect(t.Context(), dsn)
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("connecting to the database of a finished test gave %v", err)
	}
}

func TestTemplatePreparesOnce(t *testing.T) {
	t.Parallel()
	var prepared atomic.Int32
	prepare := func(ctx context.Context, dsn string) error {
		prepared.Add(1)
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		// Not closed: a pool that a migration leaves open must not hinder the copies.
		_, err = conn.Exec(ctx, "CREATE TABLE seed AS SELECT 42 AS answer")
		return err
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			conn := connect(t, pgtest.Template(t, "once", prepare))
			exec1(t, conn, "INSERT INTO seed VALUES (1)")
			if got := queryInt(t, conn, "SELECT sum(answer) FROM seed"); got != 43 {
				t.Errorf("sum is %d, want 43: copies are not independent", got)
			}
		})
	}
	wg.Wait()
	if prepared.Load() != 1 {
		t.Errorf("prepared %d times, want once", prepared.Load())
	}
}

func TestTemplateReportsFailure(t *testing.T) {
	t.Parallel()
	rec := &recorder{TB: t}
	func() {
		defer func() { _ = recover() }()
		pgtest.Template(rec, "broken", func(context.Context, string) error { return errors.New("bad migration") })
	}()
	if !strings.Contains(rec.fatal, "bad migration") {
		t.Errorf("test failed with %q, want the error of prepare", rec.fatal)
	}
}

// recorder notes how a test would have failed.
type recorder struct {
	pgtest.TB
	fatal string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	panic("stop here")
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	dsn, err := s.CreateDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	before := connect(t, dsn)
	exec1(t, before, "CREATE TABLE kept AS SELECT 7 AS n")
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := before.Ping(t.Context()); err == nil {
		t.Error("a connection survived the restart")
	}
	if got := queryInt(t, connect(t, dsn), "SELECT n FROM kept"); got != 7 {
		t.Errorf("read %d, want 7", got)
	}
}

// However a server ends, nobody answers until it is resumed; then it is where it was, with what was committed.
func TestHaltAndResume(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	dsn, err := s.CreateDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, connect(t, dsn), "CREATE TABLE kept (n int)")
	for i, how := range []pgtest.Ending{pgtest.Fast, pgtest.Immediate, pgtest.Killed, pgtest.Killed} {
		before := connect(t, dsn)
		exec1(t, before, "INSERT INTO kept VALUES (1)")
		if err := errors.Join(s.Halt(how), s.Halt(how)); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if err := before.Ping(t.Context()); err == nil {
			t.Errorf("%s: a connection survived", how)
		}
		if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
			conn.Close(t.Context())
			t.Errorf("%s: somebody answers", how)
		}
		if err := errors.Join(s.Resume(t.Context()), s.Resume(t.Context())); err != nil {
			t.Fatalf("after %s: %v", how, err)
		}
		if got := queryInt(t, connect(t, dsn), "SELECT count(*) FROM kept"); got != i+1 {
			t.Errorf("after %s: %d rows, want %d", how, got, i+1)
		}
	}
}

// A server that is down when it is stopped for good leaves nothing.
func TestStopWhileHalted(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	var data string
	if err := connect(t, s.DSN("postgres")).QueryRow(t.Context(), "SHOW data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Halt(pgtest.Killed), s.Stop()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data is left: %v", err)
	}
}

func TestStopAndStartAgainInDirectory(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pgtest-keep-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	first := start(t, dir)
	dsn, err := first.CreateDatabase(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, connect(t, dsn), "CREATE TABLE kept AS SELECT 7 AS n")
	if err := errors.Join(first.Stop(), first.Stop()); err != nil {
		t.Fatal(err)
	}
	second := start(t, dir)
	if dsn, err = second.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if got := queryInt(t, connect(t, dsn), "SELECT n FROM kept"); got != 7 {
		t.Errorf("read %d, want 7", got)
	}
}

func TestServerDiesWithItsParent(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dsn, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dsn = strings.TrimSpace(dsn)
	var data string
	if err := connect(t, dsn).QueryRow(t.Context(), "SHOW data_directory").Scan(&data); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	eventually(t, "the server to end", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			conn.Close(t.Context())
		}
		return err != nil
	})
	eventually(t, "the data to be removed", func() bool {
		_, err := os.Stat(data)
		return os.IsNotExist(err)
	})
}

func start(t *testing.T, dir string) *pgtest.Server {
	t.Helper()
	s, err := pgtest.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func queryInt(t *testing.T, conn *pgx.Conn, sql string) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
