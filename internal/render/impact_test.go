package render

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// impactCase changes a running VM.
type impactCase struct {
	name   string
	from   func(vm *machine, i *instance) // before the change; nil: as rendered
	change func(vm *machine, i *instance)
	on     func(*ImpactContext)
	path   string // that has to be among the changes
	want   Impact // of that path
	all    Impact // of all; empty: the same
}

func sockets(n uint32) func(*machine, *instance) {
	return func(_ *machine, i *instance) { i.Domain.CPU.Sockets = n }
}

func guest(size string) func(*machine, *instance) {
	return func(_ *machine, i *instance) { i.Domain.Memory.Guest = ptr(resource.MustParse(size)) }
}

func both(changes ...func(*machine, *instance)) func(*machine, *instance) {
	return func(vm *machine, i *instance) {
		for _, change := range changes {
			change(vm, i)
		}
	}
}

func kubevirt(version string, gates ...string) func(*ImpactContext) {
	return func(on *ImpactContext) {
		on.KubeVirt = KubeVirt{Version: version, FeatureGates: gates, GatesKnown: true}
	}
}

func volume(name string, hotpluggable bool) func(*machine, *instance) {
	return func(_ *machine, i *instance) {
		i.Volumes = append(i.Volumes, kubevirtv1.Volume{Name: name, VolumeSource: kubevirtv1.VolumeSource{
			DataVolume: &kubevirtv1.DataVolumeSource{Name: "dv-" + name, Hotpluggable: hotpluggable}}})
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, kubevirtv1.Disk{Name: name,
			DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{Bus: "scsi"}}})
	}
}

func noVolume(name string) func(*machine, *instance) {
	return func(_ *machine, i *instance) {
		i.Volumes = slices.DeleteFunc(i.Volumes, func(v kubevirtv1.Volume) bool { return v.Name == name })
		i.Domain.Devices.Disks = slices.DeleteFunc(i.Domain.Devices.Disks, func(d kubevirtv1.Disk) bool { return d.Name == name })
	}
}

func secondary(name string, binding kubevirtv1.InterfaceBindingMethod) func(*machine, *instance) {
	return attached(kubevirtv1.Interface{Name: name, InterfaceBindingMethod: binding})
}

func attached(iface kubevirtv1.Interface) func(*machine, *instance) {
	return func(_ *machine, i *instance) {
		i.Networks = append(i.Networks, kubevirtv1.Network{Name: iface.Name, NetworkSource: kubevirtv1.NetworkSource{
			Multus: &kubevirtv1.MultusNetwork{NetworkName: "nets/" + iface.Name}}})
		i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces, iface)
	}
}

const (
	cpuSockets  = inDomain + "cpu.sockets"
	memoryGuest = inDomain + "memory.guest"
)

var (
	plugin      = attached(kubevirtv1.Interface{Name: "vlan", Binding: &kubevirtv1.PluginBinding{Name: "plugin"}})
	withNIC     = secondary("vlan", bridge)
	hugepages1G = func(_ *machine, i *instance) { i.Domain.Memory.Hugepages = &kubevirtv1.Hugepages{PageSize: "1Gi"} }
	numa        = func(_ *machine, i *instance) {
		i.Domain.CPU.NUMA = &kubevirtv1.NUMA{GuestMappingPassthrough: &kubevirtv1.NUMAGuestMappingPassthrough{}}
	}
	realtime = func(_ *machine, i *instance) { i.Domain.CPU.Realtime = &kubevirtv1.Realtime{} }
	sev      = func(_ *machine, i *instance) {
		i.Domain.LaunchSecurity = &kubevirtv1.LaunchSecurity{SEV: &kubevirtv1.SEV{}}
	}
	gpu = func(_ *machine, i *instance) {
		i.Domain.Devices.GPUs = []kubevirtv1.GPU{{Name: "gpu", DeviceName: "nvidia.com/A100"}}
	}
	moreCPURequest = func(_ *machine, i *instance) {
		i.Domain.Resources.Requests[corev1.ResourceCPU] = resource.MustParse("8")
		i.Domain.Resources.Limits[corev1.ResourceCPU] = resource.MustParse("8")
	}
	nodeSelector = func(_ *machine, i *instance) { i.NodeSelector = map[string]string{"example.com/zone": "b"} }
	stopped      = func(on *ImpactContext) { on.Running = false }
	otherNAD     = func(_ *machine, i *instance) { i.Networks[len(i.Networks)-1].Multus.NetworkName = "nets/other" }
	migrate      = func(vm *machine, _ *instance) {
		vm.Spec.UpdateVolumesStrategy = ptr(kubevirtv1.UpdateVolumesStrategyMigration)
	}
	rename = func(_ *machine, i *instance) { i.Volumes[1].DataVolume.Name = "copy" }
)

var impactCases = []impactCase{
	{name: "more sockets", change: sockets(8), path: cpuSockets, want: ImpactMigrates},
	{name: "sockets up to four times", change: sockets(16), path: cpuSockets, want: ImpactMigrates},
	{name: "sockets past four times", change: sockets(17), path: cpuSockets, want: ImpactRestart},
	{name: "sockets within maxSockets", from: func(_ *machine, i *instance) { i.Domain.CPU.MaxSockets = 20 },
		change: sockets(20), path: cpuSockets, want: ImpactMigrates},
	{name: "sockets past maxSockets", from: func(_ *machine, i *instance) { i.Domain.CPU.MaxSockets = 6 },
		change: sockets(7), path: cpuSockets, want: ImpactRestart},
	{name: "sockets past what a machine has", from: sockets(200), change: sockets(513), path: cpuSockets, want: ImpactRestart},
	{name: "fewer sockets", change: sockets(2), path: cpuSockets, want: ImpactRestart},
	{name: "sockets on arm64", change: sockets(8), on: func(on *ImpactContext) { on.Architecture = "arm64" },
		path: cpuSockets, want: ImpactRestart},
	{name: "sockets when staged", change: sockets(8), on: func(on *ImpactContext) { on.KubeVirt.RolloutStrategy = "Stage" },
		path: cpuSockets, want: ImpactRestart},
	{name: "sockets when a restart is pending", change: sockets(8), on: func(on *ImpactContext) { on.RestartPending = true },
		path: cpuSockets, want: ImpactRestart},
	{name: "sockets of a VM that cannot be migrated", change: sockets(8), on: func(on *ImpactContext) { on.NotMigratable = true },
		path: cpuSockets, want: ImpactRestart},
	{name: "memory of a VM that cannot be migrated", change: guest("16Gi"), on: func(on *ImpactContext) { on.NotMigratable = true },
		path: memoryGuest, want: ImpactRestart},
	{name: "sockets with requests", change: both(sockets(8), moreCPURequest), path: cpuSockets, want: ImpactRestart},
	{name: "requests alone", change: moreCPURequest, path: inDomain + "resources.requests.cpu", want: ImpactRestart},
	{name: "more cores", change: func(_ *machine, i *instance) { i.Domain.CPU.Cores = 2 }, path: inDomain + "cpu.cores", want: ImpactRestart},
	{name: "no CPU", change: func(_ *machine, i *instance) { i.Domain.CPU = nil }, path: inDomain + "cpu", want: ImpactRestart},

	{name: "more memory", change: guest("16Gi"), path: memoryGuest, want: ImpactMigrates},
	{name: "memory up to four times", change: guest("32Gi"), path: memoryGuest, want: ImpactMigrates},
	{name: "memory past four times", change: guest("33Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory past maxGuest", from: func(_ *machine, i *instance) { i.Domain.Memory.MaxGuest = ptr(resource.MustParse("10Gi")) },
		change: guest("12Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "less memory", change: guest("4Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory from less than 1Gi", from: guest("512Mi"), change: guest("1Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory in odd blocks", change: guest("8193Mi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory in huge blocks", from: hugepages1G, change: guest("9Gi"), path: memoryGuest, want: ImpactMigrates},
	{name: "memory in parts of huge blocks", from: hugepages1G, change: guest("8704Mi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory with NUMA passthrough", from: numa, change: guest("16Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory of a realtime VM", from: realtime, change: guest("16Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory of an encrypted VM", from: sev, change: guest("16Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory of a VM with a GPU", from: gpu, change: guest("16Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory on s390x", from: func(_ *machine, i *instance) { i.Architecture = "s390x" },
		change: guest("16Gi"), path: memoryGuest, want: ImpactRestart},
	{name: "memory with sockets", change: both(guest("16Gi"), sockets(8)), path: memoryGuest, want: ImpactMigrates},

	{name: "node selector", change: nodeSelector, path: inSpec + "nodeSelector", want: ImpactLive},
	{name: "node selector beside a restart", change: both(nodeSelector, moreCPURequest), path: inSpec + "nodeSelector", want: ImpactRestart},
	{name: "node selector when staged", change: nodeSelector, on: func(on *ImpactContext) { on.KubeVirt.RolloutStrategy = "Stage" },
		path: inSpec + "nodeSelector", want: ImpactRestart},
	{name: "toleration", change: func(_ *machine, i *instance) { i.Tolerations = []corev1.Toleration{{Key: "gpu"}} },
		path: inSpec + "tolerations", want: ImpactLive},
	{name: "affinity", change: func(_ *machine, i *instance) { nodeAffinity(i, corev1.NodeSelectorOpDoesNotExist) },
		path: inSpec + "affinity", want: ImpactLive},

	{name: "new disk", change: volume("more", false), path: inSpec + "volumes[more]", want: ImpactRestart},
	{name: "new hot-pluggable disk", change: volume("more", true), path: inSpec + "volumes[more]", want: ImpactLive},
	{name: "new hot-pluggable disk beside a restart", change: both(volume("more", true), moreCPURequest),
		path: inSpec + "volumes[more]", want: ImpactLive, all: ImpactRestart},
	{name: "new hot-pluggable disk, its device", change: volume("more", true), path: inDevices + "disks[more]", want: ImpactLive},
	{name: "new hot-pluggable disk before 1.9", change: volume("more", true), on: kubevirt("v1.8.2"),
		path: inSpec + "volumes[more]", want: ImpactRestart},
	{name: "new hot-pluggable disk with the gate", change: volume("more", true), on: kubevirt("v1.7.0", "DeclarativeHotplugVolumes"),
		path: inSpec + "volumes[more]", want: ImpactLive},
	{name: "new hot-pluggable disk, plugged by request", change: volume("more", true), on: kubevirt("v1.9.0", "HotplugVolumes"),
		path: inSpec + "volumes[more]", want: ImpactRestart},
	{name: "disk gone", change: noVolume("data"), path: inSpec + "volumes[data]", want: ImpactRestart},
	{name: "hot-pluggable disk gone", from: volume("more", true), change: noVolume("more"), path: inDevices + "disks[more]", want: ImpactLive},
	{name: "drive gone", from: func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, kubevirtv1.Disk{Name: "cd",
			DiskDevice: kubevirtv1.DiskDevice{CDRom: &kubevirtv1.CDRomTarget{}}})
	}, change: noVolume("cd"), path: inDevices + "disks[cd]", want: ImpactRestart},
	{name: "disk's bus", change: func(_ *machine, i *instance) { i.Domain.Devices.Disks[1].Disk.Bus = "sata" },
		path: inDevices + "disks[data].disk.bus", want: ImpactRestart},
	{name: "disks in another order", change: func(_ *machine, i *instance) {
		slices.Reverse(i.Domain.Devices.Disks)
		slices.Reverse(i.Volumes)
	},
		path: inDevices + "disks", want: ImpactNone},
	{name: "another claim", change: rename, path: inSpec + "volumes[data].dataVolume.name", want: ImpactRestart},
	{name: "another claim by migration", change: both(rename, migrate), path: inSpec + "volumes[data].dataVolume.name", want: ImpactMigrates},

	{name: "new interface", change: withNIC, path: inDevices + "interfaces[vlan]", want: ImpactMigrates},
	{name: "new network", change: withNIC, path: inSpec + "networks[vlan]", want: ImpactMigrates},
	{name: "new interface that cannot be plugged", change: plugin, path: inDevices + "interfaces[vlan]", want: ImpactRestart},
	{name: "interface gone", from: withNIC, change: func(_ *machine, i *instance) {
		i.Networks, i.Domain.Devices.Interfaces = i.Networks[:1], i.Domain.Devices.Interfaces[:1]
	}, path: inDevices + "interfaces[vlan]", want: ImpactRestart},
	{name: "interface absent", from: withNIC, change: func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces[1].State = kubevirtv1.InterfaceStateAbsent
	}, path: inDevices + "interfaces[vlan].state", want: ImpactLive},
	{name: "interface's address", change: func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].MacAddress = "02:11:11:11:11:11" },
		path: inDevices + "interfaces[default].macAddress", want: ImpactRestart},
	{name: "other attachment", from: withNIC, change: otherNAD, path: inSpec + "networks[vlan].multus.networkName", want: ImpactMigrates},
	{name: "other attachment on 1.8", from: withNIC, change: otherNAD, on: kubevirt("v1.8.0"),
		path: inSpec + "networks[vlan].multus.networkName", want: ImpactRestart},
	{name: "other attachment on 1.8 with the gate", from: withNIC, change: otherNAD, on: kubevirt("v1.8.0", "LiveUpdateNADRef"),
		path: inSpec + "networks[vlan].multus.networkName", want: ImpactMigrates},
	{name: "other attachment on 1.7", from: withNIC, change: otherNAD, on: kubevirt("v1.7.0", "LiveUpdateNADRef"),
		path: inSpec + "networks[vlan].multus.networkName", want: ImpactRestart},

	{name: "user data", change: func(_ *machine, i *instance) { i.Volumes[2].CloudInitNoCloud.UserData = "#cloud-config\n" },
		path: inSpec + "volumes[cloudinit].cloudInitNoCloud.userData", want: ImpactRestart},
	{name: "CPU model", change: func(_ *machine, i *instance) { i.Domain.CPU.Model = "host-model" }, path: inDomain + "cpu.model", want: ImpactRestart},
	{name: "grace period", change: func(_ *machine, i *instance) { i.TerminationGracePeriodSeconds = ptr(int64(5)) },
		path: inSpec + "terminationGracePeriodSeconds", want: ImpactRestart},
	{name: "halted", change: func(vm *machine, _ *instance) { vm.Spec.RunStrategy = ptr(kubevirtv1.RunStrategyHalted) },
		path: "spec.runStrategy", want: ImpactLive},
	{name: "started", change: func(vm *machine, _ *instance) { vm.Spec.RunStrategy = ptr(kubevirtv1.RunStrategyRerunOnFailure) },
		on: stopped, path: "spec.runStrategy", want: ImpactLive},
	{name: "instance type", change: func(vm *machine, _ *instance) { vm.Spec.Instancetype = &kubevirtv1.InstancetypeMatcher{Name: "u1"} },
		path: "spec.instancetype", want: ImpactRestart},
	{name: "disk template", change: func(vm *machine, _ *instance) { vm.Spec.DataVolumeTemplates = []kubevirtv1.DataVolumeTemplateSpec{{}} },
		path: "spec.dataVolumeTemplates", want: ImpactIgnored},
	{name: "label", change: func(vm *machine, _ *instance) { vm.Labels["a.b/c"] = "d" }, path: `metadata.labels["a.b/c"]`, want: ImpactNone},
	{name: "label of the instance", change: func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["a"] = "d" },
		path: "spec.template.metadata.labels.a", want: ImpactNone},
	{name: "stopped VM", change: both(sockets(1), guest("2Gi"), moreCPURequest), on: stopped, path: cpuSockets, want: ImpactNone},
}

func TestImpactOfVM(t *testing.T) {
	t.Parallel()
	for _, c := range impactCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			vm := renderedVM(t)
			if c.from != nil {
				c.from(vm, &vm.Spec.Template.Spec)
			}
			from := asObject(t, vm)
			c.change(vm, &vm.Spec.Template.Spec)
			to, on := asObject(t, vm), ImpactContext{Running: true}
			if c.on != nil {
				c.on(&on)
			}
			changes, gravest := JudgeImpact(KindVirtualMachine, Differences(from, to), to, on)
			if i := slices.IndexFunc(changes, func(f FieldChange) bool { return f.Path == c.path }); i < 0 || changes[i].Impact != c.want {
				t.Errorf("changes %+v\nwant %s at %s", changes, c.want, c.path)
			}
			if c.all == "" {
				c.all = c.want
			}
			if gravest != c.all {
				t.Errorf("gravest is %s, want %s", gravest, c.all)
			}
		})
	}
}

func asObject(t *testing.T, object any) map[string]any {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImpactOfOthers(t *testing.T) {
	t.Parallel()
	storage := func(size string) string {
		return `{"spec":{"storage":{"resources":{"requests":{"storage":"` + size + `"}}}}}`
	}
	claim := func(size string) string { return `{"spec":{"resources":{"requests":{"storage":"` + size + `"}}}}` }
	agent := `{"spec":{"template":{"spec":{"domain":{},"accessCredentials":[{"sshPublicKey":{"propagationMethod":{"qemuGuestAgent":{"users":["a"]}}}}]}}}}`
	cases := []struct {
		name, kind, from, to string
		on                   ImpactContext
		want                 Impact
	}{
		{"disk grows", KindDataVolume, storage("1Gi"), storage("2Gi"), ImpactContext{Running: true}, ImpactLive},
		{"claim grows", "PersistentVolumeClaim", claim("1Gi"), claim("2Gi"), ImpactContext{Running: true}, ImpactLive},
		{"disk of a stopped VM grows", KindDataVolume, storage("1Gi"), storage("2Gi"), ImpactContext{}, ImpactNone},
		{"disk grows where the guest is not told", KindDataVolume, storage("1Gi"), storage("2Gi"),
			ImpactContext{Running: true, KubeVirt: KubeVirt{Version: "v1.8.1", GatesKnown: true}}, ImpactIgnored},
		{"disk grows where the guest may be told", KindDataVolume, storage("1Gi"), storage("2Gi"),
			ImpactContext{Running: true, KubeVirt: KubeVirt{Version: "v1.8.1"}}, ImpactLive},
		{"disk that grew before", KindDataVolume, `{"metadata":{"annotations":{"kubevirt-shepherd.io/disk-size":"2Gi"}}}`,
			`{"metadata":{"annotations":{"kubevirt-shepherd.io/disk-size":"3Gi"}}}`, ImpactContext{Running: true}, ImpactLive},
		{"disk is the same", KindDataVolume, storage("1Gi"), storage("1024Mi"), ImpactContext{Running: true}, ImpactNone},
		{"disk shrinks", KindDataVolume, storage("2Gi"), storage("1Gi"), ImpactContext{Running: true}, ImpactIgnored},
		{"disk's source", KindDataVolume, `{"spec":{"source":{"blank":{}}}}`, `{"spec":{"source":{"http":{}}}}`, ImpactContext{Running: true}, ImpactIgnored},
		{"claim's class", "PersistentVolumeClaim", `{"spec":{}}`, `{"spec":{"storageClassName":"a"}}`, ImpactContext{}, ImpactIgnored},
		{"disk's label", KindDataVolume, `{}`, `{"metadata":{"labels":{"a":"b"}}}`, ImpactContext{Running: true}, ImpactNone},
		{"user data", KindSecret, `{"data":{"userdata":"YQ=="}}`, `{"data":{"userdata":"Yg=="}}`, ImpactContext{Running: true}, ImpactIgnored},
		{"network data", KindSecret, `{}`, `{"data":{"networkdata":"Yg=="}}`, ImpactContext{Running: true}, ImpactIgnored},
		{"user data of a stopped VM", KindSecret, `{"data":{"userdata":"YQ=="}}`, `{"data":{"userdata":"Yg=="}}`, ImpactContext{}, ImpactNone},
		{"key", KindSecret, `{"data":{}}`, `{"data":{"key-1":"YQ=="}}`, ImpactContext{Running: true}, ImpactRestart},
		{"key by the agent", KindSecret, `{"data":{}}`, `{"data":{"key-1":"YQ=="}}`,
			ImpactContext{Running: true, VM: mustObject(agent)}, ImpactLive},
		{"secret's label", KindSecret, `{}`, `{"metadata":{"labels":{"a":"b"}}}`, ImpactContext{Running: true}, ImpactNone},
		{"status", KindVirtualMachine, `{"status":{"a":1}}`, `{"metadata":{"uid":"x"}}`, ImpactContext{Running: true}, ""},
		{"unreadable VM", KindVirtualMachine, `{"spec":{"template":{"spec":7}}}`, `{"spec":{"template":{"spec":8}}}`, ImpactContext{Running: true}, ImpactRestart},
		{"service", "Service", `{}`, `{"spec":{}}`, ImpactContext{Running: true}, ImpactNone},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			to := mustObject(c.to)
			changes, got := JudgeImpact(c.kind, Differences(mustObject(c.from), to), to, c.on)
			if got != c.want {
				t.Errorf("impact %q, want %q: %+v", got, c.want, changes)
			}
		})
	}
}

func mustObject(text string) map[string]any {
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		panic(err)
	}
	return out
}

// TestShort: what people see of values fits on a line and tells no secrets.
func TestShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, ""}, {"", `""`}, {"4Gi", "4Gi"}, {float64(4), "4"}, {true, "true"}, {map[string]any{}, "{}"},
		{"a\nb\x1b[31m\u202e", "a b [31m "},
		{strings.Repeat("é", 61), strings.Repeat("é", 59) + "…"},
		{[]any{"a", map[string]any{"k": "v"}}, `["a",{"k":"v"}]`},
		{func() {}, "(not shown)"},
	} {
		if got := Short(c.value); got != c.want {
			t.Errorf("Short(%v) is %q, want %q", c.value, got, c.want)
		}
	}
}

func TestImpactHidesSecrets(t *testing.T) {
	t.Parallel()
	const secret = "aHVudGVyMg=="
	for _, c := range []struct{ kind, from, to string }{
		{KindSecret, `{"data":{"password":"` + secret + `"}}`, `{"data":{}}`},
		{KindSecret, `{}`, `{"data":{"password":"` + secret + `"}}`},
		{KindVirtualMachine, `{"spec":{"template":{"spec":{"domain":{},"volumes":[]}}}}`,
			`{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
		{KindVirtualMachine, `{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"x"}}]}}}}`,
			`{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
		{KindVirtualMachine, `{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c"},{"name":"c"}]}}}}`,
			`{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
		{KindVirtualMachine, `{}`,
			`{"spec":{"template":{"spec":{"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
	} {
		to := mustObject(c.to)
		changes, _ := JudgeImpact(c.kind, Differences(mustObject(c.from), to), to, ImpactContext{Running: true})
		for _, change := range changes {
			if strings.Contains(change.From+change.To, secret) || change.From+change.To == "" {
				t.Errorf("%s: %+v", c.kind, change)
			}
		}
		if len(changes) == 0 {
			t.Errorf("%s: no changes", c.to)
		}
	}
}

// TestJudgeManifests takes a VM from one size to another, as its requester would.
func TestJudgeManifests(t *testing.T) {
	t.Parallel()
	render := func(change func(*Input)) []Manifest {
		in := example()
		change(&in)
		ms, problems := Render(in)
		if problems.Blocking() {
			t.Fatal(list(problems))
		}
		return ms
	}
	// The pod's share stays, so that nothing but the guest's sockets and memory changes.
	share := func(in *Input) {
		in.Size.Overcommit = &spec.Overcommit{CPU: &spec.RequestLimit{Request: "1", Limit: "8"},
			Memory: &spec.RequestLimit{Request: "4Gi", Limit: "16Gi"}}
	}
	bigger := func(in *Input) { in.Size.Cores, in.Size.Memory = 8, "16Gi" }
	before := render(func(*Input) {})
	for _, c := range []struct {
		name   string
		before []Manifest
		after  []Manifest
		on     ImpactContext
		want   Impact
		lines  string
	}{
		{"nothing", before, before, ImpactContext{Running: true}, "", "Secret unchanged, DataVolume unchanged, DataVolume unchanged, VirtualMachine unchanged"},
		{"created", nil, before, ImpactContext{Running: true}, "", "Secret created, DataVolume created, DataVolume created, VirtualMachine created"},
		{"bigger, with its share of the node", before, render(bigger), ImpactContext{Running: true}, ImpactRestart, ""},
		{"bigger, in the same share", render(share), render(func(in *Input) { share(in); bigger(in) }), ImpactContext{Running: true}, ImpactMigrates, ""},
		{"bigger, stopped", before, render(bigger), ImpactContext{}, ImpactNone, ""},
		{"a key", before, render(func(in *Input) { in.SystemSSHKeys = nil }), ImpactContext{Running: true}, ImpactRestart,
			"Secret configured, DataVolume unchanged, DataVolume unchanged, VirtualMachine unchanged"},
		{"disk grows", before, render(func(in *Input) { in.VM.Disks[0].Size = "20Gi" }), ImpactContext{Running: true}, ImpactLive,
			"Secret unchanged, DataVolume unchanged, DataVolume configured, VirtualMachine unchanged"},
		{"disk left out and kept", before, render(func(in *Input) { in.VM.Disks = nil }), ImpactContext{Running: true}, ImpactRestart,
			"Secret unchanged, DataVolume unchanged, VirtualMachine configured"},
		{"disk left out and deleted", before, render(func(in *Input) { in.VM.Disks = nil }), ImpactContext{Running: true, DestroysDisks: true}, ImpactDestroys,
			"Secret unchanged, DataVolume unchanged, VirtualMachine configured, DataVolume deleted"},
		{"all deleted", before, nil, ImpactContext{DestroysDisks: true}, ImpactDestroys,
			"Secret deleted, DataVolume deleted, DataVolume deleted, VirtualMachine deleted"},
		{"stopped", before, render(func(in *Input) { in.VM.Power = spec.PowerStopped }), ImpactContext{Running: true}, ImpactLive, ""},
	} {
		objects, got, err := JudgeManifests(c.before, c.after, c.on)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, want %q: %+v, %v", c.name, got, c.want, objects, err)
		}
		var lines []string
		for _, o := range objects {
			lines = append(lines, o.Kind+" "+o.Action)
		}
		if c.lines != "" {
			if diff := cmp.Diff(c.lines, strings.Join(lines, ", ")); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
	}
	broken := []Manifest{{Kind: KindSecret, Name: "a", JSON: []byte("{")}}
	if _, _, err := JudgeManifests(broken, nil, ImpactContext{}); err == nil {
		t.Error("a broken manifest before is read")
	}
	if _, _, err := JudgeManifests(nil, broken, ImpactContext{}); err == nil {
		t.Error("a broken manifest after is read")
	}
}

func TestKubeVirtOf(t *testing.T) {
	t.Parallel()
	if got := KubeVirtOf("v1.9.0", nil); got.GatesKnown || got.Version != "v1.9.0" {
		t.Errorf("without capabilities: %+v", got)
	}
	known := domain.Capabilities{FeatureGates: []string{"HostDisk"}, RolloutStrategy: "Stage"}
	if got := KubeVirtOf("v1.9.0", &known); !got.GatesKnown || !got.named("HostDisk") || !got.staged() {
		t.Errorf("with capabilities: %+v", got)
	}
	known.Unknown = []string{"Node", "KubeVirt"}
	if got := KubeVirtOf("v1.9.0", &known); got.GatesKnown {
		t.Errorf("unread: %+v", got)
	}
}
