package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// executor plays the service.
type executor struct {
	execute func(context.Context, uuid.UUID) error
	fail    func(context.Context, uuid.UUID, error) error
}

func (e executor) Execute(ctx context.Context, id uuid.UUID) error { return e.execute(ctx, id) }

func (e executor) Fail(ctx context.Context, id uuid.UUID, cause error) error {
	return e.fail(ctx, id, cause)
}

func job(attempt int) *river.Job[EventJob] {
	return &river.Job[EventJob]{JobRow: &rivertype.JobRow{Attempt: attempt, MaxAttempts: 3}, Args: EventJob{EventID: eventID}}
}

// result names what River is asked to do.
func result(err error) string {
	var cancel *river.JobCancelError
	var snooze *river.JobSnoozeError
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &snooze):
		return "later " + snooze.Duration.String()
	case errors.As(err, &cancel):
		return "never"
	}
	return "again"
}

// The envelope: what an event's job makes of every way in which it can end.
func TestEventJob(t *testing.T) {
	t.Parallel()
	plain, broken := errors.New("502"), errors.New("the database is gone")
	for _, c := range []struct {
		name     string
		attempt  int
		err      error
		failErr  error
		want     string
		failures int
	}{
		{"done", 1, nil, nil, "done", 0},
		{"done at last", 3, nil, nil, "done", 0},
		{"first error", 1, plain, nil, "again", 0},
		{"last but one", 2, plain, nil, "again", 0},
		{"last", 3, plain, nil, "never", 1},
		{"after the last: taken back from a dead process", 4, plain, nil, "never", 1},
		{"never", 1, Never(plain), nil, "never", 1},
		{"never, at last", 3, Never(plain), nil, "never", 1},
		{"later", 1, Later(time.Second, plain), nil, "later 1s", 0},
		{"later is not a failure, even at last", 3, Later(time.Second, plain), nil, "later 1s", 0},
		{"the failure cannot be written", 3, plain, broken, "later 10s", 1},
		{"a never that cannot be written", 1, Never(plain), broken, "later 10s", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			failures := 0
			w := &eventWorker{exec: executor{
				execute: func(_ context.Context, id uuid.UUID) error {
					if id != eventID {
						t.Errorf("executes %s", id)
					}
					return c.err
				},
				fail: func(_ context.Context, id uuid.UUID, cause error) error {
					failures++
					if id != eventID || !errors.Is(cause, plain) {
						t.Errorf("fails %s with %v", id, cause)
					}
					return c.failErr
				},
			}}
			err := w.Work(t.Context(), job(c.attempt))
			if got := result(err); got != c.want || failures != c.failures {
				t.Errorf("%s (%v) after %d failures; want %s after %d", got, err, failures, c.want, c.failures)
			}
			if c.failErr != nil && !errors.Is(err, c.failErr) {
				t.Errorf("%v hides why", err)
			}
		})
	}
}

// A stopping server is not the event's fault, an operator's cancelling and a used-up time are an end.
func TestEventJobWhoseTimeIsUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		attempt  int
		end      func(context.Context) context.Context
		want     string
		failures int
	}{
		{"the server stops", 1, cancelled(nil), "later 0s", 0},
		{"the server stops at the last attempt", 3, cancelled(nil), "later 0s", 0},
		{"cancelled by hand", 3, cancelled(rivertype.ErrJobCancelledRemotely), "never", 1},
		{"too slow", 1, expired, "again", 0},
		{"too slow at last", 3, expired, "never", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			failures := 0
			w := &eventWorker{exec: executor{
				execute: func(ctx context.Context, _ uuid.UUID) error { return ctx.Err() },
				fail: func(ctx context.Context, _ uuid.UUID, _ error) error {
					failures++
					return ctx.Err()
				},
			}}
			err := w.Work(c.end(t.Context()), job(c.attempt))
			if got := result(err); got != c.want || failures != c.failures {
				t.Errorf("%s (%v) after %d failures; want %s after %d", got, err, failures, c.want, c.failures)
			}
		})
	}
}

func cancelled(cause error) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(cause)
		return ctx
	}
}

func expired(ctx context.Context) context.Context {
	ctx, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	cancel()
	return ctx
}

// A panic goes on to River, which keeps its trace; the event of a last attempt is ended before.
func TestEventJobPanics(t *testing.T) {
	t.Parallel()
	for attempt, failures := range map[int]int{1: 0, 3: 1} {
		n := 0
		w := &eventWorker{exec: executor{
			execute: func(context.Context, uuid.UUID) error { panic("a nil map") },
			fail: func(_ context.Context, _ uuid.UUID, cause error) error {
				n++
				if !strings.Contains(cause.Error(), "a nil map") {
					t.Errorf("fails with %v", cause)
				}
				return nil
			},
		}}
		func() {
			defer func() {
				if p := recover(); p != "a nil map" {
					t.Errorf("attempt %d: the panic became %v", attempt, p)
				}
			}()
			_ = w.Work(t.Context(), job(attempt))
		}()
		if n != failures {
			t.Errorf("attempt %d: failed %d times, want %d", attempt, n, failures)
		}
	}
}

// On River itself: waiting uses no attempt up, and one that is used up ends the event.
func TestEventJobOnRiver(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	var runs, failed atomic.Int64
	run(t, pool, Config{Clusters: []string{"prod-1"}}, Workers{Event: executor{
		execute: func(context.Context, uuid.UUID) error {
			if runs.Add(1) <= 5 {
				return Later(time.Millisecond, errors.New("an earlier event runs"))
			}
			return errors.New("502")
		},
		fail: func(context.Context, uuid.UUID, error) error { failed.Add(1); return nil },
	}})
	enqueue(t, pool, EventJob{EventID: eventID, Cluster: "prod-1"})
	state := func() string {
		return strings.Join(lines(t, pool, `select format('%s attempt %s of %s, %s errors', state, attempt, max_attempts, coalesce(array_length(errors, 1), 0)) from river_job`), "")
	}
	eventually(t, "the first error", func() bool {
		return runs.Load() == 6 && strings.HasPrefix(state(), "retryable") || strings.Contains(state(), "1 errors")
	})
	if got := state(); !strings.Contains(got, "attempt 1 of 12, 1 errors") || failed.Load() != 0 {
		t.Fatalf("after five waits and an error: %s", got)
	}
	if _, err := pool.Exec(t.Context(), `update river_job set max_attempts = 2, state = 'available', scheduled_at = now() where attempt = 1`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end", func() bool { return strings.HasPrefix(state(), "cancelled") })
	if failed.Load() != 1 {
		t.Errorf("failed %d times", failed.Load())
	}
}
