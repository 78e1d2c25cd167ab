package bot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/membership"
	"kv-shepherd.io/shepherd/ent/predicate"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/store"
)

// teamForge tells who is in which team, and under which login somebody goes now.
type teamForge interface {
	User(ctx context.Context, id int64) (forge.Person, error)
	TeamMember(ctx context.Context, orgID, teamID int64, login string) (bool, error)
}

// People answers who somebody is to the policy: the person with those teams that a question needs.
// Memberships are asked of the forge and kept in the database, where all replicas see them, until they
// are old or the forge tells of a change.
type People struct {
	db    *store.DB
	forge teamForge
	keep  time.Duration
	now   func() time.Time
}

// NewPeople keeps memberships for as long as keep says.
func NewPeople(db *store.DB, f teamForge, keep time.Duration, now func() time.Time) *People {
	return &People{db: db, forge: f, keep: keep, now: now}
}

// live is how old an answer may be that still counts as asked just now: one judging asks once.
const live = 5 * time.Second

// Resolve looks up those of the teams that the person is an active member of. Nobody known is in no team.
// Decisions about prod want fresh answers.
func (p *People) Resolve(ctx context.Context, who forge.Person, teams []spec.Team, fresh bool) (policy.Person, error) {
	out := policy.Person{ID: who.ID, Login: who.Login, Bot: who.Bot}
	if !who.Known() || who.Bot {
		return out, nil
	}
	for _, t := range teams {
		id := policy.TeamID{Org: t.OrganizationID, Team: t.TeamID}
		member, err := p.member(ctx, id, who, fresh)
		if err != nil {
			return policy.Person{}, fmt.Errorf("look up %s in team %s/%s: %w", who.Login, t.Organization, t.Team, err)
		}
		if member {
			out.Teams = append(out.Teams, id)
		}
	}
	return out, nil
}

func (p *People) member(ctx context.Context, team policy.TeamID, who forge.Person, fresh bool) (bool, error) {
	keep := p.keep
	if fresh {
		keep = min(keep, live)
	}
	known, err := p.db.Membership.Query().Where(membership.Organization(team.Org), membership.Team(team.Team), membership.Person(who.ID),
		membership.AskedAtGT(p.now().Add(-keep))).Only(ctx)
	if err == nil {
		return known.Member, nil
	}
	if !ent.IsNotFound(err) {
		return false, fmt.Errorf("read the membership: %w", err)
	}
	asked := p.now() // before the answer: what changes meanwhile is forgotten after it
	member, err := p.ask(ctx, team, who)
	if err != nil {
		return false, err
	}
	err = p.db.Membership.Create().SetOrganization(team.Org).SetTeam(team.Team).SetPerson(who.ID).SetMember(member).SetAskedAt(asked).
		OnConflictColumns(membership.FieldOrganization, membership.FieldTeam, membership.FieldPerson).
		Update(func(u *ent.MembershipUpsert) { u.UpdateMember().UpdateAskedAt() }).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("keep the membership: %w", err)
	}
	return member, nil
}

// forget drops what is known of the memberships that the forge says have changed, and reports whether there
// was anything.
func forget(ctx context.Context, tx *store.Tx, m forge.Membership) (known bool, err error) {
	var about []predicate.Membership
	if m.OrgID != 0 {
		about = append(about, membership.Organization(m.OrgID))
	}
	if m.TeamID != 0 {
		about = append(about, membership.Team(m.TeamID))
	}
	if m.PersonID != 0 {
		about = append(about, membership.Person(m.PersonID))
	}
	n, err := tx.Membership.Delete().Where(about...).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("forget memberships: %w", err)
	}
	return n > 0, nil
}

// ask asks the forge. Teams list logins, and the one that we know may be somebody else's by now: a
// push remembers who sent it under the login of that day.
func (p *People) ask(ctx context.Context, team policy.TeamID, who forge.Person) (bool, error) {
	current, err := p.forge.User(ctx, who.ID)
	if errors.Is(err, forge.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return p.forge.TeamMember(ctx, team.Org, team.Team, current.Login)
}

// identify adds the people: who opened the pull request, who pushed what, with the teams that matter.
func (j *Judge) identify(ctx context.Context, in *judge.Input, pull forge.PullRequest, h heads) error {
	pushers, err := j.pushers(ctx, pull, h, in.Files, in.Planned)
	if err != nil {
		return err
	}
	asks := asksOf(in, pull.Author, pushers)
	teams := in.Bindings.TeamsNeeded(asks...)
	if in.Author, err = j.people.Resolve(ctx, pull.Author, teams, false); err != nil {
		return err
	}
	in.Pushers = map[string][]policy.Person{}
	for path, who := range pushers {
		for _, p := range who {
			person, err := j.people.Resolve(ctx, p, teams, false)
			if err != nil {
				return err
			}
			in.Pushers[path] = append(in.Pushers[path], person)
		}
	}
	if pull.Number > 0 {
		in.Submitted, err = j.submitted(ctx, pull.Number)
	}
	return err
}

// asksOf are the questions that a judging will put to the policy, so that no team is looked up that
// cannot matter.
func asksOf(in *judge.Input, author forge.Person, pushers map[string][]forge.Person) []policy.Ask {
	var asks []policy.Ask
	for _, f := range in.Files {
		ref, governed, problems := spec.ParsePath(f.Path)
		if !governed || problems.Blocking() {
			continue
		}
		scope := scopeAt(in.Platform, ref)
		if ref.Kind == spec.KindConsoleAccess {
			scope = scopeOfMachine(in, ref.Name)
		}
		for _, op := range operationsOf(ref.Kind) {
			perm, _ := policy.Needs(op)
			for _, p := range append([]forge.Person{author}, pushers[f.Path]...) {
				asks = append(asks, policy.Ask{Person: policy.Person{ID: p.ID, Login: p.Login, Bot: p.Bot}, Permission: perm, Scope: scope})
			}
		}
	}
	return asks
}

// scopeOfMachine is where a request for a console belongs: to the VM's system and environment.
func scopeOfMachine(in *judge.Input, name string) policy.Scope {
	m, ok := in.World.Machines[name]
	if !ok {
		return policy.Scope{}
	}
	ref, _, problems := spec.ParsePath(m.Path)
	if problems.Blocking() {
		return policy.Scope{}
	}
	return scopeAt(in.Platform, ref)
}

// operationsOf are what a change of a document of the kind can turn out to be.
func operationsOf(kind spec.Kind) []domain.Operation {
	switch kind {
	case spec.KindSystem:
		return []domain.Operation{domain.CreateSystem, domain.ModifySystem, domain.DeleteSystem}
	case spec.KindService:
		return []domain.Operation{domain.CreateService, domain.ModifyService, domain.DeleteService}
	case spec.KindVirtualMachine:
		return []domain.Operation{domain.CreateVM, domain.StartVM, domain.DeleteVM}
	case spec.KindConsoleAccess:
		return []domain.Operation{domain.VNCAccess}
	}
	return []domain.Operation{domain.ChangePlatform}
}
