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
	"syscall"
	"time"

	"kv-shepherd.io/shepherd/tools/artifact"
)

// stopTimeout is how long a process may take to end before it is killed.
const stopTimeout = 20 * time.Second

// process is a running program that says in a line of JSON that it is ready, and ends when its
// standard input does, which is when this process ends at the latest.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *os.File
}

// startProcess runs a program until it has said what goes into ready. An error ends with the last
// lines of its log.
func startProcess(ctx context.Context, ready any, binary string, args ...string) (*process, error) {
	p := &process{}
	stdout, err := p.run(binary, args)
	if err != nil {
		return nil, err
	}
	if err := p.waitReady(ctx, stdout, ready); err != nil {
		err = errors.Join(err, p.end())
		err = fmt.Errorf("wait until it is ready: %w: %s", err, p.lastLines())
		return nil, errors.Join(err, p.log.Close())
	}
	return p, nil
}

// run starts the process and returns its standard output.
func (p *process) run(binary string, args []string) (stdout io.Reader, err error) {
	scratch := artifact.Scratch()[0]
	// Standard error is a file without a name: it takes no reader, and nobody has to remove it.
	if p.log, err = os.CreateTemp(scratch, "kubetest-log-"); err != nil {
		return nil, err
	}
	if err := os.Remove(p.log.Name()); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args...)
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

// waitReady reads the line that the process prints when it is ready.
func (p *process) waitReady(ctx context.Context, stdout io.Reader, ready any) error {
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("it ended")
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(line, ready)
}

// stop ends the process; one that was never started needs no end.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	return errors.Join(p.end(), p.log.Close())
}

func (p *process) end() error {
	err := p.stdin.Close()
	timer := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	waitErr := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) && exit.Exited() {
		waitErr = nil // its own account of an end that we asked for
	}
	return errors.Join(err, waitErr)
}

// lastLines returns the end of the log for an error message.
func (p *process) lastLines() string {
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
