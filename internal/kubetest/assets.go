package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// guard runs in place of each binary and becomes it. The watcher that it leaves beside it reads from
// a pipe that we alone hold open; at its end, which is ours, it ends the server and removes all data.
const guard = `#!/bin/sh
dir=${0%%/*}
(
	cat "$dir/guard" && kill -KILL $$ && sleep 1 && rm -rf "$dir"
) </dev/null >/dev/null 2>&1 &
exec %q "$@"
`

// assets is an API server from separate binaries. It has no controllers: deleted namespaces stay, and
// owner references are not followed.
type assets struct {
	binaries string

	dir  string   // holds the guards and all data
	pipe *os.File // the guards end with it
	env  *envtest.Environment
}

func (a *assets) start(context.Context) ([]byte, error) {
	if err := a.prepare(); err != nil {
		return nil, fmt.Errorf("guard the binaries of KUBEBUILDER_ASSETS: %w", err)
	}
	existing := false
	a.env = &envtest.Environment{UseExistingCluster: &existing}
	a.env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(a.dir, "etcd"), DataDir: filepath.Join(a.dir, "data")}
	server := a.env.ControlPlane.GetAPIServer()
	server.Path, server.CertDir = filepath.Join(a.dir, "kube-apiserver"), filepath.Join(a.dir, "keys")
	server.Configure().Set("authorization-mode", "RBAC").
		Set("enable-priority-and-fairness", "false").
		Set("max-requests-inflight", "0").Set("max-mutating-requests-inflight", "0")
	if _, err := a.env.Start(); err != nil {
		return nil, fmt.Errorf("start the binaries of KUBEBUILDER_ASSETS: %w", err)
	}
	return a.env.KubeConfig, nil
}

// prepare makes a directory with a guard in place of each binary.
func (a *assets) prepare() (err error) {
	// Not the fastest place for data: programs may not be executable there.
	if a.dir, err = os.MkdirTemp("", "kubetest-"); err != nil {
		return err
	}
	for _, name := range []string{"data", "keys"} {
		if err := os.Mkdir(filepath.Join(a.dir, name), 0o700); err != nil {
			return err
		}
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		binary, err := filepath.Abs(filepath.Join(a.binaries, name))
		if err != nil {
			return err
		}
		script := fmt.Sprintf(guard, binary)
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(script), 0o700); err != nil {
			return err
		}
	}
	fifo := filepath.Join(a.dir, "guard")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return err
	}
	// Opened for both, as opening it for writing alone waits for a reader.
	a.pipe, err = os.OpenFile(fifo, os.O_RDWR, 0)
	return err
}

func (a *assets) stop() error {
	if a.dir == "" {
		return nil
	}
	var err error
	if a.env != nil {
		err = a.env.Stop()
	}
	if a.pipe != nil {
		err = errors.Join(err, a.pipe.Close())
	}
	err = errors.Join(err, os.RemoveAll(a.dir))
	*a = assets{binaries: a.binaries}
	return err
}
