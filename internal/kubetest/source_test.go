package kubetest_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

// TestControlPlane is about the control plane of tools/controlplane, whatever cluster the environment
// has for the other tests.
func TestControlPlane(t *testing.T) {
	t.Setenv("SHEPHERD_TEST_KUBECONFIG", "")
	t.Setenv("KUBEBUILDER_ASSETS", "")
	c, err := kubetest.Start(t.Context(), kubetest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("restart keeps objects", func(t *testing.T) { restartKeepsObjects(t, c) })
	t.Run("garbage is collected", func(t *testing.T) { garbageIsCollected(t, c) })
	t.Run("namespace is removed", func(t *testing.T) { namespaceIsRemoved(t, c) })
}

func restartKeepsObjects(t *testing.T, c *kubetest.Cluster) {
	ns := c.Namespace(t)
	apply(t, c.Client(), machine(ns, "web"))
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKey{Namespace: ns, Name: "web"}
	if err := c.Client().Get(t.Context(), key, &kubevirtv1.VirtualMachine{}); err == nil {
		t.Error("a stopped cluster answered")
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Client().Get(t.Context(), key, &kubevirtv1.VirtualMachine{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func garbageIsCollected(t *testing.T, c *kubetest.Cluster) {
	ns := c.Namespace(t)
	vm := apply(t, c.Client(), machine(ns, "web"))
	owned := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "owned", Namespace: ns, OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "kubevirt.io/v1", Kind: "VirtualMachine", Name: "web", UID: vm.GetUID()},
	}}}
	if err := errors.Join(c.Client().Create(t.Context(), owned), c.Client().Delete(t.Context(), vm)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owned secret to go away", func() bool {
		return apierrors.IsNotFound(c.Client().Get(t.Context(), client.ObjectKeyFromObject(owned), &corev1.Secret{}))
	})
}

func namespaceIsRemoved(t *testing.T, c *kubetest.Cluster) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace(t)}}
	apply(t, c.Client(), machine(ns.Name, "web"))
	if err := c.Client().Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace to go away", func() bool {
		return apierrors.IsNotFound(c.Client().Get(t.Context(), client.ObjectKeyFromObject(ns), ns))
	})
}

func TestRestartWantsDirectory(t *testing.T) {
	t.Parallel()
	if err := kubetest.New(t).Restart(t.Context()); err == nil {
		t.Error("a cluster without a directory was restarted")
	}
}

func TestGivenCluster(t *testing.T) {
	own := kubetest.New(t)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, own.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHEPHERD_TEST_KUBECONFIG", file)
	c, err := kubetest.Start(t.Context(), kubetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Config().Host != own.Config().Host {
		t.Error("another cluster was used than the one given")
	}
	var ns corev1.Namespace
	t.Run("inner", func(t *testing.T) { ns.Name = c.Namespace(t) })
	err = c.Client().Get(t.Context(), client.ObjectKeyFromObject(&ns), &ns)
	if client.IgnoreNotFound(err) != nil || (err == nil && ns.DeletionTimestamp == nil) {
		t.Errorf("the namespace of a finished test was not deleted (%v)", err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	c.Namespace(t) // still runs: it is not ours to stop
}

func TestGivenClusterMustExist(t *testing.T) {
	t.Setenv("SHEPHERD_TEST_KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	if _, err := kubetest.Start(t.Context(), kubetest.Options{}); err == nil {
		t.Error("started without the cluster that was asked for")
	}
}
