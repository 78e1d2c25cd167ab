package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Whatever is wrong with a policy is said with its file and the line on which to mend it.
func TestCompilePlatformLines(t *testing.T) {
	t.Parallel()
	head := "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Policy\nspec:\n"
	files := map[string][]byte{
		"platform/policies/rules.yaml": []byte(head + `  rules:
    - name: plain
      effect: deny
      expression: chnge.operation == "x"
      message: m
    - name: block
      effect: deny
      expression: |
        change.environment == "test" &&
        size.cores > 4 &&
        size.coers > 4
      message: m
    - name: fine
      effect: warn
      expression: "true"
      message: m
    - name: number
      effect: warn
      expression: |
        size.cores
      message: m
    - {name: flow, effect: deny, message: m, expression: size.cores + }
`),
		"platform/policies/clash.yaml": []byte(head + `  approvals:
    - {name: a, operations: [CREATE_VM], approvals: 1, from: {roles: [approver]}}
    - {name: other, systems: [blog], approvals: 1}
    - name: b
      systems: [shop]
      approvals: 1
      from: {roles: [platform-admin]}
`),
	}
	platform, problems := spec.LoadPlatform(files)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	_, problems = c.CompilePlatform(platform, Options{})
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s:%d %.45s", strings.TrimPrefix(p.Path, "platform/policies/"), p.Line, p.Message))
	}
	want := []string{
		"rules.yaml:7 rule plain: 1:1: undeclared reference to 'chn",
		"rules.yaml:14 rule block: 3:5: undefined field 'coers'",
		"rules.yaml:22 rule number: the expression gives int and has",
		"rules.yaml:25 rule flow: 1:13: Syntax error: mismatched inp",
		"clash.yaml:7 approval rules a (platform/policies/clash.yam",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The same policies from elsewhere, and again from the cache, carry no lines.
	for range 2 {
		if _, problems := c.Compile(platform.Policies, Options{}); len(problems) != len(want) || problems[0].Line != 0 {
			t.Errorf("without files: %v", problems)
		}
	}
	if _, again := c.CompilePlatform(platform, Options{}); len(again) != len(want) || again[0].Line != 7 {
		t.Errorf("from the cache: %v", again)
	}
}

func TestCompilePlatformFields(t *testing.T) {
	t.Parallel()
	policy := &spec.Policy{
		Approvals: []spec.ApprovalRule{{}, {Name: "wrong", Operations: []domain.Operation{"CREATE_VM", "PAINT_VM"}, From: spec.ApprovalFrom{Roles: []string{"wizard"}, Teams: []spec.Team{{}}}}},
		Rules:     []spec.Rule{{Name: "effect", Effect: "block", Expression: "true"}},
	}
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	_, found := c.compile(map[string]*spec.Policy{"p": policy}, Options{})
	var got []string
	for _, f := range found {
		got = append(got, f.field)
	}
	want := []string{"spec.approvals[1].operations[1]", "spec.approvals[1].from.roles[0]", "spec.approvals[1].from.teams[0]", "spec.rules[0].effect"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A rule that cannot be evaluated says so beside its outcome; one that only fires does not.
func TestBroken(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"true": false, "false": false, "change.wanted.missing == 1": true, "1 / 0 == 1": true, "nonsense": true, "size.cores": true, manyRounds: true,
	} {
		for _, effect := range []string{"deny", "warn"} {
			if v := judgeRule(t, spec.Rule{Name: "r", Effect: effect, Expression: expression, Message: "m"}, celFacts()); v.Broken != want {
				t.Errorf("%s %.40s: %+v", effect, expression, v)
			}
		}
	}
}
