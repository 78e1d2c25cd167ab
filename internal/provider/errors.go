package provider

import (
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Class says what the job that met an error should do.
type Class int

// The classes, from the most to the least hopeful.
const (
	// Later: the cluster cannot be worked with now, which is not the job's fault. Wait RetryAfter
	// without counting an attempt.
	Later Class = iota + 1
	// Retry: try again with back-off, counting attempts.
	Retry
	// Never: the same request will fail the same way until people change something.
	Never
)

// String is the class's name.
func (c Class) String() string {
	switch c {
	case Later:
		return "later"
	case Retry:
		return "retry"
	case Never:
		return "never"
	}
	return "unknown"
}

// Error is a refusal or a failure of a cluster, sorted. Error returns the problem's text alone; the
// cause, which may quote what was sent, is for errors.Is and errors.As, not for people or logs.
type Error struct {
	Problem domain.Problem
	Class   Class
	// RetryAfter is how long to wait at least; the server's own wish where it gave one.
	RetryAfter time.Duration
	err        error
	// bars: nothing else can be done on the cluster either, until somebody repairs what is wrong.
	bars bool
}

// Error is the problem's code, message and hint.
func (e *Error) Error() string { return e.Problem.Error() }

// Unwrap returns the cause, which may be nil.
func (e *Error) Unwrap() error { return e.err }

func never(p domain.Problem, cause error) *Error {
	return &Error{Problem: p, Class: Never, err: cause}
}

func retry(p domain.Problem, cause error) *Error {
	return &Error{Problem: p, Class: Retry, err: cause}
}

func later(p domain.Problem, wait time.Duration, cause error) *Error {
	return &Error{Problem: p, Class: Later, RetryAfter: wait, err: cause}
}

// barred marks an error that holds for everything on the cluster.
func barred(e *Error) *Error {
	e.bars = true
	return e
}
