package render

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// podNetwork is the name of the interface on the pod network where no Network is named.
const podNetwork = "default"

// nic is an interface as the guest has to configure it.
type nic struct {
	mac     string
	address string // with prefix length; DHCP when empty
}

// networks attaches the VM to the networks that the request names, else to the namespace's, else to
// the pod network. It returns the interfaces in order.
func (r *renderer) networks(instance *kubevirtv1.VirtualMachineInstanceSpec) []nic {
	wanted := r.in.VM.Networks
	if len(wanted) == 0 {
		wanted = []spec.VMNetwork{{Name: r.in.DefaultNetwork}}
	}
	fixed := slices.ContainsFunc(wanted, func(n spec.VMNetwork) bool { return n.IP != "" })
	var nics []nic
	sriov, seen := false, map[string]bool{}
	for i, want := range wanted {
		network, ok := r.lookup(i, want)
		if !ok || !r.attachable(i, want.Name, network, seen) {
			continue
		}
		iface := r.networkInterface(want.Name, network, fixed)
		sriov = sriov || iface.SRIOV != nil
		instance.Domain.Devices.Interfaces = append(instance.Domain.Devices.Interfaces, iface)
		instance.Networks = append(instance.Networks, source(iface.Name, network))
		nics = append(nics, nic{mac: iface.MacAddress, address: r.address(indexed("networks", i)+".ip", want, network)})
	}
	if r.in.Size.SRIOV && !sriov {
		r.problems.add(domain.PlanInvalid, OriginRequest, "networks",
			"size %s is meant for SR-IOV, and the VM is on the pod network alone", r.in.SizeName).
			hint("name a network with an attachment, or take another size").warn()
	}
	if !fixed {
		return nil
	}
	return nics
}

// lookup finds the i-th network that the request names, or the namespace's when it names none.
func (r *renderer) lookup(i int, want spec.VMNetwork) (spec.Network, bool) {
	if want.Name == "" && len(r.in.VM.Networks) == 0 {
		return spec.Network{Pod: true}, true
	}
	origin, field := OriginRequest, indexed("networks", i)+".name"
	if len(r.in.VM.Networks) == 0 {
		origin, field = OriginNamespace, "network"
	}
	network, found := r.in.Networks[want.Name]
	switch {
	case !found:
		names := slices.Sorted(maps.Keys(r.in.Networks))
		r.problems.add(domain.NetworkUnknown, origin, field, "there is no network %s", want.Name).
			hint("%s", spec.Suggest(want.Name, names))
	case network.Environment != r.in.Environment:
		r.problems.add(domain.EnvironmentMismatch, origin, field,
			"network %s is of %s and the VM of %s", want.Name, network.Environment, r.in.Environment)
	case network.Pod == (network.Attachment != nil):
		r.problems.add(domain.PlanInvalid, OriginNetwork, "",
			"network %s has to be either the pod network or an attachment", want.Name).Name = want.Name
	default:
		return network, true
	}
	return network, false
}

// attachable refuses a second interface on the same network, and on the pod network by any name.
func (r *renderer) attachable(i int, name string, network spec.Network, seen map[string]bool) bool {
	as := interfaceName(name)
	if network.Pod {
		as = "the pod network" // no interface has this name
	}
	if seen[as] {
		r.problems.add(domain.PlanInvalid, OriginRequest, indexed("networks", i)+".name",
			"the VM is already attached to network %s", name).hint("remove one of the two")
		return false
	}
	seen[as] = true
	return true
}

// networkInterface renders one interface. One on an attachment gets an address derived from the
// VM's identity, so that leases and filters outlive a restart; behind masquerade it is seen by
// nobody and is set only for cloud-init to find the interface.
func (r *renderer) networkInterface(name string, network spec.Network, fixed bool) kubevirtv1.Interface {
	iface := kubevirtv1.Interface{Name: interfaceName(name)}
	if r.in.Template.Preference == "" && (network.Pod || !r.in.Size.SRIOV) {
		iface.Model = kubevirtv1.VirtIO
	}
	switch {
	case network.Pod:
		iface.Masquerade = &kubevirtv1.InterfaceMasquerade{}
	case r.in.Size.SRIOV:
		iface.SRIOV = &kubevirtv1.InterfaceSRIOV{}
	default:
		iface.Bridge = &kubevirtv1.InterfaceBridge{}
	}
	if fixed || !network.Pod {
		iface.MacAddress = macAddress(r.in.Ref, name)
	}
	return iface
}

// interfaceName makes a Network's name one that KubeVirt accepts, which knows no dots.
func interfaceName(name string) string {
	if name == "" {
		return podNetwork
	}
	return strings.ReplaceAll(name, ".", "-")
}

func source(name string, network spec.Network) kubevirtv1.Network {
	out := kubevirtv1.Network{Name: name}
	if network.Pod {
		out.Pod = &kubevirtv1.PodNetwork{}
	} else {
		out.Multus = &kubevirtv1.MultusNetwork{NetworkName: attachment(network)}
	}
	return out
}

func attachment(network spec.Network) string {
	return network.Attachment.Namespace + "/" + network.Attachment.Name
}

// address is the fixed address with the prefix length of the network that it has to lie in.
func (r *renderer) address(field string, want spec.VMNetwork, network spec.Network) string {
	if want.IP == "" {
		return ""
	}
	prefix, err := netip.ParsePrefix(network.Addresses)
	ip, err2 := netip.ParseAddr(want.IP)
	switch {
	case network.Pod || network.Addresses == "":
		r.problems.add(domain.PlanInvalid, OriginRequest, field, "network %s has no addresses to fix", want.Name).
			hint("leave ip out")
	case err != nil:
		r.problems.add(domain.PlanInvalid, OriginNetwork, "addresses", "the addresses %q of network %s are not a CIDR",
			network.Addresses, want.Name).Name = want.Name
	case err2 != nil || ip.Zone() != "":
		r.problems.add(domain.PlanInvalid, OriginRequest, field, "%q is not an IP address", want.IP)
	case !usable(prefix, ip):
		r.problems.add(domain.PlanInvalid, OriginRequest, field, "address %s is not one for a VM in network %s",
			want.IP, want.Name).hint("take a free address of %s", prefix.Masked())
	default:
		return netip.PrefixFrom(ip, prefix.Bits()).String()
	}
	return ""
}

// usable reports whether a host can have the address: in the network, not the network itself, and
// not the broadcast address of an IPv4 network.
func usable(prefix netip.Prefix, ip netip.Addr) bool {
	if !prefix.Contains(ip) {
		return false
	}
	if ip.BitLen()-prefix.Bits() <= 1 {
		return true
	}
	last := ip.Is4() && !prefix.Contains(ip.Next())
	return ip != prefix.Masked().Addr() && !last
}

// networkData is cloud-init's network configuration, version 2, naming interfaces by their MAC
// addresses. Given any, cloud-init configures nothing else, so all interfaces are in it.
func networkData(nics []nic) string {
	if len(nics) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("version: 2\nethernets:\n")
	for i, n := range nics {
		fmt.Fprintf(&b, "  nic%d:\n    match:\n      macaddress: %q\n", i, n.mac)
		if n.address == "" {
			b.WriteString("    dhcp4: true\n")
		} else {
			fmt.Fprintf(&b, "    addresses:\n      - %s\n", n.address)
		}
	}
	return b.String()
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
