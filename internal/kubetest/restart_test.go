package kubetest_test

import (
	"os"
	"path/filepath"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

func TestRestartKeepsObjects(t *testing.T) {
	t.Setenv("SHEPHERD_TEST_KUBECONFIG", "") // these are about a cluster of our own
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

func TestRestartWantsDirectory(t *testing.T) {
	t.Parallel()
	if err := kubetest.New(t).Restart(t.Context()); err == nil {
		t.Error("a cluster without a directory was restarted")
	}
}

func TestGivenCluster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, kubetest.New(t).Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHEPHERD_TEST_KUBECONFIG", file)
	c, err := kubetest.Start(t.Context(), kubetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Config().Host != kubetest.New(t).Config().Host {
		t.Error("another cluster was used than the one given")
	}
	var ns string
	t.Run("inner", func(t *testing.T) { ns = c.Namespace(t) })
	eventually(t, "the namespace of a finished test to go away", func() bool { return gone(t, c, ns) })
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
