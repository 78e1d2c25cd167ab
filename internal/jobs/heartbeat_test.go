package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
)

// running writes a job that a process has taken.
func runningJob(t *testing.T, pool *pgxpool.Pool, id int, attemptedBy ...string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `insert into river_job (id, args, kind, max_attempts, state, attempt, attempted_at, attempted_by, queue)
values ($1, '{}', 'walk_branch', 25, 'running', 1, now(), $2, 'default')`, id, attemptedBy)
	if err != nil {
		t.Fatal(err)
	}
}

func states(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `select id || ' ' || state from river_job order by id`)
}

// The jobs of the dead are taken back, those of the living are not, however long they run.
func TestRescue(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	other := open(t, pool.Config().ConnString())
	living, err := Attend(t.Context(), other, "living")
	if err != nil {
		t.Fatal(err)
	}
	runningJob(t, pool, 1, "dead")
	runningJob(t, pool, 2, "living")
	runningJob(t, pool, 3, "living", "dead") // taken back once before
	runningJob(t, pool, 4, "dead", "living")
	rescue := func(want int64, after ...string) {
		t.Helper()
		n, err := Rescue(t.Context(), pool)
		if err != nil || n != want {
			t.Errorf("rescued %d, %v; want %d", n, err, want)
		}
		if diff := cmp.Diff(after, states(t, pool)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	rescue(2, "1 available", "2 running", "3 available", "4 running")
	rescue(0, "1 available", "2 running", "3 available", "4 running")
	living.Leave(t.Context())
	eventually(t, "the server to notice", func() bool { // that a connection was closed
		return len(lines(t, pool, `select pid::text from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`)) == 0
	})
	rescue(2, "1 available", "2 available", "3 available", "4 available")
	rescue(0, "1 available", "2 available", "3 available", "4 available")
}

// Whether the lock is held is seen from outside: a process whose connection broke does not know.
func TestPresenceHeld(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	presence, err := Attend(t.Context(), open(t, pool.Config().ConnString()), "me")
	if err != nil {
		t.Fatal(err)
	}
	held := func() bool {
		is, err := presence.Held(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	if !held() {
		t.Error("not held at first")
	}
	if _, err := pool.Exec(t.Context(), `select pg_terminate_backend($1)`, presence.pid); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock to be gone", func() bool { return !held() })
	presence.Leave(t.Context())
	pool.Close()
	if _, err := presence.Held(context.WithoutCancel(t.Context()), pool); err == nil {
		t.Error("held without a database")
	}
}

// A process that is killed says goodbye to nobody: its connection breaks, and the lock goes with it.
func TestRescueAfterAKill(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	other := open(t, pool.Config().ConnString())
	p, err := Attend(t.Context(), other, "killed")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Leave(context.Background()) })
	runningJob(t, pool, 1, "killed")
	if n, err := Rescue(t.Context(), pool); n != 0 || err != nil {
		t.Fatalf("while it lives: %d, %v", n, err)
	}
	pid := p.conn.Conn().PgConn().PID()
	if _, err := pool.Exec(t.Context(), `select pg_terminate_backend($1)`, int64(pid)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its job", func() bool {
		n, err := Rescue(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
}

func TestRescueWithoutJobs(t *testing.T) {
	t.Parallel()
	if n, err := Rescue(t.Context(), newPool(t)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// What was rescued is run.
func TestRescuedJobsRun(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	runningJob(t, pool, 1, "dead")
	done := make(chan string, 1)
	run(t, pool, Config{ID: "living"}, Workers{WalkBranch: note[WalkBranch](done), Event: executor{}})
	if n, err := Rescue(t.Context(), pool); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	<-done
}

func TestLastHeartbeat(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	last := func() time.Time {
		t.Helper()
		at, err := LastHeartbeat(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	beat := func(kind, state string, ago time.Duration) {
		t.Helper()
		_, err := pool.Exec(t.Context(), `insert into river_job (args, kind, max_attempts, state, finalized_at)
values ('{}', $1, 1, $2::text::river_job_state, case when $2::text <> 'available' then now() - $3::interval end)`, kind, state, ago)
		if err != nil {
			t.Fatal(err)
		}
	}
	if at := last(); !at.IsZero() {
		t.Errorf("none yet: %s", at)
	}
	beat("heartbeat", "available", 0)
	beat("heartbeat", "discarded", 0)
	beat("walk_branch", "completed", 0)
	beat("heartbeat", "completed", 2*time.Hour)
	if at := last(); !at.IsZero() {
		t.Errorf("none that counts: %s", at)
	}
	beat("heartbeat", "completed", 30*time.Second)
	beat("heartbeat", "completed", 20*time.Second)
	if ago := time.Since(last()); ago < 19*time.Second || ago > 40*time.Second {
		t.Errorf("%s ago", ago)
	}
	pool.Close()
	if _, err := LastHeartbeat(t.Context(), pool); err == nil {
		t.Error("no error without a database")
	}
}
