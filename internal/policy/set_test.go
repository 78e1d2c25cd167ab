package policy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

func denyRule(name, expression string) spec.Rule {
	return spec.Rule{Name: name, Effect: "deny", Expression: expression, Message: name}
}

func TestCompileProblems(t *testing.T) {
	t.Parallel()
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	_, problems := c.Compile(map[string]*spec.Policy{
		"good": {Rules: []spec.Rule{denyRule("fine", "size.cores > 4")}},
		"rules": {Rules: []spec.Rule{denyRule("typo", "size.coers > 4"), denyRule("number", "size.cores"),
			{Name: "effect", Effect: "block", Expression: "true"}}},
		"approvals": {Approvals: []spec.ApprovalRule{{
			Name: "wrong", Approvals: -1, Operations: []domain.Operation{"PAINT_VM"}, Environments: []domain.Environment{"staging"},
			From: spec.ApprovalFrom{Roles: []string{"wizard"}, Teams: []spec.Team{{Organization: "acme", Team: "ops"}}},
		}}},
		"clash": {Approvals: []spec.ApprovalRule{
			{Name: "a", Operations: []domain.Operation{domain.CreateVM}, Approvals: 1, From: spec.ApprovalFrom{Teams: []spec.Team{security}}},
			{Name: "b", Systems: []string{"shop"}, Approvals: 1, From: spec.ApprovalFrom{Teams: []spec.Team{dba}}},
		}},
		"empty": nil,
	}, Options{})
	var got []string
	for _, p := range problems {
		if p.Code != domain.PolicyInvalid || p.Severity != domain.Error {
			t.Errorf("got %+v", p)
		}
		got = append(got, p.Path+": "+p.Message)
	}
	want := []string{
		"platform/policies/approvals.yaml: approval rule wrong: -1 approvals are fewer than none",
		`platform/policies/approvals.yaml: approval rule wrong: operation "PAINT_VM" is not known`,
		`platform/policies/approvals.yaml: approval rule wrong: environment "staging" is not known`,
		`platform/policies/approvals.yaml: approval rule wrong: role "wizard" is not known`,
		"platform/policies/approvals.yaml: approval rule wrong: team acme/ops has no number",
		"platform/policies/rules.yaml: rule typo: 1:5: undefined field 'coers'",
		"platform/policies/rules.yaml: rule number: the expression gives int and has to give bool",
		`platform/policies/rules.yaml: rule effect: effect "block" is neither deny nor warn`,
		"platform/policies/clash.yaml: approval rules a (platform/policies/clash.yaml) and b (platform/policies/clash.yaml) are equally specific and have no approver in common",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompilerKeepsSets(t *testing.T) {
	t.Parallel()
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	policy := func(n int) map[string]*spec.Policy {
		return map[string]*spec.Policy{"p": {Rules: []spec.Rule{denyRule("r", fmt.Sprintf("size.cores > %d", n))}}}
	}
	first, _ := c.Compile(policy(0), Options{})
	if again, _ := c.Compile(policy(0), Options{}); again != first {
		t.Error("the same content is compiled twice")
	}
	if other, _ := c.Compile(policy(0), Options{AllowLoosen: []domain.Operation{domain.CreateVM}}); other == first {
		t.Error("other options give the same set")
	}
	if other, _ := c.Compile(policy(1), Options{}); other == first {
		t.Error("other content gives the same set")
	}
	for n := range cacheSize + 5 {
		c.Compile(policy(n), Options{})
	}
	if len(c.cache) != cacheSize {
		t.Errorf("the cache holds %d sets, want %d", len(c.cache), cacheSize)
	}
	broken := map[string]*spec.Policy{"p": {Rules: []spec.Rule{denyRule("r", "nonsense")}}}
	_, before := c.Compile(broken, Options{})
	before[0].Message = "changed by the caller"
	if _, after := c.Compile(broken, Options{}); len(after) != 1 || after[0].Message == before[0].Message {
		t.Errorf("problems from the cache: %v", after)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	texts := make([]string, 8)
	for i := range texts {
		wg.Go(func() {
			set, _ := c.Compile(map[string]*spec.Policy{"p": {Rules: []spec.Rule{denyRule("r", "size.cores > 2")}}}, Options{})
			f := celFacts()
			f.Policies = set
			texts[i] = Text(Evaluate(f))
		})
	}
	wg.Wait()
	for _, text := range texts {
		if text != texts[0] || !strings.Contains(text, "denied – r: r") {
			t.Errorf("got\n%s", text)
		}
	}
}

func TestBrokenDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"unknown key": "approvals:\n  - {name: a, approvals: 1, whom: b}\n",
		"no YAML":     "approvals: [",
	} {
		files := fstest.MapFS{"a.yaml": {Data: []byte(text)}}
		if p, err := defaults(files); err == nil || !strings.Contains(err.Error(), "a.yaml") {
			t.Errorf("%s: got %v, %v", name, p, err)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	var rules []spec.Rule
	for i := range 20 {
		rules = append(rules, denyRule(fmt.Sprintf("r%d", i),
			fmt.Sprintf(`change.operation == "CREATE_VM" && size.cores > %d && !author.roles.exists(r, r == "system-admin")`, 64+i)))
	}
	sources := fleet()
	for i := range 200 {
		sources.Systems = append(sources.Systems, SystemPeople{System: fmt.Sprintf("s%d", i),
			Owners: []spec.Person{{Login: fmt.Sprintf("p%d", i), ID: int64(1000 + i)}}})
	}
	f := celFacts()
	f.Bindings, f.Policies = NewBindings(sources), compile(b, map[string]*spec.Policy{"p": {Rules: rules}}, Options{})
	f.Pushers = []Person{{ID: 66, Login: "mallory"}}
	b.ReportAllocs()
	for b.Loop() {
		if v := Evaluate(f); v.Outcome != Deny {
			b.Fatal(Text(v))
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	e, err := newEnv()
	if err != nil {
		b.Fatal(err)
	}
	r := denyRule("r", `change.operation == "CREATE_VM" && size.cores > 4`)
	for b.Loop() {
		if made := compileRule(e, "p", r); made.err != nil {
			b.Fatal(made.err)
		}
	}
}
