package render

import (
	"net/netip"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// interfaceOptions checks what an interface says besides its network.
func (c *checker) interfaceOptions() {
	pod := map[string]bool{}
	for _, network := range c.instance.Networks {
		pod[network.Name] = network.Pod != nil
	}
	for i, iface := range c.instance.Domain.Devices.Interfaces {
		field := indexed(devicesPath+"interfaces", i)
		c.pciAddress(field, iface.PciAddress)
		c.interfaceState(field, iface)
		if pod[iface.Name] {
			c.ports(field, iface.Ports)
		}
		if iface.DHCPOptions != nil {
			c.dhcp(field+".dhcpOptions", iface.DHCPOptions)
		}
		if iface.PasstBinding != nil && !pod[iface.Name] {
			c.invalid(field+".passtBinding", "the interface %s is bound by passt and not on the pod network", iface.Name).hint("use bridge")
		}
	}
}

// interfaceState: a link can be up or down, and a bridge can be unplugged.
func (c *checker) interfaceState(field string, iface kubevirtv1.Interface) {
	switch {
	case iface.State == "":
	case iface.State == kubevirtv1.InterfaceStateAbsent && iface.Bridge == nil:
		c.invalid(field+".state", "the interface %s cannot be unplugged, as it is no bridge", iface.Name).hint("use down")
	case iface.SRIOV != nil && iface.State != kubevirtv1.InterfaceStateAbsent:
		c.invalid(field+".state", "the link of the SR-IOV interface %s cannot be set", iface.Name).hint("remove state")
	default:
		c.oneOf(field+".state", string(iface.State), "up", "down", "absent")
	}
}

func (c *checker) ports(field string, ports []kubevirtv1.Port) {
	names := map[string]bool{}
	for i, port := range ports {
		field := indexed(field+".ports", i)
		if port.Port < 1 || port.Port > 65535 {
			c.invalid(field+".port", "the port is %d", port.Port).hint("use 1 to 65535")
		}
		if port.Protocol != "" {
			c.oneOf(field+".protocol", port.Protocol, "TCP", "UDP")
		}
		if port.Name == "" {
			continue
		}
		if names[port.Name] {
			c.invalid(field+".name", "two ports have the name %s", port.Name).hint("rename one")
		}
		names[port.Name] = true
		if problems := validation.IsValidPortName(port.Name); len(problems) > 0 {
			c.invalid(field+".name", "the port's name %q is illegal: %s", port.Name, problems[0])
		}
	}
}

// dhcp: servers by IPv4 address, and options from the private range, each once.
func (c *checker) dhcp(field string, options *kubevirtv1.DHCPOptions) {
	for i, server := range options.NTPServers {
		if address, err := netip.ParseAddr(server); err != nil || !address.Unmap().Is4() {
			c.invalid(indexed(field+".ntpServers", i), "%q is no IPv4 address", server).hint("write the server's IPv4 address")
		}
	}
	seen := map[int]bool{}
	for i, option := range options.PrivateOptions {
		if option.Option < 224 || option.Option > 254 {
			c.invalid(indexed(field+".privateOptions", i)+".option", "%d is no private DHCP option", option.Option).hint("use 224 to 254")
		}
		if seen[option.Option] {
			c.invalid(indexed(field+".privateOptions", i)+".option", "the DHCP option %d is there twice", option.Option).hint("remove one")
		}
		seen[option.Option] = true
	}
}

// spelledMAC is 48 bits in any of the usual spellings.
var spelledMAC = regexp.MustCompile(`(?i)^([0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9a-f]{2}(-[0-9a-f]{2}){5}|[0-9a-f]{4}(\.[0-9a-f]{4}){2})$`)

func legalMAC(text string) bool { return spelledMAC.MatchString(text) }

// legalIP: an address of either family, without a zone.
func legalIP(text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && address.Zone() == ""
}
