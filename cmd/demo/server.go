package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"kv-shepherd.io/shepherd/internal/stage"
)

// stopTimeout is how long the server may take to finish its work before it is killed.
const stopTimeout = 45 * time.Second

// supervisor is the parent of the server. An order on its standard input stops the server in good order;
// an end of file without one means that the demo was killed: the server goes at once, and so does the
// demo's directory. The supervisor's status is the server's.
//
// Arguments: the demo's directory, then the server's command line.
const supervisor = `
dir=$1
shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(
	if read -r order; then
		kill -TERM $server
	else
		: >"$dir/orphaned"
		kill -KILL $server
	fi
) <&3 >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $server
status=$?
kill $watcher 2>/dev/null
if [ -e "$dir/orphaned" ]; then
	cd / && rm -rf "$dir"
fi
exit $status
`

// server is shepherd serve, a process of its own.
type server struct {
	addr   string
	log    string // a file
	cmd    *exec.Cmd
	orders io.WriteCloser
	gone   chan struct{} // closed when the process has ended
	err    error         // how it ended
}

// environ is what the server's program is configured by, whatever the demo's own environment says.
func (d *demo) environ() []string {
	foreign := func(pair string) bool {
		return strings.HasPrefix(pair, "SHEPHERD_") || strings.HasPrefix(pair, "PG") || strings.HasPrefix(pair, "DATABASE_URL=")
	}
	return append(slices.DeleteFunc(os.Environ(), foreign), d.stage.Environ(d.cfg)...)
}

// startServer runs shepherd serve and points the forge's webhooks at it.
func (d *demo) startServer(ctx context.Context) ([]string, error) {
	s := &server{log: filepath.Join(d.dir, "server.log"), gone: make(chan struct{})}
	if err := s.start(d.dir, d.environ(), d.options.shepherd, "serve", "--migrate"); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	d.server = s
	d.onStop(s.stop)
	if err := d.wait(ctx, "the server to listen", s.listening); err != nil {
		return nil, err
	}
	d.stage.Hook(s.addr)
	return []string{"http://" + s.addr + ", its log in " + s.log}, nil
}

func (s *server) start(dir string, environ []string, command ...string) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command("/bin/sh", append([]string{"-c", supervisor, "supervisor", dir}, command...)...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = dir, environ, log, log
	// A group of its own: Ctrl-C is for us, who stop the server in good order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.orders, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.gone)
	}()
	return nil
}

var servingAt = regexp.MustCompile(`msg=serving address=(\S+)`)

func (s *server) listening() (bool, error) {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return false, err
	}
	if m := servingAt.FindSubmatch(log); m != nil {
		s.addr = string(m[1])
	}
	return s.addr != "", nil
}

// stop lets the server finish its work, and fails when it did not end well.
func (s *server) stop() error {
	_, err := io.WriteString(s.orders, "stop\n")
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("stop the server: %w", err)
	}
	select {
	case <-s.gone:
	case <-time.After(stopTimeout):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // it may have ended meanwhile
		<-s.gone
	}
	if s.err != nil {
		return fmt.Errorf("the server did not end well: %w: %s", s.err, strings.Join(s.lastLines(3), "; "))
	}
	return nil
}

// lastLines is the end of the server's log.
func (s *server) lastLines(n int) []string {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(strings.TrimSpace(printable(string(log))), "\n")
	return lines[max(0, len(lines)-n):]
}

var errServerEnded = errors.New("the server ended by itself")

// wait polls until ok, unless the server ends first.
func (d *demo) wait(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := stage.Wait(ctx, what, func() (bool, error) {
		if d.server.ended() {
			cancel(errServerEnded)
		}
		return ok()
	})
	if errors.Is(context.Cause(ctx), errServerEnded) {
		return fmt.Errorf("wait for %s: %w", what, errServerEnded)
	}
	return err
}

func (s *server) ended() bool {
	if s == nil {
		return false
	}
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// ready waits for the server's own word that it can work.
func (d *demo) ready(ctx context.Context) ([]string, error) {
	return nil, d.wait(ctx, "the server to be ready", func() (bool, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url("/health/ready"), nil)
		if err != nil {
			return false, err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return false, err
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK, fmt.Errorf("it answers %s", answer.Status)
	})
}

// url is an address on the server.
func (d *demo) url(path string) string { return "http://" + d.server.addr + path }

// command runs the server's program as an operator would, and returns what it prints.
func (d *demo) command(ctx context.Context, stdin []byte, args ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, d.options.shepherd, args...)
	var out, log bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = d.environ(), bytes.NewReader(stdin), &out, &log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("shepherd %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(printable(log.String())))
	}
	return strings.Split(strings.TrimSpace(printable(out.String())), "\n"), nil
}
