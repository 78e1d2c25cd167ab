package render

import (
	"encoding/json"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// Attached returns the networks that a rendered VM is attached to, by the name of the interface (see
// [InterfaceName]). They have no environment and no addresses: an object does not say them. It is empty where
// the manifests hold no VirtualMachine that can be read.
func Attached(manifests []Manifest) map[string]spec.Network {
	out := map[string]spec.Network{}
	for _, m := range manifests {
		if m.Kind != KindVirtualMachine {
			continue
		}
		vm, err := readNetworks(m.JSON)
		if err != nil {
			return map[string]spec.Network{}
		}
		for _, n := range vm.Spec.Template.Spec.Networks {
			if n.Multus == nil {
				out[n.Name] = spec.Network{Pod: true}
				continue
			}
			namespace, name, _ := strings.Cut(n.Multus.NetworkName, "/")
			out[n.Name] = spec.Network{Attachment: &spec.ObjectRef{Namespace: namespace, Name: name}}
		}
	}
	return out
}

// attachedVM is as much of a VirtualMachine as says where it is attached.
type attachedVM struct {
	Spec struct {
		Template struct {
			Spec struct {
				Networks []struct {
					Name   string
					Multus *struct{ NetworkName string }
				}
			}
		}
	}
}

func readNetworks(data []byte) (vm attachedVM, err error) {
	return vm, json.Unmarshal(data, &vm)
}

// InterfaceName is the name of the interface on a network of the platform; without a network, of the one on the
// pod network.
func InterfaceName(network string) string { return interfaceName(network) }
