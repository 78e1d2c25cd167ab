package policy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file of testdata, which -update rewrites.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

var alice = Person{ID: 7, Login: "alice"}

// matrixRow is one way of being bound.
type matrixRow struct {
	name    string
	sources Sources
}

func matrixRows() []matrixRow {
	people := []spec.Person{{Login: "alice", ID: 7}}
	rows := []matrixRow{{name: "nothing"}}
	for _, role := range Roles() {
		for _, system := range []string{"", "shop", "blog"} {
			for _, envs := range [][]domain.Environment{nil, {domain.Prod}, {domain.Test, domain.Prod}} {
				rows = append(rows, matrixRow{
					name: fmt.Sprintf("%-14s %-10s %s", role, strings.TrimPrefix(place(system, nil), "on "), joinEnvironments(envs)),
					sources: Sources{Roles: map[string]*spec.RoleBinding{"r": {
						Role: string(role), People: people, System: system, AllowedEnvironments: envs,
					}}},
				})
			}
		}
	}
	return append(rows,
		matrixRow{"owner          shop", Sources{Systems: []SystemPeople{{System: "shop", Owners: people}}}},
		matrixRow{"creator        shop", Sources{Systems: []SystemPeople{{System: "shop", Creator: people[0]}}}},
		matrixRow{"configured administrator", Sources{Administrators: []spec.Person{{ID: 7}}}},
		matrixRow{"other number", Sources{Roles: map[string]*spec.RoleBinding{"r": {
			Role: "platform-admin", People: []spec.Person{{Login: "alice", ID: 8}}}}}},
		matrixRow{"other login", Sources{Roles: map[string]*spec.RoleBinding{"r": {
			Role: "platform-admin", People: []spec.Person{{Login: "alicia", ID: 7}}}}}},
		matrixRow{"no login", Sources{Roles: map[string]*spec.RoleBinding{"r": {
			Role: "platform-admin", People: []spec.Person{{ID: 7}}}}}},
		matrixRow{"unknown role", Sources{Roles: map[string]*spec.RoleBinding{"r": {
			Role: "wizard", People: people}}}},
	)
}

// matrixColumns are the questions, all of the system shop.
var matrixColumns = []struct {
	head string
	ops  []domain.Operation
	env  domain.Environment
}{
	{"sys: + ~ -", []domain.Operation{domain.CreateSystem, domain.ModifySystem, domain.DeleteSystem}, ""},
	{"svc: + ~ -", []domain.Operation{domain.CreateService, domain.ModifyService, domain.DeleteService}, ""},
	{"test: + ~ - on off re vnc", vmOperations(), domain.Test},
	{"prod: + ~ - on off re vnc", vmOperations(), domain.Prod},
	{"vm?: + ~ - on off re vnc", vmOperations(), ""},
	{"platform", []domain.Operation{domain.ChangePlatform}, ""},
}

func vmOperations() (ops []domain.Operation) {
	for _, op := range domain.Operations() {
		if hasEnvironment(op) {
			ops = append(ops, op)
		}
	}
	return ops
}

// TestMatrix holds every answer that the roles give: operations × roles × environments × scopes.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("What alice may do to things of the system shop, by what she is bound to.\n" +
		"d: may do it, a: may approve it, .: may not. vm? is a VM whose environment is not known.\n\n")
	fmt.Fprintf(&b, "%-40s", "")
	for _, c := range matrixColumns {
		fmt.Fprintf(&b, " | %-*s", 3*len(c.ops)-1, strings.Split(c.head, ":")[0])
	}
	b.WriteByte('\n')
	for _, row := range matrixRows() {
		bindings := NewBindings(row.sources)
		fmt.Fprintf(&b, "%-40s", row.name)
		for _, c := range matrixColumns {
			b.WriteString(" |")
			for _, op := range c.ops {
				b.WriteString(" " + matrixCell(t, bindings, op, Scope{"shop", c.env}))
			}
			b.WriteString(strings.Repeat(" ", max(0, len(strings.Split(c.head, ":")[0])-(3*len(c.ops)-1))))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nColumns:\n")
	for _, c := range matrixColumns {
		fmt.Fprintf(&b, "%-8s %v\n", strings.Split(c.head, ":")[0], c.ops)
	}
	golden(t, filepath.Join("testdata", "matrix.txt"), trimLines(b.String()))
}

func matrixCell(t *testing.T, b *Bindings, op domain.Operation, scope Scope) string {
	t.Helper()
	cell := []byte("..")
	if d := b.CanDo(alice, op, scope); d.Allowed {
		cell[0] = 'd'
	} else if d.Why == "" {
		t.Errorf("%s %v: refused without a reason", op, scope)
	}
	if b.CanApprove(alice, op, scope).Allowed {
		cell[1] = 'a'
	}
	if b.CanConfirm(alice, op, scope).Allowed != (cell[0] == 'd') {
		t.Errorf("%s %v: confirming differs from doing", op, scope)
	}
	bot := alice
	bot.Bot = true
	if b.CanApprove(bot, op, scope).Allowed || b.CanConfirm(bot, op, scope).Allowed {
		t.Errorf("%s %v: a bot may approve or confirm", op, scope)
	}
	return string(cell)
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestEveryOperationIsCovered keeps the tables complete when an operation is added.
func TestEveryOperationIsCovered(t *testing.T) {
	t.Parallel()
	set := compileDefault(t)
	var b strings.Builder
	for _, op := range domain.Operations() {
		perm, ok := Needs(op)
		if !ok || reaches[perm] == 0 {
			t.Errorf("%s: needs %q, which is not in the tables", op, perm)
		}
		for _, env := range environmentsFor(op) {
			req, err := set.Approvals.Required(Request{op, env, "shop"})
			if err != nil {
				t.Errorf("%s in %q: %v", op, env, err)
			}
			fmt.Fprintf(&b, "%-15s %-5s needs %-15s approvals %d by %-18s confirm %-7s rule %s\n",
				op, env, perm, req.Approvals, ApprovalNeeds(op), req.Confirm, req.Rule)
		}
	}
	golden(t, filepath.Join("testdata", "requirements.txt"), b.String())
}

func TestNoWildcards(t *testing.T) {
	t.Parallel()
	for _, role := range Roles() {
		for _, perm := range role.Permissions() {
			if reaches[perm] == 0 || strings.Contains(string(perm), "*") {
				t.Errorf("%s holds %q", role, perm)
			}
		}
	}
	if len(rolePermissions) != len(Roles()) {
		t.Errorf("the table has %d roles, Roles lists %d", len(rolePermissions), len(Roles()))
	}
	want := []string{spec.RolePlatformAdmin, spec.RoleSystemAdmin, spec.RoleApprover, spec.RoleOperator, spec.RoleViewer}
	for _, role := range want {
		if !slices.Contains(Roles(), Role(role)) {
			t.Errorf("documents may bind %q, which is no role here", role)
		}
	}
}

func compileDefault(t testing.TB) *Set {
	t.Helper()
	return compile(t, nil, Options{})
}

func compile(t testing.TB, platform map[string]*spec.Policy, opts Options) *Set {
	t.Helper()
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	set, problems := c.Compile(platform, opts)
	if len(problems) > 0 {
		t.Fatalf("compile: %v", problems)
	}
	return set
}
