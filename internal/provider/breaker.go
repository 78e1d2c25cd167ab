package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The numbers of a breaker: how many failures in a row open it, how long it stays open at first and at most, and
// what a call that met it open is asked to wait. That is short, for who has many calls to make asks Paused.
const (
	breakerFailures = 3
	breakerFirst    = 5 * time.Second
	breakerLongest  = time.Minute
	breakerWait     = 4 * time.Second
)

// breaker keeps calls from a cluster that does not carry any out. It is closed at first; failures in a row open
// it. While it is open no call is sent; when the pause is over the first caller proves the cluster, and the
// others go on waiting until that is done. The pause doubles with every proof that fails.
type breaker struct {
	name string
	now  func() time.Time
	log  *slog.Logger

	mu       sync.Mutex
	failures int
	reason   *domain.Problem // nil: closed
	since    time.Time
	until    time.Time
	pause    time.Duration
	proving  bool
}

func newBreaker(name string, now func() time.Time, log *slog.Logger) *breaker {
	return &breaker{name: name, now: now, log: log}
}

// admit says whether a call may be sent. prove: this caller has to prove the cluster first, and to say by ended
// how that went.
func (b *breaker) admit() (prove bool, refused *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.reason == nil:
		return false, nil
	case b.proving || b.now().Before(b.until):
		return false, later(*b.reason, breakerWait, nil)
	}
	b.proving = true
	return true, nil
}

// ended takes note of an attempt to connect, or of a proof. A cluster that proved itself is one failure away from
// the next pause, which is longer than the last one until something was carried out.
func (b *breaker) ended(ctx context.Context, proof bool, err *Error) {
	if !proof {
		b.note(outcomeOf(ctx, err), err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proving = false
	switch {
	case err == nil:
		b.log.InfoContext(ctx, "a paused cluster is back", "cluster", b.name, "after", b.now().Sub(b.since))
		b.reason, b.failures = nil, breakerFailures-1
	case ctx.Err() == nil: // otherwise nobody waited for the answer
		b.open(err)
	}
}

// note counts how a call ended.
func (b *breaker) note(how outcome, err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch how {
	case outcomeDone:
		if b.reason == nil { // what was sent before it opened says nothing new
			b.failures, b.pause = 0, 0
		}
	case outcomeFailed:
		if b.failures++; b.failures >= breakerFailures && b.reason == nil {
			b.open(err)
		}
	case outcomeShut:
		if b.reason == nil {
			b.open(err)
		}
	}
}

// open begins a pause, or the next one, no shorter than the cluster itself asked for.
func (b *breaker) open(err *Error) {
	b.pause = min(max(2*b.pause, breakerFirst), breakerLongest)
	wait := b.pause
	if asksForPatience(err) {
		wait = max(wait, min(err.RetryAfter, breakerLongest))
	}
	reason := b.why(err)
	if b.reason == nil {
		b.since = b.now()
		b.log.Warn("a cluster is paused", "cluster", b.name, "for", wait, "reason", reason.Message)
	}
	b.reason, b.until = &reason, b.now().Add(wait)
}

// why is what everybody is told who waits for the cluster, whatever call it was that failed last.
func (b *breaker) why(err *Error) domain.Problem {
	if err.bars {
		return err.Problem
	}
	var status apierrors.APIStatus
	reason := strings.TrimPrefix(err.Problem.Message, "the cluster cannot be reached: ")
	switch {
	case errors.As(err.err, &status) && status.Status().Code == http.StatusUnauthorized:
		return problem(domain.ClusterUnreachable, addCredentials,
			"cluster %s does not accept Shepherd's credentials any more: whoever runs Shepherd has to renew them", b.name)
	case errors.As(err.err, &status) && status.Status().Code == http.StatusTooManyRequests:
		reason = "it asks for fewer requests"
	case errors.As(err.err, &status):
		reason = fmt.Sprintf("it answers with errors (%d)", status.Status().Code)
	case errors.Is(err.err, context.DeadlineExceeded):
		reason = "it does not answer in time"
	}
	return problem(domain.ClusterUnreachable, "nothing has to be done here: Shepherd goes on when the cluster is back",
		"cluster %s does not work at the moment: %s", b.name, reason)
}

// paused is the breaker's state while it is open.
func (b *breaker) paused() (Pause, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason == nil {
		return Pause{}, false
	}
	return Pause{Cluster: b.name, Since: b.since, Until: b.until, Reason: *b.reason}, true
}

// outcome is what a call says about its cluster as a whole.
type outcome int

const (
	outcomeNone   outcome = iota // nothing: the caller gave up, or one part of the cluster is out of order
	outcomeDone                  // it answers
	outcomeFailed                // it does not, or not now
	outcomeShut                  // it does not let Shepherd in
	outcomeDenied                // it does not allow this, and maybe nothing at all
)

// outcomeOf sorts how a call ended.
func outcomeOf(ctx context.Context, err *Error) outcome {
	switch {
	case err == nil:
		return outcomeDone
	case err.bars:
		return outcomeShut
	case ctx.Err() != nil:
		return outcomeNone
	}
	var status apierrors.APIStatus
	if !errors.As(err.err, &status) {
		if err.Problem.Code == domain.ClusterUnreachable {
			return outcomeFailed
		}
		return outcomeNone
	}
	answer := status.Status()
	switch {
	case answer.Code == http.StatusUnauthorized:
		return outcomeShut
	case answer.Code == http.StatusForbidden && rbacDenial.MatchString(answer.Message):
		return outcomeDenied
	case answer.Code == http.StatusTooManyRequests, answer.Code == http.StatusRequestTimeout:
		return outcomeFailed
	case answer.Code < http.StatusInternalServerError:
		return outcomeDone
	case err.Class == Never, strings.Contains(answer.Message, "failed calling webhook"):
		return outcomeNone
	}
	return outcomeFailed
}

// asksForPatience reports whether it was the cluster that said how long to wait.
func asksForPatience(err *Error) bool {
	var status apierrors.APIStatus
	if !errors.As(err.err, &status) {
		return false
	}
	code := status.Status().Code
	return code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable
}

// admit lets a call pass, after a proof where one is due, or says what it waits for.
func (c *Cluster) admit(ctx context.Context) *Error {
	prove, refused := c.breaker.admit()
	if refused != nil || !prove {
		return refused
	}
	wrong := c.identify(ctx)
	c.breaker.ended(ctx, true, wrong)
	return wrong
}

const addCredentials = "give the cluster the right credentials with `shepherd cluster add`"

// identify asks the cluster who it is, past the breaker: whether it answers, lets Shepherd in and is the one that
// was added.
func (c *Cluster) identify(ctx context.Context) *Error {
	if c.pinned == "" {
		return nil
	}
	past := *c
	past.breaker = nil
	live, err := past.uid(ctx)
	var wrong *Error
	switch {
	case err == nil && live == c.pinned:
		return nil
	case err == nil:
		return barred(later(problem(domain.ClusterUnreachable, addCredentials, "the credentials of cluster %s lead to another cluster (uid %s instead of %s)",
			c.name, words(live), c.pinned), waitUnreachable, nil))
	case !errors.As(err, &wrong):
		return later(problem(domain.ClusterUnreachable, "", "cluster %s: %s", c.name, words(err.Error())), waitUnreachable, err)
	case outcomeOf(ctx, wrong) == outcomeDenied:
		return barred(later(problem(domain.ClusterUnreachable, wrong.Problem.Hint, "Shepherd's account on cluster %s has lost its permissions: it may not even read namespace kube-system",
			c.name), waitUnreachable, err))
	case wrong.Class == Never: // what answers there is not the cluster
		return barred(later(wrong.Problem, waitUnreachable, err))
	}
	return wrong
}

// denied finds out what a refusal by RBAC means: that one thing is not allowed, or that nothing is any more. The
// latter is no answer to what was asked, which is tried again when the cluster is repaired.
func (c *Cluster) denied(ctx context.Context, err *Error) (outcome, *Error) {
	if wrong := c.identify(ctx); wrong != nil {
		if wrong.bars {
			return outcomeShut, wrong
		}
		return outcomeNone, err
	}
	return outcomeDone, err
}
