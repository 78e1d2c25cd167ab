package render

import (
	"regexp"

	kubevirtv1 "kubevirt.io/api/core/v1"
)

// networkNames: unique on both sides, and each interface has its network and the other way round.
func (c *checker) networkNames() {
	networks, interfaces := map[string]bool{}, map[string]bool{}
	for i, network := range c.instance.Networks {
		if networks[network.Name] {
			c.invalid(indexed(specPath+"networks", i)+".name", "two networks have the name %s", network.Name).hint("rename one")
		}
		networks[network.Name] = true
	}
	for i, iface := range c.instance.Domain.Devices.Interfaces {
		field := indexed(devicesPath+"interfaces", i) + ".name"
		if interfaces[iface.Name] {
			c.invalid(field, "two interfaces have the name %s", iface.Name).hint("rename one, and its network")
		}
		interfaces[iface.Name] = true
		if !networks[iface.Name] {
			c.invalid(field, "there is no network for the interface %s", iface.Name).hint("add a network of that name")
		}
	}
	for i, network := range c.instance.Networks {
		if !interfaces[network.Name] {
			c.invalid(indexed(specPath+"networks", i)+".name", "there is no interface for the network %s", network.Name).hint("add an interface of that name")
		}
	}
}

// networkSources: one source each, and one network for the pod's own interface in all.
func (c *checker) networkSources() {
	pods, defaults := 0, 0
	for i, network := range c.instance.Networks {
		field, kinds := indexed(specPath+"networks", i), 0
		if network.Pod != nil {
			kinds, pods = kinds+1, pods+1
		}
		if network.ResourceClaim != nil {
			kinds++
		}
		if multus := network.Multus; multus != nil {
			kinds++
			if multus.Default {
				defaults++
			}
			if multus.NetworkName == "" {
				c.invalid(field+".multus.networkName", "the network %s names no attachment", network.Name).hint("set networkName")
			}
		}
		if kinds != 1 {
			c.invalid(field, "the network %s has %d sources instead of one", network.Name, kinds).hint("set one of pod and multus")
		}
	}
	if pods+defaults > 1 {
		c.invalid(specPath+"networks", "%d networks want the pod's own interface, there is one", pods+defaults).hint("keep one of them")
	}
}

// bindings: one for each interface, and masquerade on the pod network only.
func (c *checker) bindings() {
	pod := map[string]bool{}
	for _, network := range c.instance.Networks {
		pod[network.Name] = network.Pod != nil
	}
	for i, iface := range c.instance.Domain.Devices.Interfaces {
		field := indexed(devicesPath+"interfaces", i)
		if n := bindingCount(iface); n != 1 {
			c.invalid(field, "the interface %s has %d bindings instead of one", iface.Name, n).hint("set one of masquerade, bridge, sriov")
		}
		if iface.Masquerade != nil && !pod[iface.Name] {
			c.invalid(field+".masquerade", "the interface %s is masqueraded and not on the pod network", iface.Name).
				hint("use bridge")
		}
		if iface.SRIOV != nil && pod[iface.Name] {
			c.invalid(field+".sriov", "the interface %s is SR-IOV and on the pod network", iface.Name).hint("use masquerade")
		}
	}
}

func bindingCount(iface kubevirtv1.Interface) int {
	n := 0
	for _, set := range []bool{
		iface.Bridge != nil, iface.Masquerade != nil, iface.SRIOV != nil,
		iface.PasstBinding != nil, iface.Binding != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

var (
	interfaceNames  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	interfaceModels = []string{"virtio", "e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139"}
)

// bridgeMAC is the address of the bridge inside the pod, which a masqueraded guest cannot share.
const bridgeMAC = "02:00:00:00:00:00"

func (c *checker) interfaceFields() {
	for i, iface := range c.instance.Domain.Devices.Interfaces {
		field := indexed(devicesPath+"interfaces", i)
		if !interfaceNames.MatchString(iface.Name) {
			c.invalid(field+".name", "the interface name %q is illegal", iface.Name).hint("use letters, digits, - and _")
		}
		if iface.Model != "" {
			c.oneOf(field+".model", iface.Model, interfaceModels...)
		}
		if mac := iface.MacAddress; mac != "" && !legalMAC(mac) {
			c.invalid(field+".macAddress", "%q is no MAC address", mac).hint("write it like 02:11:22:33:44:55")
		} else if mac == bridgeMAC && iface.Masquerade != nil {
			c.invalid(field+".macAddress", "the MAC address %s is the pod's own", mac).hint("choose another, or leave it out")
		}
	}
}
