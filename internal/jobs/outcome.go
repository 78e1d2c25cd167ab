package jobs

import (
	"errors"
	"time"

	"github.com/riverqueue/river"
)

// Errors say for themselves how they want to be met. An error with Terminal true is never tried
// again; one with RetryAfter is tried when that time has passed, without counting as a failure; any
// other is tried again with River's growing pauses.
type (
	terminal interface{ Terminal() bool }
	later    interface{ RetryAfter() time.Duration }
)

// Never wraps an error that no retry can help.
func Never(err error) error {
	if err == nil {
		return nil
	}
	return neverError{err}
}

type neverError struct{ error }

func (e neverError) Unwrap() error  { return e.error }
func (e neverError) Terminal() bool { return true }

// Later asks to run the job again after a while: it waits for something.
func Later(after time.Duration, why error) error { return laterError{why, after} }

type laterError struct {
	error
	after time.Duration
}

func (e laterError) Unwrap() error             { return e.error }
func (e laterError) RetryAfter() time.Duration { return e.after }

// IsTerminal reports whether err is one that is never tried again.
func IsTerminal(err error) bool {
	var t terminal
	return errors.As(err, &t) && t.Terminal()
}

// IsLater reports whether err only asks to wait.
func IsLater(err error) bool {
	var l later
	return !IsTerminal(err) && errors.As(err, &l) && l.RetryAfter() > 0
}

// outcome is the one place where an error becomes River's retry, cancel or snooze.
func outcome(err error) error {
	switch {
	case err == nil:
		return nil
	case IsTerminal(err):
		return river.JobCancel(err)
	case IsLater(err):
		var l later
		errors.As(err, &l)
		return river.JobSnooze(min(l.RetryAfter(), time.Hour))
	default:
		return err
	}
}
