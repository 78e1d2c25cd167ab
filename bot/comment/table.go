package comment

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// column is one of the table of changes. One in which every row is empty is left out, unless always.
type column struct {
	title  string
	always bool
	cell   func(entry) string
	// own says that every change has a value of its own here, so that it cannot be said of many at once.
	own bool
}

// summaryColumns are those of the comment, but for the state.
var summaryColumns = []column{
	{title: "Change", always: true, own: true, cell: func(r entry) string { return subject(r.Row) }},
	{title: "Operation", always: true, cell: func(r entry) string { return operation(r.Change) }},
	{title: "Impact", cell: func(r entry) string { return impact(r.Change) }},
	{title: "Environment", cell: func(r entry) string { return cell(string(r.Change.Environment), 20) }},
	{title: "Size", cell: func(r entry) string {
		return r.step(r.size(), func(vm *spec.VirtualMachine) string { return vm.Size }) + ownHardware(r.Change.Plan)
	}},
	{title: "Cluster", cell: func(r entry) string { return cell(r.cluster(), 40) }},
	{title: "Digest", always: true, own: true, cell: func(r entry) string { return digest(r.Change.Digest) }},
}

// planColumns are those of the approval check: what an approver signs.
var planColumns = []column{
	summaryColumns[0], summaryColumns[1], summaryColumns[2], summaryColumns[3],
	{title: "Template", cell: func(r entry) string { return cell(r.template(), 60) }},
	summaryColumns[4],
	{title: "Disk", cell: func(r entry) string {
		return r.step(r.disk(), func(vm *spec.VirtualMachine) string { return vm.Disk })
	}},
	summaryColumns[5],
	{title: "Storage class", cell: func(r entry) string { return cell(r.storageClass(), 40) }},
	summaryColumns[6],
	{title: "Plan digest", own: true, cell: func(r entry) string { return digest(r.effective()) }},
}

// subject is the name of what changes.
func subject(r Row) string {
	c := r.Change
	if c.Operation == domain.ChangePlatform {
		c.Subject = "" // names of the platform say little without their kind
	}
	for _, name := range []string{c.VM, c.Subject, c.Path} {
		if s := code(name); s != "" {
			return s
		}
	}
	return "unnamed"
}

// step is a value of a VM, with the one that it had where the change moves it.
func (r Row) step(to string, of func(*spec.VirtualMachine) string) string {
	text := cell(to, 40)
	if r.Change.Operation != domain.ModifyVM {
		return text
	}
	if vm := vmSpec(r.Change.Ref.Kind, r.Change.Accepted); vm != nil && of(vm) != "" && of(vm) != to {
		return cell(of(vm), 40) + " → " + text
	}
	return text
}

// digest is the part of a digest that people are shown and repeat.
func digest(d string) string { return code(spec.Digest8(d)) }

// table is one line a change. It takes no more than limit bytes: states get their short form first, then
// what many changes have in common is said once; only what can never be approved, because it does not fit
// even then, is cut.
func table(rows []entry, columns []column, state func(r entry, short bool) string, limit int) string {
	columns = used(columns, rows)
	for _, short := range []bool{false, true} {
		var b strings.Builder
		b.WriteString(tableHead(columns))
		for _, r := range rows {
			b.WriteString(line(r, columns, state(r, short)))
		}
		if b.Len() <= limit {
			return b.String()
		}
	}
	if text := grouped(rows, columns, state); len(text) <= limit {
		return text
	}
	return cutTable(rows, columns, state, limit)
}

func cutTable(rows []entry, columns []column, state func(r entry, short bool) string, limit int) string {
	var b strings.Builder
	b.WriteString(tableHead(columns))
	for i, r := range rows {
		next := line(r, columns, state(r, true))
		if b.Len()+len(next)+60 > limit {
			fmt.Fprintf(&b, "\nand %d more that cannot be shown\n", len(rows)-i)
			break
		}
		b.WriteString(next)
	}
	return b.String()
}

func used(columns []column, rows []entry) (out []column) {
	for _, c := range columns {
		keep := c.always
		for _, r := range rows {
			keep = keep || c.cell(r) != ""
		}
		if keep {
			out = append(out, c)
		}
	}
	return out
}

func tableHead(columns []column) string {
	head, rule := "|", "|"
	for _, c := range columns {
		head += " " + c.title + " |"
		rule += "---|"
	}
	return head + " State |\n" + rule + "---|\n"
}

func line(r entry, columns []column, state string) string {
	var b strings.Builder
	for _, c := range columns {
		text := c.cell(r)
		if text == "" {
			text = "–"
		}
		b.WriteString("| " + text + " ")
	}
	return b.String() + "| " + state + " |\n"
}

// spec is the VM's spec as wanted, or as it was accepted where it goes away; nil for other kinds.
func (r Row) spec() *spec.VirtualMachine {
	return vmSpec(r.Change.Ref.Kind, r.Change.Wanted, r.Change.Accepted)
}

func vmSpec(kind spec.Kind, candidates ...json.RawMessage) *spec.VirtualMachine {
	if kind != spec.KindVirtualMachine {
		return nil
	}
	for _, c := range candidates {
		if len(c) == 0 {
			continue
		}
		if s, err := spec.Decode(kind, c); err == nil {
			if vm, ok := s.(*spec.VirtualMachine); ok && vm != nil {
				return vm
			}
		}
	}
	return nil
}

func (r Row) size() string {
	if p := r.Change.Plan; p != nil {
		return p.Size
	}
	if vm := r.spec(); vm != nil {
		return vm.Size
	}
	return ""
}

func (r Row) disk() string {
	if p := r.Change.Plan; p != nil {
		return p.Disk
	}
	if vm := r.spec(); vm != nil {
		return vm.Disk
	}
	return ""
}

func (r Row) template() string {
	if p := r.Change.Plan; p != nil && p.Template != "" {
		return fmt.Sprintf("%s v%d", p.Template, p.TemplateVersion)
	}
	if vm := r.spec(); vm != nil {
		return vm.Template
	}
	return ""
}

func (r Row) cluster() string {
	if p := r.Change.Plan; p != nil {
		return p.Cluster
	}
	if r.VM != nil {
		return r.VM.Cluster
	}
	return ""
}

// answer is one that may not be known.
type answer int

const (
	unknown answer = iota
	no
	yes
)

// hasKeys answers whether the VM gets SSH keys, of its own or of its system: the plan then makes a Secret.
func (r Row) hasKeys() answer {
	p := r.Change.Plan
	switch {
	case p == nil || len(p.Objects) == 0:
		return unknown
	case slices.ContainsFunc(p.Objects, func(o string) bool { return strings.HasPrefix(o, "Secret ") && strings.HasSuffix(o, "-ssh-keys") }):
		return yes
	}
	return no
}

func (r Row) storageClass() string {
	if p := r.Change.Plan; p != nil {
		return p.StorageClass
	}
	return ""
}

func (r Row) effective() string {
	if p := r.Change.Plan; p != nil {
		return p.EffectiveDigest
	}
	return ""
}
