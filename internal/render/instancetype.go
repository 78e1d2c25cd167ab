package render

import corev1 "k8s.io/api/core/v1"

// instancetype: what the instance type says cannot be said by the VM as well. KubeVirt refuses some of it only
// where the type sets it too; here nobody knows the type, and limits and rules count what the size says.
func (c *checker) instancetype() {
	matcher := c.vm.Spec.Instancetype
	if matcher == nil {
		return
	}
	if matcher.Kind != "" {
		c.oneOf("spec.instancetype.kind", matcher.Kind, "VirtualMachineClusterInstancetype", "VirtualMachineInstancetype")
	}
	d := c.instance.Domain
	var set []string
	note := func(field string, is bool) {
		if is {
			set = append(set, field)
		}
	}
	if cpu := d.CPU; cpu != nil {
		note("cpu.sockets", cpu.Sockets != 0)
		note("cpu.cores", cpu.Cores != 0)
		note("cpu.threads", cpu.Threads != 0)
		note("cpu.maxSockets", cpu.MaxSockets != 0)
		note("cpu.dedicatedCpuPlacement", cpu.DedicatedCPUPlacement)
	}
	if memory := d.Memory; memory != nil {
		note("memory.guest", memory.Guest != nil)
		note("memory.maxGuest", memory.MaxGuest != nil)
		note("memory.hugepages", memory.Hugepages != nil)
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		_, requested := d.Resources.Requests[name]
		_, limited := d.Resources.Limits[name]
		note("resources.requests."+string(name), requested)
		note("resources.limits."+string(name), limited)
	}
	note("devices.gpus", len(d.Devices.GPUs) > 0)
	for _, field := range set {
		c.invalid(domainPath+field, "%s belongs to the instance type %s", field, matcher.Name).
			hint("remove it, or choose another instance type")
	}
}
