package render

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// devices checks the words of those devices that the schema leaves free.
func (c *checker) devices() {
	d := c.instance.Domain.Devices
	for i, input := range d.Inputs {
		field := indexed(devicesPath+"inputs", i)
		if input.Bus != "" {
			c.oneOf(field+".bus", string(input.Bus), "virtio", "usb")
		}
		c.oneOf(field+".type", string(input.Type), "tablet")
	}
	if d.Sound != nil {
		if d.Sound.Model != "" {
			c.oneOf(devicesPath+"sound.model", d.Sound.Model, "ich9", "ac97")
		}
		if d.Sound.Name == "" {
			c.invalid(devicesPath+"sound.name", "the sound device has no name").hint("name it")
		}
	}
	for i, device := range d.PanicDevices {
		if device.Model != nil {
			c.oneOf(indexed(devicesPath+"panicDevices", i)+".model", string(*device.Model), "hyperv", "isa", "pvpanic")
		}
	}
	c.video()
	c.watchdog()
}

// videos are the models that each architecture has.
var videos = map[string][]string{
	"amd64": {"vga", "cirrus", "virtio", "ramfb", "bochs"},
	"arm64": {"virtio", "ramfb"},
	"s390x": {"virtio"},
}

func (c *checker) video() {
	d := c.instance.Domain.Devices
	if d.Video == nil {
		return
	}
	if d.AutoattachGraphicsDevice != nil && !*d.AutoattachGraphicsDevice {
		c.invalid(devicesPath+"video", "the VM has a video device and no graphics").
			hint("remove video, or autoattachGraphicsDevice: false")
	}
	if known := videos[c.architecture()]; known != nil {
		c.oneOf(devicesPath+"video.type", d.Video.Type, known...)
	}
}

func (c *checker) watchdog() {
	dog := c.instance.Domain.Devices.Watchdog
	if dog == nil {
		return
	}
	esb, diag := dog.I6300ESB != nil, dog.Diag288 != nil
	switch arch := c.architecture(); {
	case !esb && !diag && arch != "arm64": // KubeVirt chooses the architecture's
	case arch == "amd64" && (!esb || diag):
		c.invalid(devicesPath+"watchdog", "a watchdog on amd64 is an i6300esb and nothing else").hint("set watchdog.i6300esb")
	case arch == "s390x" && (!diag || esb):
		c.invalid(devicesPath+"watchdog", "a watchdog on s390x is a diag288 and nothing else").hint("set watchdog.diag288")
	case arch == "arm64":
		c.invalid(devicesPath+"watchdog", "there is no watchdog on arm64").hint("remove it")
	}
}

// architecture is the guest's; clusters for another one than amd64 are told so by the VM.
func (c *checker) architecture() string {
	if c.instance.Architecture == "" {
		return "amd64"
	}
	return c.instance.Architecture
}

// displays: at most one GPU shows the guest's first screen.
func (c *checker) displays() {
	n := 0
	for _, gpu := range c.instance.Domain.Devices.GPUs {
		o := gpu.VirtualGPUOptions
		if o == nil || o.Display == nil || o.Display.Enabled != nil && !*o.Display.Enabled {
			continue
		}
		if ram := o.Display.RamFB; ram == nil || ram.Enabled != nil && *ram.Enabled {
			n++
		}
	}
	if n > 1 {
		c.invalid(devicesPath+"gpus", "%d GPUs show the guest's first screen, one can", n).
			hint("set virtualGPUOptions.display.ramFB.enabled to false on the others")
	}
}

// resourceClaims: named, named once, with one source, and there for each device that uses one.
func (c *checker) resourceClaims() {
	names := map[string]bool{}
	for i, claim := range c.instance.ResourceClaims {
		field := indexed(specPath+"resourceClaims", i)
		switch {
		case len(validation.IsDNS1123Label(claim.Name)) > 0:
			c.invalid(field+".name", "the claim's name %q is no DNS label", claim.Name).hint("use a-z, 0-9 and - between them")
		case names[claim.Name]:
			c.invalid(field+".name", "two resource claims have the name %s", claim.Name).hint("rename one")
		}
		names[claim.Name] = true
		if (claim.ResourceClaimName == nil) == (claim.ResourceClaimTemplateName == nil) {
			c.invalid(field, "the claim %s needs either a claim or a template", claim.Name).
				hint("set resourceClaimName or resourceClaimTemplateName")
		}
	}
	uses := func(field string, request *kubevirtv1.ClaimRequest) {
		if request != nil && (request.ClaimName == "" || request.RequestName == "" || !names[request.ClaimName]) {
			c.invalid(field, "the device uses the request %q of the claim %q, which the VM does not have", request.RequestName, request.ClaimName).
				hint("add the claim to resourceClaims")
		}
	}
	for i, gpu := range c.instance.Domain.Devices.GPUs {
		uses(indexed(devicesPath+"gpus", i), gpu.ClaimRequest)
	}
	for i, device := range c.instance.Domain.Devices.HostDevices {
		uses(indexed(devicesPath+"hostDevices", i), device.ClaimRequest)
	}
	for i, network := range c.instance.Networks {
		if r := network.ResourceClaim; r != nil {
			uses(indexed(specPath+"networks", i), r)
		}
	}
}

// probes: one handler each, and over the network only where the pod has one.
func (c *checker) probes() {
	pod := slices.ContainsFunc(c.instance.Networks, func(n kubevirtv1.Network) bool { return n.Pod != nil })
	check := func(field string, probe *kubevirtv1.Probe) {
		if probe == nil {
			return
		}
		n := 0
		for _, set := range []bool{probe.HTTPGet != nil, probe.TCPSocket != nil, probe.Exec != nil, probe.GuestAgentPing != nil} {
			if set {
				n++
			}
		}
		if n != 1 {
			c.invalid(field, "%s asks %d things instead of one", last(field), n).
				hint("set one of httpGet, tcpSocket, exec, guestAgentPing")
		}
		if (probe.HTTPGet != nil || probe.TCPSocket != nil) && !pod {
			c.invalid(field, "%s asks over the pod network, which the VM is not on", last(field)).hint("use guestAgentPing or exec")
		}
		if probe.HTTPGet != nil && probe.HTTPGet.Host != "" || probe.TCPSocket != nil && probe.TCPSocket.Host != "" {
			c.denied(field, "%s makes the node ask another host than the VM", last(field)).hint("leave host out")
		}
	}
	check(specPath+"readinessProbe", c.instance.ReadinessProbe)
	check(specPath+"livenessProbe", c.instance.LivenessProbe)
	if c.instance.LivenessProbe != nil && c.instance.StartStrategy != nil {
		c.invalid(specPath+"startStrategy", "a VM that starts paused cannot have a liveness probe").hint("remove one of the two")
	}
}
