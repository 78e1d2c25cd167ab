package spec

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/internal/domain"
)

// What empty fields mean. The documents themselves are never filled in: an empty field stays one.
const (
	defaultDisk    = "100Gi"
	defaultMinDisk = "50Gi"
	defaultMaxDisk = "500Gi"
	defaultWeight  = 100
)

// DiskRange is the size's default root disk and the smallest and largest one allowed.
func (s *InstanceSize) DiskRange() (def, least, most resource.Quantity) {
	return mustBytes(or(s.Disk.Default, defaultDisk)), mustBytes(or(s.Disk.Min, defaultMinDisk)), mustBytes(or(s.Disk.Max, defaultMaxDisk))
}

// ClusterInstancetype is the kind of an instance type that names none.
const ClusterInstancetype = "VirtualMachineClusterInstancetype"

// EffectiveKind is the kind of the instance type.
func (i *Instancetype) EffectiveKind() string { return or(i.Kind, ClusterInstancetype) }

// EffectiveWeight is how much the cluster is preferred among its equals.
func (c *Cluster) EffectiveWeight() int { return or(c.Weight, defaultWeight) }

// ObjectName is the name of the logical namespace on its clusters.
func (n *Namespace) ObjectName(name string) string { return or(n.KubernetesName, name) }

// Environments are the environments in which the binding's role is held.
func (b *RoleBinding) Environments() []domain.Environment {
	if len(b.AllowedEnvironments) == 0 {
		return []domain.Environment{domain.Test}
	}
	return b.AllowedEnvironments
}

// EffectiveDeletionPolicy is what becomes of the VM's disks when it is deleted.
func (vm *VirtualMachine) EffectiveDeletionPolicy() DeletionPolicy {
	return or(vm.DeletionPolicy, DeleteDisks)
}

func or[T comparable](value, instead T) T {
	var zero T
	if value == zero {
		return instead
	}
	return value
}

// mustBytes reads a quantity that was checked when its document was read; anything else is 0.
func mustBytes(s string) resource.Quantity {
	q, p := Bytes(s)
	if p != nil {
		return resource.Quantity{}
	}
	return q
}
