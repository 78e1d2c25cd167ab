package render

import (
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// second adds another interface and its network, which the case then spoils.
func second(i *instance, network kubevirtv1.NetworkSource, binding kubevirtv1.InterfaceBindingMethod) {
	i.Networks = append(i.Networks, kubevirtv1.Network{Name: "second", NetworkSource: network})
	i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces,
		kubevirtv1.Interface{Name: "second", InterfaceBindingMethod: binding})
}

var (
	pod        = kubevirtv1.NetworkSource{Pod: &kubevirtv1.PodNetwork{}}
	own        = kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "lan"}}
	bridge     = kubevirtv1.InterfaceBindingMethod{Bridge: &kubevirtv1.InterfaceBridge{}}
	masquerade = kubevirtv1.InterfaceBindingMethod{Masquerade: &kubevirtv1.InterfaceMasquerade{}}
)

var networkCases = []checkCase{
	{"a second one", func(_ *machine, i *instance) { second(i, own, bridge) }, "", ""},
	{"interface twice", func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces, i.Domain.Devices.Interfaces[0])
	}, inDevices + "interfaces[1].name", invalid},
	{"network twice", func(_ *machine, i *instance) {
		i.Networks = append(i.Networks, kubevirtv1.Network{Name: "default", NetworkSource: own})
		i.Domain.Devices.Interfaces[0].InterfaceBindingMethod = bridge
	}, inSpec + "networks[1].name", invalid},
	{"network without interface", func(_ *machine, i *instance) {
		i.Networks = append(i.Networks, kubevirtv1.Network{Name: "lan", NetworkSource: own})
	}, inSpec + "networks[1].name", invalid},
	{"interface without network", func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces = append(i.Domain.Devices.Interfaces,
			kubevirtv1.Interface{Name: "lan", InterfaceBindingMethod: bridge})
	}, inDevices + "interfaces[1].name", invalid},
	{"no source", func(_ *machine, i *instance) { second(i, kubevirtv1.NetworkSource{}, bridge) }, inSpec + "networks[1]", invalid},
	{"attachment without a name", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{}}, bridge)
	}, inSpec + "networks[1].multus.networkName", invalid},
	{"two pod networks", func(_ *machine, i *instance) { second(i, pod, masquerade) }, inSpec + "networks", invalid},
	{"pod network and default attachment", func(_ *machine, i *instance) {
		second(i, kubevirtv1.NetworkSource{Multus: &kubevirtv1.MultusNetwork{NetworkName: "lan", Default: true}}, bridge)
	}, inSpec + "networks", invalid},
	{"masquerade on an attachment", func(_ *machine, i *instance) { second(i, own, masquerade) },
		inDevices + "interfaces[1].masquerade", invalid},
	{"SR-IOV on the pod network", func(_ *machine, i *instance) {
		i.Domain.Devices.Interfaces[0].InterfaceBindingMethod = kubevirtv1.InterfaceBindingMethod{SRIOV: &kubevirtv1.InterfaceSRIOV{}}
	}, inDevices + "interfaces[0].sriov", invalid},
	{"no binding", func(_ *machine, i *instance) { second(i, own, kubevirtv1.InterfaceBindingMethod{}) },
		inDevices + "interfaces[1]", invalid},
	{"two bindings", func(_ *machine, i *instance) {
		second(i, own, kubevirtv1.InterfaceBindingMethod{Bridge: bridge.Bridge, SRIOV: &kubevirtv1.InterfaceSRIOV{}})
	}, inDevices + "interfaces[1]", invalid},
	{"interface name", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].Name, i.Networks[0].Name = "a.b", "a.b" },
		inDevices + "interfaces[0].name", invalid},
	{"model", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].Model = "vmxnet3" },
		inDevices + "interfaces[0].model", invalid},
	{"MAC address", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].MacAddress = "02:00:00" },
		inDevices + "interfaces[0].macAddress", invalid},
	{"the pod's MAC address", func(_ *machine, i *instance) { i.Domain.Devices.Interfaces[0].MacAddress = "02:00:00:00:00:00" },
		inDevices + "interfaces[0].macAddress", invalid},
}
