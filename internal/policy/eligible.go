package policy

import (
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// Eligible reports whether an approval by the person counts for the requirement in the scope: a known
// person, no bot, who holds the permission to approve this operation there, and has one of the roles
// and is in one of the teams that the requirement names, where it names any. That the person is no contributor to the
// change is for the caller to see.
func Eligible(b *Bindings, p Person, req Requirement, scope Scope) Decision {
	d := b.CanApprove(p, req.Operation, scope)
	if d.Allowed && !b.isFrom(p, req.From, scope) {
		d = Decision{Why: "approvals count only from " + describe(req.From)}
	}
	if !d.Allowed {
		people, teams := WhoMayApprove(b, req, scope)
		d.WhoCan = others(p, people, teams)
	}
	return d
}

// Ask is the question that [Eligible] answers, for [Bindings.TeamsNeeded].
func (r Requirement) Ask(p Person, scope Scope) Ask {
	return Ask{Person: p, Permission: ApprovalNeeds(r.Operation), Scope: scope, From: r.From}
}

// WhoMayApprove returns the people and teams whose approval would count. A team stands for those of
// its members who also hold the permission and the role; nobody is looked up.
func WhoMayApprove(b *Bindings, req Requirement, scope Scope) (people []spec.Person, teams []spec.Team) {
	if _, known := Needs(req.Operation); !known || hasEnvironment(req.Operation) && !knownEnvironment(scope.Environment) {
		return nil, nil
	}
	people, teams = b.WhoCan(ApprovalNeeds(req.Operation), scope)
	if len(req.From.Teams) > 0 {
		return nil, slices.Clone(req.From.Teams)
	}
	if len(req.From.Roles) == 0 {
		return people, teams
	}
	_, bound := b.holders(func(g grant) bool {
		return g.holds(scope) && slices.Contains(req.From.Roles, string(g.role))
	})
	people = slices.DeleteFunc(people, func(p spec.Person) bool {
		return !b.isFrom(Person{ID: p.ID, Login: p.Login}, req.From, scope)
	})
	teams = slices.DeleteFunc(teams, func(t spec.Team) bool {
		return !slices.ContainsFunc(bound, func(u spec.Team) bool { return teamID(t) == teamID(u) })
	})
	return people, teams
}

// isFrom reports whether the person is one of those whom an approval has to come from: in one of the
// roles, and in one of the teams.
func (b *Bindings) isFrom(p Person, from spec.ApprovalFrom, scope Scope) bool {
	role := len(from.Roles) == 0 || slices.ContainsFunc(b.Roles(p, scope), func(r Role) bool {
		return slices.Contains(from.Roles, string(r))
	})
	return role && (len(from.Teams) == 0 || slices.ContainsFunc(from.Teams, p.in))
}

// in reports whether the person was found an active member of the team.
func (p Person) in(t spec.Team) bool {
	return t.TeamID != 0 && t.OrganizationID != 0 && slices.Contains(p.Teams, teamID(t))
}
