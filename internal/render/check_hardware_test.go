package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

func quantity(s string) *resource.Quantity { return ptr(resource.MustParse(s)) }

func setRequest(i *instance, name corev1.ResourceName, request, limit string) {
	i.Domain.Resources.Requests[name], i.Domain.Resources.Limits[name] = resource.MustParse(request), resource.MustParse(limit)
}

var hardwareCases = []checkCase{
	{"EFI and BIOS", func(_ *machine, i *instance) {
		i.Domain.Firmware.Bootloader = &kubevirtv1.Bootloader{
			BIOS: &kubevirtv1.BIOS{}, EFI: &kubevirtv1.EFI{SecureBoot: ptr(false)}}
	}, inDomain + "firmware.bootloader", invalid},
	{"SecureBoot without SMM", func(_ *machine, i *instance) {
		i.Domain.Firmware.Bootloader = &kubevirtv1.Bootloader{EFI: &kubevirtv1.EFI{}}
	}, inDomain + "features.smm", invalid},
	{"SecureBoot with SMM off", func(_ *machine, i *instance) {
		i.Domain.Firmware.Bootloader = &kubevirtv1.Bootloader{EFI: &kubevirtv1.EFI{SecureBoot: ptr(true)}}
		i.Domain.Features = &kubevirtv1.Features{SMM: &kubevirtv1.FeatureState{Enabled: ptr(false)}}
	}, inDomain + "features.smm", invalid},
	{"SecureBoot with SMM", func(_ *machine, i *instance) {
		i.Domain.Firmware.Bootloader = &kubevirtv1.Bootloader{EFI: &kubevirtv1.EFI{SecureBoot: ptr(true)}}
		i.Domain.Features = &kubevirtv1.Features{SMM: &kubevirtv1.FeatureState{}}
	}, "", ""},
	{"no memory", func(_ *machine, i *instance) {
		i.Domain.Memory, i.Domain.Resources = nil, kubevirtv1.ResourceRequirements{}
	}, inDomain + "memory.guest", invalid},
	{"memory request alone", func(_ *machine, i *instance) { i.Domain.Memory = nil }, "", ""},
	{"negative memory", func(_ *machine, i *instance) {
		i.Domain.Resources = kubevirtv1.ResourceRequirements{}
		i.Domain.Memory.Guest = quantity("-1Gi")
	}, inDomain + "memory", invalid},
	{"too little memory", func(_ *machine, i *instance) {
		i.Domain.Resources = kubevirtv1.ResourceRequirements{}
		i.Domain.Memory.Guest = quantity("128")
	}, inDomain + "memory.guest", invalid},
	{"too small a request", func(_ *machine, i *instance) { setRequest(i, corev1.ResourceMemory, "1k", "8Gi") },
		inDomain + "resources.requests.memory", invalid},
	{"request above limit", func(_ *machine, i *instance) { setRequest(i, corev1.ResourceMemory, "9Gi", "8Gi") },
		inDomain + "resources.requests.memory", invalid},
	{"limit below guest", func(_ *machine, i *instance) { setRequest(i, corev1.ResourceMemory, "4Gi", "6Gi") },
		inDomain + "resources.limits.memory", invalid},
	{"page size", func(_ *machine, i *instance) { i.Domain.Memory.Hugepages = &kubevirtv1.Hugepages{PageSize: "huge"} },
		inDomain + "memory.hugepages.pageSize", invalid},
	{"page size 0", func(_ *machine, i *instance) { i.Domain.Memory.Hugepages = &kubevirtv1.Hugepages{PageSize: "0"} },
		inDomain + "memory.hugepages.pageSize", invalid},
	{"no multiple of the page size", func(_ *machine, i *instance) {
		i.Domain.Memory.Hugepages, i.Domain.Memory.Guest = &kubevirtv1.Hugepages{PageSize: "1Gi"}, quantity("7680Mi")
	}, inDomain + "memory.guest", invalid},
	{"a request of no multiple of the page size", func(_ *machine, i *instance) {
		i.Domain.Memory.Hugepages = &kubevirtv1.Hugepages{PageSize: "1Gi"}
		setRequest(i, corev1.ResourceMemory, "7680Mi", "8Gi")
	}, inDomain + "resources.requests.memory", invalid},
	{"GPU without a device", func(_ *machine, i *instance) { i.Domain.Devices.GPUs = []kubevirtv1.GPU{{Name: "gpu1"}} },
		inDevices + "gpus[0].deviceName", invalid},
	{"GPU twice", func(_ *machine, i *instance) {
		i.Domain.Devices.GPUs = []kubevirtv1.GPU{{Name: "gpu1", DeviceName: "a/b"}, {Name: "gpu1", DeviceName: "a/b"}}
	}, inDevices + "gpus[1].name", invalid},
}

// dedicate gives the VM dedicated CPUs in the form that Render gives them.
func dedicate(i *instance) {
	i.Domain.CPU = &kubevirtv1.CPU{Sockets: 1, Cores: 4, Threads: 1, DedicatedCPUPlacement: true}
}

var cpuCases = []checkCase{
	{"dedicated", func(_ *machine, i *instance) { dedicate(i) }, "", ""},
	{"negative", func(_ *machine, i *instance) { setRequest(i, corev1.ResourceCPU, "-1", "4") }, inDomain + "resources", invalid},
	{"request above limit", func(_ *machine, i *instance) { setRequest(i, corev1.ResourceCPU, "4500m", "4") },
		inDomain + "resources.requests.cpu", invalid},
	{"more sockets than room", func(_ *machine, i *instance) { i.Domain.CPU.MaxSockets = 2 }, inDomain + "cpu.sockets", invalid},
	{"too many", func(_ *machine, i *instance) {
		i.Domain.CPU = &kubevirtv1.CPU{Sockets: 1 << 31, Cores: 1 << 31, Threads: 1 << 31}
	},
		inDomain + "cpu", invalid},
	{"isolated emulator without dedicated CPUs", func(_ *machine, i *instance) { i.Domain.CPU.IsolateEmulatorThread = true },
		inDomain + "cpu.isolateEmulatorThread", invalid},
	{"feature policy", func(_ *machine, i *instance) {
		i.Domain.CPU.Features = []kubevirtv1.CPUFeature{{Name: "vmx", Policy: "required"}}
	}, inDomain + "cpu.features[0].policy", invalid},
	{"part of a dedicated CPU", func(_ *machine, i *instance) {
		dedicate(i)
		setRequest(i, corev1.ResourceCPU, "3500m", "3500m")
	}, inDomain + "cpu.dedicatedCpuPlacement", invalid},
	{"overcommitted dedicated CPU", func(_ *machine, i *instance) {
		dedicate(i)
		setRequest(i, corev1.ResourceCPU, "3500m", "4")
		i.Domain.Resources.Requests[corev1.ResourceCPU] = resource.MustParse("4")
		setRequest(i, corev1.ResourceMemory, "4Gi", "8Gi")
	}, inDomain + "cpu.dedicatedCpuPlacement", invalid},
	{"other number than the topology", func(_ *machine, i *instance) {
		dedicate(i)
		setRequest(i, corev1.ResourceCPU, "6", "6")
	}, inDomain + "cpu.dedicatedCpuPlacement", invalid},
	{"dedicated without number", func(_ *machine, i *instance) {
		i.Domain.CPU = &kubevirtv1.CPU{DedicatedCPUPlacement: true}
		delete(i.Domain.Resources.Requests, corev1.ResourceCPU)
		delete(i.Domain.Resources.Limits, corev1.ResourceCPU)
	}, "", ""},
	{"four threads", func(_ *machine, i *instance) {
		i.Domain.CPU = &kubevirtv1.CPU{Sockets: 1, Cores: 1, Threads: 4, DedicatedCPUPlacement: true}
	}, inDomain + "cpu.threads", invalid},
	{"NUMA without dedicated CPUs", func(_ *machine, i *instance) {
		i.Domain.CPU.NUMA = &kubevirtv1.NUMA{GuestMappingPassthrough: &kubevirtv1.NUMAGuestMappingPassthrough{}}
		i.Domain.Memory.Hugepages = &kubevirtv1.Hugepages{PageSize: "1Gi"}
	}, inDomain + "cpu.numa", invalid},
	{"NUMA without huge pages", func(_ *machine, i *instance) {
		dedicate(i)
		i.Domain.CPU.NUMA = &kubevirtv1.NUMA{GuestMappingPassthrough: &kubevirtv1.NUMAGuestMappingPassthrough{}}
	}, inDomain + "cpu.numa", invalid},
	{"realtime without NUMA", func(_ *machine, i *instance) {
		dedicate(i)
		i.Domain.CPU.Realtime = &kubevirtv1.Realtime{}
	}, inDomain + "cpu.realtime", invalid},
}
