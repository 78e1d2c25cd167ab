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
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
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
			got, err := NewPeople(store.New(storetest.Open(t)), f, time.Minute, now).Resolve(t.Context(), c.who, c.teams, false)
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
	p := NewPeople(store.New(storetest.Open(t)), f, time.Minute, func() time.Time { return at })
	resolve := func(who forge.Person) int {
		t.Helper()
		got, err := p.Resolve(t.Context(), who, teams[:1], false)
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
		{"remembered", time.Minute - time.Microsecond, nil, 1, 1},
		{"forgotten", time.Microsecond, nil, 0, 2},
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
	p := NewPeople(store.New(storetest.Open(t)), f, time.Minute, now)
	if got, err := p.Resolve(t.Context(), alice, teams, false); !errors.Is(err, f.broken) || len(got.Teams) != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	f.broken = nil
	if got, err := p.Resolve(t.Context(), alice, teams, false); err != nil || len(got.Teams) != 2 {
		t.Errorf("after the error: %+v, %v", got, err)
	}
}

// What the forge tells of memberships is asked anew, whichever process asks; a decision about prod takes no
// answer from memory.
func TestPeopleForget(t *testing.T) {
	t.Parallel()
	f, db, at := newRoster(), store.New(storetest.Open(t)), clock
	p := NewPeople(db, f, time.Hour, func() time.Time { return at })
	resolve := func(fresh bool) {
		t.Helper()
		if _, err := p.Resolve(t.Context(), alice, teams, fresh); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name  string
		event *forge.Membership
		fresh bool
		asked int
	}{
		{"first", nil, false, 2},
		{"again", nil, false, 2},
		{"another team", &forge.Membership{OrgID: 9, TeamID: 3}, false, 2},
		{"another person", &forge.Membership{OrgID: 9, PersonID: bob.ID}, false, 2},
		{"this person in one team", &forge.Membership{OrgID: 9, TeamID: 1, PersonID: alice.ID}, false, 3},
		{"everybody of a team", &forge.Membership{OrgID: 9, TeamID: 2}, false, 4},
		{"the whole organisation", &forge.Membership{OrgID: 9}, false, 6},
		{"for prod", nil, true, 8},
	} {
		at = at.Add(time.Minute)
		if step.event != nil {
			err := db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := forget(ctx, tx, *step.event)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if resolve(step.fresh); len(f.asked) != step.asked {
			t.Errorf("%s: %d questions, want %d", step.name, len(f.asked), step.asked)
		}
	}
}
