package render

import (
	"slices"
	"strings"

	kubevirtv1 "kubevirt.io/api/core/v1"
)

// acpiTables: Windows' licence tables come from Secrets.
func (c *checker) acpiTables() {
	if c.instance.Domain.Firmware == nil || c.instance.Domain.Firmware.ACPI == nil {
		return
	}
	field, tables := domainPath+"firmware.acpi", c.instance.Domain.Firmware.ACPI
	if tables.SlicNameRef == "" && tables.MsdmNameRef == "" {
		c.invalid(field, "firmware.acpi names no table").hint("set slicNameRef or msdmNameRef, or remove acpi")
	}
	for _, name := range []string{tables.SlicNameRef, tables.MsdmNameRef} {
		is := func(v kubevirtv1.Volume) bool { return v.Name == name && v.Secret != nil }
		if name != "" && !slices.ContainsFunc(c.instance.Volumes, is) {
			c.invalid(field, "there is no volume %s with a Secret for the ACPI table", name).hint("add a volume with a secret")
		}
	}
}

// kernelBoot: a kernel comes out of an image, and its arguments with it.
func (c *checker) kernelBoot() {
	if c.instance.Domain.Firmware == nil || c.instance.Domain.Firmware.KernelBoot == nil {
		return
	}
	field, boot := domainPath+"firmware.kernelBoot", c.instance.Domain.Firmware.KernelBoot
	if boot.Container == nil {
		if boot.KernelArgs != "" {
			c.invalid(field+".kernelArgs", "kernel arguments need a kernel").hint("set container, or remove kernelArgs")
		}
		return
	}
	if boot.Container.Image == "" {
		c.invalid(field+".container.image", "the kernel comes from no image").hint("name the image")
	}
	if boot.Container.KernelPath == "" && boot.Container.InitrdPath == "" {
		c.invalid(field+".container", "neither a kernel nor an initrd is named").hint("set kernelPath")
	}
	for name, value := range sorted(map[string]string{"kernelPath": boot.Container.KernelPath, "initrdPath": boot.Container.InitrdPath}) {
		if value != "" {
			c.imagePath(field+".container."+name, value)
		}
	}
}

// launchSecurity: one way of encrypting memory, with firmware that knows it.
func (c *checker) launchSecurity() {
	l := c.instance.Domain.LaunchSecurity
	if l == nil || c.architecture() == "s390x" {
		return
	}
	field := domainPath + "launchSecurity"
	kinds := 0
	for _, set := range []bool{l.SEV != nil, l.SNP != nil, l.TDX != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case c.architecture() != "amd64":
		c.invalid(field, "there is no launch security on %s", c.architecture()).hint("remove launchSecurity")
		return
	case kinds != 1:
		c.invalid(field, "launchSecurity has %d kinds instead of one", kinds).hint("set one of sev, snp, tdx")
		return
	}
	if l.TDX != nil && smm(c.instance.Domain.Features) {
		c.invalid(field, "TDX does not work with SMM").hint("switch features.smm off")
	}
	paused := c.instance.StartStrategy != nil && *c.instance.StartStrategy == kubevirtv1.StartStrategyPaused
	if l.SEV != nil && l.SEV.Attestation != nil && !paused {
		c.invalid(field, "attestation needs a VM that starts paused").hint("set startStrategy to Paused")
	}
	for i, iface := range c.instance.Domain.Devices.Interfaces {
		if iface.BootOrder != nil {
			c.invalid(indexed(devicesPath+"interfaces", i)+".bootOrder", "an encrypted VM cannot boot from the network").hint("remove bootOrder")
		}
	}
	c.encryptedFirmware(field, l)
}

func (c *checker) encryptedFirmware(field string, l *kubevirtv1.LaunchSecurity) {
	firmware := c.instance.Domain.Firmware
	if firmware == nil || firmware.Bootloader == nil || firmware.Bootloader.EFI == nil {
		c.invalid(field, "an encrypted VM boots by EFI").hint("set firmware.bootloader.efi")
		return
	}
	efi := firmware.Bootloader.EFI
	if l.TDX == nil && (efi.SecureBoot == nil || *efi.SecureBoot) {
		c.invalid(field, "SEV does not work with SecureBoot").hint("set efi.secureBoot to false")
	}
	if l.SEV == nil && efi.Persistent != nil && *efi.Persistent {
		c.invalid(field, "persistent EFI variables do not work with memory encryption").hint("set efi.persistent to false")
	}
}

// hyperv: an enlightenment needs those that it builds on. KubeVirt switches them on, unless they are switched off.
func (c *checker) hyperv() {
	features := c.instance.Domain.Features
	if features == nil || features.Hyperv == nil {
		return
	}
	h := features.Hyperv
	var timer, flush *kubevirtv1.FeatureState
	if h.SyNICTimer != nil {
		timer = &kubevirtv1.FeatureState{Enabled: h.SyNICTimer.Enabled}
	}
	if h.TLBFlush != nil {
		flush = &kubevirtv1.FeatureState{Enabled: h.TLBFlush.Enabled}
	}
	for _, pair := range []struct {
		name, needs string
		is, needed  *kubevirtv1.FeatureState
	}{
		{"evmcs", "vapic", h.EVMCS, h.VAPIC}, {"ipi", "vpindex", h.IPI, h.VPIndex}, {"tlbflush", "vpindex", flush, h.VPIndex},
		{"synictimer", "synic", timer, h.SyNIC}, {"synic", "vpindex", h.SyNIC, h.VPIndex},
	} {
		on := pair.is != nil && (pair.is.Enabled == nil || *pair.is.Enabled)
		if on && pair.needed != nil && pair.needed.Enabled != nil && !*pair.needed.Enabled {
			c.invalid(domainPath+"features.hyperv."+pair.name, "%s needs %s, which is off", pair.name, pair.needs).
				hint("remove %s.enabled: false", pair.needs)
		}
	}
}

// machines are the machine types that KubeVirt offers unless its configuration says otherwise.
var machines = map[string][]string{"amd64": {"q35", "pc-q35"}, "arm64": {"virt"}, "s390x": {"s390-ccw-virtio"}}

func (c *checker) machine() {
	known, found := machines[c.architecture()]
	if !found {
		c.invalid(specPath+"architecture", "KubeVirt has no architecture %q", c.instance.Architecture).hint("use amd64, arm64 or s390x")
		return
	}
	if m := c.instance.Domain.Machine; m != nil && m.Type != "" && !prefixed(m.Type, known) {
		c.invalid(domainPath+"machine.type", "the machine type %s is none that KubeVirt offers by itself", m.Type).warn().
			hint("use q35, or see that the cluster's configuration allows it")
	}
}

func prefixed(text string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(text, p) })
}

// arm64 is smaller than amd64.
func (c *checker) arm64() {
	if c.architecture() != "arm64" {
		return
	}
	d := c.instance.Domain
	if d.Firmware != nil && d.Firmware.Bootloader != nil && d.Firmware.Bootloader.BIOS != nil {
		c.invalid(domainPath+"firmware.bootloader.bios", "arm64 boots by EFI only").hint("use efi")
	}
	if d.CPU != nil && d.CPU.Model != "" && d.CPU.Model != kubevirtv1.CPUModeHostPassthrough {
		c.invalid(domainPath+"cpu.model", "the CPU model on arm64 is host-passthrough, not %s", d.CPU.Model).hint("leave model out")
	}
	if d.CPU != nil && d.CPU.DedicatedCPUPlacement && d.CPU.Threads > 1 {
		c.invalid(domainPath+"cpu.threads", "a core has one thread on arm64, not %d", d.CPU.Threads).hint("use cores")
	}
	if d.Devices.Sound != nil {
		c.invalid(devicesPath+"sound", "there is no sound on arm64").hint("remove it")
	}
	for i, disk := range c.disks() {
		if b, kind := bus(disk); b != "" && b != kubevirtv1.DiskBusVirtio && b != kubevirtv1.DiskBusSCSI {
			c.invalid(indexed(devicesPath+"disks", i)+"."+kind+".bus", "a disk on arm64 cannot be on the bus %s", b).hint("use virtio or scsi")
		}
	}
}
