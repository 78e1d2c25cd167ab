package render

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// The names of the VM's own volumes, which a data disk cannot have.
const (
	RootDisk        = "root"
	CloudInitVolume = "cloudinit"
)

// keepAnnotation tells CDI to keep a DataVolume after its import. Older versions remove it, and a
// removed one looks like a missing disk.
const keepAnnotation = "cdi.kubevirt.io/storage.deleteAfterCompletion"

func (r *renderer) rootDisk(instance *kubevirtv1.VirtualMachineInstanceSpec) {
	size, ok := r.rootSize()
	source, sourced := r.imageSource()
	if !ok || !sourced {
		return
	}
	volume := kubevirtv1.Volume{Name: RootDisk}
	if disk := r.in.Template.Image.ContainerDisk; disk != nil && disk.Ephemeral {
		volume.ContainerDisk = &kubevirtv1.ContainerDiskSource{Image: disk.Image}
	} else {
		source.Storage = storage(size, r.in.StorageClass)
		volume.DataVolume = &kubevirtv1.DataVolumeSource{Name: r.dataVolume(RootDisk, source)}
	}
	first := uint(1)
	r.attach(instance, volume, kubevirtv1.Disk{Name: RootDisk, BootOrder: &first})
}

func (r *renderer) dataDisks(instance *kubevirtv1.VirtualMachineInstanceSpec) {
	seen := map[string]bool{RootDisk: true, CloudInitVolume: true}
	for i, disk := range r.in.VM.Disks {
		field := indexed("disks", i)
		size, ok := r.amount(OriginRequest, field+".size", disk.Size, spec.Bytes)
		if !r.diskNameFree(field+".name", disk.Name, seen) || !ok {
			continue
		}
		seen[disk.Name] = true
		source := cdiv1.DataVolumeSpec{
			Source:  &cdiv1.DataVolumeSource{Blank: &cdiv1.DataVolumeBlankImage{}},
			Storage: storage(size, cmp.Or(disk.StorageClass, r.in.StorageClass)),
		}
		name := r.dataVolume(disk.Name, source)
		r.attach(instance,
			kubevirtv1.Volume{Name: disk.Name, VolumeSource: kubevirtv1.VolumeSource{
				DataVolume: &kubevirtv1.DataVolumeSource{Name: name}}},
			// With the serial the guest finds the disk under /dev/disk/by-id.
			kubevirtv1.Disk{Name: disk.Name, Serial: disk.Name})
	}
}

func (r *renderer) diskNameFree(field, name string, seen map[string]bool) bool {
	switch {
	case len(validation.IsDNS1123Label(name)) > 0:
		r.problems.add(domain.NameInvalid, OriginRequest, field, "the disk name %q is not a DNS label", name).
			hint("use a-z, 0-9 and - between them")
	case name == RootDisk || name == CloudInitVolume:
		r.problems.add(domain.NameInvalid, OriginRequest, field, "the disk name %s is the VM's own", name).
			hint("call the disk something else, such as data")
	case seen[name]:
		r.problems.add(domain.NameTaken, OriginRequest, field, "two disks have the name %s", name)
	case len(DiskName(r.name, name)) > maxName:
		r.problems.add(domain.NameTooLong, OriginRequest, field, "the disk's full name %s has %d characters, Kubernetes allows %d",
			DiskName(r.name, name), len(DiskName(r.name, name)), maxName).
			hint("shorten the disk's name to %d characters", maxName-len(r.name)-1)
	default:
		return true
	}
	return false
}

// rootSize is the wanted size of the root disk, or the size's default, when it lies in the range.
func (r *renderer) rootSize() (resource.Quantity, bool) {
	want, low, high := r.in.Size.DiskRange()
	if low.Sign() <= 0 || high.Sign() <= 0 || want.Sign() <= 0 {
		r.problems.add(domain.PlanInvalid, OriginSize, "disk", "size %s has no readable range of disks", r.in.SizeName)
		return want, false
	}
	origin, field := OriginSize, "disk.default"
	if r.in.VM.Disk != "" {
		origin, field = r.from("disk", "disk", r.asked.Disk != "")
		var ok bool
		if want, ok = r.amount(origin, field, r.in.VM.Disk, spec.Bytes); !ok {
			return want, false
		}
	}
	if want.Cmp(low) < 0 || want.Cmp(high) > 0 {
		r.problems.add(domain.DiskOutOfRange, origin, field, "the root disk of %s is outside the range of size %s",
			&want, r.in.SizeName).hint("ask for %s to %s", &low, &high)
		return want, false
	}
	return want, true
}

// imageSource is what the root disk is filled from; nothing for an ephemeral one.
func (r *renderer) imageSource() (cdiv1.DataVolumeSpec, bool) {
	image := r.in.Template.Image
	members, out := 0, cdiv1.DataVolumeSpec{}
	if disk := image.ContainerDisk; disk != nil {
		members++
		url := "docker://" + disk.Image
		out.Source = &cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{URL: &url}}
		r.checkEphemeral(disk)
		r.checkRegistry(disk)
	}
	// A DataVolume's claim has its name, so both are cloned as claims.
	for _, claim := range []*spec.ObjectRef{image.DataVolume, image.PVC} {
		if claim != nil {
			members++
			out.Source = &cdiv1.DataVolumeSource{
				PVC: &cdiv1.DataVolumeSourcePVC{Namespace: claim.Namespace, Name: claim.Name}}
		}
	}
	if ref := image.DataSource; ref != nil {
		members++
		namespace := ref.Namespace
		out.SourceRef = &cdiv1.DataVolumeSourceRef{Kind: cdiv1.DataVolumeDataSource, Namespace: &namespace, Name: ref.Name}
	}
	if members != 1 {
		r.problems.add(domain.PlanInvalid, OriginTemplate, "image", "the template names %d image sources", members).
			hint("name exactly one of containerDisk, dataVolume, pvc, dataSource")
	}
	return out, members == 1
}

func (r *renderer) checkEphemeral(disk *spec.ContainerDisk) {
	if disk.Ephemeral && r.in.Environment == domain.Prod {
		r.problems.add(domain.PolicyDenied, OriginTemplate, "image.containerDisk.ephemeral",
			"template %s loses all that is written to its root disk on a restart, which prod refuses", r.in.TemplateName).
			hint("use a template whose image is imported")
	}
}

func storage(size resource.Quantity, class string) *cdiv1.StorageSpec {
	out := &cdiv1.StorageSpec{Resources: corev1.VolumeResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceStorage: size}}}
	if class != "" {
		out.StorageClassName = &class
	}
	return out
}

// dataVolume adds a disk that lives beside the VM and not inside it, so that it can outlive it.
func (r *renderer) dataVolume(disk string, source cdiv1.DataVolumeSpec) string {
	dv := cdiv1.DataVolume{
		TypeMeta:   metav1.TypeMeta{APIVersion: cdiv1.SchemeGroupVersion.String(), Kind: KindDataVolume},
		ObjectMeta: r.meta(DiskName(r.name, disk)),
		Spec:       source,
	}
	dv.Annotations = map[string]string{keepAnnotation: "false"}
	r.disks = append(r.disks, dv)
	return dv.Name
}

// attach adds a volume and its disk. The bus is virtio unless the template has a preference, which
// then chooses: KubeVirt lets a preference fill only what is empty.
func (r *renderer) attach(instance *kubevirtv1.VirtualMachineInstanceSpec, volume kubevirtv1.Volume, disk kubevirtv1.Disk) {
	target := &kubevirtv1.DiskTarget{}
	if r.in.Template.Preference == "" {
		target.Bus = kubevirtv1.DiskBusVirtio
	}
	disk.Disk = target
	instance.Volumes = append(instance.Volumes, volume)
	instance.Domain.Devices.Disks = append(instance.Domain.Devices.Disks, disk)
}
