package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

func TestObserve(t *testing.T) {
	t.Parallel()
	v := Verdict{Rule: "DELETE_VM", Outcome: Deny, Children: []Verdict{
		{Rule: "permission", Outcome: Deny, Children: []Verdict{
			{Rule: "author", Outcome: Allow}, {Rule: "pusher", Outcome: Deny, Code: domain.PermissionDenied}, {Rule: "pusher", Outcome: Deny, Code: domain.AuthorUnknown},
		}},
		{Rule: "approval", Outcome: NeedsApproval, Needs: &Requirement{Approvals: 2, Confirm: ConfirmName,
			From: spec.ApprovalFrom{Roles: []string{"approver"}, Teams: []spec.Team{security}}}},
		{Rule: "rules", Outcome: Deny, Children: []Verdict{
			{Rule: "w", Outcome: Warn, Code: domain.PolicyDenied}, {Rule: "b", Outcome: Deny, Code: domain.PolicyDenied, Broken: true},
			{Rule: "from a later version", Outcome: "refuse"},
		}},
	}}
	want := Observed{
		Verdict: SaysDeny, Deny: []string{"b", "from a later version", "pusher"}, Warn: []string{"w"}, Broken: []string{"b"},
		Codes:     []domain.Code{domain.AuthorUnknown, domain.PermissionDenied, domain.PolicyDenied},
		Approvals: 2, From: []string{"acme/security", "approver"}, Confirm: ConfirmName,
	}
	if diff := cmp.Diff(want, Observe(v)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Observed{Verdict: SaysAllow, Confirm: ConfirmNone}, Observe(Verdict{Rule: "x", Outcome: Allow})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestObservedTogether(t *testing.T) {
	t.Parallel()
	a := Observed{Verdict: SaysWarn, Warn: []string{"w"}, Codes: []domain.Code{domain.PolicyDenied}, Approvals: 1, Confirm: ConfirmDigest}
	b := Observed{Verdict: SaysDeny, Deny: []string{"d"}, Codes: []domain.Code{domain.PolicyDenied}, Approvals: 2, Confirm: ConfirmNone}
	want := Observed{Verdict: SaysDeny, Deny: []string{"d"}, Warn: []string{"w"}, Codes: []domain.Code{domain.PolicyDenied}, Approvals: 2, Confirm: ConfirmDigest}
	for _, got := range []Observed{a.Join(b), b.Join(a), Observed{}.Join(a).Join(b)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	added := a.Add(domain.Problems{
		{Code: domain.NameTaken, Severity: domain.Error}, {Code: domain.NameTaken, Severity: domain.Error},
		{Code: domain.NameLengthWarning, Severity: domain.Warning},
	})
	wantAdded := Observed{
		Verdict: SaysDeny, Deny: []string{"NAME_TAKEN"}, Warn: []string{"NAME_LENGTH_WARNING", "w"},
		Codes: []domain.Code{domain.NameLengthWarning, domain.NameTaken, domain.PolicyDenied}, Approvals: 1, Confirm: ConfirmDigest,
	}
	if diff := cmp.Diff(wantAdded, added); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(a.Warn) != 1 || len(a.Codes) != 1 {
		t.Errorf("adding changed what it was added to: %+v", a)
	}
}

func TestExpectOfChanges(t *testing.T) {
	t.Parallel()
	c, err := ParseCase("a.txtar", []byte("-- request.yaml --\n-- expect.yaml --\nverdict: deny\nchanges:\n  b: {verdict: allow}\n  a: {verdict: warn, approvals: 1}\n"), CaseServer{})
	if err != nil {
		t.Fatal(err)
	}
	got := c.Failures(CaseResult{Observed: Observed{Verdict: SaysDeny}, Changes: map[string]Observed{"a": {Verdict: SaysDeny, Approvals: 2}}})
	want := []string{"a: verdict: expected warn, got deny", "a: approvals: expected 1, got 2", "changes: there is no change of b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := caseRunner(t, nil).Run(c); err == nil || !strings.Contains(err.Error(), "a.txtar:2: the case is not made of facts") {
		t.Errorf("run as facts: %v", err)
	}
	for _, bad := range []string{"{verdict: no}", "{verdict: allow, changes: {x: {verdict: allow}}}", "{verdict: allow, approvals: -1}"} {
		if _, err := ParseCase("a.txtar", []byte("-- request.yaml --\n-- expect.yaml --\nverdict: deny\nchanges: {b: "+bad+"}\n"), CaseServer{}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestLineDiff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ want, got, diff string }{
		{"a\nb\nc\n", "a\nc\n", "  a|- b|  c"},
		{"a\nc\n", "a\nb\nc\n", "  a|+ b|  c"},
		{"a\nb\n", "a\nx\n", "  a|- b|+ x"},
		{"", "a\n", "+ a"},
		{"a\n", "", "- a"},
	} {
		if got := strings.Join(lineDiff(tt.want, tt.got), "|"); got != tt.diff {
			t.Errorf("%q, %q: %q, want %q", tt.want, tt.got, got, tt.diff)
		}
	}
}

// What a case leaves out is taken from the platform, and what it gives goes before that.
func TestFactsFromThePlatform(t *testing.T) {
	t.Parallel()
	head := "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: "
	runner := caseRunner(t, map[string][]byte{
		"platform/namespaces/prod-shop.yaml": []byte(head + "Namespace\nspec: {environment: prod}\n"),
		"platform/sizes/medium.yaml":         []byte(head + "InstanceSize\nspec: {cores: 4, memory: 8Gi}\n"),
		"platform/templates/ubuntu/v3.yaml":  []byte(head + "Template\nspec:\n  status: active\n  image: {containerDisk: {image: registry.example/ubuntu:1}}\n  cloudInit: \"#cloud-config\"\n"),
	})
	facts := func(keys string) Facts {
		c, err := ParseCase("a.txtar", []byte("-- facts.yaml --\n"+keys), CaseServer{})
		if err != nil {
			t.Fatal(err)
		}
		rules, err := runner.Rules(c)
		if err != nil {
			t.Fatal(err)
		}
		return c.facts.facts(rules, c.Server)
	}
	create := "change: {operation: CREATE_VM, path: systems/shop/redis/prod-shop/01.yaml, wanted: {size: medium, template: ubuntu}}\n"
	f := facts(create)
	if f.Change.Environment != domain.Prod || f.Namespace == nil || f.Size == nil || f.Size.Cores != 4 || f.Template == nil || f.Template.Version != 3 ||
		f.Request.Operations[domain.CreateVM] != 1 || f.Usage != nil {
		t.Errorf("got %+v", f)
	}
	f = facts(create + "size: {name: medium, cores: 9}\nrequest: {operations: {CREATE_VM: 3}}\n")
	if f.Size.Cores != 9 || f.Request.Operations[domain.CreateVM] != 3 {
		t.Errorf("got %+v", f)
	}
	f = facts(strings.NewReplacer("medium", "huge", "ubuntu", "plan9", "prod-shop", "elsewhere").Replace(create))
	if f.Change.Environment != "" || f.Namespace != nil || f.Size != nil || f.Template != nil {
		t.Errorf("got %+v", f)
	}
}

func FuzzParseCase(f *testing.F) {
	for _, s := range []string{
		"", "a\n-- facts.yaml --\n", "-- facts.yaml --\nchange: {operation: CREATE_VM, path: systems/a/b/c/01.yaml}\n-- expect.yaml --\nverdict: deny\n",
		"-- request.yaml --\nauthor: {id: 1}\n-- head/systems/a/system.yaml --\nx", "-- facts.yaml --\nchange: [", "--  --\n-- a --\r\n-- a --",
		"-- facts.yaml --\nchange: {operation: CREATE_VM, path: systems/a/b/c/01.yaml}\n-- platform/sizes/a.yaml --\nkind: x\n-- verdict.txt --\nno newline",
	} {
		f.Add([]byte(s))
	}
	runner := caseRunner(f, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCase("a.txtar", data, CaseServer{})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "a.txtar") {
				t.Errorf("the error does not name the file: %v", err)
			}
			return
		}
		for _, file := range txtar.Parse(data).Files {
			if !c.has(file.Name) {
				t.Errorf("part %q has no line", file.Name)
			}
		}
		result, err := runner.Run(c)
		if err != nil {
			return
		}
		// What is written as the verdict is read back as it, and then the case passes but for expect.yaml.
		again, err := ParseCase("a.txtar", c.WithVerdict(result.Text), CaseServer{})
		if err != nil {
			t.Fatalf("with its verdict it cannot be read: %v", err)
		}
		again.Expect = nil
		if failures := again.Failures(result); len(failures) > 0 {
			t.Errorf("%q", failures)
		}
	})
}
