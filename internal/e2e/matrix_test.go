package e2e

import (
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// machineOf is all that a VM with a data disk, keys and the pod network is made of.
func machineOf(namespace string) render.Input {
	return render.Input{
		Ref:         spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "test-shop", Index: 7},
		Environment: domain.Test, KubernetesNamespace: namespace,
		VM: spec.VirtualMachine{
			Template: "ubuntu", Size: "medium", Power: spec.PowerRunning, Reason: "a test", SSHKeys: []string{"ssh-ed25519 AAAAa alice"},
			Disks: []spec.VMDisk{{Name: "data", Size: "10Gi"}},
		},
		Template: spec.Template{
			Image:     spec.Image{ContainerDisk: &spec.ContainerDisk{Image: "quay.io/containerdisks/ubuntu:24.04"}},
			CloudInit: "#cloud-config\npackages: [nginx]\n",
		},
		TemplateName: "ubuntu", TemplateVersion: 2, Size: spec.InstanceSize{Cores: 4, Memory: "8Gi"}, SizeName: "medium",
		Networks: map[string]spec.Network{
			"nets": {Environment: domain.Test, Addresses: "10.1.0.0/16", Attachment: &spec.ObjectRef{Namespace: namespace, Name: "vlan-7"}},
		},
	}
}
