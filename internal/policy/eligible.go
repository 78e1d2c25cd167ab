package policy

import (
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// Eligible reports whether an approval by the person counts for the requirement in the scope: a known
// person, no bot, who holds the permission to approve this operation there, and is in one of the
// roles or teams that the requirement names, if it names any. That the person is no contributor to the
// change is for the caller to see.
func Eligible(b *Bindings, p Person, req Requirement, scope Scope) Decision {
	d := b.CanApprove(p, req.Operation, scope)
	if !d.Allowed {
		d.WhoCan = namesOf(WhoMayApprove(b, req, scope))
		return d
	}
	if !b.isFrom(p, req.From, scope) {
		return Decision{
			Why:    "approvals count only from " + describe(req.From),
			WhoCan: namesOf(WhoMayApprove(b, req, scope)),
		}
	}
	return d
}

// Ask is the question that [Eligible] answers, for [Bindings.TeamsNeeded].
func (r Requirement) Ask(p Person, scope Scope) Ask {
	return Ask{Person: p, Permission: ApprovalNeeds(r.Operation), Scope: scope, From: r.From}
}

// WhoMayApprove returns the people and teams whose approval would count. A team stands for those of
// its members who also hold the permission.
func WhoMayApprove(b *Bindings, req Requirement, scope Scope) (people []spec.Person, teams []spec.Team) {
	if hasEnvironment(req.Operation) && !knownEnvironment(scope.Environment) {
		return nil, nil
	}
	people, teams = b.WhoCan(ApprovalNeeds(req.Operation), scope)
	if anybody(req.From) {
		return people, teams
	}
	people = slices.DeleteFunc(people, func(p spec.Person) bool {
		return !b.isFrom(Person{ID: p.ID, Login: p.Login}, spec.ApprovalFrom{Roles: req.From.Roles}, scope) ||
			len(req.From.Roles) == 0
	})
	_, inRole := b.holders(func(g grant) bool {
		return g.holds(scope) && slices.Contains(req.From.Roles, string(g.role))
	})
	teams = slices.DeleteFunc(teams, func(t spec.Team) bool {
		return !slices.ContainsFunc(inRole, func(u spec.Team) bool { return sameTeam(t, u) })
	})
	for _, t := range req.From.Teams {
		if !slices.ContainsFunc(teams, func(u spec.Team) bool { return sameTeam(t, u) }) {
			teams = append(teams, t)
		}
	}
	return people, teams
}

// isFrom reports whether the person is among those whom an approval has to come from.
func (b *Bindings) isFrom(p Person, from spec.ApprovalFrom, scope Scope) bool {
	if anybody(from) {
		return true
	}
	for _, role := range b.Roles(p, scope) {
		if slices.Contains(from.Roles, string(role)) {
			return true
		}
	}
	return slices.ContainsFunc(from.Teams, func(t spec.Team) bool {
		return t.TeamID != 0 && t.OrganizationID != 0 &&
			slices.Contains(p.Teams, TeamID{t.OrganizationID, t.TeamID})
	})
}
