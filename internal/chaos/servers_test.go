package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is a `shepherd serve` that is started anew whenever it has ended, until it is told to stay down.
type server struct {
	w    *world
	name string

	mu      sync.Mutex
	cmd     *exec.Cmd
	address string
	pause   time.Duration // before it is started again
	closed  bool
	gone    chan struct{} // nobody starts it any more

	started, ended atomic.Int64
}

// launch starts n servers behind the balancer.
func (w *world) launch(n int) {
	w.t.Helper()
	path, err := binary()
	w.do(err)
	for i := range n {
		s := &server{w: w, name: fmt.Sprintf("s%d", i+1), gone: make(chan struct{})}
		w.servers = append(w.servers, s)
		go s.keep(path, filepath.Join(w.t.TempDir(), s.name))
	}
	w.balancer.serve(w.servers)
	w.t.Cleanup(func() {
		for _, s := range w.servers {
			s.close()
		}
	})
}

// keep starts the server again and again, as an orchestrator would.
func (s *server) keep(path, dir string) {
	defer close(s.gone)
	for {
		cmd, err := s.start(path, dir)
		if err != nil {
			return
		}
		_ = cmd.Wait() // it was killed, or told to stop, or gave up
		s.ended.Add(1)
		s.mu.Lock()
		pause := s.pause
		s.pause, s.cmd = 0, nil
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return
		}
		time.Sleep(max(pause, 100*time.Millisecond))
	}
}

func (s *server) start(path, dir string) (*exec.Cmd, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := ln.Addr().String()
	_ = ln.Close()
	cfg := s.w.cfg
	cfg.Listen, cfg.DataDir = address, dir
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	cmd := exec.Command(path, "serve")
	cmd.Env = append(os.Environ(), s.w.Environ(cfg)...)
	cmd.Env = append(cmd.Env,
		"SHEPHERD_REPOSITORY_SWEEP_EVERY="+sweepEvery.String(), "SHEPHERD_REPOSITORY_WALK_EVERY="+sweepEvery.String(),
		"SHEPHERD_LIMITS_PER_HOUR=0", // a few people ask for everything
	)
	out := &named{name: s.name, to: s.w.log}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.cmd, s.address = cmd, address
	s.started.Add(1)
	return cmd, nil
}

// signal ends the process, the hard way or the soft one; it comes back after a pause.
func (s *server) signal(sig syscall.Signal, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = pause
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(sig) // an error where it has just ended
	}
}

func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
	}
	s.mu.Unlock()
	<-s.gone
}

func (s *server) listens() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return ""
	}
	return s.address
}

// ready reports whether the server says that it is.
func (s *server) ready(ctx context.Context) bool {
	address := s.listens()
	if address == "" {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health/ready", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// named puts a server's name before each of its lines.
type named struct {
	name string
	to   io.Writer
}

func (n *named) Write(p []byte) (int, error) {
	lines := strings.ReplaceAll(strings.TrimSuffix(string(p), "\n"), "\n", "\n"+n.name+" ")
	_, err := io.WriteString(n.to, n.name+" "+lines+"\n")
	return len(p), err
}

// balancer hands each webhook to the next server that takes it. Nobody there: 502, and the forge does not
// try again.
type balancer struct {
	address string
	client  *http.Client
	servers atomic.Pointer[[]*server]
	next    atomic.Int64

	seen, taken, failed atomic.Int64
}

func newBalancer(t testing.TB) *balancer {
	b := &balancer{client: &http.Client{Timeout: 8 * time.Second}}
	b.servers.Store(&[]*server{})
	front := httptest.NewServer(b)
	t.Cleanup(front.Close)
	b.address = front.Listener.Addr().String()
	return b
}

func (b *balancer) serve(servers []*server) { b.servers.Store(&servers) }

func (b *balancer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b.seen.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	servers := *b.servers.Load()
	for range servers {
		s := servers[int(b.next.Add(1))%len(servers)]
		if code := b.pass(r, s.listens(), body); code != 0 {
			b.taken.Add(1)
			rw.WriteHeader(code)
			return
		}
	}
	b.failed.Add(1)
	rw.WriteHeader(http.StatusBadGateway)
}

// pass gives a webhook to a server; 0: it was not reached, or died on the way.
func (b *balancer) pass(r *http.Request, address string, body []byte) int {
	if address == "" {
		return 0
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+address+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header = r.Header.Clone()
	resp, err := b.client.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
