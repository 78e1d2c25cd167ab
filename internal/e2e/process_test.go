package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "shepherd-e2e")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "shepherd")
	out, err := exec.Command("go", "build", "-o", path, "kv-shepherd.io/shepherd/cmd/shepherd").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build the program: %w\n%s", err, out)
	}
	built = dir
	return path, err
})

var built string

func removeBinary() {
	if built != "" {
		_ = os.RemoveAll(built)
	}
}

// launch runs the server as a process of its own and returns what kills it, the hard way.
func (w *world) launch() (kill func()) {
	w.t.Helper()
	cmd := w.start()
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	w.t.Cleanup(kill)
	return kill
}

// start runs the server as a process of its own and waits until it listens. Whoever starts it ends it.
func (w *world) start() *exec.Cmd {
	w.t.Helper()
	path := must(binary())(w)
	w.cfg.Listen = freeAddress(w)
	cmd := exec.Command(path, "serve")
	cmd.Env = append(os.Environ(), w.Environ(w.cfg)...)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	w.do(cmd.Start())
	w.process = cmd.Process.Pid
	w.t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error where it has ended
	w.eventually("the server to listen", func() bool {
		resp, err := http.Get("http://" + w.cfg.Listen + "/health/live")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	})
	w.Hook(w.cfg.Listen)
	return cmd
}

func freeAddress(w *world) string {
	ln := must((&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0"))(w)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// far is an administrator's kubeconfig for an API server that is some way off: everything that it
// answers comes late.
func far(delay time.Duration) func(*world) []byte {
	return func(w *world) []byte {
		cfg := must(clientcmd.Load(w.kube.Kubeconfig()))(w)
		cluster := cfg.Clusters[cfg.Contexts[cfg.CurrentContext].Cluster]
		u := must(http.NewRequest(http.MethodGet, cluster.Server, nil))(w).URL
		cluster.TLSServerName = u.Hostname()
		ln := must((&net.ListenConfig{}).Listen(w.t.Context(), "tcp", "127.0.0.1:0"))(w)
		w.t.Cleanup(func() { _ = ln.Close() })
		go forward(ln, u.Host, delay)
		u.Host = ln.Addr().String()
		cluster.Server = u.String()
		return must(clientcmd.Write(*cfg))(w)
	}
}

func forward(ln net.Listener, to string, delay time.Duration) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		end := sync.OnceFunc(func() { _ = errors.Join(in.Close(), out.Close()) })
		go func() { defer end(); _, _ = io.Copy(out, in) }()
		go func() { defer end(); _, _ = io.Copy(late{in, delay}, out) }()
	}
}

// late is a writer that takes its time.
type late struct {
	io.Writer
	delay time.Duration
}

func (l late) Write(p []byte) (int, error) {
	time.Sleep(l.delay)
	return l.Writer.Write(p)
}
