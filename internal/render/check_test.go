package render

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// renderedVM is a VM that passes the check, fresh for each call.
func renderedVM(t *testing.T) *kubevirtv1.VirtualMachine {
	t.Helper()
	ms, problems := Render(example())
	if problems.Blocking() {
		t.Fatal(list(problems))
	}
	vm, err := ToVM(ms[len(ms)-1])
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// checkCase breaks one thing of a good VM.
type checkCase struct {
	name  string
	spoil func(vm *kubevirtv1.VirtualMachine, instance *kubevirtv1.VirtualMachineInstanceSpec)
	field string // of the one problem to expect; empty: none is expected
	code  domain.Code
}

func ptr[T any](v T) *T { return &v }

var (
	invalid = domain.PlanInvalid
	denied  = domain.PolicyDenied
)

const (
	inSpec    = "spec.template.spec."
	inDomain  = inSpec + "domain."
	inDevices = inDomain + "devices."
)

func TestCheck(t *testing.T) {
	t.Parallel()
	groups := map[string][]checkCase{
		"vm": vmCases, "disks": diskCases, "cloud-init": cloudInitCases, "networks": networkCases,
		"hardware": hardwareCases, "cpu": cpuCases, "isolation": isolationCases,
	}
	for group, cases := range groups {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				vm := renderedVM(t)
				c.spoil(vm, &vm.Spec.Template.Spec)
				got := Check(vm, Allowance{Networks: []string{"networks/vlan-7"}, HostDevices: []string{"example.com/fpga"}})
				if c.field == "" {
					if len(got) > 0 {
						t.Errorf("problems:\n%s", list(got))
					}
					return
				}
				if len(got) != 1 || got[0].Field != c.field || got[0].Code != c.code || got[0].Severity != domain.Error {
					t.Errorf("problems:\n%swant one %s at %s", list(got), c.code, c.field)
				}
			})
		}
	}
}

type (
	machine  = kubevirtv1.VirtualMachine
	instance = kubevirtv1.VirtualMachineInstanceSpec
)

var vmCases = []checkCase{
	{"good", func(*machine, *instance) {}, "", ""},
	{"no runStrategy", func(vm *machine, _ *instance) { vm.Spec.RunStrategy = nil }, "spec.runStrategy", invalid},
	{"unknown runStrategy", func(vm *machine, _ *instance) {
		vm.Spec.RunStrategy = ptr(kubevirtv1.VirtualMachineRunStrategy("always"))
	}, "spec.runStrategy", invalid},
	{"running", func(vm *machine, _ *instance) { vm.Spec.Running, vm.Spec.RunStrategy = ptr(true), nil }, "spec.running", invalid},
	{"no template", func(vm *machine, _ *instance) { vm.Spec.Template = nil }, "spec.template", invalid},
	{"long name", func(vm *machine, _ *instance) { vm.Name = strings.Repeat("a", 64) }, "metadata.name", invalid},
	{"bad namespace", func(vm *machine, _ *instance) {
		vm.Namespace = "Shop"
		vm.Spec.Template.Spec.Networks[0] = kubevirtv1.Network{Name: "default", NetworkSource: kubevirtv1.NetworkSource{Pod: &kubevirtv1.PodNetwork{}}}
	}, "metadata.namespace", invalid},
	{"reserved label", func(vm *machine, _ *instance) {
		vm.Spec.Template.ObjectMeta.Labels["kubevirt.io/created-by"] = "me"
	}, `spec.template.metadata.labels["kubevirt.io/created-by"]`, invalid},
	{"label value", func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["who"] = "me@home" },
		`spec.template.metadata.labels["who"]`, invalid},
	{"label name", func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["a b"] = "x" },
		`spec.template.metadata.labels["a b"]`, invalid},
	{"host name", func(_ *machine, i *instance) { i.Hostname = "a.b" }, inSpec + "hostname", invalid},
	{"subdomain", func(_ *machine, i *instance) { i.Subdomain = "a..b" }, inSpec + "subdomain", invalid},
	{"eviction strategy", func(_ *machine, i *instance) { i.EvictionStrategy = ptr(kubevirtv1.EvictionStrategy("Live")) },
		inSpec + "evictionStrategy", invalid},
	{"start strategy", func(_ *machine, i *instance) { i.StartStrategy = ptr(kubevirtv1.StartStrategy("Running")) },
		inSpec + "startStrategy", invalid},
	{"I/O threads policy", func(_ *machine, i *instance) {
		i.Domain.IOThreadsPolicy = ptr(kubevirtv1.IOThreadsPolicy("none"))
	}, inDomain + "ioThreadsPolicy", invalid},
	{"DNS policy", func(_ *machine, i *instance) { i.DNSPolicy = "Cluster" }, inSpec + "dnsPolicy", invalid},
}

var diskCases = []checkCase{
	{"volume twice", func(_ *machine, i *instance) { i.Volumes = append(i.Volumes, i.Volumes[0]) }, inSpec + "volumes[3].name", invalid},
	{"two sources", func(_ *machine, i *instance) { i.Volumes[0].EmptyDisk = &kubevirtv1.EmptyDiskSource{} }, inSpec + "volumes[0]", invalid},
	{"no source", func(_ *machine, i *instance) { i.Volumes[1].DataVolume = nil }, inSpec + "volumes[1]", invalid},
	{"disk twice", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, i.Domain.Devices.Disks[1])
	}, inDevices + "disks[3].name", invalid},
	{"disk without volume", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, kubevirtv1.Disk{Name: "ghost"})
	}, inDevices + "disks[3].name", invalid},
	{"empty drive", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, cdrom("drive", kubevirtv1.DiskBusSATA))
	}, "", ""},
	{"volume without disk", func(_ *machine, i *instance) { i.Domain.Devices.Disks = i.Domain.Devices.Disks[:2] },
		inSpec + "volumes[2].name", invalid},
	{"disk name", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[1].Name, i.Volumes[1].Name = "Data", "Data"
	}, inDevices + "disks[1].name", invalid},
	{"two targets", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].LUN = &kubevirtv1.LunTarget{} },
		inDevices + "disks[0]", invalid},
	{"LUN of a container disk", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "a"}}
		i.Domain.Devices.Disks[0].DiskDevice = kubevirtv1.DiskDevice{LUN: &kubevirtv1.LunTarget{}}
	}, inDevices + "disks[0].lun", invalid},
	{"ide", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Disk.Bus = "ide" }, inDevices + "disks[0].disk.bus", invalid},
	{"unknown bus", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Disk.Bus = "nvme" }, inDevices + "disks[0].disk.bus", invalid},
	{"virtio CD-ROM", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[2] = cdrom("cloudinit", kubevirtv1.DiskBusVirtio)
	}, inDevices + "disks[2].cdrom.bus", invalid},
	{"read-only sata", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].Disk = &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusSATA, ReadOnly: true}
	}, inDevices + "disks[0].disk.bus", invalid},
	{"PCI address on scsi", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].Disk = &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusSCSI, PciAddress: "0000:04:10.1"}
	}, inDevices + "disks[0].disk.bus", invalid},
	{"own I/O thread on usb", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].Disk.Bus, i.Domain.Devices.Disks[0].DedicatedIOThread = kubevirtv1.DiskBusUSB, ptr(true)
	}, inDevices + "disks[0].disk.bus", invalid},
	{"same boot order", func(_ *machine, i *instance) { i.Domain.Devices.Disks[1].BootOrder = ptr(uint(1)) },
		inDevices + "disks[1].bootOrder", invalid},
	{"same boot order as an interface", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].BootOrder = ptr(uint(1)) },
		inDevices + "interfaces[0].bootOrder", invalid},
	{"boot order 0", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].BootOrder = ptr(uint(0)) },
		inDevices + "disks[0].bootOrder", invalid},
	{"cache", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Cache = "unsafe" }, inDevices + "disks[0].cache", invalid},
	{"io", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].IO = "io_uring" }, inDevices + "disks[0].io", invalid},
	{"error policy", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].ErrorPolicy = ptr(kubevirtv1.DiskErrorPolicy("retry"))
	}, inDevices + "disks[0].errorPolicy", invalid},
	{"serial", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Serial = "a b" }, inDevices + "disks[0].serial", invalid},
	{"long serial", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Serial = strings.Repeat("a", 257) },
		inDevices + "disks[0].serial", invalid},
}

func cdrom(name string, bus kubevirtv1.DiskBus) kubevirtv1.Disk {
	return kubevirtv1.Disk{Name: name, DiskDevice: kubevirtv1.DiskDevice{CDRom: &kubevirtv1.CDRomTarget{Bus: bus}}}
}

func noCloud(i *instance) *kubevirtv1.CloudInitNoCloudSource { return i.Volumes[2].CloudInitNoCloud }

func sshKey(i *instance) *kubevirtv1.SSHPublicKeyAccessCredential {
	return i.AccessCredentials[0].SSHPublicKey
}

var cloudInitCases = []checkCase{
	{"2048 bytes", func(_ *machine, i *instance) { noCloud(i).UserData = strings.Repeat("a", 2048) }, "", ""},
	{"2049 bytes", func(_ *machine, i *instance) { noCloud(i).UserData = strings.Repeat("a", 2049) },
		inSpec + "volumes[2].cloudInitNoCloud.userData", invalid},
	{"long base64", func(_ *machine, i *instance) {
		noCloud(i).UserData, noCloud(i).UserDataBase64 = "", strings.Repeat("YWFh", 700)
	}, inSpec + "volumes[2].cloudInitNoCloud.userData", invalid},
	{"no base64", func(_ *machine, i *instance) { noCloud(i).UserData, noCloud(i).UserDataBase64 = "", "%%%%" },
		inSpec + "volumes[2].cloudInitNoCloud.userDataBase64", invalid},
	{"network data of 2049 bytes", func(_ *machine, i *instance) { noCloud(i).NetworkData = strings.Repeat("a", 2049) },
		inSpec + "volumes[2].cloudInitNoCloud.networkData", invalid},
	{"text and Secret", func(_ *machine, i *instance) {
		noCloud(i).UserDataSecretRef = &corev1.LocalObjectReference{Name: "more"}
	}, inSpec + "volumes[2].cloudInitNoCloud", invalid},
	{"nothing", func(_ *machine, i *instance) { noCloud(i).UserData = "" }, inSpec + "volumes[2].cloudInitNoCloud", invalid},
	{"config drive of 2049 bytes", func(_ *machine, i *instance) {
		i.AccessCredentials = nil
		i.Volumes[2].VolumeSource = kubevirtv1.VolumeSource{
			CloudInitConfigDrive: &kubevirtv1.CloudInitConfigDriveSource{UserData: strings.Repeat("a", 2049)}}
	}, inSpec + "volumes[2].cloudInitConfigDrive.userData", invalid},
	{"keys without a volume", func(_ *machine, i *instance) {
		i.Volumes, i.Domain.Devices.Disks = i.Volumes[:2], i.Domain.Devices.Disks[:2]
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys by a config drive that is not there", func(_ *machine, i *instance) {
		sshKey(i).PropagationMethod = kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{
			ConfigDrive: &kubevirtv1.ConfigDriveSSHPublicKeyAccessCredentialPropagation{}}
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys by an agent without users", func(_ *machine, i *instance) {
		sshKey(i).PropagationMethod = kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{
			QemuGuestAgent: &kubevirtv1.QemuGuestAgentSSHPublicKeyAccessCredentialPropagation{}}
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys by no way", func(_ *machine, i *instance) {
		sshKey(i).PropagationMethod = kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{}
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys from nowhere", func(_ *machine, i *instance) { sshKey(i).Source.Secret = nil },
		inSpec + "accessCredentials[0].sshPublicKey.source", invalid},
	{"keys in a Secret with a long name", func(_ *machine, i *instance) {
		sshKey(i).Source.Secret.SecretName = strings.Repeat("a", 52)
	}, inSpec + "accessCredentials[0].sshPublicKey.source", invalid},
	{"empty credential", func(_ *machine, i *instance) {
		i.AccessCredentials = append(i.AccessCredentials, kubevirtv1.AccessCredential{})
	}, inSpec + "accessCredentials[1]", invalid},
	{"password past the agent", func(_ *machine, i *instance) {
		i.AccessCredentials[0] = kubevirtv1.AccessCredential{UserPassword: &kubevirtv1.UserPasswordAccessCredential{
			Source: kubevirtv1.UserPasswordAccessCredentialSource{Secret: &kubevirtv1.AccessCredentialSecretSource{SecretName: "p"}}}}
	}, inSpec + "accessCredentials[0].userPassword.propagationMethod", invalid},
}

// second adds another interface and its network, which the case then spoils.
func second(i *instance, network kubevirtv1.NetworkSource, binding kubevirtv1.InterfaceBindingMethod) {
	i.Networks = append(i.Networks, kubevirtv1.Network{Name: "second", NetworkSource: network})
	i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces,
		kubevirtv1.Interface{Name: "second", InterfaceBindingMethod: binding})
}

var (
	pod        = kubevirtv1.NetworkSource{Pod: &kubevirtv1.PodNetwork{}}
	own        = kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "lan"}}
	bridge     = kubevirtv1.InterfaceBindingMethod{Bridge: &kubevirtv1.InterfaceBridge{}}
	masquerade = kubevirtv1.InterfaceBindingMethod{Masquerade: &kubevirtv1.InterfaceMasquerade{}}
)

var networkCases = []checkCase{
	{"a second one", func(_ *machine, i *instance) { second(i, own, bridge) }, "", ""},
	{"interface twice", func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces, i.Domain.Devices.Interfaces[0])
	}, inDevices + "interfaces[1].name", invalid},
	{"network twice", func(_ *machine, i *instance) {
		i.Networks = append(i.Networks, kubevirtv1.Network{Name: "default", NetworkSource: own})
		i.Domain.Devices.Interfaces[0].InterfaceBindingMethod = bridge
	}, inSpec + "networks[1].name", invalid},
	{"network without interface", func(_ *machine, i *instance) {
		i.Networks = append(i.Networks, kubevirtv1.Network{Name: "lan", NetworkSource: own})
	}, inSpec + "networks[1].name", invalid},
	{"interface without network", func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces,
			kubevirtv1.Interface{Name: "lan", InterfaceBindingMethod: bridge})
	}, inDevices + "interfaces[1].name", invalid},
	{"no source", func(_ *machine, i *instance) { second(i, kubevirtv1.NetworkSource{}, bridge) }, inSpec + "networks[1]", invalid},
	{"attachment without a name", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{}}, bridge)
	}, inSpec + "networks[1].multus.networkName", invalid},
	{"two pod networks", func(_ *machine, i *instance) { second(i, pod, masquerade) }, inSpec + "networks", invalid},
	{"pod network and default attachment", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "lan", Default: true}}, bridge)
	}, inSpec + "networks", invalid},
	{"masquerade on an attachment", func(_ *machine, i *instance) { second(i, own, masquerade) },
		inDevices + "interfaces[1].masquerade", invalid},
	{"SR-IOV on the pod network", func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces[0].InterfaceBindingMethod = kubevirtv1.InterfaceBindingMethod{SRIOV: &kubevirtv1.InterfaceSRIOV{}}
	}, inDevices + "interfaces[0].sriov", invalid},
	{"no binding", func(_ *machine, i *instance) { second(i, own, kubevirtv1.InterfaceBindingMethod{}) },
		inDevices + "interfaces[1]", invalid},
	{"two bindings", func(_ *machine, i *instance) {
		second(i, own, kubevirtv1.InterfaceBindingMethod{Bridge: bridge.Bridge, SRIOV: &kubevirtv1.InterfaceSRIOV{}})
	}, inDevices + "interfaces[1]", invalid},
	{"interface name", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].Name, i.Networks[0].Name = "a.b", "a.b" },
		inDevices + "interfaces[0].name", invalid},
	{"model", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].Model = "vmxnet3" },
		inDevices + "interfaces[0].model", invalid},
	{"MAC address", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].MacAddress = "02:00:00" },
		inDevices + "interfaces[0].macAddress", invalid},
	{"the pod's MAC address", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].MacAddress = "02:00:00:00:00:00" },
		inDevices + "interfaces[0].macAddress", invalid},
}

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
	}, inDomain + "cpu.dedicatedCpuPlacement", invalid},
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

func nodeTerm(operator corev1.NodeSelectorOperator) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "node-role.kubernetes.io/control-plane", Operator: operator}}}
}

func nodeAffinity(i *instance, operator corev1.NodeSelectorOperator) {
	i.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{nodeTerm(operator)}}}}
}

func annotate(vm *machine, key string) {
	vm.Spec.Template.ObjectMeta.Annotations = map[string]string{key: "x"}
}

var isolationCases = []checkCase{
	{"hook sidecar", func(vm *machine, _ *instance) { annotate(vm, "hooks.kubevirt.io/hookSidecars") },
		"spec.template.metadata.annotations", denied},
	{"ignition", func(vm *machine, _ *instance) { annotate(vm, "kubevirt.io/ignitiondata") },
		"spec.template.metadata.annotations", denied},
	{"multus annotation", func(vm *machine, _ *instance) { annotate(vm, "k8s.v1.cni.cncf.io/networks") },
		"spec.template.metadata.annotations", denied},
	{"harmless annotation", func(vm *machine, _ *instance) { annotate(vm, "example.com/note") }, "", ""},
	{"host disk", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{HostDisk: &kubevirtv1.HostDisk{Path: "/etc/shadow", Type: "Disk"}}
	}, inSpec + "volumes[0].hostDisk", denied},
	{"service account volume", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ServiceAccount: &kubevirtv1.ServiceAccountVolumeSource{ServiceAccountName: "admin"}}
	}, inSpec + "volumes[0].serviceAccount", denied},
	{"metrics volume", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{DownwardMetrics: &kubevirtv1.DownwardMetricsVolumeSource{}}
	}, inSpec + "volumes[0].downwardMetrics", denied},
	{"files of the pod", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ContainerPath: &kubevirtv1.ContainerPathVolumeSource{Path: "/"}}
	}, inSpec + "volumes[0].containerPath", denied},
	{"metrics device", func(_ *machine, i *instance) { i.Domain.Devices.DownwardMetrics = &kubevirtv1.DownwardMetrics{} },
		inDevices + "downwardMetrics", denied},
	{"service account", func(_ *machine, i *instance) { i.ServiceAccountName = "admin" }, inSpec + "serviceAccountName", denied},
	{"clone from elsewhere", func(vm *machine, _ *instance) {
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{
			ObjectMeta: metav1.ObjectMeta{Name: "stolen"},
			Spec:       cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: "bank", Name: "db"}}},
		}}
	}, "spec.dataVolumeTemplates[0].spec.source.pvc", denied},
	{"source from elsewhere", func(vm *machine, _ *instance) {
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{
			ObjectMeta: metav1.ObjectMeta{Name: "stolen"},
			Spec:       cdiv1.DataVolumeSpec{SourceRef: &cdiv1.DataVolumeSourceRef{Kind: "DataSource", Namespace: ptr("bank"), Name: "db"}},
		}}
	}, "spec.dataVolumeTemplates[0].spec.sourceRef", denied},
	{"clone from its own namespace", func(vm *machine, _ *instance) {
		vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{
			Spec: cdiv1.DataVolumeSpec{Source: &cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: vm.Namespace, Name: "db"}}},
		}}
	}, "", ""},
	{"attachment from elsewhere", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "bank/vault"}}, bridge)
	}, inSpec + "networks[1].multus.networkName", denied},
	{"attachment of the platform", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "networks/vlan-7"}}, bridge)
	}, "", ""},
	{"host device", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "disk", DeviceName: "example.com/nvme"}}
	}, inDevices + "hostDevices[0]", denied},
	{"host device by claim", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "disk", DeviceName: "example.com/fpga",
			ClaimRequest: &kubevirtv1.ClaimRequest{ClaimName: "a", RequestName: "b"}}}
	}, inDevices + "hostDevices[0]", denied},
	{"host device of the size", func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "fpga", DeviceName: "example.com/fpga"}}
	}, "", ""},
	{"system priority", func(_ *machine, i *instance) { i.PriorityClassName = "system-cluster-critical" },
		inSpec + "priorityClassName", denied},
	{"control plane by selector", func(_ *machine, i *instance) {
		i.NodeSelector = map[string]string{"node-role.kubernetes.io/master": ""}
	}, inSpec + "nodeSelector", denied},
	{"control plane by toleration", func(_ *machine, i *instance) {
		i.Tolerations = []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists}}
	}, inSpec + "tolerations[0]", denied},
	{"every taint", func(_ *machine, i *instance) {
		i.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	},
		inSpec + "tolerations[0]", denied},
	{"control plane by affinity", func(_ *machine, i *instance) { nodeAffinity(i, corev1.NodeSelectorOpExists) },
		inSpec + "affinity.nodeAffinity", denied},
	{"control plane by preference", func(_ *machine, i *instance) {
		i.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
				{Weight: 1, Preference: nodeTerm(corev1.NodeSelectorOpIn)}}}}
	}, inSpec + "affinity.nodeAffinity", denied},
	{"away from the control plane", func(_ *machine, i *instance) { nodeAffinity(i, corev1.NodeSelectorOpDoesNotExist) }, "", ""},
}
