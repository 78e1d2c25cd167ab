package impacttest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

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
	withNIC     = attached(kubevirtv1.Interface{Name: "vlan", InterfaceBindingMethod: kubevirtv1.InterfaceBindingMethod{Bridge: &kubevirtv1.InterfaceBridge{}}})
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
	otherNAD     = func(_ *machine, i *instance) { i.Networks[len(i.Networks)-1].Multus.NetworkName = "nets/other" }
	migrate      = func(vm *machine, _ *instance) {
		vm.Spec.UpdateVolumesStrategy = ptr(kubevirtv1.UpdateVolumesStrategyMigration)
	}
	rename = func(_ *machine, i *instance) { i.Volumes[1].DataVolume.Name = "copy" }
)

func notOnControlPlane(_ *machine, i *instance) {
	i.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.NodeSelectorOpDoesNotExist}}}}}}}
}
