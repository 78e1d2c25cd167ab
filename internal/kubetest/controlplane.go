package kubetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// controlPlane is a process of tools/controlplane.
type controlPlane struct {
	dir  string // empty for temporary data
	port int    // 0 until the first start, which chooses it

	kubeVirt bool // wanted in it

	kubeconfig string   // the file of the administrator's
	process    *process // nil when stopped
}

func (p *controlPlane) start(ctx context.Context) ([]byte, error) {
	binary, err := Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("build the control plane: %w", err)
	}
	if err := p.makeDir(); err != nil {
		return nil, err
	}
	var ready struct{ URL, Kubeconfig string }
	p.process, err = startProcess(ctx, &ready, binary, "-exit-with-stdin", "-data-dir="+p.dir, "-port="+strconv.Itoa(p.port))
	if err != nil {
		return nil, fmt.Errorf("run the control plane: %w", err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(ready.URL, "https://"), ":")
	if p.port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("read port of %s: %w", ready.URL, err)
	}
	p.kubeconfig = ready.Kubeconfig
	return os.ReadFile(p.kubeconfig)
}

func (p *controlPlane) makeDir() (err error) {
	if p.dir == "" {
		return nil
	}
	if p.dir, err = filepath.Abs(p.dir); err != nil {
		return err
	}
	return os.MkdirAll(p.dir, 0o700)
}

func (p *controlPlane) stop() error {
	running := p.process
	p.process = nil
	return running.stop()
}
