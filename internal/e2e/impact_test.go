package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/retry"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/render/impacttest"
)

// notPlayed are the changes that the cluster of the tests cannot play, and why.
var notPlayed = map[string]string{
	"no CPU":                       "the webhook gives it one",
	"sockets past maxSockets":      "the webhook refuses it",
	"memory past maxGuest":         "the webhook refuses it",
	"memory on s390x":              "the node is amd64",
	"memory of an encrypted VM":    "it needs another firmware",
	"memory of a VM with a GPU":    "the node has none",
	"memory with NUMA passthrough": "the node has no huge pages",
	"memory of a realtime VM":      "the node has no huge pages",
	"another claim":                "there is no claim",
	"another claim by migration":   "there is no claim",
	"disk template":                "nobody makes a disk of it",
	"instance type":                "it brings the CPUs that the VM has as well",
	"halted":                       "nothing runs then that could wait for a restart",
	"started":                      "it runs",
}

// quietly is a change that waits for the next start although KubeVirt does not say so.
const quietly = "new interface that cannot be plugged"

// TestImpactOnKubeVirt changes running VMs of a real KubeVirt. It says RestartRequired exactly where the preview
// says restart.
func TestImpactOnKubeVirt(t *testing.T) {
	t.Parallel()
	cluster := kubetest.NewKubeVirt(t)
	namespace := cluster.Namespace(t)
	played := 0
	for i, c := range impacttest.Cases {
		if notPlayed[c.Name] != "" {
			continue
		}
		played++
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			vm := playable(t, namespace, fmt.Sprintf("vm-%02d", i))
			if c.From != nil {
				c.From(vm, &vm.Spec.Template.Spec)
			}
			if err := cluster.Client().Create(t.Context(), vm); err != nil {
				t.Fatal(err)
			}
			eventuallyVM(t, cluster.Client(), vm, func() bool { return vm.Status.Ready })
			impact := change(t, cluster.Client(), vm, c)
			want := impact == render.ImpactRestart && c.Name != quietly
			eventuallyVM(t, cluster.Client(), vm, func() bool {
				return vm.Status.DesiredGeneration == vm.Generation && asksForRestart(vm) == want
			})
		})
	}
	if played+len(notPlayed) != len(impacttest.Cases) || played < 43 {
		t.Errorf("%d changes are played and %d are not, of %d", played, len(notPlayed), len(impacttest.Cases))
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
	manifests, problems := render.Render(machineOf(namespace))
	if problems.Blocking() {
		t.Fatal(problems.Plain())
	}
	vm, err := render.ToVM(manifests[len(manifests)-1])
	if err != nil {
		t.Fatal(err)
	}
	vm.Name = name
	instance := &vm.Spec.Template.Spec
	instance.AccessCredentials, instance.Architecture = nil, "amd64"
	for i := range instance.Volumes[:2] {
		instance.Volumes[i].VolumeSource = kubevirtv1.VolumeSource{ContainerDisk: &kubevirtv1.ContainerDiskSource{Image: "a"}}
	}
	return vm
}

// change makes the change and says how it is judged. No agent of KubeVirt's finds out that the played instances can
// be migrated, which memory is plugged into only then.
func change(t *testing.T, c client.Client, vm *kubevirtv1.VirtualMachine, k impacttest.Case) (impact render.Impact) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(vm), vm); err != nil {
			return err
		}
		from := asObject(t, vm)
		k.Change(vm, &vm.Spec.Template.Spec)
		to := asObject(t, vm)
		_, impact = render.JudgeImpact(render.KindVirtualMachine, render.Differences(from, to), to,
			render.ImpactContext{Running: true, NotMigratable: strings.Contains(k.Name, "memory")})
		return c.Update(t.Context(), vm)
	})
	if err != nil {
		t.Fatal(err)
	}
	return impact
}

func asObject(t *testing.T, object any) (out map[string]any) {
	t.Helper()
	data, err := json.Marshal(object)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func eventuallyVM(t *testing.T, c client.Client, vm *kubevirtv1.VirtualMachine, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
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
