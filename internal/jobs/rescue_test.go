package jobs

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"kv-shepherd.io/shepherd/internal/storetest"
)

// runningJob writes a job that a process has taken.
func runningJob(t *testing.T, pool *pgxpool.Pool, id int, attemptedBy ...string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `insert into river_job (id, args, kind, max_attempts, state, attempt, attempted_at, attempted_by, queue)
values ($1, '{}', 'walk_branch', 25, 'running', 1, now(), $2, 'default')`, id, attemptedBy)
	if err != nil {
		t.Fatal(err)
	}
}

// watchman looks with a clock of its own.
type watchman struct {
	*rescuer
	t  *testing.T
	at time.Time
}

func newWatchman(t *testing.T, pool *pgxpool.Pool, id string) *watchman {
	w := &watchman{t: t, rescuer: newRescuer(pool, id, &holding{jobs: map[taken]bool{}}), at: time.Now()}
	w.now = func() time.Time { return w.at }
	return w
}

// after looks when a while has passed, and holds how many jobs were given back and what their states are.
func (w *watchman) after(d time.Duration, want int64, states ...string) {
	w.t.Helper()
	w.at = w.at.Add(d)
	n, err := w.look(w.t.Context())
	if err != nil || n != want {
		w.t.Errorf("rescued %d, %v; want %d", n, err, want)
	}
	if diff := cmp.Diff(states, lines(w.t, w.pool, `select id || ' ' || state from river_job order by id`), cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("(-want +got):\n%s", diff)
	}
}

func attend(t *testing.T, pool *pgxpool.Pool, id string) *Presence {
	t.Helper()
	p, err := Attend(t.Context(), pool, id, quiet(), func(context.Context) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Leave(context.Background()) })
	return p
}

// The jobs of the dead are taken back once their lock has been free for a while, those of the living are not,
// however long they run.
func TestRescue(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	living := attend(t, pool, "living")
	runningJob(t, pool, 1, "dead")
	runningJob(t, pool, 2, "living")
	runningJob(t, pool, 3, "living", "dead") // taken back once before
	runningJob(t, pool, 4, "dead", "living")
	w := newWatchman(t, pool, "me")
	w.after(0, 0, "1 running", "2 running", "3 running", "4 running")
	w.after(graceOfOthers-time.Millisecond, 0, "1 running", "2 running", "3 running", "4 running")
	w.after(time.Millisecond, 2, "1 available", "2 running", "3 available", "4 running")
	w.after(time.Hour, 0, "1 available", "2 running", "3 available", "4 running")
	living.Leave(t.Context())
	w.after(time.Hour, 0, "1 available", "2 running", "3 available", "4 running")
	w.after(graceOfOthers, 2, "1 available", "2 available", "3 available", "4 available")
	w.after(graceOfOthers, 0, "1 available", "2 available", "3 available", "4 available")
}

// Whoever has the lock back in time is never taken for dead, however often it is lost.
func TestRescueSparesWhoeverComesBack(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	runningJob(t, pool, 1, "living")
	w := newWatchman(t, pool, "me")
	for range 3 {
		w.after(0, 0, "1 running")
		p := attend(t, pool, "living")
		w.after(graceOfOthers, 0, "1 running")
		p.Leave(t.Context())
		w.after(graceOfOthers, 0, "1 running")
	}
	// Nor is anybody while it is not known whether the database was there all the time.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.look(ctx); err == nil {
		t.Fatal("a look without a database succeeded")
	}
	w.after(graceOfOthers, 0, "1 running")
	w.after(graceOfOthers, 1, "1 available")
}

// A dead leader leads no longer, and a living one goes on.
func TestRescueOfALeader(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	lead := func(id string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), `insert into river_leader (leader_id, elected_at, expires_at) values ($1, now(), now() + interval '15 seconds')`, id); err != nil {
			t.Fatal(err)
		}
	}
	leaders := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, lines(t, pool, `select leader_id from river_leader`), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "listen \"public.river_leadership\""); err != nil {
		t.Fatal(err)
	}
	living := attend(t, pool, "living")
	w := newWatchman(t, pool, "me")
	lead("living")
	w.after(0, 0)
	w.after(time.Hour, 0)
	leaders("living")
	living.Leave(t.Context())
	w.after(0, 0)
	w.after(graceOfOthers, 0)
	leaders()
	news, err := conn.Conn().WaitForNotification(t.Context())
	if err != nil || news.Payload != `{"leader_id" : "living", "action" : "resigned"}` {
		t.Errorf("%v, %v", news, err)
	}
}

// What the database believes this process to run, and it does not, is given back; what it runs is not.
func TestRescueOfOwnJobs(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	runningJob(t, pool, 1, "me")
	runningJob(t, pool, 2, "me")
	w := newWatchman(t, pool, "me")
	working, end := make(chan bool), make(chan bool)
	go func() {
		_ = w.holding.Work(t.Context(), &rivertype.JobRow{ID: 2, Attempt: 1}, func(context.Context) error {
			working <- true
			<-end
			return nil
		})
		working <- false
	}()
	<-working
	w.after(0, 0, "1 running", "2 running")
	w.after(graceOfOwn-time.Millisecond, 0, "1 running", "2 running")
	w.after(time.Millisecond, 1, "1 available", "2 running")
	w.after(time.Hour, 0, "1 available", "2 running")
	end <- true
	<-working
	w.after(time.Hour, 0, "1 available", "2 running")
	w.after(graceOfOwn, 1, "1 available", "2 available")
}

// Two who rescue the same do it once, also side by side.
func TestRescueTogether(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	const jobs = 30
	for i := range jobs {
		runningJob(t, pool, i+1, "dead")
	}
	rescued := make(chan int64, 8)
	var watchmen []*watchman
	for range cap(rescued) {
		w := newWatchman(t, pool, "me")
		if _, err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		watchmen = append(watchmen, w)
	}
	for _, w := range watchmen {
		w.at = w.at.Add(graceOfOthers)
		go func() {
			n, err := w.look(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Error(err)
			}
			rescued <- n
		}()
	}
	var sum int64
	for range cap(rescued) {
		sum += <-rescued
	}
	if sum > jobs { // none at all, where all looked at the same moment
		t.Errorf("%d jobs were rescued %d times", jobs, sum)
	}
	n, err := watchmen[0].look(t.Context())
	if err != nil || sum+n != jobs {
		t.Errorf("%d and %d jobs, %v; want %d", sum, n, err, jobs)
	}
}

// A process that is killed says goodbye to nobody: its connection breaks, and the lock goes with it. What was
// rescued is run.
func TestRescuedJobsRun(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	runningJob(t, pool, 1, "dead")
	done := make(chan string, 1)
	r := run(t, pool, Config{ID: "living"}, Workers{WalkBranch: note[WalkBranch](done), Event: executor{}})
	attend(t, pool, "living")
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan bool)
	go func() { r.Rescue(ctx); close(over) }()
	<-done
	cancel()
	<-over
}

// A database that goes away and comes back leaves nothing that nobody runs, and nobody who is taken for dead.
func TestRescueWhenTheDatabaseRestarts(t *testing.T) {
	t.Parallel()
	server, dsn := storetest.Server(t)
	pool := open(t, dsn)
	began, end := make(chan bool, 9), make(chan bool)
	work := func(context.Context, WalkBranch) error {
		began <- true
		<-end
		return nil
	}
	p := attend(t, pool, "living")
	run(t, pool, Config{ID: "living"}, Workers{WalkBranch: work, Event: executor{}})
	enqueue(t, pool, WalkBranch{})
	<-began
	other, err := NewRunner(open(t, dsn), Config{ID: "other", Logger: slog.New(slog.DiscardHandler)}, Workers{Event: executor{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan bool)
	go func() { other.Rescue(ctx); close(over) }()
	defer func() { cancel(); <-over }()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock to be held again", func() bool {
		held, err := p.Held(t.Context(), pool)
		return err == nil && held
	})
	time.Sleep(2 * graceOfOthers) // in which the other looks again and again
	if got := lines(t, pool, `select state || ' ' || attempt from river_job where kind = 'walk_branch'`); len(got) != 1 || got[0] != "running 1" {
		t.Errorf("a job that runs was given away: %v", got)
	}
	close(end)
	eventually(t, "the job to be over", func() bool {
		return len(lines(t, pool, `select id::text from river_job where kind = 'walk_branch' and state = 'completed' and attempt = 1`)) == 1
	})
}
