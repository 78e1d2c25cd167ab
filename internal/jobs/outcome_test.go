package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/riverqueue/river"
)

type rateLimit struct{ wait time.Duration }

func (r rateLimit) Error() string             { return "rate limited" }
func (r rateLimit) RetryAfter() time.Duration { return r.wait }

// Errors say for themselves how they want to be met.
func TestOutcome(t *testing.T) {
	t.Parallel()
	plain := errors.New("502")
	for _, c := range []struct {
		name   string
		err    error
		cancel bool
		snooze time.Duration
	}{
		{name: "none"},
		{name: "any other is tried again", err: plain},
		{name: "never", err: Never(plain), cancel: true},
		{name: "never, wrapped", err: fmt.Errorf("judge #7: %w", Never(plain)), cancel: true},
		{name: "later", err: Later(time.Second, plain), snooze: time.Second},
		{name: "later, wrapped", err: fmt.Errorf("judge #7: %w", Later(time.Second, plain)), snooze: time.Second},
		{name: "later by its own word", err: fmt.Errorf("judge: %w", rateLimit{time.Minute}), snooze: time.Minute},
		{name: "much later is bounded", err: Later(100*time.Hour, plain), snooze: time.Hour},
		{name: "later, but not when", err: Later(0, plain)},
		{name: "later in the past", err: Later(-time.Second, plain)},
		{name: "never goes before later", err: Never(Later(time.Second, plain)), cancel: true},
		{name: "never within later", err: Later(time.Second, Never(plain)), cancel: true},
		{name: "never among others", err: errors.Join(plain, Never(plain)), cancel: true},
		{name: "the job's time is up", err: context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := outcome(c.err)
			var cancel *river.JobCancelError
			var snooze *river.JobSnoozeError
			if errors.As(got, &cancel) != c.cancel || IsTerminal(c.err) != c.cancel {
				t.Errorf("%v: cancelled %v, terminal %v; want %v", got, !c.cancel, IsTerminal(c.err), c.cancel)
			}
			if is := errors.As(got, &snooze); is != (c.snooze > 0) || IsLater(c.err) != (c.snooze > 0) || is && snooze.Duration != c.snooze {
				t.Errorf("%v: want to wait %s", got, c.snooze)
			}
			if !c.cancel && c.snooze == 0 && got != c.err {
				t.Errorf("%v was changed into %v", c.err, got)
			}
			if cancel != nil && !errors.Is(got, plain) {
				t.Errorf("%v hides its cause", got)
			}
		})
	}
}

func TestOutcomeKeepsTheCause(t *testing.T) {
	t.Parallel()
	plain := errors.New("502")
	for _, err := range []error{Never(plain), Later(time.Second, plain)} {
		if !errors.Is(err, plain) || err.Error() != "502" {
			t.Errorf("%v", err)
		}
	}
	if Never(nil) != nil {
		t.Error("no error became one")
	}
}
