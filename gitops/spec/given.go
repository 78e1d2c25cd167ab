package spec

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Hardware is what a request may have otherwise than its size.
type Hardware struct {
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	GPUs   []GPU  `json:"gpus,omitempty"`
}

// ownGPU is the name, within the VM, of the device that a request names.
const ownGPU = "gpu1"

// Given is what a VM is made of: the request with what the template's masks fill in, and the size with the
// hardware that the request then names instead. The size that comes out remembers its own hardware (see
// [InstanceSize.Own]) and may be given again; t may be nil. It is the one place where the two are laid over each
// other: what is rendered, counted, shown and judged by rules comes from here.
func Given(vm VirtualMachine, t *Template, s *InstanceSize) (VirtualMachine, InstanceSize) {
	fill(&vm, t)
	size := s.Own()
	if vm.CPU == 0 && vm.Memory == "" && vm.GPU == "" {
		return vm, size
	}
	named := Hardware{size.Cores, size.Memory, size.GPUs}
	if vm.CPU > 0 {
		size.Cores = vm.CPU
	}
	if vm.Memory != "" {
		size.Memory = vm.Memory
	}
	if vm.GPU != "" {
		size.GPUs = []GPU{{Name: ownGPU, DeviceName: vm.GPU}}
	}
	size.Named = &named
	return vm, size
}

// fill sets what the request leaves to the template.
func fill(vm *VirtualMachine, t *Template) {
	if m, _ := t.Mask("cpu"); vm.CPU == 0 && m.Default != "" {
		vm.CPU, _ = strconv.Atoi(m.Default)
	}
	text := func(field string, into *string) {
		if m, _ := t.Mask(field); *into == "" {
			*into = m.Default
		}
	}
	text("memory", &vm.Memory)
	text("gpu", &vm.GPU)
	text("disk", &vm.Disk)
}

// Own is the size with the hardware that it has by itself.
func (s *InstanceSize) Own() InstanceSize {
	size := *s
	if s.Named != nil {
		size.Cores, size.Memory, size.GPUs, size.Named = s.Named.Cores, s.Named.Memory, s.Named.GPUs, nil
	}
	return size
}

// maskValue reads a value of a mask; an empty one is none, and right.
func (v *validator) maskValue(path string, f maskField, value string) (resource.Quantity, bool) {
	if value == "" {
		return resource.Quantity{}, true
	}
	q, p := f.read(value)
	if p != nil {
		v.invalid(path, path+" "+p.Message, p.Hint)
	}
	return q, p == nil
}
