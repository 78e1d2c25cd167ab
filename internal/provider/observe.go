package provider

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirt "kubevirt.io/api/core/v1"
)

// Condition is one of a VM's conditions, its message fit to be shown.
type Condition struct{ Type, Status, Reason, Message string }

// Observation is what a cluster says of a VM. PrintableStatus is empty while KubeVirt has not
// reported.
type Observation struct {
	Exists, Deleting bool
	// Finalizers are what a deletion waits for.
	Finalizers      []string
	UID             string
	ResourceVersion string
	Generation      int64
	// Seen is the generation that KubeVirt's controller has looked at; 0 where it does not say, as while
	// there is no instance.
	Seen            int64
	Labels          map[string]string
	Annotations     map[string]string
	RunStrategy     string
	PrintableStatus string
	Ready           bool
	RestartRequired bool
	// FailureMessage is KubeVirt's reason for not being able to do what the spec asks.
	FailureMessage string
	Conditions     []Condition
	// Node and Addresses are those of the running instance, where the credentials may read it.
	Node      string
	Addresses []string
}

// Observe looks at a VM. One that does not exist is an Observation, not an error.
func (c *Cluster) Observe(ctx context.Context, namespace, name string) (Observation, error) {
	vm, err := c.get(ctx, vmKind, namespace, name)
	if err != nil {
		return Observation{}, fmt.Errorf("observe: %w", err)
	}
	if vm == nil {
		return Observation{}, nil
	}
	o := observed(vm)
	if o.PrintableStatus != string(kubevirt.VirtualMachineStatusRunning) {
		return o, nil
	}
	instance, err := c.get(ctx, vmiKind, namespace, name)
	if err != nil && !apierrors.IsForbidden(err) {
		return Observation{}, fmt.Errorf("observe instance: %w", err)
	}
	if instance != nil {
		o.locate(instance)
	}
	return o, nil
}

func observed(vm *unstructured.Unstructured) Observation {
	o := Observation{
		Exists: true, Deleting: vm.GetDeletionTimestamp() != nil,
		UID: string(vm.GetUID()), ResourceVersion: vm.GetResourceVersion(), Generation: vm.GetGeneration(),
		Labels: vm.GetLabels(), Annotations: vm.GetAnnotations(),
	}
	for _, finalizer := range vm.GetFinalizers() {
		o.Finalizers = append(o.Finalizers, words(finalizer))
	}
	o.RunStrategy = runStrategy(vm)
	o.PrintableStatus, _, _ = unstructured.NestedString(vm.Object, "status", "printableStatus")
	o.Seen, _, _ = unstructured.NestedInt64(vm.Object, "status", "desiredGeneration")
	o.Conditions = conditions(vm)
	for _, c := range o.Conditions {
		holds := c.Status == "True"
		switch kubevirt.VirtualMachineConditionType(c.Type) {
		case kubevirt.VirtualMachineReady:
			o.Ready = holds
		case kubevirt.VirtualMachineRestartRequired:
			o.RestartRequired = holds
		case kubevirt.VirtualMachineFailure:
			if holds {
				o.FailureMessage = c.Message
			}
		}
	}
	return o
}

func conditions(u *unstructured.Unstructured) []Condition {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var found []Condition
	for _, item := range list {
		fields, _ := item.(map[string]any)
		text := func(key string) string {
			value, _ := fields[key].(string)
			return words(value)
		}
		found = append(found, Condition{text("type"), text("status"), text("reason"), text("message")})
	}
	return found
}

func (o *Observation) locate(instance *unstructured.Unstructured) {
	node, _, _ := unstructured.NestedString(instance.Object, "status", "nodeName")
	o.Node = words(node)
	interfaces, _, _ := unstructured.NestedSlice(instance.Object, "status", "interfaces")
	for _, item := range interfaces {
		fields, _ := item.(map[string]any)
		if address, _ := fields["ipAddress"].(string); address != "" {
			o.Addresses = append(o.Addresses, words(address))
		}
	}
}

// condition returns the condition of a type, or a zero one.
func (o Observation) condition(kind kubevirt.VirtualMachineConditionType) Condition {
	for _, c := range o.Conditions {
		if c.Type == string(kind) {
			return c
		}
	}
	return Condition{}
}
