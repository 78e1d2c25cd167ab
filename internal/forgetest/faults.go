package forgetest

import (
	"net/http"
	"strings"
	"time"
)

// FaultKind says how a REST request goes wrong.
type FaultKind string

// The ways in which a REST request can go wrong.
const (
	ServerError    FaultKind = "500"
	BadGateway     FaultKind = "502"
	SecondaryLimit FaultKind = "secondary limit" // 403 with Retry-After
	TooMany        FaultKind = "429"             // 429 with Retry-After
	NoWait         FaultKind = "no wait"         // the secondary limit as 403 that does not say for how long
	Exhausted      FaultKind = "exhausted"       // 403 as if the hour's requests were used up, without Retry-After
	ExhaustedToo   FaultKind = "exhausted 429"   // the same as 429
	Reset          FaultKind = "reset"           // the connection is cut
	Slow           FaultKind = "slow"            // answered rightly, after Latency
)

// Fault makes requests fail.
type Fault struct {
	// Route selects requests: a part of the route pattern such as "POST /repos/{owner}/{repo}/check-runs" or
	// "/merge". Empty: every request.
	Route string
	// Kind is what happens.
	Kind FaultKind
	// Times is how many requests fail. 0: one; negative: all until ClearFaults.
	Times int
	// After lets the server do what was asked first, and only then fail: the caller does not know.
	After bool
	// RetryAfter is told with the limits. 0: a minute, and with Exhausted the end of the hour.
	RetryAfter time.Duration
	// Latency is how long a Slow answer takes.
	Latency time.Duration
}

// Fail adds a fault. Of several that fit a request, the oldest is taken.
func (s *Server) Fail(f Fault) {
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// ClearFaults ends the faults of REST requests.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) takeFault(pattern string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times != 0 && strings.Contains(pattern, f.Route) {
			f.Times--
			taken := *f
			return &taken
		}
	}
	return nil
}

// playFault answers in the server's place; false means that the request still has to be answered.
func (s *Server) playFault(w http.ResponseWriter, r *http.Request, pattern string, sent []byte, f *Fault) bool {
	switch f.Kind {
	case Slow:
		select {
		case <-time.After(f.Latency):
		case <-r.Context().Done():
		}
		return false
	case Reset:
		s.mu.Lock()
		s.logCall(r, pattern, "", 0)
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	e := f.refusal()
	if e.Status < http.StatusInternalServerError {
		s.mu.Lock()
		if who, err := s.authenticate(r); err == nil {
			s.faultLimits(w.Header(), s.budgetOf(who), f)
		}
		s.mu.Unlock()
	}
	s.respond(w, r, s.errorReply(w.Header(), e), nil, pattern, sent)
	return true
}

func (f *Fault) refusal() *Error {
	wait := f.RetryAfter
	if wait == 0 {
		wait = time.Minute
	}
	switch f.Kind {
	case SecondaryLimit:
		return secondaryLimit(http.StatusForbidden, wait)
	case TooMany:
		return secondaryLimit(http.StatusTooManyRequests, wait)
	case NoWait:
		e := secondaryLimit(http.StatusForbidden, wait)
		e.header = nil
		return e
	case Exhausted:
		return refuse(http.StatusForbidden, "API rate limit exceeded for installation.")
	case ExhaustedToo:
		return refuse(http.StatusTooManyRequests, "API rate limit exceeded for installation.")
	case BadGateway:
		return refuse(http.StatusBadGateway, "Server Error")
	}
	return refuse(http.StatusInternalServerError, "Server Error")
}

// faultLimits tells what is left of the hour: with Exhausted nothing, until RetryAfter is over.
func (s *Server) faultLimits(h http.Header, b *budget, f *Fault) {
	s.limitHeaders(h, b)
	if f.Kind == Exhausted || f.Kind == ExhaustedToo {
		reset := b.reset
		if f.RetryAfter > 0 {
			reset = s.clock().Add(f.RetryAfter)
		}
		writeLimit(h, s.opts.RateLimit, &budget{used: s.opts.RateLimit, reset: reset})
	}
}
