package render

import (
	"encoding/base64"
	"iter"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// sorted iterates over a map by its keys, so that problems come in one order.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// volumes: unique names, and exactly one source each.
func (c *checker) volumes() {
	seen := map[string]bool{}
	for i, volume := range c.instance.Volumes {
		field := indexed(specPath+"volumes", i)
		if seen[volume.Name] {
			c.invalid(field+".name", "two volumes have the name %s", volume.Name).hint("rename one")
		}
		seen[volume.Name] = true
		if n := sources(volume.VolumeSource); n != 1 {
			c.invalid(field, "the volume %s has %d sources instead of one", volume.Name, n).hint("keep one source")
		}
	}
}

// sources counts the members that are set; all of them are pointers.
func sources(s kubevirtv1.VolumeSource) int {
	n := 0
	for _, member := range reflect.ValueOf(s).Fields() {
		if !member.IsNil() {
			n++
		}
	}
	return n
}

func (c *checker) disks() []kubevirtv1.Disk { return c.instance.Domain.Devices.Disks }

// diskNames: unique, and DNS labels because they become names of containers.
func (c *checker) diskNames() {
	seen := map[string]bool{}
	for i, disk := range c.disks() {
		field := indexed(devicesPath+"disks", i) + ".name"
		if seen[disk.Name] {
			c.invalid(field, "two disks have the name %s", disk.Name).hint("rename one")
		}
		seen[disk.Name] = true
		if problems := validation.IsDNS1123Label(disk.Name); len(problems) > 0 {
			c.invalid(field, "the disk name %q is no DNS label: %s", disk.Name, problems[0]).hint("use a-z, 0-9 and - between them")
		}
	}
}

// disksHaveVolumes: each disk has its volume, and each volume should be a disk or a filesystem. An empty
// CD-ROM drive may do without.
func (c *checker) disksHaveVolumes() {
	volumes, shown := map[string]kubevirtv1.Volume{}, map[string]bool{}
	for _, volume := range c.instance.Volumes {
		volumes[volume.Name] = volume
	}
	for i, disk := range c.disks() {
		shown[disk.Name] = true
		volume, found := volumes[disk.Name]
		if !found && disk.CDRom == nil {
			c.invalid(indexed(devicesPath+"disks", i)+".name", "there is no volume for the disk %s", disk.Name).hint("add a volume of that name")
		}
		if found && disk.LUN != nil && volume.PersistentVolumeClaim == nil && volume.DataVolume == nil {
			c.invalid(indexed(devicesPath+"disks", i)+".lun", "the LUN %s needs a claim or a DataVolume", disk.Name).hint("use disk instead of lun")
		}
	}
	for _, filesystem := range c.instance.Domain.Devices.Filesystems {
		shown[filesystem.Name] = true
	}
	for i, volume := range c.instance.Volumes {
		if !shown[volume.Name] && volume.MemoryDump == nil {
			// KubeVirt gives it a disk by itself, with a bus of its own choice.
			c.invalid(indexed(specPath+"volumes", i)+".name", "the volume %s is neither a disk nor a filesystem", volume.Name).
				warn().hint("add a disk of that name to domain.devices.disks")
		}
	}
}

// diskTargets: at most one of disk, lun and cdrom.
func (c *checker) diskTargets() {
	for i, disk := range c.disks() {
		targets := 0
		for _, set := range []bool{disk.Disk != nil, disk.LUN != nil, disk.CDRom != nil} {
			if set {
				targets++
			}
		}
		if targets > 1 {
			c.invalid(indexed(devicesPath+"disks", i), "the disk %s has %d target types instead of one", disk.Name, targets).
				hint("keep one of disk, lun, cdrom")
		}
	}
}

func bus(disk kubevirtv1.Disk) (kubevirtv1.DiskBus, string) {
	switch {
	case disk.Disk != nil:
		return disk.Disk.Bus, "disk"
	case disk.LUN != nil:
		return disk.LUN.Bus, "lun"
	case disk.CDRom != nil:
		return disk.CDRom.Bus, "cdrom"
	}
	return "", "disk"
}

func (c *checker) diskBuses() {
	for i, disk := range c.disks() {
		bus, target := bus(disk)
		field := indexed(devicesPath+"disks", i) + "." + target + ".bus"
		switch bus {
		case "", kubevirtv1.DiskBusSCSI, kubevirtv1.DiskBusUSB:
		case kubevirtv1.DiskBusVirtio:
			if disk.CDRom != nil {
				c.invalid(field, "the CD-ROM %s cannot be on the virtio bus", disk.Name).hint("use sata or scsi")
			}
		case kubevirtv1.DiskBusSATA:
			if disk.Disk != nil && disk.Disk.ReadOnly {
				c.invalid(field, "the disk %s cannot be read-only on the sata bus", disk.Name).hint("use virtio or scsi")
			}
		case "ide":
			c.invalid(field, "the disk %s is on the ide bus, which KubeVirt does not support", disk.Name).hint("use sata")
		default:
			c.invalid(field, "the disk %s is on an unknown bus %q", disk.Name, bus).hint("use virtio, scsi, sata or usb")
		}
		if disk.Disk != nil && disk.Disk.PciAddress != "" && bus != kubevirtv1.DiskBusVirtio {
			c.invalid(field, "the disk %s has a PCI address, which only virtio disks can have", disk.Name).hint("set bus to virtio")
		}
		if disk.Disk != nil {
			c.pciAddress(indexed(devicesPath+"disks", i)+".disk", disk.Disk.PciAddress)
		}
		if disk.DedicatedIOThread != nil && *disk.DedicatedIOThread && bus != kubevirtv1.DiskBusVirtio {
			c.invalid(field, "the disk %s has its own I/O thread, which only virtio disks can have", disk.Name).hint("set bus to virtio")
		}
	}
}

func (c *checker) diskOptions() {
	for i, disk := range c.disks() {
		field := indexed(devicesPath+"disks", i)
		if disk.Cache != "" {
			c.oneOf(field+".cache", string(disk.Cache), "none", "writethrough", "writeback")
		}
		if disk.IO != "" {
			c.oneOf(field+".io", string(disk.IO), "native", "threads")
		}
		if disk.ErrorPolicy != nil {
			c.oneOf(field+".errorPolicy", string(*disk.ErrorPolicy), "stop", "ignore", "report", "enospace")
		}
		if !legalSerial(disk.Serial) {
			c.invalid(field+".serial", "the serial %q of the disk %s is illegal", disk.Serial, disk.Name).
				hint("use up to 256 of A-Z a-z 0-9 _ . + -")
		}
	}
}

func legalSerial(s string) bool {
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '_' && r != '.' && r != '+' && r != '-' {
			return false
		}
	}
	return len(s) <= 256
}

// bootOrder: positive, and each number given to one device, be it a disk or an interface.
func (c *checker) bootOrder() {
	seen := map[uint]string{}
	check := func(field, name string, order *uint) {
		if order == nil {
			return
		}
		if *order < 1 {
			c.invalid(field+".bootOrder", "the boot order of %s has to be at least 1", name).hint("count from 1")
		} else if other, taken := seen[*order]; taken {
			c.invalid(field+".bootOrder", "%s and %s have the same boot order %d", other, name, *order).hint("give each its own")
		}
		seen[*order] = name
	}
	for i, disk := range c.disks() {
		check(indexed(devicesPath+"disks", i), disk.Name, disk.BootOrder)
	}
	for i, iface := range c.instance.Domain.Devices.Interfaces {
		check(indexed(devicesPath+"interfaces", i), iface.Name, iface.BootOrder)
	}
}

// cloudInit: one source of user data and one of network data at most, at least one of the two, and
// no more than fits.
func (c *checker) cloudInit() {
	for i, volume := range c.instance.Volumes {
		field := indexed(specPath+"volumes", i)
		if s := volume.CloudInitNoCloud; s != nil {
			c.cloudInitSource(field+".cloudInitNoCloud", *s)
		}
		if s := volume.CloudInitConfigDrive; s != nil {
			c.cloudInitSource(field+".cloudInitConfigDrive", kubevirtv1.CloudInitNoCloudSource(*s))
		}
	}
}

func (c *checker) cloudInitSource(field string, s kubevirtv1.CloudInitNoCloudSource) {
	user := c.cloudInitData(field, "userData", s.UserData, s.UserDataBase64,
		s.UserDataSecretRef != nil && s.UserDataSecretRef.Name != "")
	network := c.cloudInitData(field, "networkData", s.NetworkData, s.NetworkDataBase64,
		s.NetworkDataSecretRef != nil && s.NetworkDataSecretRef.Name != "")
	if user+network == 0 {
		c.invalid(field, "the cloud-init volume has neither user data nor network data").hint("set userData, or remove the volume")
	}
}

// cloudInitData checks one kind of data and returns how many sources it has.
func (c *checker) cloudInitData(field, kind, text, encoded string, secret bool) int {
	n := 0
	for _, set := range []bool{text != "", encoded != "", secret} {
		if set {
			n++
		}
	}
	if n > 1 {
		c.invalid(field, "%s has %d sources instead of one", kind, n).hint("keep one source")
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		c.invalid(field+"."+kind+"Base64", "%s is no base64", kind).hint("encode it, or write it as %s", kind)
	}
	if size := max(len(text), len(decoded)); size > maxInline {
		c.invalid(field+"."+kind, "%s has %d bytes, the VM holds %d", kind, size, maxInline).hint("move it into a Secret")
	}
	return n
}

// accessCredentials: one type, one source and one way in each, with the volume that the way needs,
// and a Secret whose name is not too long for the pod.
func (c *checker) accessCredentials() {
	noCloud := slices.ContainsFunc(c.instance.Volumes, func(v kubevirtv1.Volume) bool { return v.CloudInitNoCloud != nil })
	drive := slices.ContainsFunc(c.instance.Volumes, func(v kubevirtv1.Volume) bool { return v.CloudInitConfigDrive != nil })
	for i, credential := range c.instance.AccessCredentials {
		field := indexed(specPath+"accessCredentials", i)
		if (credential.SSHPublicKey == nil) == (credential.UserPassword == nil) {
			c.invalid(field, "a credential is either an SSH key or a password").hint("set sshPublicKey or userPassword")
		}
		if key := credential.SSHPublicKey; key != nil {
			c.sshCredential(field+".sshPublicKey", key, noCloud, drive)
		}
		if password := credential.UserPassword; password != nil {
			c.credentialSecret(field+".userPassword", password.Source.Secret)
			if password.PropagationMethod.QemuGuestAgent == nil {
				c.invalid(field+".userPassword.propagationMethod", "a password travels by the guest agent only").hint("set qemuGuestAgent")
			}
		}
	}
}

func (c *checker) sshCredential(field string, key *kubevirtv1.SSHPublicKeyAccessCredential, noCloud, drive bool) {
	c.credentialSecret(field, key.Source.Secret)
	method := key.PropagationMethod
	field += ".propagationMethod"
	ways := 0
	for _, set := range []bool{method.NoCloud != nil, method.ConfigDrive != nil, method.QemuGuestAgent != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways != 1:
		c.invalid(field, "the keys have %d ways into the guest instead of one", ways).hint("set one of noCloud, configDrive, qemuGuestAgent")
	case method.NoCloud != nil && !noCloud:
		c.invalid(field, "keys that travel by noCloud need a cloudInitNoCloud volume").hint("add one, or use qemuGuestAgent")
	case method.ConfigDrive != nil && !drive:
		c.invalid(field, "keys that travel by configDrive need a cloudInitConfigDrive volume").hint("add one, or use noCloud")
	case method.QemuGuestAgent != nil && len(method.QemuGuestAgent.Users) == 0:
		c.invalid(field, "keys that travel by the guest agent need a user").hint("add one to users")
	}
}

// credentialSecret takes both kinds of credential source, which are one type by two names.
func (c *checker) credentialSecret(field string, secret *kubevirtv1.AccessCredentialSecretSource) {
	switch {
	case secret == nil || secret.SecretName == "":
		c.invalid(field+".source", "the credential names no Secret").hint("set source.secret.secretName")
	case len(secret.SecretName) > maxCredentialName:
		c.invalid(field+".source", "the Secret's name %s has %d characters; with more than %d the pod cannot be made",
			secret.SecretName, len(secret.SecretName), maxCredentialName).hint("shorten it")
	}
}
