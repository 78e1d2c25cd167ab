package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

var (
	ops      = spec.Team{Organization: "acme", OrganizationID: 1, Team: "ops", TeamID: 11}
	security = spec.Team{Organization: "acme", OrganizationID: 1, Team: "security", TeamID: 12}
	dba      = spec.Team{Organization: "acme", OrganizationID: 1, Team: "dba", TeamID: 13}

	both = []domain.Environment{domain.Test, domain.Prod}
)

// fleet is a platform with a bit of everything.
func fleet() Sources {
	return Sources{
		Roles: map[string]*spec.RoleBinding{
			"ops": {Role: "operator", System: "shop", People: []spec.Person{
				{Login: "alice", ID: 7}, {Login: "renovate[bot]", ID: 50}}},
			"ops-team":  {Role: "operator", Teams: []spec.Team{ops}, AllowedEnvironments: both},
			"approvers": {Role: "approver", People: []spec.Person{{Login: "bob", ID: 8}}, Teams: []spec.Team{security}, AllowedEnvironments: both},
			"tester":    {Role: "approver", People: []spec.Person{{Login: "tess", ID: 9}, {Login: "stamp[bot]", ID: 51}}},
			"admins":    {Role: "platform-admin", People: []spec.Person{{Login: "root", ID: 1}}},
			"viewers":   {Role: "viewer", People: []spec.Person{{Login: "vera", ID: 10}}},
			"staging":   {Role: "operator", People: []spec.Person{{Login: "stan", ID: 14}}, AllowedEnvironments: []domain.Environment{"staging"}},
		},
		Systems: []SystemPeople{
			{System: "shop", Owners: []spec.Person{{Login: "olga", ID: 20}}},
			{System: "blog", Creator: spec.Person{Login: "carl", ID: 21}},
		},
		Administrators: []spec.Person{{ID: 2}, {Login: "named", ID: 3}},
	}
}

func TestCan(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	test, prod := Scope{"shop", domain.Test}, Scope{"shop", domain.Prod}
	acme := func(team int64) []TeamID { return []TeamID{{1, team}} }
	for _, tt := range []struct {
		name  string
		p     Person
		perm  Permission
		scope Scope
		want  bool
		why   string
	}{
		{"own binding", alice, VMCreate, test, true, "operator on shop in test (platform/roles/ops.yaml)"},
		{"only in test", alice, VMCreate, prod, false, "bound as operator on shop (platform/roles/ops.yaml), but only in test"},
		{"only on shop", alice, VMCreate, Scope{"blog", domain.Test}, false, "bound as operator (platform/roles/ops.yaml), but only on shop"},
		{"elsewhere in both ways", alice, VMCreate, Scope{"blog", domain.Prod}, false,
			"bound as operator (platform/roles/ops.yaml), but only on shop and only in test"},
		{"role lacks it", Person{ID: 10, Login: "vera"}, VMCreate, test, false,
			"bound as viewer (platform/roles/viewers.yaml), which does not include vm:create"},
		{"not bound", Person{ID: 99, Login: "eve"}, VMCreate, test, false, "no role binding names eve (id 99) or a team of theirs"},
		{"case of the login", Person{ID: 7, Login: "Alice"}, VMCreate, test, true, "operator on shop in test (platform/roles/ops.yaml)"},
		{"renamed", Person{ID: 7, Login: "alice2"}, VMCreate, test, false,
			"bound as operator on shop (platform/roles/ops.yaml), but that names alice with id 7, and this is alice2 with id 7"},
		{"login registered anew", Person{ID: 77, Login: "alice"}, VMCreate, test, false,
			"bound as operator on shop (platform/roles/ops.yaml), but that names alice with id 7, and this is alice with id 77"},
		{"unknown to the forge", Person{Login: "alice"}, VMCreate, test, false, "the forge does not say who alice is"},
		{"nobody", Person{}, VMCreate, test, false, "the forge does not say who somebody unknown is"},
		{"active team member", Person{ID: 30, Login: "tom", Teams: acme(11)}, VMCreate, prod, true,
			"operator everywhere in test and prod through team acme/ops (platform/roles/ops-team.yaml)"},
		{"team member with too small a role", Person{ID: 30, Login: "tom", Teams: acme(11)}, VMDelete, prod, false,
			"bound as operator through team acme/ops (platform/roles/ops-team.yaml), which does not include vm:delete"},
		{"inactive team member", Person{ID: 30, Login: "tom"}, VMCreate, prod, false, "no role binding names tom (id 30) or a team of theirs"},
		{"same number in another organisation", Person{ID: 30, Login: "tom", Teams: []TeamID{{2, 11}}}, VMCreate, prod, false,
			"no role binding names tom (id 30) or a team of theirs"},
		{"bot by binding", Person{ID: 50, Login: "renovate[bot]", Bot: true}, VMCreate, test, true,
			"operator on shop in test (platform/roles/ops.yaml)"},
		{"bot by team", Person{ID: 52, Login: "x[bot]", Bot: true, Teams: acme(11)}, VMCreate, test, false,
			"no role binding names x[bot] (id 52) or a team of theirs"},
		{"bot approves", Person{ID: 51, Login: "stamp[bot]", Bot: true}, ApprovalApprove, test, false, "bots never approve"},
		{"owner in test", Person{ID: 20, Login: "olga"}, VMDelete, test, true, "system-admin on shop in test (owners of shop)"},
		{"owner in prod", Person{ID: 20, Login: "olga"}, VMDelete, prod, false, "bound as system-admin on shop (owners of shop), but only in test"},
		{"owner elsewhere", Person{ID: 20, Login: "olga"}, SystemWrite, Scope{System: "blog"}, false,
			"bound as system-admin (owners of shop), but only on shop"},
		{"creator", Person{ID: 21, Login: "carl"}, ServiceCreate, Scope{System: "blog"}, true, "system-admin on blog in test (creator of blog)"},
		{"member creates any system", Person{ID: 10, Login: "vera"}, SystemCreate, Scope{System: "new", Environment: domain.Prod}, true,
			"viewer everywhere in test (platform/roles/viewers.yaml)"},
		{"owner is a member", Person{ID: 20, Login: "olga"}, SystemCreate, Scope{System: "new"}, true, "system-admin on shop in test (owners of shop)"},
		{"no member creates none", Person{ID: 99, Login: "eve"}, SystemCreate, Scope{System: "new"}, false,
			"no role binding names eve (id 99) or a team of theirs"},
		{"admin bound in test passes in prod", Person{ID: 1, Login: "root"}, VMDelete, prod, true, "platform-admin (platform/roles/admins.yaml)"},
		{"configured by number", Person{ID: 2, Login: "whoever"}, PlatformAdmin, Scope{}, true, "platform-admin (the server's configuration)"},
		{"configured by both", Person{ID: 3, Login: "named"}, PlatformAdmin, Scope{}, true, "platform-admin (the server's configuration)"},
		{"configured, renamed", Person{ID: 3, Login: "other"}, PlatformAdmin, Scope{}, false,
			"bound as platform-admin (the server's configuration), but that names named with id 3, and this is other with id 3"},
		{"environment not known, even for an admin", Person{ID: 1, Login: "root"}, VMCreate, Scope{System: "shop"}, false, "the environment is not known"},
		{"environment not ours", Person{ID: 1, Login: "root"}, VMCreate, Scope{"shop", "staging"}, false, `environment "staging" is not known`},
		{"bound to an environment that does not exist", Person{ID: 14, Login: "stan"}, VMCreate, test, false,
			"bound as operator (platform/roles/staging.yaml), but only in staging"},
		{"permission not known", Person{ID: 1, Login: "root"}, "vm:*", test, false, `permission "vm:*" is not known`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := b.Can(tt.p, tt.perm, tt.scope)
			if got.Allowed != tt.want || got.Why != tt.why {
				t.Errorf("got %v %q\nwant %v %q", got.Allowed, got.Why, tt.want, tt.why)
			}
			if got.Allowed && got.WhoCan != nil {
				t.Errorf("allowed, and yet names who can: %v", got.WhoCan)
			}
		})
	}
}

func TestWhoCan(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	for _, tt := range []struct {
		name  string
		perm  Permission
		scope Scope
		want  []string
	}{
		{"closest first, administrators last", VMCreate, Scope{"shop", domain.Test},
			[]string{"alice", "olga", "renovate[bot]", "id 2", "named", "root", "team acme/ops"}},
		{"prod", VMCreate, Scope{"shop", domain.Prod}, []string{"id 2", "named", "root", "team acme/ops"}},
		{"bots approve nothing", ApprovalApprove, Scope{"shop", domain.Test},
			[]string{"bob", "tess", "id 2", "named", "root", "team acme/security"}},
		{"platform", PlatformAdmin, Scope{}, []string{"id 2", "named", "root"}},
		{"environment not known", VMCreate, Scope{System: "shop"}, nil},
		{"a long list is cut", SystemCreate, Scope{},
			[]string{"alice", "carl", "olga", "renovate[bot]", "bob", "stamp[bot]", "stan", "tess", "6 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, namesOf(b.WhoCan(tt.perm, tt.scope))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	d := b.Can(Person{ID: 99, Login: "eve"}, VMCreate, Scope{"shop", domain.Prod})
	if diff := cmp.Diff([]string{"id 2", "named", "root", "team acme/ops"}, d.WhoCan); diff != "" {
		t.Errorf("a refusal names who can (-want +got):\n%s", diff)
	}
}

func TestTeamsNeeded(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	test, prod := Scope{"shop", domain.Test}, Scope{"shop", domain.Prod}
	tom := Person{ID: 30, Login: "tom"}
	bob := Person{ID: 8, Login: "bob"}
	for _, tt := range []struct {
		name string
		asks []Ask
		want []string
	}{
		{"own binding answers", []Ask{{Person: alice, Permission: VMCreate, Scope: test}}, nil},
		{"own binding does not reach", []Ask{{Person: alice, Permission: VMCreate, Scope: prod}}, []string{"acme/ops"}},
		{"no team could help", []Ask{{Person: tom, Permission: VMDelete, Scope: prod}}, nil},
		{"each once, sorted", []Ask{
			{Person: tom, Permission: ApprovalApprove, Scope: prod}, {Person: tom, Permission: VMCreate, Scope: prod},
			{Person: alice, Permission: VMOperate, Scope: prod}}, []string{"acme/ops", "acme/security"}},
		{"bots are in no team", []Ask{{Person: Person{ID: 5, Login: "x", Bot: true}, Permission: VMCreate, Scope: prod}}, nil},
		{"nobody is asked for nobody", []Ask{{Person: Person{Login: "x"}, Permission: VMCreate, Scope: prod}}, nil},
		{"unknown environment", []Ask{{Person: tom, Permission: VMCreate}}, nil},
		{"permission held, team demanded", []Ask{{Person: bob, Permission: ApprovalApprove, Scope: prod,
			From: spec.ApprovalFrom{Teams: []spec.Team{dba}}}}, []string{"acme/dba"}},
		{"role demanded that a team gives", []Ask{{Person: bob, Permission: ApprovalApprove, Scope: prod,
			From: spec.ApprovalFrom{Roles: []string{"operator"}}}}, []string{"acme/ops"}},
		{"role demanded and held", []Ask{{Person: bob, Permission: ApprovalApprove, Scope: prod,
			From: spec.ApprovalFrom{Roles: []string{"approver"}}}}, nil},
		{"team demanded of a known member", []Ask{{Person: Person{ID: 8, Login: "bob", Teams: []TeamID{{1, 13}}},
			Permission: ApprovalApprove, Scope: prod, From: spec.ApprovalFrom{Teams: []spec.Team{dba}}}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, team := range b.TeamsNeeded(tt.asks...) {
				got = append(got, teamName(team))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWithCreator(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	vera := Person{ID: 10, Login: "vera"}
	made := b.WithCreator("new", vera)
	if !made.CanDo(vera, domain.CreateService, Scope{System: "new"}).Allowed {
		t.Error("the creator of a new system may not create a service in it")
	}
	if made.CanDo(vera, domain.CreateVM, Scope{"new", domain.Prod}).Allowed {
		t.Error("creating a system gives something in prod")
	}
	if b.CanDo(vera, domain.CreateService, Scope{System: "new"}).Allowed {
		t.Error("the original bindings changed")
	}
	if b.WithCreator("shop", vera).CanDo(vera, domain.CreateService, Scope{System: "shop"}).Allowed {
		t.Error("a system that exists can be taken over")
	}
	if made.WithCreator("new", alice).CanDo(alice, domain.CreateService, Scope{System: "new"}).Allowed {
		t.Error("a new system has two creators")
	}
	eve := Person{ID: 99, Login: "eve"}
	if b.WithCreator("new", eve).CanDo(eve, domain.CreateSystem, Scope{System: "new"}).Allowed {
		t.Error("a stranger becomes a member by creating a system")
	}
	if nobody := b.WithCreator("new", Person{Login: "x"}); nobody != b {
		t.Error("nobody owns a system")
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	s := fleet()
	s.Roles["more"] = &spec.RoleBinding{Role: "viewer", People: []spec.Person{{Login: "alice", ID: 7}}, AllowedEnvironments: both}
	b := NewBindings(s)
	for _, tt := range []struct {
		scope Scope
		want  []Role
	}{
		{Scope{"shop", domain.Test}, []Role{RoleOperator, RoleViewer}},
		{Scope{"shop", domain.Prod}, []Role{RoleViewer}},
		{Scope{"blog", ""}, []Role{RoleViewer}},
		{Scope{"shop", ""}, []Role{RoleOperator, RoleViewer}},
	} {
		if diff := cmp.Diff(tt.want, b.Roles(alice, tt.scope)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.scope, diff)
		}
	}
}
