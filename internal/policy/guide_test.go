package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

const guide = "testdata/guide"

// expressions are shown on the page; each is true of the page's first case.
var expressions = []struct{ expression, says string }{
	{`change.operation == "CREATE_VM" && change.system == "shop"`, "a VM of the system shop is created"},
	{`change.operation in ["CREATE_VM", "MODIFY_VM"]`, "one of several operations"},
	{`change.kind == "VirtualMachine" && change.namespace.startsWith("test-")`, "by the name of the namespace"},
	{`size.memory > 32 * 1024 * 1024 * 1024`, "more than 32 GiB of memory"},
	{`!("system-admin" in author.roles)`, "the author is no system-admin here"},
	{`request.operations.CREATE_VM <= 5`, "the pull request creates at most five VMs"},
	{`size(request.reason) > 10`, "a reason of more than ten characters is given"},
	{`request.reason.matches("(?i)winter")`, "it says something, in small or capital letters"},
	{`has(change.wanted.power) && change.wanted.power == "running"`, "a field is there, and says running"},
	{`!has(change.wanted.disks) || change.wanted.disks.all(d, !d.name.startsWith("tmp"))`, "no disk has such a name, if there are any"},
	{`change.accepted == {}`, "the file is new"},
}

// TestGuide writes docs/policy.md anew with -update and holds it to what the code says.
func TestGuide(t *testing.T) {
	t.Parallel()
	prose, err := os.ReadFile(filepath.Join(guide, "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]func(*testing.T, string) string{
		"file":          func(t *testing.T, name string) string { return fence("yaml", guideFile(t, name)) },
		"case":          func(t *testing.T, name string) string { return fence("text", guideFile(t, name)) },
		"verdict":       func(t *testing.T, name string) string { return fence("text", runGuideCase(t, name).Text) },
		"variables":     variablesTable,
		"expressions":   expressionsTable,
		"operations":    operationsTable,
		"roles":         rolesTable,
		"commands":      commandsTable,
		"limits":        limitsTable,
		"maxExpression": func(*testing.T, string) string { return fmt.Sprint(maxExpression) },
		"maxNesting":    func(*testing.T, string) string { return fmt.Sprint(maxNesting) },
		"maxCost":       func(*testing.T, string) string { return fmt.Sprint(maxCost) },
	}
	used := map[string]bool{}
	page := regexp.MustCompile(`<<(\w+)(?: ([^>]+))?>>`).ReplaceAllStringFunc(string(prose), func(mark string) string {
		name, argument, _ := strings.Cut(strings.Trim(mark, "<>"), " ")
		if sections[name] == nil {
			t.Fatalf("no section %q", name)
		}
		used[name] = true
		return strings.TrimSuffix(sections[name](t, argument), "\n")
	})
	if len(used) != len(sections) {
		t.Errorf("the page uses %d sections of %d", len(used), len(sections))
	}
	golden(t, filepath.Join("..", "..", "docs", "policy.md"), page)
}

func fence(language, text string) string { return "```" + language + "\n" + text + "```\n" }

func guideFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(guide, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// runGuideCase runs a case of the page with the rules of its number, as somebody who copied both would.
func runGuideCase(t *testing.T, name string) CaseResult {
	t.Helper()
	rules, err := filepath.Glob(filepath.Join(guide, name[:2]+"*.yaml"))
	if err != nil || len(rules) != 1 {
		t.Fatalf("%s: rules %v: %v", name, rules, err)
	}
	path := "platform/policies/" + filepath.Base(rules[0])[2:]
	runner := caseRunner(t, map[string][]byte{path: []byte(guideFile(t, filepath.Base(rules[0])))})
	c, err := ParseCase(name, []byte(guideFile(t, name)), CaseServer{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := runner.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Expects() {
		t.Errorf("%s expects nothing", name)
	}
	for _, line := range c.Failures(result) {
		t.Errorf("%s: %s", name, line)
	}
	return result
}

// TestGuideCases runs every case of the page, all of which the page has to show.
func TestGuideCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(guide, "*.txtar"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%v: %v", files, err)
	}
	page := guideFile(t, "policy.md")
	for _, file := range files {
		name := filepath.Base(file)
		if !strings.Contains(page, "<<case "+name+">>") {
			t.Errorf("%s is not shown", name)
		}
		verdict := strings.Split(name, ".")[1]
		if got := runGuideCase(t, name).Verdict; got != verdict {
			t.Errorf("%s: %s", name, got)
		}
	}
	caseRunner(t, map[string][]byte{"platform/policies/tightened.yaml": []byte(guideFile(t, "tightened.yaml"))})
}

func table(rows ...[]string) string {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	return b.String()
}

func code[T ~string](s T) string { return "`" + strings.ReplaceAll(string(s), "|", `\|`) + "`" }

func variablesTable(*testing.T, string) string {
	rows := [][]string{{"variable", "type", "what it is"}}
	for _, v := range Variables() {
		rows = append(rows, []string{code(v.Name), v.Type, v.Doc})
	}
	return table(rows...)
}

func expressionsTable(t *testing.T, _ string) string {
	t.Helper()
	rows := [][]string{{"expression", "what it says"}}
	c, err := ParseCase("1-large.deny.txtar", []byte(guideFile(t, "1-large.deny.txtar")), CaseServer{})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := caseRunner(t, nil).Rules(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range expressions {
		v := judgeRule(t, spec.Rule{Name: "r", Effect: "deny", Expression: e.expression, Message: "true"}, c.facts.facts(rules, CaseServer{}))
		if v.Message != "true" {
			t.Errorf("%s: %s %s", e.expression, v.Outcome, v.Message)
		}
		rows = append(rows, []string{code(e.expression), e.says})
	}
	return table(rows...)
}

func operationsTable(t *testing.T, _ string) string {
	t.Helper()
	set := compileDefault(t)
	rows := [][]string{{"operation", "permission of who asks", "approvals in test", "in prod", "approved by", "confirmed in test", "in prod"}}
	for _, op := range domain.Operations() {
		perm, _ := Needs(op)
		row := []string{code(op), code(perm)}
		var confirms []string
		for _, env := range []domain.Environment{domain.Test, domain.Prod} {
			request := Request{Operation: op, Environment: env}
			if !hasEnvironment(op) {
				request.Environment = ""
			}
			req, err := set.Approvals.Required(request)
			if err != nil {
				t.Fatal(err)
			}
			row, confirms = append(row, fmt.Sprint(req.Approvals)), append(confirms, string(req.Confirm))
		}
		rows = append(rows, append(append(row, code(ApprovalNeeds(op))), confirms...))
	}
	return table(rows...)
}

func rolesTable(*testing.T, string) string {
	head := []string{"permission"}
	var perms []Permission
	for _, r := range Roles() {
		head = append(head, code(r))
	}
	for perm := range reaches {
		perms = append(perms, perm)
	}
	slices.Sort(perms)
	rows := [][]string{head}
	for _, perm := range perms {
		row := []string{code(perm)}
		for _, r := range Roles() {
			row = append(row, map[bool]string{true: "yes", false: ""}[r.has(perm)])
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

// commandsTable asks for the rights of somebody who may only do, and of somebody who may only approve.
func commandsTable(t *testing.T, _ string) string {
	t.Helper()
	people := []spec.Person{{Login: "alice", ID: 7}}
	bound := func(role Role) *Bindings {
		return NewBindings(Sources{Roles: map[string]*spec.RoleBinding{"r": {Role: string(role), People: people}}})
	}
	scope, op, eve := Scope{"shop", domain.Test}, domain.CreateVM, Person{Login: "eve", ID: 9}
	does, approves, admin, nobody := bound(RoleOperator), bound(RoleApprover), bound(RolePlatformAdmin), bound(RoleViewer)
	rows := [][]string{{"command", "who may do the change", "who may approve it", "a platform administrator", "the author, without any permission"}}
	for _, c := range []struct {
		name string
		may  func(b *Bindings, author Person) Decision
	}{
		{"`/plan`", func(b *Bindings, _ Person) Decision { return b.CanPlan(alice, op, scope) }},
		{"`/confirm`", func(b *Bindings, _ Person) Decision { return b.CanConfirm(alice, op, scope) }},
		{"`/retry`", func(b *Bindings, _ Person) Decision { return b.CanRetry(alice, op, scope) }},
		{"`/hold`, `/unhold`", func(b *Bindings, author Person) Decision { return b.CanHold(alice, author, op, scope) }},
		{"dismiss a veto", func(b *Bindings, _ Person) Decision { return b.CanDismiss(alice) }},
	} {
		yes := func(d Decision) string { return map[bool]string{true: "yes", false: ""}[d.Allowed] }
		rows = append(rows, []string{c.name, yes(c.may(does, eve)), yes(c.may(approves, eve)), yes(c.may(admin, eve)), yes(c.may(nobody, alice))})
	}
	return table(rows...)
}

func limitsTable(*testing.T, string) string {
	l := DefaultLimits()
	rows := [][]string{
		{"in one pull request, for each environment", "at most"},
		{"creations", fmt.Sprint(l.Creates)}, {"deletions", fmt.Sprint(l.Deletes)},
		{"starts, stops and restarts", fmt.Sprint(l.PowerOperations)}, {"other modifications", fmt.Sprint(l.Modifications)},
	}
	rows = append(rows, []string{"**by one author in an hour**", fmt.Sprintf("**%d changes**", l.Rate.Requests)})
	return table(rows...)
}
