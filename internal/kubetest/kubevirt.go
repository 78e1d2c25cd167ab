package kubetest

import (
	"context"
	"errors"
	"fmt"

	"kv-shepherd.io/shepherd/internal/kubetest/standin"
)

// kubeVirt is KubeVirt in a cluster: a process of tools/kubevirt, and in this process what stands in
// for the machines.
type kubeVirt struct {
	version string
	process *process
	machine func() error // ends the stand-in
}

// startKubeVirt installs KubeVirt in a control plane and starts it.
func (c *Cluster) startKubeVirt(ctx context.Context, own *controlPlane) error {
	binary, err := BuildKubeVirt(ctx)
	if err != nil {
		return fmt.Errorf("build KubeVirt: %w", err)
	}
	k := &kubeVirt{}
	c.kubeVirt = k
	var ready struct{ Version string }
	if k.process, err = startProcess(ctx, &ready, binary, "-exit-with-stdin", "-kubeconfig="+own.kubeconfig); err != nil {
		return fmt.Errorf("run KubeVirt: %w", err)
	}
	k.version = ready.Version
	if k.machine, err = standin.Start(ctx, c.config, c.client.Scheme()); err != nil {
		return fmt.Errorf("start what stands in for the machines: %w", err)
	}
	return nil
}

func (k *kubeVirt) stop() error {
	if k == nil {
		return nil
	}
	var err error
	if k.machine != nil {
		err = k.machine()
	}
	return errors.Join(err, k.process.stop())
}
