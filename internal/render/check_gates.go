package render

import (
	"cmp"
	"slices"

	kubevirtv1 "kubevirt.io/api/core/v1"
)

// gate is a feature gate with the minors from which KubeVirt has it, and has it on without being asked. Zero
// for never.
type gate struct {
	since, on int
	// beta says that what is on without being asked can be switched off.
	beta bool
}

// gates are those that decide about fields of a VM or about what becomes of a change. Source:
// pkg/virt-config/featuregate and pkg/virt-config/feature-gates.go of v1.7.0, v1.8.0 and v1.9.0. Before 1.9 a
// beta gate is off unless it is named.
var gates = map[string]gate{
	"ContainerPathVolumes":         {8, 0, false},
	"DeclarativeHotplugVolumes":    {oldestMinor, 9, true},
	"DownwardMetrics":              {oldestMinor, 0, false},
	"EnableVirtioFsConfigVolumes":  {oldestMinor, 8, false},
	"EnableVirtioFsStorageVolumes": {oldestMinor, 0, false},
	"ExpandDisks":                  {oldestMinor, 9, false},
	"GPUsWithDRA":                  {oldestMinor, 9, true},
	"HostDevices":                  {oldestMinor, 0, false},
	"HostDevicesWithDRA":           {oldestMinor, 9, true},
	"HostDisk":                     {oldestMinor, 0, false},
	"LiveUpdateNADRef":             {8, 9, false},
	"NetworkDevicesWithDRA":        {9, 0, false},
	"PanicDevices":                 {oldestMinor, 9, false},
	"PasstBinding":                 {8, 9, true},
	"PersistentReservation":        {oldestMinor, 9, false},
	"PortRangesSpec":               {9, 0, false},
	"RebootPolicy":                 {8, 9, true},
	"ReservedOverheadMemlock":      {8, 0, false},
	"SecureExecution":              {oldestMinor, 9, false},
	"VSOCK":                        {oldestMinor, 0, false},
	"VideoConfig":                  {oldestMinor, 9, false},
	"WorkloadEncryptionSEV":        {oldestMinor, 9, true},
	"WorkloadEncryptionTDX":        {oldestMinor, 0, false},
}

// field is one that not every KubeVirt has: those before since do not know it and drop it, the others take it
// only with the gate, if there is one.
type field struct {
	path  string
	since int
	gate  string
	used  func(*kubevirtv1.VirtualMachineInstanceSpec) bool
}

// oldest is the minor from which the field can be had.
func (f field) oldest() int { return max(f.since, gates[f.gate].since) }

// versionedFields are what differs between 1.7, 1.8 and 1.9. Source of since: the types of kubevirt.io/api v1.7.0,
// v1.8.0 and v1.9.0, field by field; of the gates: pkg/virt-api/webhooks/validating-webhook/admitters,
// pkg/network/admitter and pkg/dra/admitter of the same releases.
var versionedFields = slices.Concat(domainFields, deviceFields, volumeFields)

type instanceSpec = kubevirtv1.VirtualMachineInstanceSpec

var domainFields = []field{
	{domainPath + "rebootPolicy", 8, "RebootPolicy", func(i *instanceSpec) bool { return i.Domain.RebootPolicy != nil }},
	{domainPath + "memory.reservedOverhead", 8, "ReservedOverheadMemlock", func(i *instanceSpec) bool {
		return i.Domain.Memory != nil && i.Domain.Memory.ReservedOverhead != nil
	}},
	{domainPath + "features.hyperv.tlbflush", 8, "", func(i *instanceSpec) bool {
		f := i.Domain.Features
		return f != nil && f.Hyperv != nil && f.Hyperv.TLBFlush != nil &&
			(f.Hyperv.TLBFlush.Direct != nil || f.Hyperv.TLBFlush.Extended != nil)
	}},
	{domainPath + "launchSecurity", 0, "WorkloadEncryptionSEV", func(i *instanceSpec) bool {
		l := i.Domain.LaunchSecurity
		return l != nil && (l.SEV != nil || l.SNP != nil)
	}},
	{domainPath + "launchSecurity", 0, "WorkloadEncryptionTDX", func(i *instanceSpec) bool {
		return i.Domain.LaunchSecurity != nil && i.Domain.LaunchSecurity.TDX != nil
	}},
	{domainPath + "launchSecurity", 0, "SecureExecution", func(i *instanceSpec) bool {
		return i.Domain.LaunchSecurity != nil && i.Architecture == "s390x"
	}},
	{specPath + "serviceAccountName", 9, "", func(i *instanceSpec) bool { return i.ServiceAccountName != "" }},
}

var deviceFields = []field{
	{devicesPath + "hostDevices", 0, "HostDevices", func(i *instanceSpec) bool { return i.Domain.Devices.HostDevices != nil }},
	{devicesPath + "hostDevices", 0, "HostDevicesWithDRA", func(i *instanceSpec) bool {
		return slices.ContainsFunc(i.Domain.Devices.HostDevices, func(d kubevirtv1.HostDevice) bool { return d.ClaimRequest != nil })
	}},
	{devicesPath + "gpus", 0, "GPUsWithDRA", func(i *instanceSpec) bool {
		return slices.ContainsFunc(i.Domain.Devices.GPUs, func(g kubevirtv1.GPU) bool { return g.ClaimRequest != nil })
	}},
	{devicesPath + "video", 0, "VideoConfig", func(i *instanceSpec) bool { return i.Domain.Devices.Video != nil }},
	{devicesPath + "panicDevices", 0, "PanicDevices", func(i *instanceSpec) bool { return len(i.Domain.Devices.PanicDevices) > 0 }},
	{devicesPath + "autoattachVSOCK", 0, "VSOCK", func(i *instanceSpec) bool {
		return i.Domain.Devices.AutoattachVSOCK != nil && *i.Domain.Devices.AutoattachVSOCK
	}},
	{devicesPath + "downwardMetrics", 0, "DownwardMetrics", func(i *instanceSpec) bool { return i.Domain.Devices.DownwardMetrics != nil }},
	{devicesPath + "interfaces", 8, "PasstBinding", anyInterface(func(f kubevirtv1.Interface) bool { return f.PasstBinding != nil })},
	{devicesPath + "interfaces", 9, "PortRangesSpec", anyInterface(func(f kubevirtv1.Interface) bool { return f.PortRanges != nil })},
	{specPath + "networks", 9, "NetworkDevicesWithDRA", func(i *instanceSpec) bool {
		return slices.ContainsFunc(i.Networks, func(n kubevirtv1.Network) bool { return n.ResourceClaim != nil })
	}},
}

var volumeFields = []field{
	{specPath + "volumes", 0, "HostDisk", anyVolume(func(v kubevirtv1.Volume) bool { return v.HostDisk != nil })},
	{specPath + "volumes", 0, "DownwardMetrics", anyVolume(func(v kubevirtv1.Volume) bool { return v.DownwardMetrics != nil })},
	{specPath + "volumes", 8, "ContainerPathVolumes", anyVolume(func(v kubevirtv1.Volume) bool { return v.ContainerPath != nil })},
	{specPath + "utilityVolumes", 8, "", func(i *instanceSpec) bool { return len(i.UtilityVolumes) > 0 }},
	{devicesPath + "disks", 0, "PersistentReservation", func(i *instanceSpec) bool {
		return slices.ContainsFunc(i.Domain.Devices.Disks, func(d kubevirtv1.Disk) bool { return d.LUN != nil && d.LUN.Reservation })
	}},
	{devicesPath + "disks", 0, "DeclarativeHotplugVolumes", func(i *instanceSpec) bool {
		return slices.ContainsFunc(i.Domain.Devices.Disks, func(d kubevirtv1.Disk) bool {
			_, found := volumeOf(i, d.Name)
			return d.CDRom != nil && !found
		})
	}},
	{devicesPath + "filesystems", 0, "EnableVirtioFsStorageVolumes", shared(func(v kubevirtv1.Volume) bool {
		return v.PersistentVolumeClaim != nil || v.DataVolume != nil
	})},
	{devicesPath + "filesystems", 0, "EnableVirtioFsConfigVolumes", shared(func(v kubevirtv1.Volume) bool {
		return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.ServiceAccount != nil
	})},
}

func anyInterface(is func(kubevirtv1.Interface) bool) func(*instanceSpec) bool {
	return func(i *instanceSpec) bool { return slices.ContainsFunc(i.Domain.Devices.Interfaces, is) }
}

func anyVolume(is func(kubevirtv1.Volume) bool) func(*instanceSpec) bool {
	return func(i *instanceSpec) bool { return slices.ContainsFunc(i.Volumes, is) }
}

// shared: a volume of that sort is a filesystem of the guest.
func shared(is func(kubevirtv1.Volume) bool) func(*instanceSpec) bool {
	return func(i *instanceSpec) bool {
		return slices.ContainsFunc(i.Domain.Devices.Filesystems, func(f kubevirtv1.Filesystem) bool {
			volume, found := volumeOf(i, f.Name)
			return found && is(volume)
		})
	}
}

// version says when a cluster is older than anything that the rules are made for.
func (c *checker) version() {
	if minor, exact := c.allow.KubeVirt.minor(); !exact && minor == oldestMinor {
		c.invalid("", "KubeVirt %s%s is older than those that Shepherd knows: the VM is checked as for 1.%d",
			c.allow.KubeVirt.Version, c.allow.KubeVirt.whose(" of "), oldestMinor).
			warn().hint("bring the cluster to 1.%d or newer", oldestMinor)
	}
}

// fields refuses what the cluster's KubeVirt does not have or has switched off.
func (c *checker) fields() {
	k := c.allow.KubeVirt
	for _, f := range versionedFields {
		if !f.used(c.instance) {
			continue
		}
		switch unknown, off := k.refuses(f); {
		case unknown:
			minor, _ := k.minor()
			c.invalid(f.path, "%s says what KubeVirt 1.%d%s does not know", last(f.path), minor, k.whose(" of ")).
				hint("remove it, or choose a cluster with KubeVirt 1.%d", f.oldest())
		case off:
			c.invalid(f.path, "%s needs KubeVirt's feature gate %s, which is off on %s", last(f.path), f.gate, cmp.Or(k.whose(""), "the cluster")).
				hint("remove it, or ask for the gate to be switched on")
		}
	}
}
