package standin

import (
	"context"
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// NodeName is the name of the only node.
const NodeName = "node-1"

// node is kubelet, scheduler and virt-handler.
type node struct {
	client    client.Client
	addresses atomic.Uint32 // given away
}

// machine is a node as KubeVirt's handler labels one that takes instances. It is as large as nobody
// asks.
func machine() *corev1.Node {
	size := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1000"),
		corev1.ResourceMemory: resource.MustParse("10Ti"),
		corev1.ResourcePods:   resource.MustParse("10000"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: NodeName, Labels: map[string]string{
			kubevirtv1.NodeSchedulable: "true",
			corev1.LabelArchStable:     "amd64",
			corev1.LabelOSStable:       "linux",
			corev1.LabelHostname:       NodeName,
		}},
		Status: corev1.NodeStatus{
			Capacity: size, Allocatable: size,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
		},
	}
}

// pod brings a pod one step further: onto the node, into its containers, or to its end.
func (n *node) pod(ctx context.Context, p *corev1.Pod) error {
	switch {
	case p.DeletionTimestamp != nil:
		return n.client.Delete(ctx, p, client.GracePeriodSeconds(0))
	case p.Spec.NodeName == "":
		return n.client.SubResource("binding").Create(ctx, p, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace},
			Target:     corev1.ObjectReference{Kind: "Node", Name: NodeName},
		})
	case p.Status.Phase == corev1.PodPending:
		n.run(p)
		return n.client.Status().Update(ctx, p)
	}
	return nil
}

// run says that a pod's containers run.
func (n *node) run(p *corev1.Pod) {
	address, _ := n.address()
	now := metav1.Now()
	s := &p.Status
	s.Phase, s.StartTime = corev1.PodRunning, &now
	s.PodIP, s.PodIPs = address, []corev1.PodIP{{IP: address}}
	s.Conditions = nil
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	s.ContainerStatuses = nil
	for _, c := range p.Spec.Containers {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: new(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
}

// address returns one of 10.244.0.0/16 that was not given away lately, and a hardware address to it.
func (n *node) address() (ip, mac string) {
	const size = 250
	i := n.addresses.Add(1) % (size * size)
	high, low := i/size, i%size+1
	return fmt.Sprintf("10.244.%d.%d", high, low), fmt.Sprintf("02:00:0a:f4:%02x:%02x", high, low)
}

// instance boots the guest of an instance whose pod has been handed over, and shuts down that of one
// that is to go.
func (n *node) instance(ctx context.Context, vmi *kubevirtv1.VirtualMachineInstance) error {
	before := vmi.DeepCopy()
	switch {
	case vmi.DeletionTimestamp != nil && !vmi.IsFinal():
		enter(vmi, kubevirtv1.Succeeded)
	case vmi.DeletionTimestamp == nil && vmi.Status.Phase == kubevirtv1.Scheduled:
		enter(vmi, kubevirtv1.Running)
		vmi.Status.Interfaces = interfaces(&vmi.Spec, n.address)
	default:
		return nil
	}
	// What others write meanwhile is kept, but a phase is never set on what was not seen.
	return n.client.Patch(ctx, vmi, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

func enter(vmi *kubevirtv1.VirtualMachineInstance, phase kubevirtv1.VirtualMachineInstancePhase) {
	vmi.Status.Phase = phase
	vmi.Status.PhaseTransitionTimestamps = append(vmi.Status.PhaseTransitionTimestamps,
		kubevirtv1.VirtualMachineInstancePhaseTransitionTimestamp{Phase: phase, PhaseTransitionTimestamp: metav1.Now()})
}

// interfaces is what the domain reports of the networks of an instance.
func interfaces(spec *kubevirtv1.VirtualMachineInstanceSpec, address func() (ip, mac string)) []kubevirtv1.VirtualMachineInstanceNetworkInterface {
	var reported []kubevirtv1.VirtualMachineInstanceNetworkInterface
	for _, nic := range spec.Domain.Devices.Interfaces {
		ip, mac := address()
		if nic.MacAddress != "" {
			mac = nic.MacAddress
		}
		reported = append(reported, kubevirtv1.VirtualMachineInstanceNetworkInterface{
			Name: nic.Name, IP: ip, IPs: []string{ip}, MAC: mac, InfoSource: "domain", QueueCount: 1,
		})
	}
	return reported
}
