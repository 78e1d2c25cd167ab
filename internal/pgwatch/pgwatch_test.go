package pgwatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/pgwatch"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// However the server ends, the watch does.
func TestWatchSeesTheServerEnd(t *testing.T) {
	t.Parallel()
	s, err := pgtest.Start(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	for _, how := range []pgtest.Ending{pgtest.Fast, pgtest.Immediate, pgtest.Killed} {
		conn, broken := connect(t, s.DSN("postgres")), make(chan error, 1)
		go func() { broken <- pgwatch.Watch(t.Context(), conn) }()
		if err := s.Halt(how); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-broken:
			if err == nil {
				t.Errorf("%s: no reason", how)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: not noticed", how)
		}
		if err := s.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A watch that is called off leaves the connection as it was, with all that the session holds, however often it is
// done, and also when notifications came in.
func TestWatchLeavesTheConnection(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	conn, other := connect(t, dsn), connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "listen news; select pg_advisory_lock(7)"); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*time.Millisecond/4)
		if i%10 == 0 {
			if _, err := other.Exec(t.Context(), "notify news"); err != nil {
				t.Fatal(err)
			}
		}
		if err := pgwatch.Watch(ctx, conn); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		cancel()
		var locks int
		if err := conn.QueryRow(t.Context(), "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()").Scan(&locks); err != nil || locks != 1 {
			t.Fatalf("%d: %d locks, %v", i, locks, err)
		}
	}
}

// A watch that lasts asks the server, which answers.
func TestWatchAsks(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.New(t))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := pgwatch.Watch(ctx, conn); err != nil || ctx.Err() == nil {
		t.Errorf("%v", err)
	}
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	for address, want := range map[string]string{dsn: "5 5 3 20000", dsn + "&tcp_keepalives_idle=60": "60 5 3 20000"} {
		conn := connect(t, address)
		if err := pgwatch.Prepare(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		var got string
		const settings = `select string_agg(setting, ' ' order by array_position(array['tcp_keepalives_idle','tcp_keepalives_interval','tcp_keepalives_count','tcp_user_timeout'], name)) from pg_settings where name like 'tcp\_%'`
		if err := conn.QueryRow(t.Context(), settings).Scan(&got); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		_ = conn.Close(t.Context())
		if err := pgwatch.Prepare(t.Context(), conn); err == nil {
			t.Error("a closed connection was prepared")
		}
	}
}
