package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// maxCores is what KubeVirt takes as the upper bound of a machine type's virtual CPUs.
const maxCores = 512

// hardware renders the size: topology, memory, what the pod asks of its node, GPUs.
//
// Requests and limits are always written. Left to itself KubeVirt asks for a tenth of a CPU for
// each core and sets no limit, which is an overcommit that nobody chose. Its webhooks accept
// requests and limits beside a topology and guest memory (with dedicated CPUs only when they equal
// the topology), it adds its own overhead to both, and it moves both along when it hot-plugs. The
// price is that a change of size asks for a restart, as resources are not updated live.
func (r *renderer) hardware(instance *kubevirtv1.VirtualMachineInstanceSpec) {
	size := r.in.Size
	if size.Instancetype != nil {
		return // nothing is said twice: KubeVirt refuses that
	}
	if size.Cores < 1 || size.Cores > maxCores {
		origin, field := r.from("cpu", "cores", r.asked.CPU != 0)
		r.problems.add(domain.PlanInvalid, origin, field, "%s is %d", field, size.Cores).
			hint("use 1 to %d", maxCores)
		return
	}
	origin, field := r.from("memory", "memory", r.asked.Memory != "")
	guest, ok := r.amount(origin, field, size.Memory, spec.Bytes)
	if !ok {
		return
	}
	instance.Domain.CPU = topology(size)
	instance.Domain.Memory = &kubevirtv1.Memory{Guest: &guest}
	r.hugepages(instance.Domain.Memory)
	r.resources(instance, guest)
	for _, gpu := range size.GPUs {
		instance.Domain.Devices.GPUs = append(instance.Domain.Devices.GPUs,
			kubevirtv1.GPU{Name: gpu.Name, DeviceName: gpu.DeviceName})
	}
}

// topology renders cores as sockets, the only part of a topology that can grow without a restart.
// How far is left to the cluster (four times the sockets by default): a maxSockets of ours would
// change with the size, and that change alone would ask for a restart. Dedicated CPUs are cores of
// one socket, as they are on the node.
func topology(size spec.InstanceSize) *kubevirtv1.CPU {
	if size.DedicatedCPU {
		return &kubevirtv1.CPU{Sockets: 1, Cores: uint32(size.Cores), Threads: 1, DedicatedCPUPlacement: true}
	}
	return &kubevirtv1.CPU{Sockets: uint32(size.Cores), Cores: 1, Threads: 1}
}

func (r *renderer) hugepages(memory *kubevirtv1.Memory) {
	if r.in.Size.Hugepages == "" {
		return
	}
	page, ok := r.amount(OriginSize, "hugepages", r.in.Size.Hugepages, spec.Bytes)
	if ok && memory.Guest.Value()%page.Value() != 0 {
		origin, field := r.from("memory", "memory", r.asked.Memory != "")
		r.problems.add(domain.PlanInvalid, origin, field, "%s of memory is no multiple of the huge pages' %s", memory.Guest, &page)
	}
	memory.Hugepages = &kubevirtv1.Hugepages{PageSize: r.in.Size.Hugepages}
}

func (r *renderer) resources(instance *kubevirtv1.VirtualMachineInstanceSpec, guest resource.Quantity) {
	cores := *resource.NewQuantity(int64(r.in.Size.Cores), resource.DecimalSI)
	cpu := pair{request: cores, limit: cores}
	memory := pair{request: guest, limit: guest}
	if o := r.in.Size.Overcommit; o != nil {
		cpu = r.overcommit("cpu", o.CPU, cpu, spec.CPU)
		memory = r.overcommit("memory", o.Memory, memory, spec.Bytes)
	}
	r.checkOvercommit(cpu, memory, guest)
	instance.Domain.Resources = kubevirtv1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: cpu.request, corev1.ResourceMemory: memory.request},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: cpu.limit, corev1.ResourceMemory: memory.limit},
	}
}

type pair struct{ request, limit resource.Quantity }

func (p pair) overcommitted() bool { return p.request.Cmp(p.limit) != 0 }

// reader reads a quantity; the problem says what is wrong, not where.
type reader func(string) (resource.Quantity, *domain.Problem)

func (r *renderer) overcommit(field string, rl *spec.RequestLimit, otherwise pair, read reader) pair {
	if rl == nil {
		return otherwise
	}
	field = "overcommit." + field
	request, ok := r.amount(OriginSize, field+".request", rl.Request, read)
	limit, ok2 := r.amount(OriginSize, field+".limit", rl.Limit, read)
	if !ok || !ok2 {
		return otherwise
	}
	if request.Cmp(limit) > 0 {
		r.problems.add(domain.PlanInvalid, OriginSize, field+".request", "the request %s is above the limit %s",
			&request, &limit)
	}
	return pair{request, limit}
}

func (r *renderer) checkOvercommit(cpu, memory pair, guest resource.Quantity) {
	if memory.limit.Cmp(guest) < 0 {
		r.problems.add(domain.PlanInvalid, OriginSize, "overcommit.memory.limit",
			"the memory limit %s is below the guest's memory %s: the guest would be killed before it can use it",
			&memory.limit, &guest)
	}
	if !cpu.overcommitted() && !memory.overcommitted() {
		return
	}
	switch {
	case r.in.Size.DedicatedCPU:
		r.problems.add(domain.DedicatedCPUOvercommit, OriginSize, "overcommit",
			"a size with dedicated CPUs cannot ask for less than it may use").
			hint("make request and limit equal, or remove dedicatedCPU")
	case memory.overcommitted() && r.in.Size.Hugepages != "":
		r.problems.add(domain.PlanInvalid, OriginSize, "overcommit.memory",
			"huge pages are reserved as a whole: memory cannot be overcommitted with hugepages")
	case r.in.Environment == domain.Prod:
		r.problems.add(domain.ProdOvercommit, OriginSize, "overcommit",
			"the size overcommits its node and the VM is in prod").warn()
	}
}

// amount reads a quantity of a document by read, which is spec.Bytes or spec.CPU.
func (r *renderer) amount(origin Origin, field, text string, read reader) (resource.Quantity, bool) {
	q, p := read(text)
	if p != nil {
		r.problems.add(domain.PlanInvalid, origin, field, "%s %s", field, p.Message).hint("%s", p.Hint)
	}
	return q, p == nil
}
