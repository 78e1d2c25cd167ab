package policy

import (
	"slices"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Limits bounds what one pull request may change in an environment, and how fast its author may ask.
type Limits struct {
	Creates, Deletes, Modifications, PowerOperations int // in one pull request
	Rate                                             Rate
}

// Rate is how many changes one author may submit within a window. No requests at all means no limit.
type Rate struct {
	Requests int
	Per      time.Duration
}

// LimitRule sets limits for an environment and a role, either of which may be left empty to mean any.
// A limit that is nil is left as it is.
type LimitRule struct {
	Environment                                      domain.Environment
	Role                                             Role
	Creates, Deletes, Modifications, PowerOperations *int
	Rate                                             *Rate
}

// DefaultLimits hold where no rule says otherwise. The rate is far above what people ask for by hand.
func DefaultLimits() Limits {
	return Limits{
		Creates: 10, Deletes: 10, Modifications: 50, PowerOperations: 50,
		Rate: Rate{Requests: 100, Per: time.Hour},
	}
}

// LimitsFor returns the limits in an environment for somebody with these roles there. Each limit is
// taken from the rules that match and set it: from the one that names the most of environment and role;
// of equals, the most generous. Platform administrators have no rate.
func LimitsFor(rules []LimitRule, env domain.Environment, roles []Role) Limits {
	var matching []LimitRule
	for _, r := range rules {
		if (r.Environment == "" || r.Environment == env) && (r.Role == "" || slices.Contains(roles, r.Role)) {
			matching = append(matching, r)
		}
	}
	d := DefaultLimits()
	out := Limits{
		Creates:         limit(matching, d.Creates, func(r LimitRule) *int { return r.Creates }, moreGenerous),
		Deletes:         limit(matching, d.Deletes, func(r LimitRule) *int { return r.Deletes }, moreGenerous),
		Modifications:   limit(matching, d.Modifications, func(r LimitRule) *int { return r.Modifications }, moreGenerous),
		PowerOperations: limit(matching, d.PowerOperations, func(r LimitRule) *int { return r.PowerOperations }, moreGenerous),
		Rate:            limit(matching, d.Rate, func(r LimitRule) *Rate { return r.Rate }, Rate.faster),
	}
	if slices.Contains(roles, RolePlatformAdmin) {
		out.Rate = Rate{}
	}
	return out
}

// limit picks one limit from the rules that set it.
func limit[T any](rules []LimitRule, otherwise T, of func(LimitRule) *T, generous func(a, b T) bool) T {
	best, most := otherwise, -1
	for _, r := range rules {
		value := of(r)
		if value == nil {
			continue
		}
		if n := r.specificity(); n > most || n == most && generous(*value, best) {
			best, most = *value, n
		}
	}
	return best
}

func (r LimitRule) specificity() (n int) {
	if r.Environment != "" {
		n++
	}
	if r.Role != "" {
		n++
	}
	return n
}

func moreGenerous(a, b int) bool { return a > b }

// Unlimited reports whether there is no limit to the rate.
func (r Rate) Unlimited() bool { return r.Requests <= 0 || r.Per <= 0 }

// faster reports whether r lets more through than s.
func (r Rate) faster(s Rate) bool {
	if r.Unlimited() || s.Unlimited() {
		return r.Unlimited() && !s.Unlimited()
	}
	return float64(r.Requests)/float64(r.Per) > float64(s.Requests)/float64(s.Per)
}
