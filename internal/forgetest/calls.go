package forgetest

import (
	"net/http"
	"slices"
	"time"
)

// Call is one REST request as it was answered. Route is the pattern that matched, for example
// "POST /repos/{owner}/{repo}/check-runs", and empty for an unknown route. Status is 0 when a fault cut the
// connection.
type Call struct {
	Method string
	Route  string
	Path   string
	Actor  string
	Status int
	At     time.Time
}

const maxCalls = 200_000

func (s *Server) logCall(r *http.Request, pattern, who string, status int) {
	if len(s.calls) >= maxCalls {
		s.calls = slices.Delete(s.calls, 0, maxCalls/2)
	}
	s.calls = append(s.calls, Call{Method: r.Method, Route: pattern, Path: r.URL.Path, Actor: who, Status: status, At: s.clock()})
}

// Calls returns every REST request since the start or the last ResetCalls, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// CallsBy returns the REST requests of one identity, for example "alice" or "shepherd[bot]".
func (s *Server) CallsBy(login string) []Call {
	return slices.DeleteFunc(s.Calls(), func(c Call) bool { return c.Actor != login })
}

// CallCounts counts the REST requests by route.
func (s *Server) CallCounts() map[string]int {
	counts := map[string]int{}
	for _, c := range s.Calls() {
		counts[c.Route]++
	}
	return counts
}

// ResetCalls forgets the REST requests made so far.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// Unhandled returns the requests for routes that this server does not have. Tests assert that there were none.
func (s *Server) Unhandled() []Call {
	return slices.DeleteFunc(s.Calls(), func(c Call) bool { return c.Route != "" })
}
