package bot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// teamForge tells who is in which team, and under which login somebody goes now.
type teamForge interface {
	User(ctx context.Context, id int64) (forge.Person, error)
	TeamMember(ctx context.Context, orgID, teamID int64, login string) (bool, error)
}

// People answers who somebody is to the policy: the person with those teams that a question needs.
// Memberships are asked of the forge and kept for a short while.
type People struct {
	forge teamForge
	keep  time.Duration
	now   func() time.Time

	mu    sync.Mutex
	known map[membership]answer
}

type membership struct {
	team   policy.TeamID
	person int64
}

type answer struct {
	member bool
	until  time.Time
}

// NewPeople keeps memberships for as long as keep says.
func NewPeople(f teamForge, keep time.Duration, now func() time.Time) *People {
	return &People{forge: f, keep: keep, now: now, known: map[membership]answer{}}
}

// Resolve looks up those of the teams that the person is an active member of. Nobody known is in no team.
func (p *People) Resolve(ctx context.Context, who forge.Person, teams []spec.Team) (policy.Person, error) {
	out := policy.Person{ID: who.ID, Login: who.Login, Bot: who.Bot}
	if !who.Known() || who.Bot {
		return out, nil
	}
	for _, t := range teams {
		id := policy.TeamID{Org: t.OrganizationID, Team: t.TeamID}
		member, err := p.member(ctx, id, who)
		if err != nil {
			return policy.Person{}, fmt.Errorf("look up %s in team %s/%s: %w", who.Login, t.Organization, t.Team, err)
		}
		if member {
			out.Teams = append(out.Teams, id)
		}
	}
	return out, nil
}

func (p *People) member(ctx context.Context, team policy.TeamID, who forge.Person) (bool, error) {
	key := membership{team, who.ID}
	p.mu.Lock()
	a, ok := p.known[key]
	p.mu.Unlock()
	if ok && p.now().Before(a.until) {
		return a.member, nil
	}
	member, err := p.ask(ctx, team, who)
	if err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) > maxMemberships {
		clear(p.known)
	}
	p.known[key] = answer{member, p.now().Add(p.keep)}
	return member, nil
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

// maxMemberships bounds the memory that memberships may take.
const maxMemberships = 10000

// identify adds the people: who opened the pull request, who pushed what, with the teams that matter.
func (j *Judge) identify(ctx context.Context, in *judge.Input, pull forge.PullRequest, h heads) error {
	pushers, err := j.pushers(ctx, pull, h, in.Files)
	if err != nil {
		return err
	}
	asks := asksOf(in, pull.Author, pushers)
	teams := in.Bindings.TeamsNeeded(asks...)
	if in.Author, err = j.people.Resolve(ctx, pull.Author, teams); err != nil {
		return err
	}
	in.Pushers = map[string][]policy.Person{}
	for path, who := range pushers {
		for _, p := range who {
			person, err := j.people.Resolve(ctx, p, teams)
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
		scope := policy.Scope{System: ref.System}
		op := domain.CreateSystem
		switch ref.Kind {
		case spec.KindService:
			op = domain.CreateService
		case spec.KindVirtualMachine:
			op = domain.CreateVM
			if ns, p := in.Platform.Namespace(ref.Namespace); p == nil {
				scope.Environment = ns.Environment
			}
		}
		perm, _ := policy.Needs(op)
		for _, p := range append([]forge.Person{author}, pushers[f.Path]...) {
			asks = append(asks, policy.Ask{Person: policy.Person{ID: p.ID, Login: p.Login, Bot: p.Bot}, Permission: perm, Scope: scope})
		}
	}
	return asks
}
