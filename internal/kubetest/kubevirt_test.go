package kubetest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	kubevirtv1 "kubevirt.io/api/core/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/kubetest/standin"
)

// virt is a namespace of a cluster with KubeVirt.
type virt struct {
	*testing.T
	*kubetest.Cluster
	ns string
}

func newVirt(t *testing.T) virt {
	t.Helper()
	t.Parallel()
	c := kubetest.NewKubeVirt(t)
	return virt{t, c, c.Namespace(t)}
}

func (v virt) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: v.ns, Name: name}
}

// run applies a machine and returns its instance when that runs.
func (v virt) run(u *unstructured.Unstructured) *kubevirtv1.VirtualMachineInstance {
	v.Helper()
	apply(v.T, v.Client(), u)
	return v.running(u.GetName())
}

// running waits until KubeVirt says that a machine runs, and returns its instance.
func (v virt) running(name string) *kubevirtv1.VirtualMachineInstance {
	v.Helper()
	v.state(name, kubevirtv1.VirtualMachineStatusRunning)
	var vmi kubevirtv1.VirtualMachineInstance
	if err := v.Client().Get(v.Context(), v.key(name), &vmi); err != nil {
		v.Fatal(err)
	}
	return &vmi
}

// state waits for what KubeVirt says about a machine.
func (v virt) state(name string, want kubevirtv1.VirtualMachinePrintableStatus) {
	v.Helper()
	var vm kubevirtv1.VirtualMachine
	eventually(v.T, fmt.Sprintf("%s to be %s", name, want), func() bool {
		err := v.Client().Get(v.Context(), v.key(name), &vm)
		return err == nil && vm.Status.PrintableStatus == want
	})
}

// gone waits until an object is no longer there.
func (v virt) gone(object client.Object, name string) {
	v.Helper()
	eventually(v.T, fmt.Sprintf("%T %s to go", object, name), func() bool {
		return apierrors.IsNotFound(v.Client().Get(v.Context(), v.key(name), object))
	})
}

// ask calls a subresource of a machine with somebody's access.
func (v virt) ask(kubeconfig []byte, name, verb string) error {
	v.Helper()
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		v.Fatal(err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		v.Fatal(err)
	}
	return disco.RESTClient().Put().
		AbsPath("/apis/subresources.kubevirt.io/v1/namespaces", v.ns, "virtualmachines", name, verb).
		Body([]byte("{}")).Do(v.Context()).Error()
}

// set returns a machine with one field changed.
func set(t *testing.T, u *unstructured.Unstructured, value any, path ...string) *unstructured.Unstructured {
	t.Helper()
	u = u.DeepCopy()
	if err := unstructured.SetNestedField(u.Object, value, path...); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestKubeVirtRunsMachine(t *testing.T) {
	v := newVirt(t)
	vm := machine(v.ns, "web")
	vmi := v.run(vm)
	if vmi.Status.NodeName != standin.NodeName {
		t.Errorf("it runs on %q, want %q", vmi.Status.NodeName, standin.NodeName)
	}
	if nics := vmi.Status.Interfaces; len(nics) != 1 || nics[0].IP == "" || nics[0].Name != "default" {
		t.Errorf("its interfaces are %+v, want one with an address", nics)
	}
	apply(t, v.Client(), set(t, machine(v.ns, "web"), "Halted", "spec", "runStrategy"))
	v.state("web", kubevirtv1.VirtualMachineStatusStopped)
	v.gone(&kubevirtv1.VirtualMachineInstance{}, "web")
}

func TestKubeVirtSubresources(t *testing.T) {
	v := newVirt(t)
	first := v.run(machine(v.ns, "web"))
	if err := v.ask(v.Kubeconfig(), "web", "restart"); err != nil {
		t.Fatal(err)
	}
	var second *kubevirtv1.VirtualMachineInstance
	eventually(t, "another instance", func() bool {
		second = v.running("web")
		return second.UID != first.UID
	})
	if err := v.ask(v.Kubeconfig(), "web", "stop"); err != nil {
		t.Fatal(err)
	}
	v.gone(&kubevirtv1.VirtualMachineInstance{}, "web")
	if err := v.ask(v.Kubeconfig(), "web", "restart"); !apierrors.IsConflict(err) {
		t.Errorf("restarting a machine that is off gave %v, want a conflict", err)
	}
	if err := v.ask(v.Kubeconfig(), "web", "start"); err != nil {
		t.Fatal(err)
	}
	if third := v.running("web"); third.UID == second.UID {
		t.Error("it runs in the instance that was stopped")
	}
}

func TestKubeVirtAsksWhoMayRestart(t *testing.T) {
	v := newVirt(t)
	v.run(machine(v.ns, "web"))
	rule := func(sub string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{"subresources.kubevirt.io"}, Resources: []string{"virtualmachines/" + sub}, Verbs: []string{"update"}}
	}
	if err := v.ask(v.Restricted(t, rule("stop")), "web", "restart"); !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		t.Errorf("somebody who may only stop got %v for a restart", err)
	}
	if err := v.ask(v.Restricted(t, rule("restart")), "web", "restart"); err != nil {
		t.Errorf("somebody who may restart got %v", err)
	}
}

func TestKubeVirtDeletesMachine(t *testing.T) {
	v := newVirt(t)
	v.run(withVolume(t, machine(v.ns, "db"), "db-root", "5Gi"))
	if err := v.Client().Delete(t.Context(), machine(v.ns, "db")); err != nil {
		t.Fatal(err)
	}
	v.gone(&kubevirtv1.VirtualMachine{}, "db")
	v.gone(&kubevirtv1.VirtualMachineInstance{}, "db")
	v.gone(&cdiv1beta1.DataVolume{}, "db-root")
	v.gone(&corev1.PersistentVolumeClaim{}, "db-root")
	eventually(t, "the pods to go", func() bool {
		var pods corev1.PodList
		return v.Client().List(t.Context(), &pods, client.InNamespace(v.ns)) == nil && len(pods.Items) == 0
	})
}

func TestKubeVirtJudges(t *testing.T) {
	v := newVirt(t)
	wrong := set(t, machine(v.ns, "web"), "Sometimes", "spec", "runStrategy")
	for _, dryRun := range []bool{true, false} {
		opts := []client.ApplyOption{client.FieldOwner("test")}
		if dryRun {
			opts = append(opts, client.DryRunAll)
		}
		err := v.Client().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(wrong.DeepCopy()), opts...)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "RunStrategy") {
			t.Errorf("a wrong run strategy, dry run %t: got %v, want it refused by KubeVirt", dryRun, err)
		}
	}
	good := machine(v.ns, "web")
	err := v.Client().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(good), client.FieldOwner("test"), client.DryRunAll)
	if err != nil {
		t.Fatal(err)
	}
	if uuid, _, err := unstructured.NestedString(good.Object, "spec", "template", "spec", "domain", "firmware", "uuid"); uuid == "" || err != nil {
		t.Errorf("a machine without firmware got uuid %q (%v), want KubeVirt's default", uuid, err)
	}
	v.gone(&kubevirtv1.VirtualMachine{}, "web")
}

func TestKubeVirtExpandsInstancetype(t *testing.T) {
	v := newVirt(t)
	size := &instancetypev1beta1.VirtualMachineClusterInstancetype{
		ObjectMeta: metav1.ObjectMeta{Name: v.ns},
		Spec: instancetypev1beta1.VirtualMachineInstancetypeSpec{
			CPU:    instancetypev1beta1.CPUInstancetype{Guest: 3},
			Memory: instancetypev1beta1.MemoryInstancetype{Guest: resource.MustParse("3Gi")},
		},
	}
	if err := v.Client().Create(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	vm := machine(v.ns, "web")
	unstructured.RemoveNestedField(vm.Object, "spec", "template", "spec", "domain", "memory")
	vmi := v.run(set(t, vm, map[string]any{"name": v.ns}, "spec", "instancetype"))
	if cpu := vmi.Spec.Domain.CPU; cpu == nil || cpu.Sockets*cpu.Cores*cpu.Threads != 3 {
		t.Errorf("the instance has %+v, want 3 CPUs", cpu)
	}
	if mem := vmi.Spec.Domain.Memory; mem == nil || mem.Guest.Cmp(resource.MustParse("3Gi")) != 0 {
		t.Errorf("the instance has %+v, want 3Gi", mem)
	}
}

func TestVolumesGrow(t *testing.T) {
	v := newVirt(t)
	v.run(withVolume(t, machine(v.ns, "db"), "db-root", "5Gi"))
	var pvc corev1.PersistentVolumeClaim
	has := func(want string) bool {
		if err := v.Client().Get(t.Context(), v.key("db-root"), &pvc); err != nil {
			t.Fatal(err)
		}
		return pvc.Status.Capacity.Storage().Cmp(resource.MustParse(want)) == 0
	}
	eventually(t, "the claim to be bound", func() bool { return has("5Gi") })
	grow := []byte(`{"spec":{"resources":{"requests":{"storage":"8Gi"}}}}`)
	if err := v.Client().Patch(t.Context(), &pvc, client.RawPatch(types.MergePatchType, grow)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim to grow", func() bool { return has("8Gi") })
}

func TestClaimInUseStays(t *testing.T) {
	v := newVirt(t)
	vm := withVolume(t, machine(v.ns, "db"), "db-root", "5Gi")
	v.run(vm.DeepCopy())
	var pvc corev1.PersistentVolumeClaim
	if err := v.Client().Get(t.Context(), v.key("db-root"), &pvc); err != nil {
		t.Fatal(err)
	}
	if err := v.Client().Delete(t.Context(), &pvc); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // long enough for a claim that nobody uses
	if err := v.Client().Get(t.Context(), v.key("db-root"), &pvc); err != nil || pvc.DeletionTimestamp == nil {
		t.Fatalf("a deleted claim in use is not kept: %v", err)
	}
	apply(t, v.Client(), set(t, vm, "Halted", "spec", "runStrategy"))
	v.gone(&pvc, "db-root")
}

// A data volume by itself, from an image that somebody publishes under a name, is what a machine can
// be made on as well.
func TestMachineOnVolumeFromImage(t *testing.T) {
	v := newVirt(t)
	dv := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "DataVolume",
		"metadata": map[string]any{"namespace": v.ns, "name": "web-root"},
		"spec": map[string]any{
			"sourceRef": map[string]any{"kind": "DataSource", "namespace": "images", "name": "ubuntu"},
			"storage":   map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "10Gi"}}},
		},
	}}
	apply(t, v.Client(), dv)
	vm := withVolume(t, machine(v.ns, "web"), "web-root", "10Gi")
	unstructured.RemoveNestedField(vm.Object, "spec", "dataVolumeTemplates")
	vmi := v.run(vm)
	if volumes := vmi.Status.VolumeStatus; len(volumes) != 1 || volumes[0].PersistentVolumeClaimInfo == nil {
		t.Errorf("the instance's volumes are %+v, want one with a claim", volumes)
	}
}

// withVolume returns a machine with a disk that comes with it.
func withVolume(t *testing.T, u *unstructured.Unstructured, name, size string) *unstructured.Unstructured {
	t.Helper()
	spec := []string{"spec", "template", "spec"}
	u = set(t, u, []any{map[string]any{
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"source":  map[string]any{"blank": map[string]any{}},
			"storage": map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": size}}},
		},
	}}, "spec", "dataVolumeTemplates")
	u = set(t, u, []any{map[string]any{"name": "root", "disk": map[string]any{"bus": "virtio"}}},
		append(spec, "domain", "devices", "disks")...)
	return set(t, u, []any{map[string]any{"name": "root", "dataVolume": map[string]any{"name": name}}},
		append(spec, "volumes")...)
}

// TestKubeVirtRestartAndStop has a cluster of its own.
func TestKubeVirtRestartAndStop(t *testing.T) {
	c, err := kubetest.Start(t.Context(), kubetest.Options{Dir: t.TempDir(), KubeVirt: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	v := virt{t, c, c.Namespace(t)}
	before := v.run(machine(v.ns, "web"))
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := v.running("web"); after.UID != before.UID {
		t.Error("the instance did not survive")
	}
	v.run(machine(v.ns, "new"))
	if got := c.KubeVirtVersion(); !strings.HasPrefix(got, "v1.") {
		t.Errorf("the version of KubeVirt is %q", got)
	}
	address := webhooks(v)
	if !listening(address) {
		t.Errorf("nothing listens on %s", address)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if listening(address) {
		t.Error("the webhooks are still there")
	}
	if got := c.KubeVirtVersion(); got != "" {
		t.Errorf("a stopped cluster runs KubeVirt %s", got)
	}
}

// webhooks returns the address of KubeVirt's webhooks.
func webhooks(v virt) string {
	v.Helper()
	var registered admissionv1.ValidatingWebhookConfiguration
	if err := v.Client().Get(v.Context(), client.ObjectKey{Name: "virt-api-validator"}, &registered); err != nil {
		v.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", *registered.Webhooks[0].ClientConfig.Service.Port)
}

// BenchmarkKubeVirtMachines measures how fast machines that are applied at once come to run.
func BenchmarkKubeVirtMachines(b *testing.B) {
	c := kubetest.NewKubeVirt(b)
	ns := c.Namespace(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range b.N {
		wg.Go(func() {
			if err := tryApply(b.Context(), c.Client(), machine(ns, fmt.Sprintf("vm-%d", i))); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if err := allRun(b.Context(), c.Client(), ns, b.N); err != nil {
		b.Fatal(err)
	}
}

func allRun(ctx context.Context, c client.Client, ns string, want int) error {
	deadline := time.Now().Add(5 * time.Minute)
	for time.Now().Before(deadline) {
		var vms kubevirtv1.VirtualMachineList
		if err := c.List(ctx, &vms, client.InNamespace(ns)); err != nil {
			return err
		}
		running := 0
		for i := range vms.Items {
			if vms.Items[i].Status.PrintableStatus == kubevirtv1.VirtualMachineStatusRunning {
				running++
			}
		}
		if running == want {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("not all machines came to run")
}
