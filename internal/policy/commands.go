package policy

import (
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// CanPlan reports whether the person may change the plan of a change: whoever may approve it.
func (b *Bindings) CanPlan(p Person, op domain.Operation, scope Scope) Decision {
	return b.CanApprove(p, op, scope)
}

// CanRetry reports whether the person may have a failed change carried out again: whoever may do or
// approve it, and is no bot.
func (b *Bindings) CanRetry(p Person, op domain.Operation, scope Scope) Decision {
	if p.Bot {
		return Decision{Why: "bots never retry"}
	}
	return either(b.CanDo(p, op, scope), b.CanApprove(p, op, scope))
}

// CanHold reports whether the person may hold back, or let go, a pull request with such a change: its
// author, and whoever may do or approve the change. Bots never do: letting go can lead to a merge.
func (b *Bindings) CanHold(p, author Person, op domain.Operation, scope Scope) Decision {
	if p.Bot {
		return Decision{Why: "bots never hold or let go"}
	}
	if p.ID != 0 && p.ID == author.ID {
		return Decision{Allowed: true, Why: "author of the pull request"}
	}
	return either(b.CanDo(p, op, scope), b.CanApprove(p, op, scope))
}

// CanDismiss reports whether the person may end somebody else's veto: a platform administrator. That
// they are no contributor to the change is for the caller to see.
func (b *Bindings) CanDismiss(p Person) Decision {
	if p.Bot {
		return Decision{Why: "bots never dismiss", WhoCan: b.whoElse(p, PlatformAdmin, Scope{})}
	}
	return b.Can(p, PlatformAdmin, Scope{})
}

// either is yes when one of two ways is open. A no gives both reasons.
func either(do, approve Decision) Decision {
	switch {
	case do.Allowed:
		return do
	case approve.Allowed:
		return approve
	case do.Why == approve.Why:
		return do
	}
	who := slices.Clone(do.WhoCan)
	for _, name := range approve.WhoCan {
		if !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	return Decision{Why: "to do it: " + do.Why + "; to approve it: " + approve.Why, WhoCan: who}
}

// Administrators returns the people and the teams that are bound as platform administrators, in the
// platform or by the server's configuration. Bots and bindings that name nobody are left out.
func (b *Bindings) Administrators() (people []spec.Person, teams []spec.Team) {
	return b.holders(func(g grant) bool { return g.role == RolePlatformAdmin && !botLogin(g.person.Login) })
}

// SoleAdministrator reports whether nobody but the person could approve a change of the platform: no
// team and no other person is bound as platform administrator, and the server's configuration names
// just this person.
func (b *Bindings) SoleAdministrator(p Person) bool {
	if p.Bot || p.ID == 0 {
		return false
	}
	people, teams := b.Administrators()
	if len(people) != 1 || len(teams) != 0 || people[0].ID != p.ID {
		return false
	}
	return slices.ContainsFunc(b.grants, func(g grant) bool {
		granted, _ := g.names(p)
		return granted && g.source == configured && g.role == RolePlatformAdmin
	})
}
