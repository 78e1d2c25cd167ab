package bot

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/policy"
)

// roster is a forge with teams.
type roster struct {
	logins  map[int64]string
	members map[int64][]string // by team
	broken  error
	asked   []string
}

func (r *roster) User(_ context.Context, id int64) (forge.Person, error) {
	login, ok := r.logins[id]
	if !ok {
		return forge.Person{}, fmt.Errorf("user %d: %w", id, forge.ErrNotFound)
	}
	return forge.Person{ID: id, Login: login}, nil
}

func (r *roster) TeamMember(_ context.Context, org, team int64, login string) (bool, error) {
	r.asked = append(r.asked, fmt.Sprintf("%d/%d %s", org, team, login))
	for _, m := range r.members[team] {
		if m == login {
			return true, r.broken
		}
	}
	return false, r.broken
}

func newRoster() *roster {
	return &roster{
		logins:  map[int64]string{alice.ID: "alice", bob.ID: "bob"},
		members: map[int64][]string{1: {"alice"}, 2: {"alice", "bob"}},
	}
}

var teams = []spec.Team{
	{Organization: "acme", OrganizationID: 9, Team: "owners", TeamID: 1},
	{Organization: "acme", OrganizationID: 9, Team: "platform", TeamID: 2},
}

func TestPeopleResolve(t *testing.T) {
	t.Parallel()
	owners, platform := policy.TeamID{Org: 9, Team: 1}, policy.TeamID{Org: 9, Team: 2}
	for _, c := range []struct {
		name  string
		who   forge.Person
		teams []spec.Team
		want  policy.Person
		asked []string
	}{
		{"in both", alice, teams, policy.Person{ID: 101, Login: "alice", Teams: []policy.TeamID{owners, platform}}, []string{"9/1 alice", "9/2 alice"}},
		{"in one", bob, teams, policy.Person{ID: 102, Login: "bob", Teams: []policy.TeamID{platform}}, []string{"9/1 bob", "9/2 bob"}},
		{"no team is asked about", bob, nil, policy.Person{ID: 102, Login: "bob"}, nil},
		{"nobody", forge.Person{}, teams, policy.Person{}, nil},
		{"a login alone", forge.Person{Login: "alice"}, teams, policy.Person{Login: "alice"}, nil},
		{"a bot", forge.Person{ID: 101, Login: "alice", Bot: true}, teams, policy.Person{ID: 101, Login: "alice", Bot: true}, nil},
		{"an account that is gone", carol, teams, policy.Person{ID: 103, Login: "carol"}, nil},
		{"one who was renamed", forge.Person{ID: 101, Login: "old"}, teams[:1], policy.Person{ID: 101, Login: "old", Teams: []policy.TeamID{owners}}, []string{"9/1 alice"}},
		{"one whose former login is a member's now", forge.Person{ID: 102, Login: "alice"}, teams[:1], policy.Person{ID: 102, Login: "alice"}, []string{"9/1 bob"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newRoster()
			got, err := NewPeople(f, time.Minute, now).Resolve(t.Context(), c.who, c.teams)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("person (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.asked, f.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// A membership is remembered for as long as was said, no longer, and an error not at all.
func TestPeopleRemember(t *testing.T) {
	t.Parallel()
	f := newRoster()
	at := clock
	p := NewPeople(f, time.Minute, func() time.Time { return at })
	resolve := func(who forge.Person) int {
		t.Helper()
		got, err := p.Resolve(t.Context(), who, teams[:1])
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Teams)
	}
	for _, step := range []struct {
		name    string
		passed  time.Duration
		members []string
		teams   int
		asked   int
	}{
		{"first", 0, []string{"alice"}, 1, 1},
		{"remembered", time.Minute - time.Nanosecond, nil, 1, 1},
		{"forgotten", time.Nanosecond, nil, 0, 2},
		{"remembered as none", 30 * time.Second, []string{"alice"}, 0, 2},
		{"back", time.Minute, []string{"alice"}, 1, 3},
	} {
		at = at.Add(step.passed)
		f.members[1] = step.members
		if n := resolve(alice); n != step.teams || len(f.asked) != step.asked {
			t.Errorf("%s: %d teams after %d questions; want %d after %d", step.name, n, len(f.asked), step.teams, step.asked)
		}
	}
	if resolve(bob); len(f.asked) != 4 {
		t.Error("another person was answered from memory")
	}
}

func TestPeopleUnknownMeansNo(t *testing.T) {
	t.Parallel()
	f := newRoster()
	f.broken = errors.New("502")
	p := NewPeople(f, time.Minute, now)
	if got, err := p.Resolve(t.Context(), alice, teams); !errors.Is(err, f.broken) || len(got.Teams) != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	f.broken = nil
	if got, err := p.Resolve(t.Context(), alice, teams); err != nil || len(got.Teams) != 2 {
		t.Errorf("after the error: %+v, %v", got, err)
	}
}

func TestPeopleForgetsWhenFull(t *testing.T) {
	t.Parallel()
	p := NewPeople(newRoster(), time.Minute, now)
	for id := range int64(maxMemberships + 1) {
		p.known[membership{person: -id}] = answer{}
	}
	if _, err := p.Resolve(t.Context(), alice, teams[:1]); err != nil {
		t.Fatal(err)
	}
	if len(p.known) != 1 {
		t.Errorf("%d memberships are kept", len(p.known))
	}
}
