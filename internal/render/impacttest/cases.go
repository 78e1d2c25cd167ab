// Package impacttest has changes of VMs that run, for the tests that say what each does to the VM and for those
// that ask KubeVirt. It knows nothing of either.
package impacttest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

type (
	machine  = kubevirtv1.VirtualMachine
	instance = kubevirtv1.VirtualMachineInstanceSpec
)

// Case changes a running VM that has a root disk, a disk called data and cloud-init, in this order.
type Case struct {
	Name   string
	From   func(vm *kubevirtv1.VirtualMachine, i *kubevirtv1.VirtualMachineInstanceSpec) // before the change; nil: as rendered
	Change func(vm *kubevirtv1.VirtualMachine, i *kubevirtv1.VirtualMachineInstanceSpec)
	Path   string // that has to be among the changes
	Want   string // impact of that path
	All    string // of all; empty: the same
}

// What the changes do, in the words of package render.
const (
	none     = "no-op"
	live     = "live"
	migrates = "migrates"
	restart  = "restart"
	ignored  = "ignored by KubeVirt"
)

const (
	inSpec    = "spec.template.spec."
	inDomain  = inSpec + "domain."
	inDevices = inDomain + "devices."
)

func ptr[T any](v T) *T { return &v }

// Cases are the changes.
var Cases = []Case{
	{Name: "more sockets", Change: sockets(8), Path: cpuSockets, Want: migrates},
	{Name: "sockets up to four times", Change: sockets(16), Path: cpuSockets, Want: migrates},
	{Name: "sockets past four times", Change: sockets(17), Path: cpuSockets, Want: restart},
	{Name: "sockets within maxSockets", From: func(_ *machine, i *instance) { i.Domain.CPU.MaxSockets = 20 },
		Change: sockets(20), Path: cpuSockets, Want: migrates},
	{Name: "sockets past maxSockets", From: func(_ *machine, i *instance) { i.Domain.CPU.MaxSockets = 6 },
		Change: sockets(7), Path: cpuSockets, Want: restart},
	{Name: "sockets past what a machine has", From: sockets(200), Change: sockets(513), Path: cpuSockets, Want: restart},
	{Name: "fewer sockets", Change: sockets(2), Path: cpuSockets, Want: restart},
	{Name: "sockets with requests", Change: both(sockets(8), moreCPURequest), Path: cpuSockets, Want: restart},
	{Name: "requests alone", Change: moreCPURequest, Path: inDomain + "resources.requests.cpu", Want: restart},
	{Name: "more cores", Change: func(_ *machine, i *instance) { i.Domain.CPU.Cores = 2 }, Path: inDomain + "cpu.cores", Want: restart},
	{Name: "no CPU", Change: func(_ *machine, i *instance) { i.Domain.CPU = nil }, Path: inDomain + "cpu", Want: restart},

	{Name: "more memory", Change: guest("16Gi"), Path: memoryGuest, Want: migrates},
	{Name: "memory up to four times", Change: guest("32Gi"), Path: memoryGuest, Want: migrates},
	{Name: "memory past four times", Change: guest("33Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory past maxGuest", From: func(_ *machine, i *instance) { i.Domain.Memory.MaxGuest = ptr(resource.MustParse("10Gi")) },
		Change: guest("12Gi"), Path: memoryGuest, Want: restart},
	{Name: "less memory", Change: guest("4Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory from less than 1Gi", From: guest("512Mi"), Change: guest("1Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory in odd blocks", Change: guest("8193Mi"), Path: memoryGuest, Want: restart},
	{Name: "memory in huge blocks", From: hugepages1G, Change: guest("9Gi"), Path: memoryGuest, Want: migrates},
	{Name: "memory in parts of huge blocks", From: hugepages1G, Change: guest("8704Mi"), Path: memoryGuest, Want: restart},
	{Name: "memory with NUMA passthrough", From: numa, Change: guest("16Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory of a realtime VM", From: realtime, Change: guest("16Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory of an encrypted VM", From: sev, Change: guest("16Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory of a VM with a GPU", From: gpu, Change: guest("16Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory on s390x", From: func(_ *machine, i *instance) { i.Architecture = "s390x" },
		Change: guest("16Gi"), Path: memoryGuest, Want: restart},
	{Name: "memory with sockets", Change: both(guest("16Gi"), sockets(8)), Path: memoryGuest, Want: migrates},

	{Name: "node selector", Change: nodeSelector, Path: inSpec + "nodeSelector", Want: live},
	{Name: "node selector beside a restart", Change: both(nodeSelector, moreCPURequest), Path: inSpec + "nodeSelector", Want: restart},
	{Name: "toleration", Change: func(_ *machine, i *instance) { i.Tolerations = []corev1.Toleration{{Key: "gpu"}} },
		Path: inSpec + "tolerations", Want: live},
	{Name: "affinity", Change: notOnControlPlane,
		Path: inSpec + "affinity", Want: live},

	{Name: "new disk", Change: volume("more", false), Path: inSpec + "volumes[more]", Want: restart},
	{Name: "new hot-pluggable disk", Change: volume("more", true), Path: inSpec + "volumes[more]", Want: live},
	{Name: "new hot-pluggable disk beside a restart", Change: both(volume("more", true), moreCPURequest),
		Path: inSpec + "volumes[more]", Want: live, All: restart},
	{Name: "new hot-pluggable disk, its device", Change: volume("more", true), Path: inDevices + "disks[more]", Want: live},
	{Name: "disk gone", Change: noVolume("data"), Path: inSpec + "volumes[data]", Want: restart},
	{Name: "hot-pluggable disk gone", From: volume("more", true), Change: noVolume("more"), Path: inDevices + "disks[more]", Want: live},
	{Name: "drive gone", From: func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, kubevirtv1.Disk{Name: "cd",
			DiskDevice: kubevirtv1.DiskDevice{CDRom: &kubevirtv1.CDRomTarget{}}})
	}, Change: noVolume("cd"), Path: inDevices + "disks[cd]", Want: restart},
	{Name: "disk's bus", Change: func(_ *machine, i *instance) { i.Domain.Devices.Disks[1].Disk.Bus = "sata" },
		Path: inDevices + "disks[data].disk.bus", Want: restart},
	{Name: "disks in another order", Change: func(_ *machine, i *instance) {
		slices.Reverse(i.Domain.Devices.Disks)
		slices.Reverse(i.Volumes)
	},
		Path: inDevices + "disks", Want: none},
	{Name: "another claim", Change: rename, Path: inSpec + "volumes[data].dataVolume.name", Want: restart},
	{Name: "another claim by migration", Change: both(rename, migrate), Path: inSpec + "volumes[data].dataVolume.name", Want: migrates},

	{Name: "new interface", Change: withNIC, Path: inDevices + "interfaces[vlan]", Want: migrates},
	{Name: "new network", Change: withNIC, Path: inSpec + "networks[vlan]", Want: migrates},
	{Name: "new interface that cannot be plugged", Change: plugin, Path: inDevices + "interfaces[vlan]", Want: restart},
	{Name: "interface gone", From: withNIC, Change: func(_ *machine, i *instance) {
		i.Networks, i.Domain.Devices.Interfaces = i.Networks[:1], i.Domain.Devices.Interfaces[:1]
	}, Path: inDevices + "interfaces[vlan]", Want: restart},
	{Name: "interface absent", From: withNIC, Change: func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces[1].State = kubevirtv1.InterfaceStateAbsent
	}, Path: inDevices + "interfaces[vlan].state", Want: live},
	{Name: "interface's address", Change: func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].MacAddress = "02:11:11:11:11:11" },
		Path: inDevices + "interfaces[default].macAddress", Want: restart},
	{Name: "other attachment", From: withNIC, Change: otherNAD, Path: inSpec + "networks[vlan].multus.networkName", Want: migrates},
	{Name: "user data", Change: func(_ *machine, i *instance) { i.Volumes[2].CloudInitNoCloud.UserData = "#cloud-config\n" },
		Path: inSpec + "volumes[cloudinit].cloudInitNoCloud.userData", Want: restart},
	{Name: "CPU model", Change: func(_ *machine, i *instance) { i.Domain.CPU.Model = "host-model" }, Path: inDomain + "cpu.model", Want: restart},
	{Name: "grace period", Change: func(_ *machine, i *instance) { i.TerminationGracePeriodSeconds = ptr(int64(5)) },
		Path: inSpec + "terminationGracePeriodSeconds", Want: restart},
	{Name: "halted", Change: func(vm *machine, _ *instance) { vm.Spec.RunStrategy = ptr(kubevirtv1.RunStrategyHalted) },
		Path: "spec.runStrategy", Want: live},
	{Name: "started", Change: func(vm *machine, _ *instance) { vm.Spec.RunStrategy = ptr(kubevirtv1.RunStrategyRerunOnFailure) },
		Path: "spec.runStrategy", Want: live},
	{Name: "less of everything", Change: both(sockets(1), guest("2Gi"), moreCPURequest), Path: cpuSockets, Want: restart},
	{Name: "instance type", Change: func(vm *machine, _ *instance) { vm.Spec.Instancetype = &kubevirtv1.InstancetypeMatcher{Name: "u1"} },
		Path: "spec.instancetype", Want: restart},
	{Name: "disk template", Change: func(vm *machine, _ *instance) { vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{}} },
		Path: "spec.dataVolumeTemplates", Want: ignored},
	{Name: "label", Change: func(vm *machine, _ *instance) { vm.Labels["a.b/c"] = "d" }, Path: `metadata.labels["a.b/c"]`, Want: none},
	{Name: "label of the instance", Change: func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["a"] = "d" },
		Path: "spec.template.metadata.labels.a", Want: none},
}
