package kubetest

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// noInstance are the states in which a virtual machine has no instance; in all others KubeVirt has
// made one.
var noInstance = []kubevirtv1.VirtualMachinePrintableStatus{
	kubevirtv1.VirtualMachineStatusStopped,
	kubevirtv1.VirtualMachineStatusProvisioning,
	kubevirtv1.VirtualMachineStatusWaitingForVolumeBinding,
	kubevirtv1.VirtualMachineStatusDataVolumeError,
	kubevirtv1.VirtualMachineStatusCrashLoopBackOff,
	kubevirtv1.VirtualMachineStatusWaitingForReceiver,
}

// readyStates are the states with a guest that runs.
var readyStates = []kubevirtv1.VirtualMachinePrintableStatus{
	kubevirtv1.VirtualMachineStatusRunning,
	kubevirtv1.VirtualMachineStatusMigrating,
}

// SetVMStatus writes the status of a virtual machine as KubeVirt's controller does when the machine
// is in a state: whether there is an instance and whether it is ready, the conditions that go with
// the state, and which generation runs. Further conditions (RestartRequired, Failure) can be added;
// those of an earlier call are gone. The machine's object has to exist.
func SetVMStatus(ctx context.Context, c client.Client, key client.ObjectKey, state kubevirtv1.VirtualMachinePrintableStatus, further ...kubevirtv1.VirtualMachineCondition) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var vm kubevirtv1.VirtualMachine
		if err := c.Get(ctx, key, &vm); err != nil {
			return err
		}
		setState(&vm, state)
		vm.Status.Conditions = append(vm.Status.Conditions, further...)
		for i := range vm.Status.Conditions {
			stamp(&vm.Status.Conditions[i])
		}
		return c.Status().Update(ctx, &vm, client.FieldOwner("virt-controller"))
	})
	if err != nil {
		return fmt.Errorf("set status of vm %s: %w", key, err)
	}
	return nil
}

func setState(vm *kubevirtv1.VirtualMachine, state kubevirtv1.VirtualMachinePrintableStatus) {
	s := &vm.Status
	booted := s.Created
	s.PrintableStatus = state
	s.Created = !slices.Contains(noInstance, state)
	s.Ready = slices.Contains(readyStates, state)
	s.Conditions = stateConditions(state, s.Created, s.Ready)
	if !s.Created {
		return
	}
	// An instance keeps the generation that it was made from.
	if !booted {
		s.ObservedGeneration = vm.Generation
	}
	s.DesiredGeneration = vm.Generation
	if vm.Spec.RunStrategy != nil {
		s.RunStrategy = *vm.Spec.RunStrategy
	}
}

func stateConditions(state kubevirtv1.VirtualMachinePrintableStatus, created, ready bool) []kubevirtv1.VirtualMachineCondition {
	conditions := []kubevirtv1.VirtualMachineCondition{readyCondition(created, ready)}
	switch state {
	case kubevirtv1.VirtualMachineStatusPaused:
		conditions = append(conditions, condition(kubevirtv1.VirtualMachinePaused, corev1.ConditionTrue,
			"PausedByUser", "VMI was paused by user"))
	case kubevirtv1.VirtualMachineStatusUnschedulable:
		conditions = append(conditions, condition(kubevirtv1.VirtualMachineConditionType(corev1.PodScheduled), corev1.ConditionFalse,
			corev1.PodReasonUnschedulable, "0/3 nodes are available: 3 Insufficient memory."))
	case kubevirtv1.VirtualMachineStatusPvcNotFound:
		conditions = append(conditions, unsynchronized("FailedPvcNotFound", "PVC not found"))
	case kubevirtv1.VirtualMachineStatusErrImagePull, kubevirtv1.VirtualMachineStatusImagePullBackOff:
		conditions = append(conditions, unsynchronized(string(state), "failed to pull image"))
	}
	return conditions
}

func readyCondition(created, ready bool) kubevirtv1.VirtualMachineCondition {
	switch {
	case ready:
		return condition(kubevirtv1.VirtualMachineReady, corev1.ConditionTrue, "", "")
	case created:
		return condition(kubevirtv1.VirtualMachineReady, corev1.ConditionFalse,
			"GuestNotRunning", "Guest VM is not reported as running")
	default:
		return condition(kubevirtv1.VirtualMachineReady, corev1.ConditionFalse,
			"VMINotExists", "VMI does not exist")
	}
}

// unsynchronized is the condition of an instance that KubeVirt cannot bring about.
func unsynchronized(reason, message string) kubevirtv1.VirtualMachineCondition {
	kind := kubevirtv1.VirtualMachineConditionType(kubevirtv1.VirtualMachineInstanceSynchronized)
	return condition(kind, corev1.ConditionFalse, reason, message)
}

func condition(kind kubevirtv1.VirtualMachineConditionType, status corev1.ConditionStatus, reason, message string) kubevirtv1.VirtualMachineCondition {
	return kubevirtv1.VirtualMachineCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

// stamp fills in the times where they are missing.
func stamp(c *kubevirtv1.VirtualMachineCondition) {
	now := metav1.Now()
	if c.LastProbeTime.IsZero() {
		c.LastProbeTime = now
	}
	if c.LastTransitionTime.IsZero() {
		c.LastTransitionTime = now
	}
}
