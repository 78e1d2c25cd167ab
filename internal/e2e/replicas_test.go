package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// replica is a process of the server, one of several on the world's database.
type replica struct {
	cmd   *exec.Cmd
	addr  string
	ready atomic.Bool // as the balancer knows
}

// like matches the ids that the replica goes by in the database.
func (r *replica) like() string { return fmt.Sprintf("%%-%d-%%", r.cmd.Process.Pid) }

// answers is how the replica answers; 0: not at all.
func (r *replica) answers(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+path, nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// replicaSet are replicas behind a balancer, as a Service is: it asks each now and then whether it is ready, sends every
// webhook to the next one that was, and does not try another one when that does not answer.
type replicaSet struct {
	w *world

	mu       sync.Mutex
	replicas []*replica
	next     int
	answers  map[string]int // how webhooks were answered
}

// readinessPeriod is how often the balancer asks.
const readinessPeriod = 250 * time.Millisecond

// replicas starts n replicas, and has the forge send its webhooks to their balancer.
func (w *world) replicas(n int) *replicaSet {
	w.t.Helper()
	f := &replicaSet{w: w, answers: map[string]int{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var asking sync.WaitGroup
	asking.Go(func() { f.ask(ctx) })
	w.t.Cleanup(func() { cancel(); asking.Wait() })
	for range n {
		f.start()
	}
	f.all(n)
	balancer := httptest.NewServer(f)
	w.t.Cleanup(balancer.Close)
	w.Hook(strings.TrimPrefix(balancer.URL, "http://"))
	return f
}

// start adds a replica with a folder of its own, and does not wait for it.
func (f *replicaSet) start() *replica {
	w := f.w
	w.t.Helper()
	cfg := w.cfg
	cfg.Listen, cfg.DataDir = freeAddress(w), w.t.TempDir()
	cmd := exec.Command(must(binary())(w), "serve")
	cmd.Env = append(os.Environ(), w.Environ(cfg)...)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	w.do(cmd.Start())
	w.t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error where it has ended
	r := &replica{cmd: cmd, addr: cfg.Listen}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, r)
	return r
}

// all waits until so many replicas are ready.
func (f *replicaSet) all(n int) {
	f.w.t.Helper()
	f.w.eventually(fmt.Sprintf("%d replicas to be ready", n), func() bool {
		ready := 0
		for _, r := range f.members() {
			if r.ready.Load() {
				ready++
			}
		}
		return ready == n
	})
}

func (f *replicaSet) members() []*replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*replica{}, f.replicas...)
}

// kill kills a replica the hard way and starts another one in its place.
func (f *replicaSet) kill(r *replica) {
	f.w.t.Helper()
	f.w.do(r.cmd.Process.Kill())
	_ = r.cmd.Wait() // it was killed
	f.forget(r)
	f.start()
}

// replace starts a replica in another one's place, waits for it, and tells the old one to stop.
func (f *replicaSet) replace(old *replica) {
	f.w.t.Helper()
	young := f.start()
	f.w.eventually("the new replica to be ready", young.ready.Load)
	f.w.do(old.cmd.Process.Signal(syscall.SIGTERM))
	if err := old.cmd.Wait(); err != nil {
		f.w.t.Errorf("a replica that was told to stop ended with %v", err)
	}
	f.forget(old)
}

func (f *replicaSet) forget(r *replica) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.replicas {
		if f.replicas[i] == r {
			f.replicas = append(f.replicas[:i], f.replicas[i+1:]...)
			return
		}
	}
}

// by is the replica that goes by an id in the database.
func (f *replicaSet) by(id string) *replica {
	for _, r := range f.members() {
		if strings.Contains(id, strings.Trim(r.like(), "%")) {
			return r
		}
	}
	return nil
}

func (f *replicaSet) ask(ctx context.Context) {
	for ctx.Err() == nil {
		var asked sync.WaitGroup
		for _, r := range f.members() {
			asked.Go(func() { r.ready.Store(r.answers("/health/ready") == http.StatusOK) })
		}
		asked.Wait()
		select {
		case <-ctx.Done():
		case <-time.After(readinessPeriod):
		}
	}
}

func (f *replicaSet) choose() *replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.replicas {
		f.next++
		if r := f.replicas[f.next%len(f.replicas)]; r.ready.Load() {
			return r
		}
	}
	return nil
}

// ServeHTTP passes a webhook on.
func (f *replicaSet) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	status := f.pass(in)
	f.mu.Lock()
	f.answers[in.Header.Get("X-GitHub-Event")+" "+http.StatusText(status)]++
	f.mu.Unlock()
	out.WriteHeader(status)
}

func (f *replicaSet) pass(in *http.Request) (status int) {
	body, err := io.ReadAll(in.Body)
	r := f.choose()
	if err != nil || r == nil {
		return http.StatusServiceUnavailable
	}
	req, err := http.NewRequestWithContext(in.Context(), in.Method, "http://"+r.addr+in.URL.Path, bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError
	}
	req.Header = in.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return http.StatusBadGateway
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// refused are the webhooks that were not accepted.
func (f *replicaSet) refused() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for answer, n := range f.answers {
		if !strings.HasSuffix(answer, http.StatusText(http.StatusAccepted)) {
			out = append(out, fmt.Sprintf("%d × %s", n, answer))
		}
	}
	return out
}

// leader is the id of the process that leads.
func (w *world) leader() string {
	w.t.Helper()
	ids := w.strings(`select leader_id from river_leader where expires_at > now()`)
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// finished lets machines run, and holds that their pull request was told of it once.
func (w *world) finished(pr *forgetest.Pull, names ...string) {
	w.t.Helper()
	w.once(names...)
	for _, name := range names {
		w.do(kubetest.SetVMStatus(w.t.Context(), w.kube.Client(), w.key(name), kubevirtv1.VirtualMachineStatusRunning))
	}
	w.eventually("the closing remark", func() bool { return len(w.remarks(pr)) >= 2 })
}

// threeOf are the names of the machines that threeMachines asks for.
func threeOf(system string) (names []string) {
	for _, vm := range []string{"test-shop-%[1]s-%[1]s-01", "test-shop-%[1]s-%[1]s-02", "prod-shop-%[1]s-%[1]s-03"} {
		names = append(names, fmt.Sprintf(vm, system))
	}
	return names
}

func threeMachines(system string) forgetest.Files {
	return machines(system, system, "test-shop/01", "test-shop/02", "prod-shop/03")
}
