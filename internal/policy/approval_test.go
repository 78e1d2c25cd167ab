package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

type ruleOption func(*spec.ApprovalRule)

func approvalRule(name string, approvals int, opts ...ruleOption) NamedRule {
	r := spec.ApprovalRule{Name: name, Approvals: approvals}
	for _, o := range opts {
		o(&r)
	}
	return NamedRule{ApprovalRule: r}
}

func forOps(ops ...domain.Operation) ruleOption {
	return func(r *spec.ApprovalRule) { r.Operations = ops }
}
func inEnv(envs ...domain.Environment) ruleOption {
	return func(r *spec.ApprovalRule) { r.Environments = envs }
}
func onSystems(systems ...string) ruleOption {
	return func(r *spec.ApprovalRule) { r.Systems = systems }
}
func fromTeams(teams ...spec.Team) ruleOption {
	return func(r *spec.ApprovalRule) { r.From.Teams = teams }
}
func fromRoles(roles ...string) ruleOption {
	return func(r *spec.ApprovalRule) { r.From.Roles = roles }
}

func TestRequired(t *testing.T) {
	t.Parallel()
	one := approvalRule("one", 1)
	create := Request{domain.CreateVM, domain.Prod, "shop"}
	for _, tt := range []struct {
		name     string
		defaults []NamedRule
		platform []NamedRule
		loosen   []domain.Operation
		want     string // approvals, approvers, rule, ignored
		err      string
	}{
		{name: "no rule", err: "no approval rule covers this change"},
		{name: "no rule matches", defaults: []NamedRule{approvalRule("a", 1, forOps(domain.StartVM))}, err: "no approval rule covers this change"},
		{name: "no default, and a platform rule does not stand for it", platform: []NamedRule{one}, err: "no approval rule covers this change"},
		{name: "the one default", defaults: []NamedRule{one}, want: "1||one|"},
		{name: "more specific wins, though milder",
			defaults: []NamedRule{approvalRule("all", 2), approvalRule("prod", 1, inEnv(domain.Prod))}, want: "1||prod|"},
		{name: "more specific wins, in any order",
			defaults: []NamedRule{approvalRule("prod", 1, inEnv(domain.Prod)), approvalRule("all", 2)}, want: "1||prod|"},
		{name: "three names beat two",
			defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("two", 3, inEnv(domain.Prod), forOps(domain.CreateVM)),
				approvalRule("three", 2, inEnv(domain.Prod), forOps(domain.CreateVM), onSystems("shop"))}, want: "2||three|"},
		{name: "of equals the stricter", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("a", 2, inEnv(domain.Prod)), approvalRule("b", 3, onSystems("shop"))}, want: "3||b|"},
		{name: "of equals the stricter, in any order", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("b", 3, onSystems("shop")), approvalRule("a", 2, inEnv(domain.Prod))}, want: "3||b|"},
		{name: "of equals the stricter in each respect", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("a", 2, inEnv(domain.Prod)), approvalRule("b", 1, onSystems("shop"), fromTeams(dba))},
			want:     "2|team acme/dba|a and b|"},
		{name: "role of one and team of the other", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("a", 1, inEnv(domain.Prod), fromRoles("approver")), approvalRule("b", 1, onSystems("shop"), fromTeams(dba))},
			want:     "1|role approver and team acme/dba|a and b|"},
		{name: "what the teams of equals have in common", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("a", 1, inEnv(domain.Prod), fromTeams(security, dba)), approvalRule("b", 1, onSystems("shop"), fromTeams(dba, ops))},
			want:     "1|team acme/dba|a and b|"},
		{name: "equals that contradict each other", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("a", 1, inEnv(domain.Prod), fromTeams(security)), approvalRule("b", 1, onSystems("shop"), fromTeams(dba))},
			err:      "approval rules a and b are equally specific and have no approver in common"},
		{name: "tightened by number", defaults: []NamedRule{one}, platform: []NamedRule{approvalRule("two", 2)}, want: "2||two|"},
		{name: "tightened by team", defaults: []NamedRule{one}, platform: []NamedRule{approvalRule("sec", 1, fromTeams(security))},
			want: "1|team acme/security|sec|"},
		{name: "a less specific platform rule tightens a specific default",
			defaults: []NamedRule{approvalRule("prod", 1, inEnv(domain.Prod), forOps(domain.CreateVM))}, platform: []NamedRule{approvalRule("two", 2)}, want: "2||two|"},
		{name: "loosened without leave", defaults: []NamedRule{one}, platform: []NamedRule{approvalRule("none", 0)}, want: "1||one|none"},
		{name: "loosened without leave, by the most specific rule", defaults: []NamedRule{one},
			platform: []NamedRule{approvalRule("two", 2), approvalRule("none", 0, onSystems("shop"), inEnv(domain.Prod), forOps(domain.CreateVM))},
			want:     "2||two|none"},
		{name: "loosened with leave", defaults: []NamedRule{one}, platform: []NamedRule{approvalRule("none", 0)},
			loosen: []domain.Operation{domain.CreateVM}, want: "0||none|"},
		{name: "leave for another operation", defaults: []NamedRule{one}, platform: []NamedRule{approvalRule("none", 0)},
			loosen: []domain.Operation{domain.DeleteVM}, want: "1||one|none"},
		{name: "loosened by team", defaults: []NamedRule{approvalRule("sec", 1, fromTeams(security))}, platform: []NamedRule{approvalRule("any", 2)},
			want: "1|team acme/security|sec|any"},
		{name: "loosened by another team", defaults: []NamedRule{approvalRule("sec", 1, fromTeams(security))},
			platform: []NamedRule{approvalRule("dba", 1, fromTeams(dba))}, want: "1|team acme/security|sec|dba"},
		{name: "loosened by role", defaults: []NamedRule{approvalRule("r", 1, fromRoles("approver"))},
			platform: []NamedRule{approvalRule("more", 1, fromRoles("approver", "operator"))}, want: "1|role approver|r|more"},
		{name: "another system's rule is not ours", defaults: []NamedRule{one}, platform: []NamedRule{approvalRule("b", 5, onSystems("blog"))}, want: "1||one|"},
		{name: "fewer than none is none", defaults: []NamedRule{approvalRule("neg", -1)}, want: "0||neg|"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Approvals{tt.defaults, tt.platform, tt.loosen}.Required(create)
			if err != nil || tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Fatalf("got error %v, want %q", err, tt.err)
				}
				return
			}
			text := strings.Join([]string{
				string(rune('0' + got.Approvals)), describe(got.From), got.Rule, strings.Join(got.Ignored, ",")}, "|")
			if text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

func TestConfirmationCannotBeChanged(t *testing.T) {
	t.Parallel()
	set := compile(t, map[string]*spec.Policy{"free": {Approvals: []spec.ApprovalRule{{Name: "free", Approvals: 0}}}},
		Options{AllowLoosen: domain.Operations()})
	for _, tt := range []struct {
		op   domain.Operation
		env  domain.Environment
		want Confirm
	}{
		{domain.DeleteVM, domain.Test, ConfirmDigest},
		{domain.DeleteVM, domain.Prod, ConfirmName},
		{domain.DeleteService, "", ConfirmDigest},
		{domain.DeleteSystem, "", ConfirmName},
		{domain.CreateVM, domain.Prod, ConfirmNone},
	} {
		got, err := set.Approvals.Required(Request{tt.op, tt.env, "shop"})
		if err != nil || got.Confirm != tt.want || got.Approvals != 0 {
			t.Errorf("%s in %q: got %+v, %v; want confirmation %s", tt.op, tt.env, got, err, tt.want)
		}
	}
}

func TestVMWithoutEnvironmentIsDenied(t *testing.T) {
	t.Parallel()
	set := compileDefault(t)
	for _, op := range vmOperations() {
		for _, env := range []domain.Environment{"", "staging"} {
			if req, err := set.Approvals.Required(Request{op, env, "shop"}); !errors.Is(err, ErrNoRule) {
				t.Errorf("%s in %q: got %+v, %v", op, env, req, err)
			}
		}
	}
}

func TestEligible(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	test, prod := Scope{"shop", domain.Test}, Scope{"shop", domain.Prod}
	bob, tess, root := Person{ID: 8, Login: "bob"}, Person{ID: 9, Login: "tess"}, Person{ID: 1, Login: "root"}
	sam := Person{ID: 31, Login: "sam", Teams: []TeamID{{1, 12}}}
	create := Requirement{Operation: domain.CreateVM, Approvals: 1}
	platform := Requirement{Operation: domain.ChangePlatform, Approvals: 1}
	from := func(f spec.ApprovalFrom) Requirement {
		return Requirement{Operation: domain.CreateVM, Approvals: 1, From: f}
	}
	for _, tt := range []struct {
		name  string
		p     Person
		req   Requirement
		scope Scope
		why   string // empty: eligible
		who   []string
	}{
		{"approver", bob, create, prod, "", nil},
		{"approver of test in test", tess, create, test, "", nil},
		{"approver of test in prod", tess, create, prod, "bound as approver (platform/roles/tester.yaml), but only in test",
			[]string{"bob", "id 2", "named", "root", "team acme/security"}},
		{"by team", sam, create, prod, "", nil},
		{"no longer in the team", Person{ID: 31, Login: "sam"}, create, prod, "no role binding names sam (id 31) or a team of theirs",
			[]string{"bob", "id 2", "named", "root", "team acme/security"}},
		{"operator", alice, create, test, "bound as operator on shop (platform/roles/ops.yaml), which cannot approve",
			[]string{"bob", "tess", "id 2", "named", "root", "team acme/security"}},
		{"platform administrator", root, create, prod, "", nil},
		{"bot", Person{ID: 51, Login: "stamp[bot]", Bot: true}, create, test, "bots never approve",
			[]string{"bob", "tess", "id 2", "named", "root", "team acme/security"}},
		{"unknown person", Person{Login: "bob"}, create, prod, "the forge does not say who bob is",
			[]string{"id 2", "named", "root", "team acme/security"}},
		{"environment not known", bob, create, Scope{System: "shop"}, "the environment is not known", nil},
		{"environment not known, even for an admin", root, create, Scope{System: "shop"}, "the environment is not known", nil},
		{"approver and the platform", bob, platform, Scope{}, "bound as approver (platform/roles/approvers.yaml), which does not include platform:admin",
			[]string{"id 2", "named", "root"}},
		{"administrator and the platform", root, platform, Scope{}, "", nil},
		{"bot administrator", Person{ID: 1, Login: "root", Bot: true}, platform, Scope{}, "bots never approve", []string{"id 2", "named"}},
		{"in the named team", sam, from(spec.ApprovalFrom{Teams: []spec.Team{security}}), prod, "", nil},
		{"not in the named team", bob, from(spec.ApprovalFrom{Teams: []spec.Team{security}}), prod,
			"approvals count only from team acme/security", []string{"team acme/security"}},
		{"in the named team without the permission", Person{ID: 32, Login: "dan", Teams: []TeamID{{1, 13}}},
			from(spec.ApprovalFrom{Teams: []spec.Team{dba}}), prod, "no role binding names dan (id 32) or a team of theirs", []string{"team acme/dba"}},
		{"in the named role", bob, from(spec.ApprovalFrom{Roles: []string{"approver"}}), prod, "", nil},
		{"an administrator is no approver by that", root, from(spec.ApprovalFrom{Roles: []string{"approver"}}), prod,
			"approvals count only from role approver", []string{"bob", "team acme/security"}},
		{"role and team", bob, from(spec.ApprovalFrom{Roles: []string{"approver"}, Teams: []spec.Team{dba}}), prod,
			"approvals count only from role approver and team acme/dba", []string{"team acme/dba"}},
		{"unknown operation", root, Requirement{Operation: "PAINT_VM"}, prod, `operation "PAINT_VM" is not known`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Eligible(b, tt.p, tt.req, tt.scope)
			if got.Allowed != (tt.why == "") || !got.Allowed && got.Why != tt.why {
				t.Errorf("got %v %q, want %q", got.Allowed, got.Why, tt.why)
			}
			if diff := cmp.Diff(tt.who, got.WhoCan); diff != "" {
				t.Errorf("who can (-want +got):\n%s", diff)
			}
		})
	}
}
