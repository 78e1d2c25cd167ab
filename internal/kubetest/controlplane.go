package kubetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kv-shepherd.io/shepherd/tools/artifact"
)

// stopTimeout is how long the control plane may take to end before it is killed.
const stopTimeout = 20 * time.Second

// controlPlane is a process of tools/controlplane. It ends when its standard input does, which is
// when this process ends at the latest.
type controlPlane struct {
	dir  string // empty for temporary data
	port int    // 0 until the first start, which chooses it

	cmd   *exec.Cmd // nil when stopped
	stdin io.Closer
	log   *os.File
}

func (p *controlPlane) start(ctx context.Context) ([]byte, error) {
	binary, err := Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("build the control plane: %w", err)
	}
	if err := p.makeDir(); err != nil {
		return nil, err
	}
	stdout, err := p.run(binary)
	if err != nil {
		return nil, fmt.Errorf("run the control plane: %w", err)
	}
	kubeconfig, err := p.waitReady(ctx, stdout)
	if err != nil {
		tail := p.lastLines()
		return nil, fmt.Errorf("wait for the control plane: %w: %s", errors.Join(err, p.stop()), tail)
	}
	return kubeconfig, nil
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

// run starts the process and returns its standard output.
func (p *controlPlane) run(binary string) (stdout io.Reader, err error) {
	scratch := artifact.Scratch()[0]
	// Standard error is a file without a name: it takes no reader, and nobody has to remove it.
	if p.log, err = os.CreateTemp(scratch, "controlplane-log-"); err != nil {
		return nil, err
	}
	if err := os.Remove(p.log.Name()); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "-exit-with-stdin", "-data-dir="+p.dir, "-port="+strconv.Itoa(p.port))
	cmd.Env = append(os.Environ(), "TMPDIR="+scratch)
	cmd.Stderr = p.log
	// A group of its own: Ctrl-C is for us, and we may still want to stop it in good order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.cmd = cmd
	return stdout, nil
}

// waitReady reads the line that the control plane prints when it is ready.
func (p *controlPlane) waitReady(ctx context.Context, stdout io.Reader) ([]byte, error) {
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it ended")
	}
	if err != nil {
		return nil, err
	}
	var ready struct{ URL, Kubeconfig string }
	if err := json.Unmarshal(line, &ready); err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(ready.URL, "https://"), ":")
	if p.port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("read port of %s: %w", ready.URL, err)
	}
	return os.ReadFile(ready.Kubeconfig)
}

func (p *controlPlane) stop() error {
	if p.cmd == nil {
		return nil
	}
	cmd := p.cmd
	p.cmd = nil
	defer p.log.Close()
	err := p.stdin.Close()
	timer := time.AfterFunc(stopTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) && exit.Exited() {
		waitErr = nil // its own account of an end that we asked for
	}
	return errors.Join(err, waitErr)
}

// lastLines returns the end of the log for an error message.
func (p *controlPlane) lastLines() string {
	const most = 2000
	info, err := p.log.Stat()
	if err != nil {
		return err.Error()
	}
	text := make([]byte, min(info.Size(), most))
	if _, err := p.log.ReadAt(text, info.Size()-int64(len(text))); err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	return string(text)
}
