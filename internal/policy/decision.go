package policy

import (
	"fmt"
	"math/bits"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Decision is the answer to whether somebody may do something.
type Decision struct {
	Allowed bool
	// Why names the binding that allows it or, when nothing does, the nearest miss.
	Why string
	// WhoCan names the other people and the teams who could instead; only set on a refusal.
	WhoCan []string
}

// Can reports whether the person holds the permission in the scope.
func (b *Bindings) Can(p Person, perm Permission, scope Scope) Decision {
	if why := unanswerable(p, perm, scope); why != "" {
		return Decision{Why: why, WhoCan: b.whoElse(p, perm, scope)}
	}
	nearest, misses := grant{}, missAll
	for _, g := range b.grants {
		m, about := g.misses(p, perm, scope)
		if m == 0 {
			return Decision{Allowed: true, Why: g.String()}
		}
		if about && m.nearer(misses) {
			nearest, misses = g, m
		}
	}
	d := Decision{WhoCan: b.whoElse(p, perm, scope)}
	if misses == missAll {
		d.Why = fmt.Sprintf("no role binding names %s (id %d) or a team of theirs", p.Login, p.ID)
	} else {
		d.Why = nearest.explain(misses, p, perm)
	}
	return d
}

// CanDo reports whether the person may do the operation in the scope. Bots may, when a binding names
// them by login and id.
func (b *Bindings) CanDo(p Person, op domain.Operation, scope Scope) Decision {
	perm, ok := Needs(op)
	if !ok {
		return Decision{Why: unknownOperation(op)}
	}
	return b.Can(p, perm, scope)
}

// CanApprove reports whether the person holds the permission to approve the operation in the scope.
// Whether they count for one requirement is asked of [Eligible]. Bots never do.
func (b *Bindings) CanApprove(p Person, op domain.Operation, scope Scope) Decision {
	if _, ok := Needs(op); !ok {
		return Decision{Why: unknownOperation(op)}
	}
	if hasEnvironment(op) && !knownEnvironment(scope.Environment) {
		return Decision{Why: unknownEnvironment(scope)}
	}
	perm := ApprovalNeeds(op)
	if p.Bot {
		return Decision{Why: "bots never approve", WhoCan: b.whoElse(p, perm, scope)}
	}
	return b.Can(p, perm, scope)
}

// CanConfirm reports whether the person may confirm the operation: whoever may do it and is no bot.
func (b *Bindings) CanConfirm(p Person, op domain.Operation, scope Scope) Decision {
	if p.Bot {
		perm, _ := Needs(op)
		return Decision{Why: "bots never confirm", WhoCan: b.whoElse(p, perm, scope)}
	}
	return b.CanDo(p, op, scope)
}

// Roles returns the roles that the person holds in the scope, the widest first. Without an
// environment in the scope, bindings of any environment count.
func (b *Bindings) Roles(p Person, scope Scope) []Role {
	held := map[Role]bool{}
	for _, g := range b.grants {
		if granted, _ := g.names(p); granted && g.holds(scope) {
			held[g.role] = true
		}
	}
	var out []Role
	for _, r := range Roles() {
		if held[r] {
			out = append(out, r)
		}
	}
	return out
}

// holds reports whether the role of the grant is held in the scope, whatever it permits.
func (g grant) holds(scope Scope) bool {
	if g.role == RolePlatformAdmin {
		return true
	}
	return g.covers(scope.System) && (scope.Environment == "" || g.in(scope.Environment))
}

// unanswerable says why a question has no answer but no, whoever is bound to what.
func unanswerable(p Person, perm Permission, scope Scope) string {
	switch {
	case reaches[perm] == 0:
		return fmt.Sprintf("permission %q is not known", perm)
	case p.ID == 0:
		return "the forge does not say who " + p.String() + " is"
	case reaches[perm] == inEnvironment && !knownEnvironment(scope.Environment),
		reaches[perm] == whereAsked && scope.Environment != "" && !knownEnvironment(scope.Environment):
		return unknownEnvironment(scope)
	case p.Bot && perm == ApprovalApprove:
		return "bots never approve"
	}
	return ""
}

func unknownOperation(op domain.Operation) string {
	return fmt.Sprintf("operation %q is not known", op)
}

func unknownEnvironment(scope Scope) string {
	if scope.Environment == "" {
		return "the environment is not known"
	}
	return fmt.Sprintf("environment %q is not known", scope.Environment)
}

// miss is the set of checks that a grant fails for a question.
type miss uint8

// In the order in which one is called nearer than another of the same number.
const (
	missEnvironment miss = 1 << iota
	missSystem
	missIdentity
	missRole
	missAll miss = 0xff
)

// nearer reports whether m is closer to a yes than n: fewer checks failed, then the lesser ones.
func (m miss) nearer(n miss) bool {
	a, b := bits.OnesCount8(uint8(m)), bits.OnesCount8(uint8(n))
	return a < b || a == b && m < n
}

// misses returns the checks that the grant fails; none means that it grants. about is false when the
// grant has nothing to do with the person, which is no near miss of theirs.
func (g grant) misses(p Person, perm Permission, scope Scope) (m miss, about bool) {
	granted, about := g.names(p)
	if !granted {
		m |= missIdentity
	}
	return m | g.lacks(perm, scope), about || granted
}

// lacks is misses without the person.
func (g grant) lacks(perm Permission, scope Scope) (m miss) {
	if g.role == RolePlatformAdmin && g.role.has(perm) {
		return 0
	}
	if !g.role.has(perm) {
		m |= missRole
	}
	switch reaches[perm] {
	case inEnvironment:
		m |= g.outside(scope.System) | g.elsewhere(scope.Environment)
	case whereAsked:
		m |= g.outside(scope.System)
		if scope.Environment != "" {
			m |= g.elsewhere(scope.Environment)
		}
	case onSystem:
		m |= g.outside(scope.System)
	}
	return m
}

func (g grant) outside(system string) miss {
	if g.covers(system) {
		return 0
	}
	return missSystem
}

func (g grant) elsewhere(e domain.Environment) miss {
	if g.in(e) {
		return 0
	}
	return missEnvironment
}

// explain is the sentence about a near miss. A role that never gives the permission is all there is to
// say, wherever it is held.
func (g grant) explain(m miss, p Person, perm Permission) string {
	var but []string
	if m&missIdentity != 0 {
		but = append(but, fmt.Sprintf("that names %s with id %d, and this is %s with id %d",
			g.person.Login, g.person.ID, p.Login, p.ID))
	}
	if m&missRole != 0 {
		but = append(but, fmt.Sprintf("%s %s", g.role, cannot(perm)))
	}
	if m&missSystem != 0 {
		but = append(but, "only on "+g.system)
	}
	if m&missEnvironment != 0 {
		but = append(but, "only in "+joinEnvironments(g.environments))
	}
	bound := string(g.role)
	if g.system != "" && m&missSystem == 0 {
		bound += " on " + g.system
	}
	if g.team.TeamID != 0 {
		bound += " through team " + teamName(g.team)
	}
	if m&missRole != 0 && m&missIdentity == 0 {
		return fmt.Sprintf("bound as %s (%s), which %s", bound, g.source, cannot(perm))
	}
	return fmt.Sprintf("bound as %s (%s), but %s", bound, g.source, strings.Join(but, " and "))
}

// cannot is what a role without the permission fails to do.
func cannot(perm Permission) string {
	if perm == ApprovalApprove {
		return "cannot approve"
	}
	return "does not include " + string(perm)
}
