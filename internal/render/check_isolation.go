package render

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// Annotations of the VM's template that reach into the pod. They pass the schema, which does not
// look into a template's metadata.
var podAnnotations = []struct{ prefix, why string }{
	{"hooks.kubevirt.io/", "hook sidecars run beside the VM with its rights"},
	{"kubevirt.io/ignitiondata", "ignition data is user data past the template's"},
	{"k8s.v1.cni.cncf.io/", "attachments are the platform's networks"},
	{"v1.multus-cni.io/", "attachments are the platform's networks"},
	{"container.apparmor.security.beta.kubernetes.io/", "the pod's confinement is the cluster's"},
	{"sidecar.", "sidecars are the cluster's"},
}

// isolatedMetadata refuses annotations that change the pod.
func (c *checker) isolatedMetadata() {
	for key := range sorted(c.vm.Spec.Template.ObjectMeta.Annotations) {
		for _, p := range podAnnotations {
			if strings.HasPrefix(key, p.prefix) {
				c.denied("spec.template.metadata.annotations", "the annotation %s is not allowed: %s", key, p.why)
			}
		}
	}
}

// isolatedVolumes refuses volumes that show the node, the pod or the cluster's credentials to the
// guest, and clones from other namespaces: a clone of Shepherd's is a DataVolume of its own, from
// where the template says.
func (c *checker) isolatedVolumes() {
	for i, volume := range c.instance.Volumes {
		field := indexed(specPath+"volumes", i)
		switch {
		case volume.HostDisk != nil:
			c.denied(field+".hostDisk", "the volume %s is a file of the node", volume.Name)
		case volume.ServiceAccount != nil:
			c.denied(field+".serviceAccount", "the volume %s holds a service account's token", volume.Name)
		case volume.DownwardMetrics != nil:
			c.denied(field+".downwardMetrics", "the volume %s shows the node's figures", volume.Name)
		case volume.ContainerPath != nil:
			c.denied(field+".containerPath", "the volume %s shows files of the pod", volume.Name)
		}
	}
	for i, template := range c.vm.Spec.DataVolumeTemplates {
		field := indexed("spec.dataVolumeTemplates", i) + ".spec."
		if s := template.Spec.Source; s != nil && s.PVC != nil && foreign(s.PVC.Namespace, c.vm.Namespace) {
			c.denied(field+"source.pvc", "the disk %s is cloned from the namespace %s", template.Name, s.PVC.Namespace)
		}
		if s := template.Spec.SourceRef; s != nil && s.Namespace != nil && foreign(*s.Namespace, c.vm.Namespace) {
			c.denied(field+"sourceRef", "the disk %s is cloned from the namespace %s", template.Name, *s.Namespace)
		}
	}
	if name := c.instance.ServiceAccountName; name != "" {
		c.denied(specPath+"serviceAccountName", "the pod would run as the service account %s", name)
	}
}

// foreign: an empty namespace is the VM's own.
func foreign(namespace, own string) bool { return namespace != "" && namespace != own }

// isolatedNetworks refuses attachments of other namespaces that the platform has no Network for.
func (c *checker) isolatedNetworks() {
	for i, network := range c.instance.Networks {
		if network.Multus == nil {
			continue
		}
		name := network.Multus.NetworkName
		namespace, _, qualified := strings.Cut(name, "/")
		if qualified && foreign(namespace, c.vm.Namespace) && !slices.Contains(c.allow.Networks, name) {
			c.denied(indexed(specPath+"networks", i)+".multus.networkName",
				"the attachment %s is in another namespace and no Network of the platform", name)
		}
	}
}

// isolatedDevices refuses devices of the node that the size does not name.
func (c *checker) isolatedDevices() {
	for i, device := range c.instance.Domain.Devices.HostDevices {
		if device.ClaimRequest != nil || !slices.Contains(c.allow.HostDevices, device.DeviceName) {
			c.denied(indexed(devicesPath+"hostDevices", i), "the size names no host device %s", device.DeviceName)
		}
	}
	if c.instance.Domain.Devices.DownwardMetrics != nil {
		c.denied(devicesPath+"downwardMetrics", "the device shows the node's figures")
	}
}

var controlPlane = []string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}

// isolatedPlacement refuses the way onto the control plane's nodes, and the priority of the
// cluster's own parts.
func (c *checker) isolatedPlacement() {
	if name := c.instance.PriorityClassName; strings.HasPrefix(name, "system-") {
		c.denied(specPath+"priorityClassName", "the priority class %s is for the cluster's own parts", name)
	}
	for key := range sorted(c.instance.NodeSelector) {
		if slices.Contains(controlPlane, key) {
			c.denied(specPath+"nodeSelector", "the VM would run on the control plane's nodes (%s)", key)
		}
	}
	for i, t := range c.instance.Tolerations {
		switch {
		case slices.Contains(controlPlane, t.Key):
			c.denied(indexed(specPath+"tolerations", i), "the VM would be let onto the control plane's nodes (%s)", t.Key)
		case t.Key == "" && t.Operator == corev1.TolerationOpExists:
			c.denied(indexed(specPath+"tolerations", i), "the VM would tolerate every taint")
		}
	}
	if c.wantsControlPlane() {
		c.denied(specPath+"affinity.nodeAffinity", "the VM would run on the control plane's nodes")
	}
}

func (c *checker) wantsControlPlane() bool {
	if c.instance.Affinity == nil || c.instance.Affinity.NodeAffinity == nil {
		return false
	}
	affinity := c.instance.Affinity.NodeAffinity
	var terms []corev1.NodeSelectorTerm
	if required := affinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		terms = append(terms, required.NodeSelectorTerms...)
	}
	for _, preferred := range affinity.PreferredDuringSchedulingIgnoredDuringExecution {
		terms = append(terms, preferred.Preference)
	}
	for _, term := range terms {
		for _, e := range term.MatchExpressions {
			// "not on the control plane" is what a careful administrator writes.
			toward := e.Operator == corev1.NodeSelectorOpExists || e.Operator == corev1.NodeSelectorOpIn
			if toward && slices.Contains(controlPlane, e.Key) {
				return true
			}
		}
	}
	return false
}

// allowance is what this rendering may reach: the attachments of the networks that the VM is on, and
// the host devices of the size, which alone can have put them there.
func (r *renderer) allowance(vm *kubevirtv1.VirtualMachine) Allowance {
	var allow Allowance
	for _, network := range r.in.Networks {
		if network.Attachment != nil {
			allow.Networks = append(allow.Networks, attachment(network))
		}
	}
	for _, device := range vm.Spec.Template.Spec.Domain.Devices.HostDevices {
		allow.HostDevices = append(allow.HostDevices, device.DeviceName)
	}
	return allow
}
