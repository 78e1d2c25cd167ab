package render

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"kv-shepherd.io/shepherd/gitops/spec"
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
				c.denied("spec.template.metadata.annotations", "the annotation %s is not allowed: %s", key, p.why).hint("remove it")
			}
		}
	}
}

// isolatedVolumes refuses volumes that show the node, the pod or the cluster's credentials to the
// guest.
func (c *checker) isolatedVolumes() {
	for i, volume := range c.instance.Volumes {
		field := indexed(specPath+"volumes", i)
		switch {
		case volume.HostDisk != nil:
			c.denied(field+".hostDisk", "the volume %s is a file of the node", volume.Name).hint("use a DataVolume")
		case volume.ServiceAccount != nil:
			c.denied(field+".serviceAccount", "the volume %s holds a service account's token", volume.Name).hint("remove it")
		case volume.DownwardMetrics != nil:
			c.denied(field+".downwardMetrics", "the volume %s shows the node's figures", volume.Name).hint("remove it")
		case volume.ContainerPath != nil:
			c.denied(field+".containerPath", "the volume %s shows files of the pod", volume.Name).hint("remove it")
		}
	}
	if name := c.instance.ServiceAccountName; name != "" {
		c.denied(specPath+"serviceAccountName", "the pod would run as the service account %s", name).hint("remove it")
	}
}

// isolatedImages refuses container images from registries that the platform does not trust.
func (c *checker) isolatedImages() {
	check := func(field, image string) {
		if !allowedFrom(image, c.allow.Registries) {
			c.denied(field, "%s", notAllowed(image, c.allow.Registries)).hint("use an image from one of them")
		}
	}
	for i, volume := range c.instance.Volumes {
		if volume.ContainerDisk != nil {
			check(indexed(specPath+"volumes", i)+".containerDisk.image", volume.ContainerDisk.Image)
		}
	}
	if f := c.instance.Domain.Firmware; f != nil && f.KernelBoot != nil && f.KernelBoot.Container != nil {
		check(domainPath+"firmware.kernelBoot.container.image", f.KernelBoot.Container.Image)
	}
	for i, template := range c.vm.Spec.DataVolumeTemplates {
		if s := template.Spec.Source; s != nil && s.Registry != nil && s.Registry.URL != nil {
			check(indexed("spec.dataVolumeTemplates", i)+".spec.source.registry.url", strings.TrimPrefix(*s.Registry.URL, "docker://"))
		}
	}
}

// isolatedClones refuses disks that are cloned from other namespaces, unless it is the template's image.
func (c *checker) isolatedClones() {
	check := func(field, disk, namespace, name string) {
		if foreign(namespace, c.vm.Namespace) && !slices.Contains(c.allow.Images, namespace+"/"+name) {
			c.denied(field, "the disk %s is cloned from the namespace %s", disk, namespace).
				hint("clone from the VM's own namespace, or from the template's image")
		}
	}
	for i, template := range c.vm.Spec.DataVolumeTemplates {
		field := indexed("spec.dataVolumeTemplates", i)
		if namespace := template.Namespace; foreign(namespace, c.vm.Namespace) {
			c.denied(field+".metadata.namespace", "the disk %s would be made in the namespace %s", template.Name, namespace).
				hint("leave namespace out")
		}
		if s := template.Spec.Source; s != nil && s.PVC != nil {
			check(field+".spec.source.pvc", template.Name, s.PVC.Namespace, s.PVC.Name)
		}
		if s := template.Spec.Source; s != nil && s.Snapshot != nil {
			check(field+".spec.source.snapshot", template.Name, s.Snapshot.Namespace, s.Snapshot.Name)
		}
		if s := template.Spec.SourceRef; s != nil && s.Namespace != nil {
			check(field+".spec.sourceRef", template.Name, *s.Namespace, s.Name)
		}
		for _, ref := range dataSourceRefs(template.Spec) {
			if ref.Namespace != nil {
				check(field+".spec", template.Name, *ref.Namespace, ref.Name)
			}
		}
	}
}

func dataSourceRefs(s cdiv1.DataVolumeSpec) (out []*corev1.TypedObjectReference) {
	if s.PVC != nil && s.PVC.DataSourceRef != nil {
		out = append(out, s.PVC.DataSourceRef)
	}
	if s.Storage != nil && s.Storage.DataSourceRef != nil {
		out = append(out, s.Storage.DataSourceRef)
	}
	return out
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
				"the attachment %s is in another namespace and no Network of the platform", name).
				hint("use a network of platform/networks")
		}
	}
}

// isolatedDevices refuses devices of the node that the size does not name.
func (c *checker) isolatedDevices() {
	for i, device := range c.instance.Domain.Devices.HostDevices {
		if device.ClaimRequest != nil || !slices.Contains(c.allow.HostDevices, device.DeviceName) {
			c.denied(indexed(devicesPath+"hostDevices", i), "the size names no host device %s", device.DeviceName).hint("use a size that names it")
		}
	}
	if c.instance.Domain.Devices.DownwardMetrics != nil {
		c.denied(devicesPath+"downwardMetrics", "the device shows the node's figures").hint("remove it")
	}
}

var controlPlane = []string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}

// isolatedPlacement refuses the way onto the control plane's nodes, and the priority of the
// cluster's own parts.
func (c *checker) isolatedPlacement() {
	switch name := c.instance.PriorityClassName; {
	case strings.HasPrefix(name, "system-"):
		c.denied(specPath+"priorityClassName", "the priority class %s is for the cluster's own parts", name).hint("remove it")
	case name != "" && !slices.Contains(c.allow.PriorityClasses, name):
		c.denied(specPath+"priorityClassName", "the size names no priority class %s", name).hint("remove it")
	}
	for key := range sorted(c.instance.NodeSelector) {
		if slices.Contains(controlPlane, key) {
			c.denied(specPath+"nodeSelector", "the VM would run on the control plane's nodes (%s)", key).hint("remove it")
		}
	}
	for i, t := range c.instance.Tolerations {
		switch {
		case slices.Contains(controlPlane, t.Key):
			c.denied(indexed(specPath+"tolerations", i), "the VM would be let onto the control plane's nodes (%s)", t.Key).hint("remove it")
		case t.Key == "" && t.Operator == corev1.TolerationOpExists:
			c.denied(indexed(specPath+"tolerations", i), "the VM would tolerate every taint").hint("name the taint's key")
		}
	}
	if c.wantsControlPlane() {
		c.denied(specPath+"affinity.nodeAffinity", "the VM would run on the control plane's nodes").hint("remove the term")
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
// the host devices and the priority class of the size, which alone can have put them there.
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
	if name := vm.Spec.Template.Spec.PriorityClassName; name != "" {
		allow.PriorityClasses = []string{name}
	}
	for _, ref := range []*spec.ObjectRef{r.in.Template.Image.PVC, r.in.Template.Image.DataVolume, r.in.Template.Image.DataSource} {
		if ref != nil {
			allow.Images = append(allow.Images, ref.Namespace+"/"+ref.Name)
		}
	}
	allow.KubeVirt, allow.Registries = r.in.KubeVirt, r.in.Registries
	return allow
}
