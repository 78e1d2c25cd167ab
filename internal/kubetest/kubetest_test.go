package kubetest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	kubevirtv1 "kubevirt.io/api/core/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

// childVar makes the test binary start a cluster, print where it is, and wait to be killed.
const childVar = "KUBETEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child() error {
	c, err := kubetest.Start(context.Background(), kubetest.Options{})
	if err != nil {
		return err
	}
	fmt.Println(c.Config().Host)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestKindsAreServed(t *testing.T) {
	t.Parallel()
	c := kubetest.New(t)
	for _, list := range []client.ObjectList{
		&kubevirtv1.VirtualMachineList{},
		&kubevirtv1.VirtualMachineInstanceList{},
		&instancetypev1beta1.VirtualMachineInstancetypeList{},
		&instancetypev1beta1.VirtualMachineClusterInstancetypeList{},
		&instancetypev1beta1.VirtualMachinePreferenceList{},
		&instancetypev1beta1.VirtualMachineClusterPreferenceList{},
		&cdiv1beta1.DataVolumeList{},
		&cdiv1beta1.DataSourceList{},
	} {
		if err := c.Client().List(t.Context(), list); err != nil {
			t.Errorf("list %T: %v", list, err)
		}
	}
}

func TestApplyVirtualMachine(t *testing.T) {
	t.Parallel()
	c := kubetest.New(t)
	ns := c.Namespace(t)
	first := apply(t, c.Client(), machine(ns, "web"))
	if again := apply(t, c.Client(), machine(ns, "web")); again.GetResourceVersion() != first.GetResourceVersion() {
		t.Error("applying the same again changed the object")
	}
	wrong := machine(ns, "web")
	if err := unstructured.SetNestedField(wrong.Object, "many", "spec", "template", "spec", "domain", "cpu", "cores"); err != nil {
		t.Fatal(err)
	}
	if err := tryApply(t.Context(), c.Client(), wrong); err == nil {
		t.Error("cores that are no number were accepted: the schema is not in force")
	}
}

func TestSetVMStatus(t *testing.T) {
	t.Parallel()
	c := kubetest.New(t)
	ns := c.Namespace(t)
	apply(t, c.Client(), machine(ns, "web"))
	key := client.ObjectKey{Namespace: ns, Name: "web"}
	for _, tc := range []struct {
		state          kubevirtv1.VirtualMachinePrintableStatus
		created, ready bool
		condition      string // type=status
	}{
		{kubevirtv1.VirtualMachineStatusProvisioning, false, false, "Ready=False"},
		{kubevirtv1.VirtualMachineStatusStarting, true, false, "Ready=False"},
		{kubevirtv1.VirtualMachineStatusRunning, true, true, "Ready=True"},
		{kubevirtv1.VirtualMachineStatusPaused, true, false, "Paused=True"},
		{kubevirtv1.VirtualMachineStatusUnschedulable, true, false, "PodScheduled=False"},
		{kubevirtv1.VirtualMachineStatusImagePullBackOff, true, false, "Synchronized=False"},
		{kubevirtv1.VirtualMachineStatusPvcNotFound, true, false, "Synchronized=False"},
		{kubevirtv1.VirtualMachineStatusStopped, false, false, "Ready=False"},
	} {
		vm := setStatus(t, c.Client(), key, tc.state)
		s := vm.Status
		if s.PrintableStatus != tc.state || s.Created != tc.created || s.Ready != tc.ready {
			t.Errorf("%s: got %s, created %t, ready %t", tc.state, s.PrintableStatus, s.Created, s.Ready)
		}
		if !hasCondition(vm, tc.condition) {
			t.Errorf("%s: conditions %v, want %s", tc.state, s.Conditions, tc.condition)
		}
	}
}

func TestSetVMStatusKeepsBootedGeneration(t *testing.T) {
	t.Parallel()
	c := kubetest.New(t)
	ns := c.Namespace(t)
	apply(t, c.Client(), machine(ns, "web"))
	key := client.ObjectKey{Namespace: ns, Name: "web"}
	running := setStatus(t, c.Client(), key, kubevirtv1.VirtualMachineStatusRunning)
	bigger := machine(ns, "web")
	if err := unstructured.SetNestedField(bigger.Object, "4Gi", "spec", "template", "spec", "domain", "memory", "guest"); err != nil {
		t.Fatal(err)
	}
	apply(t, c.Client(), bigger)
	restart := kubevirtv1.VirtualMachineCondition{Type: kubevirtv1.VirtualMachineRestartRequired, Status: corev1.ConditionTrue}
	changed := setStatus(t, c.Client(), key, kubevirtv1.VirtualMachineStatusRunning, restart)
	if changed.Status.ObservedGeneration != running.Generation || changed.Status.DesiredGeneration != changed.Generation {
		t.Errorf("observed %d, desired %d; want %d and %d", changed.Status.ObservedGeneration,
			changed.Status.DesiredGeneration, running.Generation, changed.Generation)
	}
	if !hasCondition(changed, "RestartRequired=True") {
		t.Errorf("conditions %v lack the further one", changed.Status.Conditions)
	}
}

func TestRestricted(t *testing.T) {
	t.Parallel()
	c := kubetest.New(t)
	ns := c.Namespace(t)
	user := clientFor(t, c, c.Restricted(t, rbacv1.PolicyRule{
		APIGroups: []string{"kubevirt.io"}, Resources: []string{"virtualmachines"}, Verbs: []string{"get", "create", "patch"},
	}))
	apply(t, user, machine(ns, "web"))
	for what, err := range map[string]error{
		"delete a machine": user.Delete(t.Context(), machine(ns, "web")),
		"read secrets":     user.List(t.Context(), &corev1.SecretList{}, client.InNamespace(ns)),
		"make namespaces":  user.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns + "-x"}}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want it forbidden", what, err)
		}
	}
	nobody := clientFor(t, c, c.Restricted(t))
	if err := nobody.List(t.Context(), &kubevirtv1.VirtualMachineList{}); !apierrors.IsForbidden(err) {
		t.Errorf("without rules: got %v, want it forbidden", err)
	}
}

func TestClusterDiesWithItsParent(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=1", "SHEPHERD_TEST_KUBECONFIG=")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	host, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(strings.TrimSpace(host), "https://")
	if !listening(address) {
		t.Fatalf("nothing listens on %s", address)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	eventually(t, "the cluster to end", func() bool { return !listening(address) })
}

func listening(address string) bool {
	conn, err := net.Dial("tcp", address)
	return err == nil && conn.Close() == nil
}

// machine is the smallest that KubeVirt would take.
func machine(namespace, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1",
		"kind":       "VirtualMachine",
		"metadata":   map[string]any{"namespace": namespace, "name": name},
		"spec": map[string]any{
			"runStrategy": "Always",
			"template": map[string]any{"spec": map[string]any{
				"domain": map[string]any{
					"devices": map[string]any{},
					"memory":  map[string]any{"guest": "2Gi"},
				},
			}},
		},
	}}
}

func tryApply(ctx context.Context, c client.Client, u *unstructured.Unstructured) error {
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("test"))
}

func apply(t *testing.T, c client.Client, u *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	if err := tryApply(t.Context(), c, u); err != nil {
		t.Fatalf("apply %s: %v", u.GetName(), err)
	}
	return u
}

func setStatus(t *testing.T, c client.Client, key client.ObjectKey, state kubevirtv1.VirtualMachinePrintableStatus, further ...kubevirtv1.VirtualMachineCondition) *kubevirtv1.VirtualMachine {
	t.Helper()
	if err := kubetest.SetVMStatus(t.Context(), c, key, state, further...); err != nil {
		t.Fatal(err)
	}
	var vm kubevirtv1.VirtualMachine
	if err := c.Get(t.Context(), key, &vm); err != nil {
		t.Fatal(err)
	}
	return &vm
}

func hasCondition(vm *kubevirtv1.VirtualMachine, want string) bool {
	for _, c := range vm.Status.Conditions {
		if fmt.Sprintf("%s=%s", c.Type, c.Status) == want {
			return true
		}
	}
	return false
}

func clientFor(t *testing.T, c *kubetest.Cluster, kubeconfig []byte) client.Client {
	t.Helper()
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	user, err := client.New(cfg, client.Options{Scheme: c.Client().Scheme(), Mapper: c.Client().RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
