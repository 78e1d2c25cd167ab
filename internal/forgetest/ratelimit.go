package forgetest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// budget is what one identity has left of its hour and of its minute.
type budget struct {
	used    int
	reset   time.Time
	content []time.Time // when content was created, for the secondary limit
}

func (s *Server) budgetOf(who *actor) *budget {
	now := s.clock()
	b := s.limits[who.name()]
	if b == nil || !now.Before(b.reset) {
		b = &budget{reset: now.Add(s.opts.Hour).Truncate(time.Second)}
		s.limits[who.name()] = b
	}
	return b
}

// spend counts a request against the caller's limits and refuses it when they are used up.
func (s *Server) spend(h http.Header, who *actor, pattern string) error {
	b := s.budgetOf(who)
	if strings.HasSuffix(pattern, " /rate_limit") {
		s.limitHeaders(h, b)
		return nil
	}
	if b.used >= s.opts.RateLimit {
		s.limitHeaders(h, b)
		return refuse(http.StatusForbidden, "API rate limit exceeded for user ID %d.", who.user.id)
	}
	b.used++
	s.limitHeaders(h, b)
	if s.opts.ContentPerMinute == 0 || strings.HasPrefix(pattern, "GET ") {
		return nil
	}
	return s.spendContent(b)
}

func (s *Server) spendContent(b *budget) error {
	now := s.clock()
	for len(b.content) > 0 && now.Sub(b.content[0]) >= s.opts.Minute {
		b.content = b.content[1:]
	}
	if len(b.content) >= s.opts.ContentPerMinute {
		wait := s.opts.Minute - now.Sub(b.content[0])
		return secondaryLimit(http.StatusForbidden, wait)
	}
	b.content = append(b.content, now)
	return nil
}

func secondaryLimit(status int, wait time.Duration) *Error {
	e := refuse(status, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
	seconds := int((wait + time.Second - 1) / time.Second)
	e.docs = "/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	e.header = http.Header{"Retry-After": {strconv.Itoa(max(1, seconds))}}
	return e
}

// refund gives a request back that was answered with 304, which costs nothing.
func (s *Server) refund(h http.Header, who *actor, status int) {
	if who == nil || status != http.StatusNotModified {
		return
	}
	b := s.budgetOf(who)
	b.used = max(0, b.used-1)
	s.limitHeaders(h, b)
}

// anonymousLimit is what callers have who are not known, which this server does not count.
const anonymousLimit = 60

func (s *Server) limitHeaders(h http.Header, b *budget) { writeLimit(h, s.opts.RateLimit, b) }

func writeLimit(h http.Header, limit int, b *budget) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(0, limit-b.used)))
	h.Set("X-RateLimit-Used", strconv.Itoa(b.used))
	h.Set("X-RateLimit-Reset", itoa(b.reset.Unix()))
	h.Set("X-RateLimit-Resource", "core")
}

// SetRateLimit changes the number of requests an hour and starts everybody's hour anew.
func (s *Server) SetRateLimit(perHour int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.RateLimit = perHour
	clear(s.limits)
}

// SetContentLimit changes the number of creating requests a minute, 0 for none.
func (s *Server) SetContentLimit(perMinute int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.ContentPerMinute = perMinute
	clear(s.limits)
}

func getRateLimit(c *call) (reply, error) {
	b := c.s.budgetOf(c.actor)
	core := obj{"limit": c.s.opts.RateLimit, "remaining": c.s.opts.RateLimit - b.used, "used": b.used, "reset": b.reset.Unix()}
	return ok(obj{"resources": obj{"core": core, "search": core}, "rate": core})
}
