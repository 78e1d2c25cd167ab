package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// supervisor is the parent of the server. It waits for an order on its standard input. When this
// process ends, however it does, there is an end of file instead, which no signal handler or
// cleanup could give us.
//
// Arguments: the directory to remove with the server (or nothing), then the server's command line.
// Descriptor 3 is a pipe that only the server keeps open, so that its end can be seen.
const supervisor = `
temporary=$1
shift
"$@" </dev/null &
server=$!
exec 3>&-
read -r order
case $order in
stop) kill -INT $server ;;
kill) kill -KILL $server ;;
*) kill -QUIT $server ;;
esac
wait $server
if [ -z "$order" ] && [ -n "$temporary" ]; then
	cd / && rm -rf "$temporary"
fi
`

const (
	orderStop  = "stop"  // disconnect everyone, write all data, end
	orderCrash = "crash" // end at once
	orderKill  = "kill"  // end without knowing it
)

// endTimeout is how long a server may take to end.
const endTimeout = 30 * time.Second

// process is a running server with its supervisor.
type process struct {
	cmd    *exec.Cmd
	orders io.WriteCloser
	gone   chan struct{} // closed when the server has ended
	log    string
}

// supervise starts the server of a directory. It writes to the file log there, not to our standard
// output: `go test` would wait for that to be closed.
func (in *installation) supervise(dir string, temporary bool, flags []string) (*process, error) {
	p := &process{gone: make(chan struct{}), log: filepath.Join(dir, "log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	alive, aliveEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer aliveEnd.Close()
	var remove string
	if temporary {
		remove = dir
	}
	args := append([]string{"-c", supervisor, "supervisor", remove, filepath.Join(in.bin, "postgres")}, flags...)
	p.cmd = in.command(dir, "/bin/sh", args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.ExtraFiles = []*os.File{aliveEnd}
	// A group of its own: Ctrl-C is for us, the supervisor then sees us end.
	p.cmd.SysProcAttr.Setpgid = true
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	go p.watch(alive)
	return p, nil
}

func (p *process) watch(alive *os.File) {
	defer close(p.gone)
	defer alive.Close()
	// Nothing is written to the pipe: this returns when the last holder has closed it.
	_, _ = io.Copy(io.Discard, alive)
}

// end gives the order and waits for the server and its supervisor.
func (p *process) end(order string) error {
	_, err := io.WriteString(p.orders, order+"\n")
	if err := errors.Join(err, p.orders.Close()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("order the server to %s: %w", order, err)
	}
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		<-p.gone // of a server that was killed, those who work for it live a moment longer
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil // the status of a server that was told to end says nothing
		}
		return err
	case <-time.After(endTimeout):
		return fmt.Errorf("the server did not %s within %s: %s", order, endTimeout, p.lastLines())
	}
}

// lastLines returns the end of the server's log for an error message.
func (p *process) lastLines() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
