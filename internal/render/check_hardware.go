package render

import (
	"math"

	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// firmware: one boot loader, and SecureBoot with SMM, which protects its variables.
func (c *checker) firmware() {
	firmware := c.instance.Domain.Firmware
	if firmware == nil || firmware.Bootloader == nil {
		return
	}
	boot := firmware.Bootloader
	if boot.EFI != nil && boot.BIOS != nil {
		c.invalid(domainPath+"firmware.bootloader", "the VM boots by EFI and by BIOS").hint("keep one of the two")
	}
	// SecureBoot is EFI's default. TDX has its keys in read-only firmware.
	secure := boot.EFI != nil && (boot.EFI.SecureBoot == nil || *boot.EFI.SecureBoot)
	launch := c.instance.Domain.LaunchSecurity
	if secure && !smm(c.instance.Domain.Features) && (launch == nil || launch.TDX == nil) {
		c.invalid(domainPath+"features.smm", "SecureBoot needs SMM, which is off").
			hint("set spec.template.spec.domain.features.smm.enabled to true, or efi.secureBoot to false")
	}
}

func smm(f *kubevirtv1.Features) bool {
	return f != nil && f.SMM != nil && (f.SMM.Enabled == nil || *f.SMM.Enabled)
}

// byteCount is a quantity in whole bytes, 0 for none.
func byteCount(q *resource.Quantity) int64 {
	if q == nil {
		return 0
	}
	return q.Value()
}

// memory: some, no less asked of the node than KubeVirt takes, no limit below what is asked or used.
func (c *checker) memory() {
	d := c.instance.Domain
	request, limit := d.Resources.Requests.Memory(), d.Resources.Limits.Memory()
	var guest *resource.Quantity
	huge := false
	if d.Memory != nil {
		guest, huge = d.Memory.Guest, d.Memory.Hugepages != nil
	}
	const smallest = 1_000_000
	switch {
	case byteCount(guest) < 0 || byteCount(request) < 0 || byteCount(limit) < 0:
		c.invalid(domainPath+"memory", "memory is below nothing").hint("use amounts such as 4Gi")
	case byteCount(guest) == 0 && byteCount(request) == 0 && byteCount(limit) == 0 && !huge && c.vm.Spec.Instancetype == nil:
		// KubeVirt takes such a VM and fails when it makes the instance.
		c.invalid(domainPath+"memory.guest", "the VM has no memory").hint("set memory.guest")
	case byteCount(request) > 0 && byteCount(request) < smallest:
		c.invalid(domainPath+"resources.requests.memory", "a memory request of %s is too small", request).
			hint("ask for 1M or more")
	case byteCount(guest) > 0 && byteCount(guest) < smallest:
		c.invalid(domainPath+"memory.guest", "guest memory of %s is too small", guest).
			hint("give it 1M or more")
	}
	if byteCount(limit) > 0 && byteCount(request) > byteCount(limit) {
		c.invalid(domainPath+"resources.requests.memory", "the memory request %s is above the limit %s", request, limit).
			hint("raise the limit, or lower the request")
	}
	if byteCount(limit) > 0 && byteCount(guest) > byteCount(limit) {
		c.invalid(domainPath+"resources.limits.memory", "the memory limit %s is below the guest's memory %s", limit, guest).
			hint("raise the limit to the guest's memory")
	}
}

// memoryGrowth: room to grow is only for guests that memory can be plugged into.
func (c *checker) memoryGrowth() {
	memory := c.instance.Domain.Memory
	if memory == nil || memory.MaxGuest == nil || c.allow.KubeVirt.staged() || c.vm.Spec.Instancetype != nil {
		return
	}
	const gib, block = 1 << 30, 2 << 20
	align := int64(block)
	if memory.Hugepages != nil && memory.Hugepages.PageSize == "1Gi" {
		align = gib
	}
	field, guest, most := domainPath+"memory.maxGuest", byteCount(memory.Guest), memory.MaxGuest
	cpu := c.instance.Domain.CPU
	tied := cpu != nil && (cpu.Realtime != nil || cpu.NUMA != nil && cpu.NUMA.GuestMappingPassthrough != nil)
	switch {
	case tied || c.instance.Domain.LaunchSecurity != nil:
		c.invalid(field, "the memory of a VM that is realtime, encrypted or tied to a NUMA node cannot grow").hint("remove maxGuest")
	case c.architecture() != "amd64":
		c.invalid(field, "memory grows on amd64 only").hint("remove maxGuest")
	case guest < gib:
		c.invalid(field, "memory grows from 1Gi on, the guest has %d bytes", guest).hint("remove maxGuest, or give the guest 1Gi")
	case guest > most.Value():
		c.invalid(field, "maxGuest %s is below the guest's memory %s", most, memory.Guest).hint("raise or remove maxGuest")
	case guest%align != 0 || most.Value()%align != 0:
		c.invalid(field, "memory grows in blocks: %s and %s are not both multiples of %d", memory.Guest, most, align).
			hint("use whole blocks")
	}
}

// hugepages: the request and the guest's memory are whole pages, at least one.
func (c *checker) hugepages() {
	memory := c.instance.Domain.Memory
	if memory == nil || memory.Hugepages == nil {
		return
	}
	page, err := resource.ParseQuantity(memory.Hugepages.PageSize)
	if err != nil || page.Value() <= 0 {
		c.invalid(domainPath+"memory.hugepages.pageSize", "the page size %q is no quantity", memory.Hugepages.PageSize).
			hint("use 2Mi or 1Gi")
		return
	}
	amounts := map[string]*resource.Quantity{
		"memory.guest":              memory.Guest,
		"resources.requests.memory": c.instance.Domain.Resources.Requests.Memory(),
	}
	for field, amount := range sorted(amounts) {
		if byteCount(amount)%page.Value() != 0 {
			c.invalid(domainPath+field, "%s is no multiple of the page size %s", amount, &page).
				hint("use a multiple of %s", &page)
		}
	}
}

// vcpus is the number of virtual CPUs of a topology, where 0 stands for 1, and 0 for no topology.
func vcpus(cpu *kubevirtv1.CPU) int64 {
	if cpu == nil || cpu.Sockets == 0 && cpu.Cores == 0 && cpu.Threads == 0 {
		return 0
	}
	n := int64(1)
	for _, part := range []uint32{cpu.Sockets, cpu.Cores, cpu.Threads} {
		if n > math.MaxInt64/max(int64(part), 1) {
			return math.MaxInt64
		}
		n *= max(int64(part), 1)
	}
	return n
}

// cpu: requests and limits that fit each other, a topology that fits its own room to grow.
func (c *checker) cpu() {
	request := c.instance.Domain.Resources.Requests.Cpu()
	limit := c.instance.Domain.Resources.Limits.Cpu()
	if request.Sign() < 0 || limit.Sign() < 0 {
		c.invalid(domainPath+"resources", "CPU is below nothing").hint("use amounts such as 2 or 500m")
	}
	if limit.Sign() > 0 && request.Cmp(*limit) > 0 {
		c.invalid(domainPath+"resources.requests.cpu", "the CPU request %s is above the limit %s", request, limit).
			hint("raise the limit, or lower the request")
	}
	cpu := c.instance.Domain.CPU
	if cpu == nil {
		return
	}
	if cpu.MaxSockets != 0 && cpu.Sockets > cpu.MaxSockets {
		c.invalid(domainPath+"cpu.sockets", "%d sockets are more than maxSockets %d", cpu.Sockets, cpu.MaxSockets).
			hint("raise or remove maxSockets")
	}
	if vcpus(cpu) > maxCores {
		c.invalid(domainPath+"cpu", "%d virtual CPUs are more than a machine has", vcpus(cpu)).hint("use up to %d", maxCores)
	}
	if cpu.IsolateEmulatorThread && !cpu.DedicatedCPUPlacement {
		c.invalid(domainPath+"cpu.isolateEmulatorThread", "an isolated emulator thread needs dedicated CPUs").
			hint("set dedicatedCpuPlacement, or remove isolateEmulatorThread")
	}
	for i, feature := range cpu.Features {
		if feature.Policy != "" {
			c.oneOf(indexed(domainPath+"cpu.features", i)+".policy", feature.Policy,
				"force", "require", "optional", "disable", "forbid")
		}
	}
}

// dedicatedCPU: whole CPUs, as many as the topology has, nothing overcommitted, two threads a core.
func (c *checker) dedicatedCPU() {
	cpu := c.instance.Domain.CPU
	if cpu == nil || !cpu.DedicatedCPUPlacement {
		return
	}
	field, r := domainPath+"cpu.dedicatedCpuPlacement", c.instance.Domain.Resources
	request, limit := r.Requests.Cpu(), r.Limits.Cpu()
	if request.MilliValue()%1000 != 0 || limit.MilliValue()%1000 != 0 {
		c.invalid(field, "dedicated CPUs are whole ones, not %s and %s", request, limit).hint("use whole numbers")
	}
	if request.Sign() > 0 && limit.Sign() > 0 && request.Cmp(*limit) != 0 {
		c.invalid(field, "with dedicated CPUs the CPU request %s has to equal the limit %s", request, limit).hint("make them equal")
	}
	if m, l := r.Requests.Memory(), r.Limits.Memory(); m.Sign() > 0 && l.Sign() > 0 && m.Cmp(*l) != 0 {
		c.invalid(field, "with dedicated CPUs the memory request %s has to equal the limit %s", m, l).hint("make them equal")
	}
	n := vcpus(cpu)
	for _, q := range []*resource.Quantity{request, limit} {
		if n > 0 && q.Sign() > 0 && q.Value() != n {
			c.invalid(field, "%s CPUs are asked of the node for a topology of %d", q, n).
				hint("ask for %d, or leave resources.cpu out", n)
			break
		}
	}
	if cpu.Threads > 2 {
		c.invalid(domainPath+"cpu.threads", "dedicated CPUs have at most 2 threads a core, not %d", cpu.Threads).hint("use 1 or 2 threads and more cores")
	}
}

// numa: passing the node's topology through needs dedicated CPUs and huge pages; realtime needs both
// and the topology.
func (c *checker) numa() {
	cpu, memory := c.instance.Domain.CPU, c.instance.Domain.Memory
	if cpu == nil {
		return
	}
	passthrough := cpu.NUMA != nil && cpu.NUMA.GuestMappingPassthrough != nil
	if passthrough && !cpu.DedicatedCPUPlacement {
		c.invalid(domainPath+"cpu.numa", "NUMA passthrough needs dedicated CPUs").hint("set dedicatedCpuPlacement, or remove numa")
	}
	if passthrough && (memory == nil || memory.Hugepages == nil) {
		c.invalid(domainPath+"cpu.numa", "NUMA passthrough needs huge pages").hint("set memory.hugepages, or remove numa")
	}
	if cpu.Realtime != nil && (!passthrough || !cpu.DedicatedCPUPlacement) {
		c.invalid(domainPath+"cpu.realtime", "a realtime VM needs dedicated CPUs and NUMA passthrough").hint("set both, or remove realtime")
	}
}

// gpus: named, named once, and one device each.
func (c *checker) gpus() {
	seen := map[string]bool{}
	for i, gpu := range c.instance.Domain.Devices.GPUs {
		field := indexed(devicesPath+"gpus", i)
		if gpu.Name == "" || seen[gpu.Name] {
			c.invalid(field+".name", "each GPU needs a name of its own, and %q is not", gpu.Name).hint("name it gpu1, gpu2 and so on")
		}
		seen[gpu.Name] = true
		if (gpu.DeviceName == "") == (gpu.ClaimRequest == nil) {
			c.invalid(field+".deviceName", "the GPU %s needs either a device or a claim", gpu.Name).hint("set deviceName")
		}
	}
}
