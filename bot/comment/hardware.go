package comment

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/judge"
)

// hardware is what the VM is given: the size's, or what was named instead.
func hardware(s *spec.InstanceSize) string {
	if s == nil {
		return ""
	}
	own := s.Own()
	text := ": " + count(s.Cores, "core") + instead(strconv.Itoa(own.Cores), s.Cores != own.Cores) +
		", " + cell(s.Memory, 20) + " memory" + instead(own.Memory, s.Memory != own.Memory)
	if it := s.Instancetype; it != nil {
		text += ", as instance type " + code(it.Name) + " of the " + instancetypeOf(it)
	}
	if s.DedicatedCPU {
		text += ", cores of its own"
	}
	if s.Hugepages != "" {
		text += ", huge pages of " + cell(s.Hugepages, 20)
	}
	for _, g := range s.GPUs {
		text += ", GPU " + code(g.DeviceName)
	}
	text += instead(count(len(own.GPUs), "GPU"), len(own.GPUs) > 0 && !slices.Equal(s.GPUs, own.GPUs))
	if s.SRIOV {
		text += ", SR-IOV"
	}
	if o := s.Overcommit; o != nil {
		text += reserved("cores", o.CPU) + reserved("memory", o.Memory)
	}
	for _, path := range slices.Sorted(maps.Keys(s.SpecOverrides)) {
		text += ", sets " + Escape(path+" = "+compact(s.SpecOverrides[path]), maxReason)
	}
	return text
}

// instancetypeOf is where an instance type is looked for.
func instancetypeOf(it *spec.Instancetype) string {
	if it.EffectiveKind() == spec.ClusterInstancetype {
		return "cluster"
	}
	return "namespace"
}

// instead says what the size has by itself.
func instead(own string, differs bool) string {
	if !differs {
		return ""
	}
	return " instead of the size's " + cell(own, 20)
}

func reserved(what string, l *spec.RequestLimit) string {
	if l == nil {
		return ""
	}
	return ", reserves " + cell(l.Request, 20) + " of " + cell(l.Limit, 20) + " " + what
}

// ownHardware is what a VM of the size has otherwise than the size, for a table: who approves the size's name
// approves that.
func ownHardware(p *judge.Plan) string {
	if p == nil || p.SizeSnapshot == nil || p.SizeSnapshot.Named == nil {
		return ""
	}
	s, own := p.SizeSnapshot, p.SizeSnapshot.Own()
	var parts []string
	if s.Cores != own.Cores {
		parts = append(parts, count(s.Cores, "core"))
	}
	if s.Memory != own.Memory {
		parts = append(parts, cell(s.Memory, 20)+" memory")
	}
	if !slices.Equal(s.GPUs, own.GPUs) {
		for _, g := range s.GPUs {
			parts = append(parts, "GPU "+cell(g.DeviceName, 40))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " with " + strings.Join(parts, ", ")
}
