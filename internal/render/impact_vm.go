package render

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// hotplugRatio is how many times the sockets and the memory of its start a VM may grow to where neither it nor
// KubeVirt's configuration sets a limit.
const hotplugRatio = 4

// vmImpact knows a VM before and after a change.
type vmImpact struct {
	on          ImpactContext
	from, to    *kubevirtv1.VirtualMachineInstanceSpec // nil where they cannot be read
	strategy    *kubevirtv1.UpdateVolumesStrategy
	netRestart  bool // KubeVirt asks for a restart because of the interfaces and networks
	needsReboot bool // some field asks for a restart, so that what could be updated live waits as well
}

func newVMImpact(differences []Difference, to map[string]any, on ImpactContext) *vmImpact {
	v := &vmImpact{on: on}
	before, after := decodeVM(undo(to, differences)), decodeVM(to)
	if before == nil || after == nil {
		return v
	}
	v.from, v.to, v.strategy = &before.Spec.Template.Spec, &after.Spec.Template.Spec, after.Spec.UpdateVolumesStrategy
	v.netRestart = v.networksNeedRestart()
	v.needsReboot = on.RestartPending
	for _, d := range differences {
		for _, part := range d.parts() {
			v.needsReboot = v.needsReboot || v.ofPart(part) == ImpactRestart
		}
	}
	return v
}

// of is the impact of one difference, knowing all of them.
func (v *vmImpact) of(d Difference) Impact {
	impact := v.ofPart(d)
	switch {
	case impact == ImpactIgnored:
	case d.at("spec", "runStrategy"), d.at("spec", "running"):
	case !v.on.Running:
		return ImpactNone
	case v.needsReboot && waits(d) && (impact == ImpactLive || impact == ImpactMigrates):
		return ImpactRestart
	}
	return impact
}

// waits: what KubeVirt leaves alone while a restart is pending. Volumes and interfaces it still plugs.
func waits(d Difference) bool {
	return !instancePart(d, "volumes") && !devicesPart(d, "disks") && !instancePart(d, "networks") && !devicesPart(d, "interfaces")
}

func instancePart(d Difference, keys ...string) bool {
	return d.below(append([]string{"spec", "template", "spec"}, keys...)...)
}

func devicesPart(d Difference, list string) bool { return instancePart(d, "domain", "devices", list) }

// ofPart is the impact of one difference on a VM that runs, as if it were the only one.
func (v *vmImpact) ofPart(d Difference) Impact {
	switch {
	case d.below("metadata"), d.below("apiVersion"), d.below("kind"), d.at("spec", "updateVolumesStrategy"):
		return ImpactNone
	case d.at("spec", "runStrategy"), d.at("spec", "running"):
		return ImpactLive
	case d.below("spec", "dataVolumeTemplates"):
		return ImpactIgnored
	case d.below("spec", "template", "metadata"):
		return ImpactNone // KubeVirt writes them onto the next instance
	case v.from == nil || v.to == nil || !instancePart(d):
		return ImpactRestart
	}
	return v.ofInstance(d)
}

func (v *vmImpact) ofInstance(d Difference) Impact {
	switch {
	case instancePart(d, "volumes"):
		return v.ofVolume(d, element(d, 4))
	case devicesPart(d, "disks"):
		return v.ofDisk(d, element(d, 6))
	case instancePart(d, "networks"), devicesPart(d, "interfaces"):
		return v.ofNetwork(d)
	case v.on.KubeVirt.staged():
		return ImpactRestart
	case instancePart(d, "domain", "cpu", "sockets"):
		return v.ofSockets()
	case instancePart(d, "domain", "memory", "guest"):
		return v.ofMemory()
	case instancePart(d, "nodeSelector"), instancePart(d, "affinity"), instancePart(d, "tolerations"):
		return ImpactLive
	}
	return ImpactRestart
}

// element is the name in the path's list element at that place, or nothing for the list as a whole.
func element(d Difference, at int) string {
	if len(d.Path) <= at {
		return ""
	}
	return strings.Trim(d.Path[at], "[]")
}

func (v *vmImpact) ofSockets() Impact {
	from, to := v.from.Domain.CPU, v.to.Domain.CPU
	if from == nil || to == nil {
		return ImpactRestart
	}
	most := from.MaxSockets
	if most == 0 {
		most = min(max(from.Sockets, 1)*hotplugRatio, maxCores/(max(from.Cores, 1)*max(from.Threads, 1)))
	}
	switch {
	case from.Sockets == to.Sockets:
		return ImpactNone
	case to.Sockets < from.Sockets, to.Sockets > most, v.on.architecture(v.to) == "arm64", v.on.NotMigratable:
		return ImpactRestart
	}
	return ImpactMigrates
}

// ofMemory: memory is plugged in blocks, into guests that can be moved, up to what they were started with room
// for.
func (v *vmImpact) ofMemory() Impact {
	if v.from.Domain.Memory == nil || v.to.Domain.Memory == nil {
		return ImpactRestart
	}
	is, wanted := v.from.Domain.Memory.Guest, v.to.Domain.Memory.Guest
	if is == nil || wanted == nil {
		return ImpactRestart
	}
	most := is.Value() * hotplugRatio
	if limit := v.from.Domain.Memory.MaxGuest; limit != nil {
		most = limit.Value()
	}
	switch {
	case wanted.Cmp(*is) == 0:
		return ImpactNone
	case wanted.Cmp(*is) < 0, wanted.Value() > most, !v.memoryGrows(is.Value(), wanted.Value(), most):
		return ImpactRestart
	}
	return ImpactMigrates
}

// memoryGrows: KubeVirt prepares a guest for more memory only when it starts with enough, in whole blocks, on
// amd64, and neither its memory nor its timing is tied to the node.
func (v *vmImpact) memoryGrows(is, wanted, most int64) bool {
	const gib, block = 1 << 30, 2 << 20
	size := int64(block)
	if pages := v.from.Domain.Memory.Hugepages; pages != nil && pages.PageSize == "1Gi" {
		size = gib
	}
	cpu := v.to.Domain.CPU
	tied := cpu != nil && (cpu.Realtime != nil || cpu.NUMA != nil && cpu.NUMA.GuestMappingPassthrough != nil)
	return !tied && v.to.Domain.LaunchSecurity == nil && v.on.architecture(v.to) == "amd64" &&
		is >= gib && is%size == 0 && wanted%size == 0 && most%size == 0 && v.moves()
}

// moves: a guest with a device of its node cannot be migrated.
func (v *vmImpact) moves() bool {
	devices := v.from.Domain.Devices
	return !v.on.NotMigratable && len(devices.GPUs) == 0 && len(devices.HostDevices) == 0
}

// ofVolume: only what is marked as hot-pluggable comes and goes while the guest runs.
func (v *vmImpact) ofVolume(d Difference, name string) Impact {
	from, had := volumeOf(v.from, name)
	to, has := volumeOf(v.to, name)
	persistent := to.PersistentVolumeClaim != nil || to.DataVolume != nil
	switch {
	case name == "" || !had && !has:
		return orderOnly(d)
	case has && hotpluggable(to), !has && hotpluggable(from):
		return v.plugged()
	case had && has && persistent && v.strategy != nil && *v.strategy == kubevirtv1.UpdateVolumesStrategyMigration &&
		!v.on.KubeVirt.staged():
		return ImpactMigrates
	}
	return ImpactRestart
}

func (v *vmImpact) ofDisk(d Difference, name string) Impact {
	from, had := volumeOf(v.from, name)
	to, has := volumeOf(v.to, name)
	isDrive := func(disk kubevirtv1.Disk) bool { return disk.Name == name && disk.CDRom != nil }
	drive := slices.ContainsFunc(v.from.Domain.Devices.Disks, isDrive)
	removed := !slices.ContainsFunc(v.to.Domain.Devices.Disks, func(disk kubevirtv1.Disk) bool { return disk.Name == name })
	switch {
	case name == "":
		return orderOnly(d)
	case drive && removed:
		return ImpactRestart
	case has && hotpluggable(to), removed && had && hotpluggable(from):
		return v.plugged()
	}
	return ImpactRestart
}

// orderOnly: the elements are the same; otherwise the difference would name one.
func orderOnly(d Difference) Impact {
	if _, isNamed := named(d.From); isNamed && d.From != nil && d.To != nil {
		return ImpactNone
	}
	return ImpactRestart
}

// plugged: KubeVirt plugs what the VM's spec says by itself where volumes are declarative, and where the older
// way, by request, is not in use. Otherwise the volume is there after the next start.
func (v *vmImpact) plugged() Impact {
	if v.on.KubeVirt.off("DeclarativeHotplugVolumes") || v.on.KubeVirt.named("HotplugVolumes") {
		return ImpactRestart
	}
	return ImpactLive
}

func volumeOf(instance *kubevirtv1.VirtualMachineInstanceSpec, name string) (kubevirtv1.Volume, bool) {
	for _, volume := range instance.Volumes {
		if volume.Name == name {
			return volume, true
		}
	}
	return kubevirtv1.Volume{}, false
}

func hotpluggable(volume kubevirtv1.Volume) bool {
	return volume.PersistentVolumeClaim != nil && volume.PersistentVolumeClaim.Hotpluggable ||
		volume.DataVolume != nil && volume.DataVolume.Hotpluggable ||
		volume.MemoryDump != nil && volume.MemoryDump.Hotpluggable
}

// networksNeedRestart: interfaces are added, switched and marked absent live, and on newer releases moved to
// another attachment. Everything else about them asks for a restart, and then holds back all of them.
func (v *vmImpact) networksNeedRestart() bool {
	pod := func(n kubevirtv1.Network) bool { return n.Pod != nil }
	if slices.ContainsFunc(v.to.Networks, pod) && !slices.ContainsFunc(v.from.Networks, pod) {
		return true
	}
	for _, is := range v.from.Domain.Devices.Interfaces {
		wanted, found := interfaceOf(v.to, is.Name)
		is.State, wanted.State = "", ""
		if !found || !reflect.DeepEqual(is, wanted) {
			return true
		}
	}
	for _, is := range v.from.Networks {
		i := slices.IndexFunc(v.to.Networks, func(n kubevirtv1.Network) bool { return n.Name == is.Name })
		if i < 0 || !v.sameNetwork(is, v.to.Networks[i]) {
			return true
		}
	}
	return false
}

func (v *vmImpact) sameNetwork(a, b kubevirtv1.Network) bool {
	if v.on.KubeVirt.off("LiveUpdateNADRef") || a.Multus == nil || b.Multus == nil {
		return equality.Semantic.DeepEqual(a, b)
	}
	left, right := *a.DeepCopy(), *b.DeepCopy()
	left.Multus.NetworkName, right.Multus.NetworkName = "", ""
	return reflect.DeepEqual(left, right)
}

func interfaceOf(instance *kubevirtv1.VirtualMachineInstanceSpec, name string) (kubevirtv1.Interface, bool) {
	for _, iface := range instance.Domain.Devices.Interfaces {
		if iface.Name == name {
			return iface, true
		}
	}
	return kubevirtv1.Interface{}, false
}

// ofNetwork: a new interface, and one on another attachment, get into the guest's pod by a migration. Only
// bridges and SR-IOV can be plugged.
func (v *vmImpact) ofNetwork(d Difference) Impact {
	name := element(d, 4)
	if devicesPart(d, "interfaces") {
		name = element(d, 6)
	}
	_, had := interfaceOf(v.from, name)
	iface, has := interfaceOf(v.to, name)
	switch {
	case v.netRestart:
		return ImpactRestart
	case name == "":
		return orderOnly(d)
	case !had && has && (iface.Bridge != nil || iface.SRIOV != nil):
		return ImpactMigrates
	case !had:
		return ImpactRestart
	case slices.Contains(d.Path, "networkName"):
		return ImpactMigrates
	}
	return ImpactLive // its state
}
