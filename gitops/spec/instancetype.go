package spec

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// governed are the parts of a VirtualMachine that belong to its instance type: KubeVirt refuses a VM that names one
// and sets them too. What only some instance types set (a CPU model, a node selector) is the cluster's to refuse.
var governed = []string{
	"spec.template.spec.domain.cpu.sockets", "spec.template.spec.domain.cpu.cores", "spec.template.spec.domain.cpu.threads",
	"spec.template.spec.domain.cpu.maxSockets", "spec.template.spec.domain.cpu.dedicatedCpuPlacement",
	"spec.template.spec.domain.memory", "spec.template.spec.domain.resources", "spec.template.spec.domain.devices.gpus",
}

var quotedStep = regexp.MustCompile(`\[(?:'([^']*)'|"([^"]*)")\]`)

// instancetype refuses what a size with an instance type says of the hardware a second time.
func (v *validator) instancetype(s *InstanceSize) {
	if s.Instancetype == nil {
		return
	}
	for _, said := range []struct {
		field string
		set   bool
	}{
		{"hugepages", s.Hugepages != ""}, {"gpus", len(s.GPUs) > 0}, {"dedicatedCPU", s.DedicatedCPU}, {"overcommit", s.Overcommit != nil},
	} {
		if said.set {
			v.invalid("spec."+said.field, said.field+" cannot be said beside an instance type, which has it or not", "remove it, and choose an instance type that has it; or remove instancetype")
		}
	}
	for _, path := range slices.Sorted(maps.Keys(s.SpecOverrides)) {
		plain := quotedStep.ReplaceAllString(path, ".$1$2")
		for _, part := range governed {
			if plain == part || strings.HasPrefix(plain, part+".") || strings.HasPrefix(plain, part+"[") {
				v.invalid("spec.specOverrides["+strconv.Quote(path)+"]", path+" belongs to the instance type", "remove it, and choose an instance type that has it; or remove instancetype")
				break
			}
		}
	}
}
