package judge

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// Usage is what the VMs of a change's namespace and system take without and with the whole pull request, and
// what they may take.
type Usage struct {
	Namespace       policy.Span  `json:"namespace"`
	System          policy.Span  `json:"system"`
	NamespaceLimits *spec.Limits `json:"namespaceLimits,omitempty"`
	SystemLimits    *spec.Limits `json:"systemLimits,omitempty"`
}

// Amount is what one VM takes: the size's cores and memory, and its disks, the root disk among them. A
// quantity that is empty or none counts nothing.
func Amount(cores int, memory string, disks ...string) policy.Amount {
	a := policy.Amount{VMs: 1, Cores: cores, Memory: bytesOf(memory)}
	for _, disk := range disks {
		a.Disk += bytesOf(disk)
	}
	return a
}

// Count adds what so many VMs of a namespace and system take, each the amount, to both.
func Count(usage map[string]policy.Amount, namespace, system string, a policy.Amount, times int) {
	for _, key := range []string{ofNamespace(namespace), ofSystem(system)} {
		usage[key] = plus(usage[key], policy.Amount{
			VMs: a.VMs * times, Cores: a.Cores * times, Memory: a.Memory * int64(times), Disk: a.Disk * int64(times),
		})
	}
}

// Growth is what a VM takes more when it takes the one amount instead of the other. What it will take less is
// there until it does.
func Growth(was, is policy.Amount) policy.Amount { return grown(minus(is, was)) }

func ofNamespace(name string) string { return "namespace/" + name }
func ofSystem(name string) string    { return "system/" + name }

func bytesOf(quantity string) int64 {
	q, _ := spec.Bytes(quantity)
	return q.Value()
}

func plus(a, b policy.Amount) policy.Amount {
	return policy.Amount{VMs: a.VMs + b.VMs, Cores: a.Cores + b.Cores, Memory: a.Memory + b.Memory, Disk: a.Disk + b.Disk}
}

func minus(a, b policy.Amount) policy.Amount {
	return policy.Amount{VMs: a.VMs - b.VMs, Cores: a.Cores - b.Cores, Memory: a.Memory - b.Memory, Disk: a.Disk - b.Disk}
}

// released and grown are the two parts of a difference.
func released(a policy.Amount) policy.Amount {
	return policy.Amount{VMs: min(a.VMs, 0), Cores: min(a.Cores, 0), Memory: min(a.Memory, 0), Disk: min(a.Disk, 0)}
}

func grown(a policy.Amount) policy.Amount {
	return policy.Amount{VMs: max(a.VMs, 0), Cores: max(a.Cores, 0), Memory: max(a.Memory, 0), Disk: max(a.Disk, 0)}
}

// account works out, before anything is judged, what each change adds and takes away: a rule sees the pull
// request as a whole, and what it deletes makes room for what it creates.
func (j *judging) account() {
	if j.in.World.Usage == nil {
		return
	}
	after := maps.Clone(j.in.World.Usage)
	j.taken = maps.Clone(j.in.World.Usage)
	for _, c := range j.changes {
		if c.counts() {
			c.delta = j.difference(c)
			Count(after, c.Ref.Namespace, c.Ref.System, c.delta, 1)
			Count(j.taken, c.Ref.Namespace, c.Ref.System, released(c.delta), 1)
		}
	}
	span := func(key string) policy.Span { return policy.Span{Before: j.in.World.Usage[key], After: after[key]} }
	for _, c := range j.changes {
		if !c.counts() {
			continue
		}
		c.Usage = &Usage{
			Namespace: span(ofNamespace(c.Ref.Namespace)), System: span(ofSystem(c.Ref.System)),
			SystemLimits: j.in.World.SystemLimits[c.Ref.System],
		}
		if ns, p := j.in.Platform.Namespace(c.Ref.Namespace); p == nil {
			c.Usage.NamespaceLimits = ns.Limits
		}
	}
}

// counts reports whether the change is of what a VM takes, in a namespace that there is.
func (c *change) counts() bool {
	switch c.Operation {
	case domain.CreateVM, domain.ModifyVM, domain.DeleteVM:
		return c.Environment != ""
	}
	return false
}

// difference is what the VM takes more, or less, by the change; nothing where that cannot be told, which is
// a problem of its own.
func (j *judging) difference(c *change) policy.Amount {
	was := policy.Amount{}
	old, m := c.acceptedVM(), j.in.World.Machines[c.Subject]
	agreed := old != nil && m.Path == c.Path && m.Plan != nil && m.Plan.SizeSnapshot != nil
	if agreed && m.Status != domain.VMDeleted {
		was = amountOf(m.Plan.SizeSnapshot, m.Plan.TemplateSnapshot, m.Plan.Disk, old.Disks)
	}
	is := policy.Amount{}
	if vm := machine(c.doc); vm != nil {
		size, template := j.wantedParts(c, vm)
		disk := ""
		if agreed {
			size, template, disk = keptParts(c, vm, old, m.Plan, size, template)
		}
		if size == nil {
			return policy.Amount{}
		}
		filled, given := spec.Given(*vm, template, size)
		is = amountOf(&given, template, cmp.Or(disk, diskOf(&filled, &given)), vm.Disks)
	} else if c.Operation != domain.DeleteVM {
		return policy.Amount{}
	}
	return minus(is, was)
}

// wantedParts are what a VM made now would be made of; no size where the platform has none of the name.
func (j *judging) wantedParts(c *change, vm *spec.VirtualMachine) (size *spec.InstanceSize, template *spec.Template) {
	size, p := j.in.Platform.Size(vm.Size)
	if p != nil {
		return nil, nil
	}
	if version := c.chosen().TemplateVersion; version > 0 {
		template, _ = j.in.Platform.Template(vm.Template, version)
	} else {
		template, _, _ = j.in.Platform.ActiveTemplate(vm.Template)
	}
	return size, template
}

// keptParts are what a VM that exists will be made of: what the change does not name stays as it was agreed on. No
// disk is that of the request.
func keptParts(c *change, vm, old *spec.VirtualMachine, plan *Plan, size *spec.InstanceSize, template *spec.Template) (*spec.InstanceSize, *spec.Template, string) {
	disk := plan.Disk
	if vm.Disk != old.Disk {
		disk = ""
	}
	if vm.Size == old.Size {
		size = plan.SizeSnapshot
	}
	if template == nil || vm.Template == old.Template && c.keeps(plan) {
		template = plan.TemplateSnapshot
	}
	return size, template, disk
}

func amountOf(size *spec.InstanceSize, template *spec.Template, root string, data []spec.VMDisk) policy.Amount {
	disks := []string{root}
	if template != nil && template.Image.ContainerDisk != nil && template.Image.ContainerDisk.Ephemeral {
		disks[0] = "" // there is no disk to keep what is written
	}
	for _, d := range data {
		disks = append(disks, d.Size)
	}
	return Amount(size.Cores, size.Memory, disks...)
}

// room holds what a change adds to the limits of its namespace and its system. What only brings the VMs nearer
// to a limit that they are beyond already passes.
func (j *judging) room(c *change) {
	if c.Usage == nil {
		return
	}
	more := grown(c.delta)
	Count(j.taken, c.Ref.Namespace, c.Ref.System, more, 1)
	j.within(c, "namespace "+c.Ref.Namespace, ofNamespace(c.Ref.Namespace), c.Usage.NamespaceLimits,
		spec.Ref{Kind: spec.KindNamespace, Name: c.Ref.Namespace})
	j.within(c, "system "+c.Ref.System, ofSystem(c.Ref.System), c.Usage.SystemLimits,
		spec.Ref{Kind: spec.KindSystem, System: c.Ref.System})
}

func (j *judging) within(c *change, whose, key string, limits *spec.Limits, document spec.Ref) {
	var over []string
	for _, m := range Measures {
		limit, limited := m.Limit(limits)
		taken := m.Of(j.taken[key])
		if limited && m.Of(c.delta) > 0 && taken > limit && taken > m.Of(j.in.World.Usage[key]) {
			over = append(over, m.Words(taken)+" (limit "+m.Number(limit)+")")
		}
	}
	if len(over) > 0 {
		c.at(domain.QuotaExceeded, "spec", "with it "+whose+" would take "+strings.Join(over, ", "),
			"ask for less, delete what is no longer needed, or have the limits in "+document.Path()+
				" raised first; what other pull requests asked for before counts too")
	}
}

// Measure is one of the things that limits are about.
type Measure struct {
	Of func(policy.Amount) int64
	// Limit is the most of it; false where there is no limit.
	Limit func(*spec.Limits) (int64, bool)
	// Number writes so much of it, bytes with their unit; Noun says what of, for a number.
	Number func(int64) string
	Noun   func(int64) string
}

// Words is so much of it, and what of.
func (m Measure) Words(n int64) string { return m.Number(n) + " " + m.Noun(n) }

// Measures are those of [spec.Limits], in its order.
var Measures = []Measure{
	{func(a policy.Amount) int64 { return int64(a.VMs) }, whole(func(l *spec.Limits) *int { return l.VMs }), decimal, things("VM")},
	{func(a policy.Amount) int64 { return int64(a.Cores) }, whole(func(l *spec.Limits) *int { return l.Cores }), decimal, things("core")},
	{func(a policy.Amount) int64 { return a.Memory }, quantity(func(l *spec.Limits) string { return l.Memory }), binary, mass("memory")},
	{func(a policy.Amount) int64 { return a.Disk }, quantity(func(l *spec.Limits) string { return l.Disk }), binary, mass("disk")},
}

func whole(of func(*spec.Limits) *int) func(*spec.Limits) (int64, bool) {
	return func(l *spec.Limits) (int64, bool) {
		if l == nil || of(l) == nil {
			return 0, false
		}
		return int64(*of(l)), true
	}
}

// quantity takes a limit that cannot be read for nothing at all, so that it lets nothing through.
func quantity(of func(*spec.Limits) string) func(*spec.Limits) (int64, bool) {
	return func(l *spec.Limits) (int64, bool) {
		if l == nil || of(l) == "" {
			return 0, false
		}
		return bytesOf(of(l)), true
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func binary(n int64) string { return resource.NewQuantity(n, resource.BinarySI).String() }

func things(one string) func(int64) string {
	return func(n int64) string {
		if n == 1 {
			return one
		}
		return one + "s"
	}
}

func mass(what string) func(int64) string { return func(int64) string { return what } }
