package render

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

var diskCases = []checkCase{
	{"volume twice", func(_ *machine, i *instance) { i.Volumes = append(i.Volumes, i.Volumes[0]) }, inSpec + "volumes[3].name", invalid},
	{"two sources", func(_ *machine, i *instance) { i.Volumes[0].EmptyDisk = &kubevirtv1.EmptyDiskSource{} }, inSpec + "volumes[0]", invalid},
	{"no source", func(_ *machine, i *instance) { i.Volumes[1].DataVolume = nil }, inSpec + "volumes[1]", invalid},
	{"disk twice", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, i.Domain.Devices.Disks[1])
	}, inDevices + "disks[3].name", invalid},
	{"disk without volume", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, kubevirtv1.Disk{Name: "ghost"})
	}, inDevices + "disks[3].name", invalid},
	{"empty drive", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks = append(i.Domain.Devices.Disks, cdrom("drive", kubevirtv1.DiskBusSATA))
	}, "", ""},
	{"disk name", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[1].Name, i.Volumes[1].Name = "Data", "Data"
	}, inDevices + "disks[1].name", invalid},
	{"two targets", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].LUN = &kubevirtv1.LunTarget{} },
		inDevices + "disks[0]", invalid},
	{"LUN of a container disk", func(_ *machine, i *instance) {
		i.Volumes[0].VolumeSource = kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "quay.io/containerdisks/a"}}
		i.Domain.Devices.Disks[0].DiskDevice = kubevirtv1.DiskDevice{LUN: &kubevirtv1.LunTarget{}}
	}, inDevices + "disks[0].lun", invalid},
	{"ide", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Disk.Bus = "ide" }, inDevices + "disks[0].disk.bus", invalid},
	{"unknown bus", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Disk.Bus = "nvme" }, inDevices + "disks[0].disk.bus", invalid},
	{"virtio CD-ROM", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[2] = cdrom("cloudinit", kubevirtv1.DiskBusVirtio)
	}, inDevices + "disks[2].cdrom.bus", invalid},
	{"read-only sata", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].Disk = &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusSATA, ReadOnly: true}
	}, inDevices + "disks[0].disk.bus", invalid},
	{"PCI address on scsi", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].Disk = &kubevirtv1.DiskTarget{Bus: kubevirtv1.DiskBusSCSI, PciAddress: "0000:04:10.1"}
	}, inDevices + "disks[0].disk.bus", invalid},
	{"own I/O thread on usb", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].Disk.Bus, i.Domain.Devices.Disks[0].DedicatedIOThread = kubevirtv1.DiskBusUSB, ptr(true)
	}, inDevices + "disks[0].disk.bus", invalid},
	{"same boot order", func(_ *machine, i *instance) { i.Domain.Devices.Disks[1].BootOrder = ptr(uint(1)) },
		inDevices + "disks[1].bootOrder", invalid},
	{"same boot order as an interface", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].BootOrder = ptr(uint(1)) },
		inDevices + "interfaces[0].bootOrder", invalid},
	{"boot order 0", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].BootOrder = ptr(uint(0)) },
		inDevices + "disks[0].bootOrder", invalid},
	{"cache", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Cache = "unsafe" }, inDevices + "disks[0].cache", invalid},
	{"io", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].IO = "io_uring" }, inDevices + "disks[0].io", invalid},
	{"error policy", func(_ *machine, i *instance) {
		i.Domain.Devices.Disks[0].ErrorPolicy = ptr(kubevirtv1.DiskErrorPolicy("retry"))
	}, inDevices + "disks[0].errorPolicy", invalid},
	{"serial", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Serial = "a b" }, inDevices + "disks[0].serial", invalid},
	{"long serial", func(_ *machine, i *instance) { i.Domain.Devices.Disks[0].Serial = strings.Repeat("a", 257) },
		inDevices + "disks[0].serial", invalid},
}

func cdrom(name string, bus kubevirtv1.DiskBus) kubevirtv1.Disk {
	return kubevirtv1.Disk{Name: name, DiskDevice: kubevirtv1.DiskDevice{CDRom: &kubevirtv1.CDRomTarget{Bus: bus}}}
}

func noCloud(i *instance) *kubevirtv1.CloudInitNoCloudSource { return i.Volumes[2].CloudInitNoCloud }

func sshKey(i *instance) *kubevirtv1.SSHPublicKeyAccessCredential {
	return i.AccessCredentials[0].SSHPublicKey
}

var cloudInitCases = []checkCase{
	{"2048 bytes", func(_ *machine, i *instance) { noCloud(i).UserData = strings.Repeat("a", 2048) }, "", ""},
	{"2049 bytes", func(_ *machine, i *instance) { noCloud(i).UserData = strings.Repeat("a", 2049) },
		inSpec + "volumes[2].cloudInitNoCloud.userData", invalid},
	{"long base64", func(_ *machine, i *instance) {
		noCloud(i).UserData, noCloud(i).UserDataBase64 = "", strings.Repeat("YWFh", 700)
	}, inSpec + "volumes[2].cloudInitNoCloud.userData", invalid},
	{"no base64", func(_ *machine, i *instance) { noCloud(i).UserData, noCloud(i).UserDataBase64 = "", "%%%%" },
		inSpec + "volumes[2].cloudInitNoCloud.userDataBase64", invalid},
	{"network data of 2049 bytes", func(_ *machine, i *instance) { noCloud(i).NetworkData = strings.Repeat("a", 2049) },
		inSpec + "volumes[2].cloudInitNoCloud.networkData", invalid},
	{"text and Secret", func(_ *machine, i *instance) {
		noCloud(i).UserDataSecretRef = &corev1.LocalObjectReference{Name: "more"}
	}, inSpec + "volumes[2].cloudInitNoCloud", invalid},
	{"nothing", func(_ *machine, i *instance) { noCloud(i).UserData = "" }, inSpec + "volumes[2].cloudInitNoCloud", invalid},
	{"config drive of 2049 bytes", func(_ *machine, i *instance) {
		i.AccessCredentials = nil
		i.Volumes[2].VolumeSource = kubevirtv1.VolumeSource{
			CloudInitConfigDrive: &kubevirtv1.CloudInitConfigDriveSource{UserData: strings.Repeat("a", 2049)}}
	}, inSpec + "volumes[2].cloudInitConfigDrive.userData", invalid},
	{"keys without a volume", func(_ *machine, i *instance) {
		i.Volumes, i.Domain.Devices.Disks = i.Volumes[:2], i.Domain.Devices.Disks[:2]
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys by a config drive that is not there", func(_ *machine, i *instance) {
		sshKey(i).PropagationMethod = kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{
			ConfigDrive: &kubevirtv1.ConfigDriveSSHPublicKeyAccessCredentialPropagation{}}
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys by an agent without users", func(_ *machine, i *instance) {
		sshKey(i).PropagationMethod = kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{
			QemuGuestAgent: &kubevirtv1.QemuGuestAgentSSHPublicKeyAccessCredentialPropagation{}}
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys by no way", func(_ *machine, i *instance) {
		sshKey(i).PropagationMethod = kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{}
	}, inSpec + "accessCredentials[0].sshPublicKey.propagationMethod", invalid},
	{"keys from nowhere", func(_ *machine, i *instance) { sshKey(i).Source.Secret = nil },
		inSpec + "accessCredentials[0].sshPublicKey.source", invalid},
	{"keys in a Secret with a long name", func(_ *machine, i *instance) {
		sshKey(i).Source.Secret.SecretName = strings.Repeat("a", 52)
	}, inSpec + "accessCredentials[0].sshPublicKey.source", invalid},
	{"empty credential", func(_ *machine, i *instance) {
		i.AccessCredentials = append(i.AccessCredentials, kubevirtv1.AccessCredential{})
	}, inSpec + "accessCredentials[1]", invalid},
	{"password past the agent", func(_ *machine, i *instance) {
		i.AccessCredentials[0] = kubevirtv1.AccessCredential{UserPassword: &kubevirtv1.UserPasswordAccessCredential{
			Source: kubevirtv1.UserPasswordAccessCredentialSource{Secret: &kubevirtv1.AccessCredentialSecretSource{SecretName: "p"}}}}
	}, inSpec + "accessCredentials[0].userPassword.propagationMethod", invalid},
}
