package render

import (
	"slices"
	"strings"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// versionCase uses a field on several releases.
type versionCase struct {
	name  string
	use   func(*machine, *instance)
	field string
	// refused are the releases, with the named gates switched on, that refuse it.
	gates   []string
	refused string
}

var releases = []string{"v1.7.0", "v1.8.3", "v1.9.0"}

func disk(source kubevirtv1.VolumeSource) func(*machine, *instance) {
	return func(_ *machine, i *instance) { i.Volumes[1].VolumeSource = source }
}

func filesystem(source kubevirtv1.VolumeSource) func(*machine, *instance) {
	return func(_ *machine, i *instance) {
		i.Volumes = append(i.Volumes, kubevirtv1.Volume{Name: "share", VolumeSource: source})
		i.Domain.Devices.Filesystems = []kubevirtv1.Filesystem{{Name: "share", Virtiofs: &kubevirtv1.FilesystemVirtiofs{}}}
	}
}

func encrypted(launch kubevirtv1.LaunchSecurity) func(*machine, *instance) {
	return func(_ *machine, i *instance) {
		i.Domain.LaunchSecurity = &launch
		i.Domain.Firmware.Bootloader = &kubevirtv1.Bootloader{EFI: &kubevirtv1.EFI{SecureBoot: ptr(false)}}
	}
}

func claimed(i *instance) *kubevirtv1.ClaimRequest {
	i.ResourceClaims = []kubevirtv1.VirtualMachineInstanceResourceClaim{{Name: "claim", ResourceClaimName: ptr("claim")}}
	return &kubevirtv1.ClaimRequest{ClaimName: "claim", RequestName: "request"}
}

func interfaceOn(change func(*kubevirtv1.Interface)) func(*machine, *instance) {
	return func(_ *machine, i *instance) { change(&i.Domain.Devices.Interfaces[0]) }
}

var (
	rebootPolicy = func(_ *machine, i *instance) { i.Domain.RebootPolicy = ptr(kubevirtv1.RebootPolicyTerminate) }
	overhead     = func(_ *machine, i *instance) { i.Domain.Memory.ReservedOverhead = &kubevirtv1.ReservedOverhead{} }
	flush        = func(_ *machine, i *instance) {
		i.Domain.Features = &kubevirtv1.Features{Hyperv: &kubevirtv1.FeatureHyperv{
			TLBFlush: &kubevirtv1.TLBFlush{Direct: &kubevirtv1.FeatureState{}}}}
	}
	vsock      = func(_ *machine, i *instance) { i.Domain.Devices.AutoattachVSOCK = ptr(true) }
	video      = func(_ *machine, i *instance) { i.Domain.Devices.Video = &kubevirtv1.VideoDevice{Type: "virtio"} }
	panics     = func(_ *machine, i *instance) { i.Domain.Devices.PanicDevices = []kubevirtv1.PanicDevice{{}} }
	hostDevice = func(_ *machine, i *instance) {
		i.Domain.Devices.HostDevices = []kubevirtv1.HostDevice{{Name: "fpga", DeviceName: "example.com/fpga"}}
	}
	gpuClaim = func(_ *machine, i *instance) {
		i.Domain.Devices.GPUs = []kubevirtv1.GPU{{Name: "gpu", ClaimRequest: claimed(i)}}
	}
	passt = interfaceOn(func(f *kubevirtv1.Interface) {
		f.InterfaceBindingMethod = kubevirtv1.InterfaceBindingMethod{PasstBinding: &kubevirtv1.InterfacePasstBinding{}}
	})
	portRanges  = interfaceOn(func(f *kubevirtv1.Interface) { f.PortRanges = []kubevirtv1.PortRange{{Start: 1, End: 2}} })
	reservation = func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[1].DiskDevice = kubevirtv1.DiskDevice{LUN: &kubevirtv1.LunTarget{Reservation: true}}
	}
	emptyDrive = func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, kubevirtv1.Disk{Name: "cd",
			DiskDevice: kubevirtv1.DiskDevice{CDRom: &kubevirtv1.CDRomTarget{}}})
	}
	claimNetwork = func(_ *machine, i *instance) {
		i.Networks[0].NetworkSource = kubevirtv1.NetworkSource{ResourceClaim: claimed(i)}
		i.Domain.Devices.Interfaces[0].InterfaceBindingMethod = kubevirtv1.InterfaceBindingMethod{SRIOV: &kubevirtv1.InterfaceSRIOV{}}
	}
	share   = filesystem(kubevirtv1.VolumeSource{DataVolume: &kubevirtv1.DataVolumeSource{Name: "a"}})
	secrets = filesystem(kubevirtv1.VolumeSource{Secret: &kubevirtv1.SecretVolumeSource{SecretName: "a"}})
)

const (
	all  = "v1.7.0 v1.8.3 v1.9.0"
	old  = "v1.7.0 v1.8.3"
	only = "v1.7.0"
)

var versionCases = []versionCase{
	{"plain", func(*machine, *instance) {}, "", nil, ""},
	{"reboot policy", rebootPolicy, inDomain + "rebootPolicy", nil, old},
	{"reboot policy, gate", rebootPolicy, inDomain + "rebootPolicy", []string{"RebootPolicy"}, only},
	{"overhead", overhead, inDomain + "memory.reservedOverhead", nil, all},
	{"overhead, gate", overhead, inDomain + "memory.reservedOverhead", []string{"ReservedOverheadMemlock"}, only},
	{"direct flush", flush, inDomain + "features.hyperv.tlbflush", nil, only},
	{"SEV", encrypted(kubevirtv1.LaunchSecurity{SEV: &kubevirtv1.SEV{}}), inDomain + "launchSecurity", nil, old},
	{"SNP, gate", encrypted(kubevirtv1.LaunchSecurity{SNP: &kubevirtv1.SEVSNP{}}), inDomain + "launchSecurity", []string{"WorkloadEncryptionSEV"}, ""},
	{"TDX", encrypted(kubevirtv1.LaunchSecurity{TDX: &kubevirtv1.TDX{}}), inDomain + "launchSecurity", nil, all},
	{"TDX, gate", encrypted(kubevirtv1.LaunchSecurity{TDX: &kubevirtv1.TDX{}}), inDomain + "launchSecurity", []string{"WorkloadEncryptionTDX"}, ""},
	{"secure execution", func(_ *machine, i *instance) {
		i.Architecture, i.Domain.LaunchSecurity = "s390x", &kubevirtv1.LaunchSecurity{}
	},
		inDomain + "launchSecurity", nil, old},
	{"host device", hostDevice, inDevices + "hostDevices", nil, all},
	{"host device, gate", hostDevice, inDevices + "hostDevices", []string{"HostDevices"}, ""},
	{"GPU by claim", gpuClaim, inDevices + "gpus", nil, old},
	{"GPU by claim, gate", gpuClaim, inDevices + "gpus", []string{"GPUsWithDRA"}, ""},
	{"video", video, inDevices + "video", nil, old},
	{"video, gate", video, inDevices + "video", []string{"VideoConfig"}, ""},
	{"panic device", panics, inDevices + "panicDevices", nil, old},
	{"VSOCK", vsock, inDevices + "autoattachVSOCK", nil, all},
	{"VSOCK, gate", vsock, inDevices + "autoattachVSOCK", []string{"VSOCK"}, ""},
	{"passt", passt, inDevices + "interfaces", nil, old},
	{"passt, gate", passt, inDevices + "interfaces", []string{"PasstBinding"}, only},
	{"port ranges", portRanges, inDevices + "interfaces", nil, all},
	{"port ranges, gate", portRanges, inDevices + "interfaces", []string{"PortRangesSpec"}, old},
	{"network by claim", claimNetwork, inSpec + "networks", nil, all},
	{"network by claim, gate", claimNetwork, inSpec + "networks", []string{"NetworkDevicesWithDRA"}, old},
	{"reservation", reservation, inDevices + "disks", nil, old},
	{"empty drive", emptyDrive, inDevices + "disks", nil, old},
	{"empty drive, gate", emptyDrive, inDevices + "disks", []string{"DeclarativeHotplugVolumes"}, ""},
	{"shared disk", share, inDevices + "filesystems", nil, all},
	{"shared disk, gate", share, inDevices + "filesystems", []string{"EnableVirtioFsStorageVolumes"}, ""},
	{"shared secret", secrets, inDevices + "filesystems", nil, only},
	// Denied on all of them, and on some not known besides.
	{"host disk", disk(kubevirtv1.VolumeSource{HostDisk: &kubevirtv1.HostDisk{Path: "/a", Type: "Disk"}}), inSpec + "volumes", nil, all},
	{"downward metrics", disk(kubevirtv1.VolumeSource{DownwardMetrics: &kubevirtv1.DownwardMetricsVolumeSource{}}), inSpec + "volumes", nil, all},
	{"container path", disk(kubevirtv1.VolumeSource{ContainerPath: &kubevirtv1.ContainerPathVolumeSource{Path: "/a"}}),
		inSpec + "volumes", []string{"ContainerPathVolumes"}, only},
	{"service account", func(_ *machine, i *instance) { i.ServiceAccountName = "a" }, inSpec + "serviceAccountName", nil, old},
	{"utility volume", func(_ *machine, i *instance) { i.UtilityVolumes = []kubevirtv1.UtilityVolume{{Name: "a"}} },
		inSpec + "utilityVolumes", nil, only},
}

// TestCheckVersions uses each field that not every KubeVirt has on each release, as it is installed or with a gate.
func TestCheckVersions(t *testing.T) {
	t.Parallel()
	for _, c := range versionCases {
		for _, release := range releases {
			t.Run(c.name+" on "+release, func(t *testing.T) {
				t.Parallel()
				vm := renderedVM(t)
				c.use(vm, &vm.Spec.Template.Spec)
				allow := Allowance{HostDevices: []string{"example.com/fpga"},
					KubeVirt: KubeVirt{Version: release, FeatureGates: c.gates, GatesKnown: true}}
				problems := Check(vm, allow)
				refused := slices.ContainsFunc(problems, func(p Problem) bool {
					return p.Field == c.field && p.Code == domain.PlanInvalid && p.Hint != "" &&
						(strings.Contains(p.Message, "feature gate") || strings.Contains(p.Message, "does not know"))
				})
				if want := strings.Contains(c.refused, release); refused != want {
					t.Errorf("refused is %v, want %v:\n%s", refused, want, list(problems))
				}
			})
		}
	}
}

// TestCheckUnknownGates: what nobody could read is no reason to refuse a VM.
func TestCheckUnknownGates(t *testing.T) {
	t.Parallel()
	vm := renderedVM(t)
	vsock(vm, &vm.Spec.Template.Spec)
	if problems := Check(vm, Allowance{KubeVirt: KubeVirt{Version: "v1.7.0"}}); len(problems) > 0 {
		t.Errorf("problems:\n%s", list(problems))
	}
}

// TestCheckWarns: what starts, and not as its author may think.
func TestCheckWarns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		use     func(*machine, *instance)
		version string
		want    string
	}{
		"volume without disk": {func(_ *machine, i *instance) { i.Domain.Devices.Disks = i.Domain.Devices.Disks[:2] }, "",
			"warning PLAN_INVALID (rendered spec.template.spec.volumes[2].name)"},
		"machine type": {func(_ *machine, i *instance) { i.Domain.Machine = &kubevirtv1.Machine{Type: "pc-i440fx-9.0"} }, "",
			"warning PLAN_INVALID (rendered spec.template.spec.domain.machine.type)"},
		"old KubeVirt":    {func(*machine, *instance) {}, "v1.6.2", "warning PLAN_INVALID (rendered ): KubeVirt v1.6.2 is older"},
		"ancient":         {func(*machine, *instance) {}, "v0.59.0", "warning PLAN_INVALID (rendered ): KubeVirt v0.59.0 is older"},
		"new KubeVirt":    {func(*machine, *instance) {}, "v1.12.0", ""},
		"next generation": {func(*machine, *instance) {}, "v2.0.0", ""},
		"no version":      {func(*machine, *instance) {}, "devel", ""},
		"half a version":  {func(*machine, *instance) {}, "v1", ""},
		"bad minor":       {func(*machine, *instance) {}, "v1.x.0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := renderedVM(t)
			c.use(vm, &vm.Spec.Template.Spec)
			got := list(Check(vm, Allowance{KubeVirt: KubeVirt{Version: c.version}}))
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("problems:\n%swant %s", got, c.want)
			}
		})
	}
}

// TestCheckHints: every problem of the corpus says what to do about it, in its message or beside it.
func TestCheckHints(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range corpus(t) {
		problems, _ := ours(s)
		for _, p := range problems {
			if p.Hint == "" && !strings.Contains(p.Message, ":") && !seen[p.Message] {
				seen[p.Message] = true
				t.Errorf("%s: no hint: %s", s.name(), p.Message)
			}
			if strings.ContainsAny(p.Message, "\n\t") || p.Message == "" {
				t.Errorf("%s: %q is no sentence", s.name(), p.Message)
			}
		}
	}
}
