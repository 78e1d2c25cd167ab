package policy

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// TestCommands holds every answer to who may give which command: commands × operations × roles ×
// environments × scopes.
func TestCommands(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("Which commands alice may give about things of the system shop, by what she is bound to.\n" +
		"p: plan, c: confirm, r: retry, h: hold and unhold though not the author, .: may not.\n" +
		"veto: may dismiss somebody else's veto. vm? is a VM whose environment is not known.\n\n")
	fmt.Fprintf(&b, "%-40s", "")
	for _, c := range matrixColumns {
		fmt.Fprintf(&b, " | %-*s", max(5*len(c.ops)-1, 8), strings.Split(c.head, ":")[0])
	}
	b.WriteString(" | veto\n")
	for _, row := range matrixRows() {
		bindings := NewBindings(row.sources)
		fmt.Fprintf(&b, "%-40s", row.name)
		for _, c := range matrixColumns {
			var cells []string
			for _, op := range c.ops {
				cells = append(cells, commandCell(t, bindings, op, Scope{"shop", c.env}))
			}
			fmt.Fprintf(&b, " | %-*s", max(5*len(c.ops)-1, 8), strings.Join(cells, " "))
		}
		veto := "."
		if d := bindings.CanDismiss(alice); d.Allowed {
			veto = "v"
		} else if d.Why == "" {
			t.Errorf("%s: may not dismiss, without a reason", row.name)
		}
		b.WriteString(" | " + veto + "\n")
	}
	b.WriteString("\nColumns:\n")
	for _, c := range matrixColumns {
		fmt.Fprintf(&b, "%-8s %v\n", strings.Split(c.head, ":")[0], c.ops)
	}
	golden(t, filepath.Join("testdata", "commands.txt"), trimLines(b.String()))
}

func commandCell(t *testing.T, b *Bindings, op domain.Operation, scope Scope) string {
	t.Helper()
	nobody, bot, unknown := Person{ID: 99, Login: "nobody"}, alice, alice
	bot.Bot, unknown.ID = true, 0
	may := map[byte]func(Person) Decision{
		'p': func(p Person) Decision { return b.CanPlan(p, op, scope) },
		'c': func(p Person) Decision { return b.CanConfirm(p, op, scope) },
		'r': func(p Person) Decision { return b.CanRetry(p, op, scope) },
		'h': func(p Person) Decision { return b.CanHold(p, nobody, op, scope) },
	}
	cell := []byte("....")
	for i, letter := range []byte("pcrh") {
		d := may[letter](alice)
		if d.Allowed {
			cell[i] = letter
		}
		if d.Why == "" {
			t.Errorf("%s %v: %c without a reason", op, scope, letter)
		}
		if may[letter](bot).Allowed || may[letter](unknown).Allowed || may[letter](Person{}).Allowed {
			t.Errorf("%s %v: %c for a bot or somebody unknown", op, scope, letter)
		}
	}
	do, approve := b.CanDo(alice, op, scope).Allowed, b.CanApprove(alice, op, scope).Allowed
	if got, want := string(cell), commandsOf(do, approve); got != want {
		t.Errorf("%s %v: %s, want %s", op, scope, got, want)
	}
	if !b.CanHold(nobody, nobody, op, scope).Allowed || b.CanHold(Person{}, Person{}, op, scope).Allowed {
		t.Errorf("%s %v: the author may hold, somebody unknown may not", op, scope)
	}
	return string(cell)
}

// commandsOf says again, in one place, which right each command takes.
func commandsOf(do, approve bool) string {
	letter := func(yes bool, s string) string {
		if yes {
			return s
		}
		return "."
	}
	return letter(approve, "p") + letter(do, "c") + letter(do || approve, "r") + letter(do || approve, "h")
}

func TestCommandRefusals(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	vera, prod := Person{ID: 10, Login: "vera"}, Scope{"shop", domain.Prod}
	d := b.CanRetry(vera, domain.DeleteVM, prod)
	want := "to do it: bound as viewer (platform/roles/viewers.yaml), which does not include vm:delete; " +
		"to approve it: bound as viewer (platform/roles/viewers.yaml), which cannot approve"
	if d.Allowed || d.Why != want {
		t.Errorf("got %+v", d)
	}
	if len(d.WhoCan) != len(slices.Compact(slices.Sorted(slices.Values(d.WhoCan)))) || !slices.Contains(d.WhoCan, "bob") || !slices.Contains(d.WhoCan, "root") {
		t.Errorf("who can: %q", d.WhoCan)
	}
	if d := b.CanHold(alice, vera, "PAINT_VM", prod); d.Allowed || d.Why != `operation "PAINT_VM" is not known` {
		t.Errorf("got %+v", d)
	}
}

func TestCanDismiss(t *testing.T) {
	t.Parallel()
	b := NewBindings(fleet())
	for _, tt := range []struct {
		p    Person
		want bool
		why  string
	}{
		{Person{ID: 1, Login: "root"}, true, "platform-admin (platform/roles/admins.yaml)"},
		{Person{ID: 2, Login: "renamed"}, true, "platform-admin (the server's configuration)"},
		{Person{ID: 1, Login: "root", Bot: true}, false, "bots never dismiss"},
		{Person{ID: 4, Login: "root"}, false, "bound as platform-admin (platform/roles/admins.yaml), but that names root with id 1, and this is root with id 4"},
		{Person{ID: 8, Login: "bob"}, false, "bound as approver (platform/roles/approvers.yaml), which does not include platform:admin"},
		{Person{}, false, "the forge does not say who somebody unknown is"},
	} {
		if d := b.CanDismiss(tt.p); d.Allowed != tt.want || d.Why != tt.why {
			t.Errorf("%v: got %v %q, want %q", tt.p, d.Allowed, d.Why, tt.why)
		}
	}
}

func TestSoleAdministrator(t *testing.T) {
	t.Parallel()
	root := spec.Person{Login: "root", ID: 1}
	admins := func(people []spec.Person, teams ...spec.Team) map[string]*spec.RoleBinding {
		return map[string]*spec.RoleBinding{"admins": {Role: "platform-admin", People: people, Teams: teams}}
	}
	me := Person{Login: "root", ID: 1}
	for _, tt := range []struct {
		name          string
		sources       Sources
		p             Person
		want          bool
		people, teams int
	}{
		{"nobody is bound", Sources{}, me, false, 0, 0},
		{"by the configuration", Sources{Administrators: []spec.Person{root}}, me, true, 1, 0},
		{"by the number alone", Sources{Administrators: []spec.Person{{ID: 1}}}, me, true, 1, 0},
		{"in both places", Sources{Administrators: []spec.Person{root}, Roles: admins([]spec.Person{root})}, me, true, 1, 0},
		{"only by git", Sources{Roles: admins([]spec.Person{root})}, me, false, 1, 0},
		{"somebody else is bound by git", Sources{Administrators: []spec.Person{root}, Roles: admins([]spec.Person{{Login: "eve", ID: 5}})}, me, false, 2, 0},
		{"somebody else is configured", Sources{Administrators: []spec.Person{root, {Login: "eve", ID: 5}}}, me, false, 2, 0},
		{"a team is bound", Sources{Administrators: []spec.Person{root}, Roles: admins(nil, ops)}, me, false, 1, 1},
		{"a bot is bound", Sources{Administrators: []spec.Person{root}, Roles: admins([]spec.Person{{Login: "renovate[bot]", ID: 50}})}, me, true, 1, 0},
		{"a team without number binds nobody", Sources{Administrators: []spec.Person{root}, Roles: admins(nil, spec.Team{Organization: "a", Team: "b"})}, me, true, 1, 0},
		{"an approver is no administrator", Sources{Administrators: []spec.Person{root},
			Roles: map[string]*spec.RoleBinding{"a": {Role: "approver", People: []spec.Person{{Login: "eve", ID: 5}}}}}, me, true, 1, 0},
		{"another login", Sources{Administrators: []spec.Person{root}}, Person{Login: "toor", ID: 1}, false, 1, 0},
		{"another number", Sources{Administrators: []spec.Person{root}}, Person{Login: "root", ID: 2}, false, 1, 0},
		{"a bot", Sources{Administrators: []spec.Person{root}}, Person{Login: "root", ID: 1, Bot: true}, false, 1, 0},
		{"somebody unknown", Sources{Administrators: []spec.Person{{Login: "root"}}}, Person{Login: "root"}, false, 0, 0},
	} {
		b := NewBindings(tt.sources)
		if got := b.SoleAdministrator(tt.p); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
		if people, teams := b.Administrators(); len(people) != tt.people || len(teams) != tt.teams {
			t.Errorf("%s: administrators %v %v", tt.name, people, teams)
		}
	}
}
