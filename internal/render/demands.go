package render

import (
	"fmt"
	"maps"
	"slices"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Demand is something of KubeVirt that not every cluster has, and that what a size sets past its own fields
// asks for.
type Demand struct{ field field }

// Demands are those of the VMs of a size, and how many of each host device one of them gets. What a VM's own
// disks and networks add is for [Render] to find. What cannot be laid over a VM demands nothing.
func Demands(size spec.InstanceSize) (demands []Demand, hostDevices map[string]int64) {
	hostDevices = map[string]int64{}
	if len(size.SpecOverrides) == 0 {
		return nil, hostDevices
	}
	instance := &overridden(size).Spec.Template.Spec
	for _, f := range versionedFields {
		is := func(d Demand) bool { return d.What() == (Demand{f}).What() }
		if f.used(instance) && !slices.ContainsFunc(demands, is) {
			demands = append(demands, Demand{f})
		}
	}
	for _, device := range instance.Domain.Devices.HostDevices {
		if device.DeviceName != "" {
			hostDevices[device.DeviceName]++
		}
	}
	return demands, hostDevices
}

// overridden is the plainest VM of a size, with as many of its overrides as fit together.
func overridden(size spec.InstanceSize) *kubevirtv1.VirtualMachine {
	r := &renderer{in: Input{
		Ref: spec.Ref{Kind: spec.KindVirtualMachine}, Environment: domain.Test, Size: size,
		VM:       spec.VirtualMachine{Power: spec.PowerRunning},
		Template: spec.Template{Image: spec.Image{ContainerDisk: &spec.ContainerDisk{}}, CloudInit: "#cloud-config\n"},
	}}
	vm := r.virtualMachine()
	var good []string
	out := vm
	for _, path := range slices.Sorted(maps.Keys(size.SpecOverrides)) {
		if with, err := r.overlay(vm, append(slices.Clone(good), path)); err == nil && with.Spec.Template != nil {
			out, good = with, append(good, path)
		}
	}
	return out
}

// What names it, as in: KubeVirt's feature gate VSOCK.
func (d Demand) What() string {
	if d.field.gate == "" {
		return fmt.Sprintf("KubeVirt 1.%d, which knows %s", d.field.since, d.field.path)
	}
	return "KubeVirt's feature gate " + d.field.gate
}

// Lack says why a cluster's KubeVirt falls short of it, as in: does not have KubeVirt's feature gate VSOCK; empty
// where it is not known to. known says that there is no doubt.
func (d Demand) Lack(k KubeVirt) (lack string, known bool) {
	unknown, off := k.refuses(d.field)
	switch {
	case !unknown && !off:
		return "", d.field.gate == "" || k.tells(d.field.gate)
	case d.field.gate != "":
		return "does not have " + d.What(), true
	}
	minor, _ := k.minor()
	return fmt.Sprintf("has KubeVirt 1.%d, which does not know %s", minor, d.field.path), true
}
