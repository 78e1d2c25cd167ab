package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// Ask is one question about one person whose teams are not known yet.
type Ask struct {
	Person     Person
	Permission Permission
	Scope      Scope
	From       spec.ApprovalFrom // only for approvals
}

// TeamsNeeded returns the teams whose membership can change the answer to any of the questions, sorted
// and each once. A question that the person's own bindings answer needs none: the caller looks up no
// more than this.
func (b *Bindings) TeamsNeeded(asks ...Ask) []spec.Team {
	needed := map[TeamID]spec.Team{}
	add := func(t spec.Team) {
		if t.TeamID != 0 && t.OrganizationID != 0 {
			needed[teamID(t)] = t
		}
	}
	for _, a := range asks {
		if a.Person.Bot || unanswerable(a.Person, a.Permission, a.Scope) != "" {
			continue
		}
		can := b.Can(a.Person, a.Permission, a.Scope).Allowed
		from := b.isFrom(a.Person, a.From, a.Scope)
		for _, g := range b.grants {
			if !can && g.lacks(a.Permission, a.Scope) == 0 ||
				!from && g.holds(a.Scope) && slices.Contains(a.From.Roles, string(g.role)) {
				add(g.team)
			}
		}
		if !from {
			for _, t := range a.From.Teams {
				add(t)
			}
		}
	}
	out := make([]spec.Team, 0, len(needed))
	for _, t := range needed {
		out = append(out, t)
	}
	slices.SortFunc(out, compareTeams)
	return out
}

// WhoCan returns the people and teams that hold the permission in the scope: those bound most closely
// first, platform administrators last, by name within. It looks nobody up, so that a team stands for
// its members, and a person whose login and id no longer agree is still listed.
func (b *Bindings) WhoCan(perm Permission, scope Scope) (people []spec.Person, teams []spec.Team) {
	if unanswerable(Person{ID: 1}, perm, scope) != "" {
		return nil, nil
	}
	return b.holders(func(g grant) bool {
		return g.lacks(perm, scope) == 0 && !(perm == ApprovalApprove && botLogin(g.person.Login))
	})
}

// holders collects the people and teams of the grants that the filter keeps.
func (b *Bindings) holders(keep func(grant) bool) (people []spec.Person, teams []spec.Team) {
	var kept []grant
	for _, g := range b.grants {
		if keep(g) {
			kept = append(kept, g)
		}
	}
	slices.SortStableFunc(kept, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.distance(), b.distance()),
			cmp.Compare(strings.ToLower(a.person.Login), strings.ToLower(b.person.Login)),
			compareTeams(a.team, b.team))
	})
	seenPeople, seenTeams := map[int64]bool{}, map[TeamID]bool{}
	for _, g := range kept {
		team := teamID(g.team)
		switch {
		case g.person.ID != 0 && !seenPeople[g.person.ID]:
			seenPeople[g.person.ID] = true
			people = append(people, g.person)
		case g.person.ID == 0 && team.Team != 0 && team.Org != 0 && !seenTeams[team]:
			seenTeams[team] = true
			teams = append(teams, g.team)
		}
	}
	return people, teams
}

// distance orders grants by how near they are to what they are asked about.
func (g grant) distance() int {
	switch {
	case g.role == RolePlatformAdmin:
		return 2
	case g.system == "":
		return 1
	}
	return 0
}

// maxNames bounds a list of names in a sentence.
const maxNames = 8

// whoElse names those who hold the permission. Somebody with the person's number or login is left
// out: that would read as if the person could.
func (b *Bindings) whoElse(p Person, perm Permission, scope Scope) []string {
	people, teams := b.WhoCan(perm, scope)
	return others(p, people, teams)
}

func others(p Person, people []spec.Person, teams []spec.Team) []string {
	return namesOf(slices.DeleteFunc(people, func(q spec.Person) bool {
		return q.ID == p.ID || p.Login != "" && strings.EqualFold(q.Login, p.Login)
	}), teams)
}

func namesOf(people []spec.Person, teams []spec.Team) []string {
	var names []string
	for _, p := range people {
		if p.Login == "" {
			p.Login = fmt.Sprintf("id %d", p.ID)
		}
		names = append(names, p.Login)
	}
	for _, t := range teams {
		names = append(names, "team "+teamName(t))
	}
	if len(names) > maxNames {
		more := len(names) - maxNames
		names = append(names[:maxNames:maxNames], fmt.Sprintf("%d more", more))
	}
	return names
}

func compareTeams(a, b spec.Team) int {
	return cmp.Or(cmp.Compare(a.Organization, b.Organization), cmp.Compare(a.Team, b.Team),
		cmp.Compare(a.OrganizationID, b.OrganizationID), cmp.Compare(a.TeamID, b.TeamID))
}

// botLogin recognises the logins that GitHub keeps for Apps; no person can have one.
func botLogin(login string) bool { return strings.HasSuffix(login, "[bot]") }
