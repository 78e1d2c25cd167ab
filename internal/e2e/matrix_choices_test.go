package e2e

import (
	"maps"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// machineOf is all that a VM with a data disk, keys and the pod network is made of.
func machineOf(namespace string) render.Input {
	return render.Input{
		Ref:         spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "test-shop", Index: 7},
		Environment: domain.Test, KubernetesNamespace: namespace,
		VM: spec.VirtualMachine{
			Template: "ubuntu", Size: "medium", Power: spec.PowerRunning, Reason: "a test", SSHKeys: []string{"ssh-ed25519 AAAAa alice"},
			Disks: []spec.VMDisk{{Name: "data", Size: "10Gi"}},
		},
		Template: spec.Template{
			Image:     spec.Image{ContainerDisk: &spec.ContainerDisk{Image: "quay.io/containerdisks/ubuntu:24.04"}},
			CloudInit: "#cloud-config\npackages: [nginx]\n",
		},
		TemplateName: "ubuntu", TemplateVersion: 2, Size: spec.InstanceSize{Cores: 4, Memory: "8Gi"}, SizeName: "medium",
		Networks: map[string]spec.Network{
			"nets": {Environment: domain.Test, Addresses: "10.1.0.0/16", Attachment: &spec.ObjectRef{Namespace: namespace, Name: "vlan-7"}},
			"pods": {Environment: domain.Test, Pod: true},
		},
	}
}

// choice is one value of one dimension of the matrix.
type choice struct {
	name  string
	apply func(*render.Input)
}

func image(change func(*spec.Image)) func(*render.Input) {
	return func(in *render.Input) {
		in.Template.Image = spec.Image{}
		change(&in.Template.Image)
	}
}

var golden = &spec.ObjectRef{Namespace: "golden", Name: "ubuntu"}

// imageSources are all that a template may start a root disk from.
var imageSources = []choice{
	{"imported", func(*render.Input) {}},
	{"ephemeral", func(in *render.Input) { in.Template.Image.ContainerDisk.Ephemeral = true }},
	{"dataVolume", image(func(i *spec.Image) { i.DataVolume = golden })},
	{"pvc", image(func(i *spec.Image) { i.PVC = golden })},
	{"dataSource", image(func(i *spec.Image) { i.DataSource = golden })},
}

func gpus(names ...string) func(*render.Input) {
	return func(in *render.Input) {
		for _, name := range names {
			in.Size.GPUs = append(in.Size.GPUs, spec.GPU{Name: name, DeviceName: "nvidia.com/A100"})
		}
	}
}

func overcommit(cpu, memory bool) func(*render.Input) {
	return func(in *render.Input) {
		in.Size.Overcommit = &spec.Overcommit{}
		if cpu {
			in.Size.Overcommit.CPU = &spec.RequestLimit{Request: "500m", Limit: "4"}
		}
		if memory {
			in.Size.Overcommit.Memory = &spec.RequestLimit{Request: "2Gi", Limit: "10Gi"}
		}
	}
}

func overrides(set map[string]any) func(*render.Input) {
	return func(in *render.Input) {
		in.Size.SpecOverrides = maps.Clone(in.Size.SpecOverrides)
		if in.Size.SpecOverrides == nil {
			in.Size.SpecOverrides = map[string]any{}
		}
		for path, value := range set {
			in.Size.SpecOverrides["spec.template.spec."+path] = value
		}
	}
}

// mask lets requests set a field, and sets it.
func mask(field string, set func(*spec.VirtualMachine)) func(*render.Input) {
	return func(in *render.Input) {
		in.Template.QuickFields = maps.Clone(in.Template.QuickFields)
		if in.Template.QuickFields == nil {
			in.Template.QuickFields = map[string]spec.FieldMask{}
		}
		in.Template.QuickFields[field] = spec.FieldMask{}
		set(&in.VM)
	}
}

// sizeFeatures are all that a size, and a template's preference and masks, say of the hardware. Kinds is the name of
// the cluster's instance type and preference.
func sizeFeatures(kinds string) []choice {
	return []choice{
		{"plain", func(*render.Input) {}},
		{"huge pages of 2Mi", func(in *render.Input) { in.Size.Hugepages = "2Mi" }},
		{"huge pages of 1Gi", func(in *render.Input) { in.Size.Hugepages = "1Gi" }},
		{"GPU", gpus("gpu1")},
		{"two GPUs", gpus("gpu1", "gpu2")},
		{"SR-IOV", func(in *render.Input) { in.Size.SRIOV, in.DefaultNetwork = true, "nets" }},
		{"dedicated CPU", func(in *render.Input) { in.Size.DedicatedCPU = true }},
		{"CPU overcommit", overcommit(true, false)},
		{"memory overcommit", overcommit(false, true)},
		{"overcommit", overcommit(true, true)},
		{"override of firmware", overrides(map[string]any{
			"domain.cpu.model": "host-passthrough", "domain.machine.type": "q35",
			"domain.firmware.bootloader": map[string]any{"efi": map[string]any{"secureBoot": false}},
			"domain.clock":               map[string]any{"utc": map[string]any{}, "timer": map[string]any{"hpet": map[string]any{"present": false}}},
		})},
		{"override of devices", overrides(map[string]any{
			"domain.devices.rng": map[string]any{}, "domain.devices.disks[0].cache": "none",
			"domain.devices.networkInterfaceMultiqueue": true, "domain.devices.autoattachGraphicsDevice": false,
			"domain.devices.interfaces[0].dhcpOptions": map[string]any{"ntpServers": []any{"10.0.0.1"}},
			"domain.devices.tpm":                       map[string]any{}, "domain.ioThreadsPolicy": "auto",
		})},
		{"override of placement", overrides(map[string]any{
			"tolerations[0]": map[string]any{"key": "gpu", "operator": "Exists"}, "nodeSelector['example.com/zone']": "a",
			"terminationGracePeriodSeconds": 180, "evictionStrategy": "LiveMigrate",
		})},
		{"instance type", func(in *render.Input) { in.Size.Instancetype = &spec.Instancetype{Name: kinds} }},
		{"preference", func(in *render.Input) { in.Template.Preference = kinds }},
		{"own CPU", mask("cpu", func(vm *spec.VirtualMachine) { vm.CPU = 3 })},
		{"own memory", mask("memory", func(vm *spec.VirtualMachine) { vm.Memory = "6Gi" })},
		{"own GPU", mask("gpu", func(vm *spec.VirtualMachine) { vm.GPU = "nvidia.com/A100" })},
		{"stopped", func(in *render.Input) { in.VM.Power = spec.PowerStopped }},
	}
}

func bare(in *render.Input) {
	in.VM.SSHKeys, in.VM.Disks, in.Template.CloudInit = nil, nil, ""
}

// companions are what goes with any hardware.
var companions = []choice{
	{"no keys", bare},
	{"keys", func(*render.Input) {}},
	{"long cloud-init", func(in *render.Input) {
		in.Template.CloudInit = "#cloud-config\n# " + strings.Repeat("é{{", 600) + "\n"
	}},
	{"initial password", func(in *render.Input) { in.Template.InitialPassword = &spec.InitialPassword{User: "ubuntu"} }},
	{"fixed address", func(in *render.Input) {
		in.VM.Networks = []spec.VMNetwork{{Name: "pods"}, {Name: "nets", IP: "10.1.2.3"}}
	}},
	{"data disks", func(in *render.Input) {
		in.VM.Disks = []spec.VMDisk{{Name: "data", Size: "10Gi"}, {Name: "logs", Size: "1Gi", StorageClass: "slow"}, {Name: "more", Size: "2Ti"}}
	}},
}
