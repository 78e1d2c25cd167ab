package render

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

// notPlayed are the cases that the cluster of the tests cannot play, and why.
var notPlayed = map[string]string{
	"no CPU":                       "the webhook gives it one",
	"sockets past maxSockets":      "the webhook refuses it",
	"memory past maxGuest":         "the webhook refuses it",
	"memory on s390x":              "the node is amd64",
	"memory of an encrypted VM":    "it needs another firmware",
	"memory of a VM with a GPU":    "the node has none",
	"memory with NUMA passthrough": "the node has no huge pages",
	"memory of a realtime VM":      "the node has no huge pages",
}

// quiet are the cases where the change waits for the next start, and KubeVirt does not say so.
var quiet = []string{"new interface that cannot be plugged"}

// TestImpactOnKubeVirt changes running VMs of a real KubeVirt. It says RestartRequired exactly where we do.
func TestImpactOnKubeVirt(t *testing.T) {
	t.Parallel()
	cluster := kubetest.NewKubeVirt(t)
	namespace := cluster.Namespace(t)
	for i, c := range impactCases {
		if notPlayed[c.name] != "" || c.on != nil || strings.Contains(c.path, "dataVolume.name") || strings.HasPrefix(c.path, "spec.data") ||
			strings.HasPrefix(c.path, "spec.instancetype") || c.path == "spec.runStrategy" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			vm := playable(t, namespace, "vm-"+string(rune('a'+i/26))+string(rune('a'+i%26)))
			if c.from != nil {
				c.from(vm, &vm.Spec.Template.Spec)
			}
			if err := cluster.Client().Create(t.Context(), vm); err != nil {
				t.Fatal(err)
			}
			eventuallyVM(t, cluster.Client(), vm, func() bool { return vm.Status.Ready })
			impact := change(t, cluster.Client(), vm, c)
			want := impact == ImpactRestart && !slices.Contains(quiet, c.name)
			eventuallyVM(t, cluster.Client(), vm, func() bool {
				return vm.Status.DesiredGeneration == vm.Generation && asksForRestart(vm) == want
			})
		})
	}
}

func asksForRestart(vm *kubevirtv1.VirtualMachine) bool {
	return slices.ContainsFunc(vm.Status.Conditions, func(c kubevirtv1.VirtualMachineCondition) bool {
		return c.Type == kubevirtv1.VirtualMachineRestartRequired && c.Status == corev1.ConditionTrue
	})
}

// playable is a rendered VM that runs without disks and Secrets being there.
func playable(t *testing.T, namespace, name string) *kubevirtv1.VirtualMachine {
	t.Helper()
	vm := renderedVM(t)
	vm.Namespace, vm.Name = namespace, name
	instance := &vm.Spec.Template.Spec
	instance.AccessCredentials, instance.Architecture = nil, "amd64"
	for i := range instance.Volumes[:2] {
		instance.Volumes[i].VolumeSource = kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "a"}}
	}
	instance.Networks = []kubevirtv1.Network{{Name: "default", NetworkSource: kubevirtv1.NetworkSource{Pod: &kubevirtv1.PodNetwork{}}}}
	instance.Domain.Devices.Interfaces = []kubevirtv1.Interface{{Name: "default", InterfaceBindingMethod: masquerade}}
	return vm
}

// change makes the change and says how it is judged. No agent of KubeVirt's finds out that the played instances can
// be migrated, which memory is plugged into only then.
func change(t *testing.T, c client.Client, vm *kubevirtv1.VirtualMachine, k impactCase) (impact Impact) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(vm), vm); err != nil {
			return err
		}
		from := asObject(t, vm)
		k.change(vm, &vm.Spec.Template.Spec)
		to := asObject(t, vm)
		_, impact = JudgeImpact(KindVirtualMachine, Differences(from, to), to,
			ImpactContext{Running: true, NotMigratable: strings.Contains(k.name, "memory")})
		return c.Update(t.Context(), vm)
	})
	if err != nil {
		t.Fatal(err)
	}
	return impact
}

func eventuallyVM(t *testing.T, c client.Client, vm *kubevirtv1.VirtualMachine, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(vm), vm); err != nil {
			t.Fatal(err)
		}
		if done() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s\n%+v", vm.Name, vm.Status.PrintableStatus, vm.Status.Conditions)
		}
	}
}
