package render

import (
	"path"
	"reflect"
	"regexp"
	"strings"

	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

var pciAddresses = regexp.MustCompile(`^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$`)

// pciAddress: domain, bus, slot and function, as lspci -D writes them.
func (c *checker) pciAddress(field, address string) {
	if address != "" && !pciAddresses.MatchString(address) {
		c.invalid(field+".pciAddress", "%q is no PCI address", address).hint("write it like 0000:81:01.0")
	}
}

// blockSizes: powers of two from 512 bytes to 2 MiB, the logical one no larger than the physical.
func (c *checker) blockSizes() {
	for i, disk := range c.disks() {
		if disk.BlockSize == nil || disk.BlockSize.Custom == nil {
			continue
		}
		field, size := indexed(devicesPath+"disks", i)+".blockSize", disk.BlockSize.Custom
		bus, _ := bus(disk)
		match := disk.BlockSize.MatchVolume
		switch {
		case match != nil && (match.Enabled == nil || *match.Enabled):
			c.invalid(field, "the block size of the disk %s is that of the volume, and one of its own", disk.Name).hint("keep one of the two")
		case !blockSize(size.Logical) || !blockSize(size.Physical):
			c.invalid(field+".custom", "the block sizes %d and %d of the disk %s are not both possible", size.Logical, size.Physical, disk.Name).
				hint("use powers of two from 512 to 2097152")
		case size.Logical > size.Physical:
			c.invalid(field+".custom.logical", "the logical block size %d of the disk %s is above the physical one, %d",
				size.Logical, disk.Name, size.Physical).hint("make it equal or smaller")
		case bus == kubevirtv1.DiskBusSATA && size.Logical != 512:
			c.invalid(field+".custom.logical", "a disk on the sata bus has logical blocks of 512 bytes, not %d", size.Logical).
				hint("use 512, or another bus")
		case size.DiscardGranularity != nil && *size.DiscardGranularity%size.Logical != 0:
			c.invalid(field+".custom.discardGranularity", "%d is no multiple of the logical block size %d",
				*size.DiscardGranularity, size.Logical).hint("use a multiple of it")
		}
	}
}

func blockSize(n uint) bool { return n >= 512 && n <= 2<<20 && n&(n-1) == 0 }

// volumeSources: what a volume is taken from has a name, and a path in an image leads to a file.
func (c *checker) volumeSources() {
	for i, volume := range c.instance.Volumes {
		field := indexed(specPath+"volumes", i)
		switch {
		case volume.DataVolume != nil && volume.DataVolume.Name == "":
			c.invalid(field+".dataVolume.name", "the volume %s names no DataVolume", volume.Name).hint("name it")
		case volume.ConfigMap != nil && volume.ConfigMap.Name == "":
			c.invalid(field+".configMap.name", "the volume %s names no ConfigMap", volume.Name).hint("name it")
		case volume.Secret != nil && volume.Secret.SecretName == "":
			c.invalid(field+".secret.secretName", "the volume %s names no Secret", volume.Name).hint("name it")
		case volume.ContainerDisk != nil && volume.ContainerDisk.Path != "":
			c.imagePath(field+".containerDisk.path", volume.ContainerDisk.Path)
		}
	}
	if len(c.instance.UtilityVolumes) > 0 {
		c.invalid(specPath+"utilityVolumes", "utility volumes are plugged into running VMs and cannot be created with one").
			hint("remove them")
	}
}

// imagePath: an absolute path to a file, without . and .. in it.
func (c *checker) imagePath(field, name string) {
	if name == "/" || path.Join("/", name) != strings.TrimSuffix(name, "/") {
		c.invalid(field, "%q is no absolute path to a file", name).hint("write it from / on, without . and ..")
	}
}

// dataVolumeTemplates: named, used by a volume, with one storage and one source each.
func (c *checker) dataVolumeTemplates() {
	for i, template := range c.vm.Spec.DataVolumeTemplates {
		field := indexed("spec.dataVolumeTemplates", i)
		s := template.Spec
		switch {
		case template.Name == "":
			c.invalid(field+".metadata.name", "a disk template has no name").hint("name it")
		case (s.PVC == nil) == (s.Storage == nil):
			c.invalid(field+".spec", "the disk template %s needs either storage or pvc", template.Name).hint("set storage alone")
		case populated(s) == (s.Source != nil || s.SourceRef != nil), s.Source != nil && s.SourceRef != nil:
			c.invalid(field+".spec", "the disk template %s needs one thing to be filled from", template.Name).
				hint("set source or sourceRef")
		case s.Source != nil && dataSources(s.Source) != 1:
			c.invalid(field+".spec.source", "the disk template %s has %d sources instead of one", template.Name, dataSources(s.Source)).
				hint("keep one source")
		case !c.uses(template.Name):
			c.invalid(field, "no volume of the VM uses the disk template %s", template.Name).hint("add a volume with a dataVolume of that name")
		}
	}
}

// populated: filled by something outside CDI.
func populated(s cdiv1.DataVolumeSpec) bool {
	if s.PVC != nil {
		return s.PVC.DataSource != nil || s.PVC.DataSourceRef != nil
	}
	return s.Storage != nil && (s.Storage.DataSource != nil || s.Storage.DataSourceRef != nil)
}

// dataSources counts the members that are set; all of them are pointers.
func dataSources(s *cdiv1.DataVolumeSource) int {
	n := 0
	for _, member := range reflect.ValueOf(*s).Fields() {
		if !member.IsNil() {
			n++
		}
	}
	return n
}

func (c *checker) uses(claim string) bool {
	for _, volume := range c.instance.Volumes {
		if volume.DataVolume != nil && volume.DataVolume.Name == claim ||
			volume.PersistentVolumeClaim != nil && volume.PersistentVolumeClaim.ClaimName == claim {
			return true
		}
	}
	return false
}
