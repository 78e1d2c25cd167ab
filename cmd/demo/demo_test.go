package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/stage"
)

// limit bounds what a test waits for on a machine that is busy with other tests.
const limit = 5 * time.Minute

// The demo as people run it: programs of their own, from another directory.
func TestDemo(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", programs, ".", "../shepherd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for name, test := range map[string]func(*testing.T, string){
		"once": testOnce, "stays": testStays, "killed": testKilled, "fails": testFails,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, programs)
		})
	}
}

// The whole day: status 0 says that both machines were seen, and the story tells it.
func testOnce(t *testing.T, programs string) {
	r := start(t, programs, "-once")
	if status := r.end(); status != 0 {
		t.Fatalf("status %d", status)
	}
	for _, want := range []string{
		"check shepherd/approval  action_required  Waiting for 1 approval",
		"│ ▾ The plan", "│ ▸ The plan", "carol's approval does not count: ", "check shepherd/approval  success",
		"test-1: test-shop/test-shop-shop-redis-01 is Running, uid ", "prod-1: prod-shop/prod-shop-shop-redis-02 is Running, uid ",
		"│ @alice Applied and running.", "APPROVAL_APPROVED", "kubevirt-shepherd.io/environment: prod",
		"alice writes: /confirm ", "its index 01 is never used again", "One kube-apiserver stands for both clusters",
	} {
		if !strings.Contains(r.text(), want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	if strings.Contains(r.text(), "\x1b") {
		t.Error("colours, and no terminal")
	}
	r.gone()
}

var (
	printedBlock = regexp.MustCompile(`(?s)# 1\. .*?\n(.*?)\n(curl [^\n]*)\n\n# 2\. [^\n]*\n(curl [^\n]*)\n\n# 3\. [^\n]*\n(curl [^\n]*)\n`)
	printedCurl  = regexp.MustCompile(`^curl -fsS -o /dev/null -X (\S+) -H 'Authorization: (Bearer \S+)' -d '([^']*)' (\S+)$`)
)

// The addresses answer, the printed commands lead to a third machine, and an interrupt ends it well.
func testStays(t *testing.T, programs string) {
	r := start(t, programs)
	r.until(`Everything keeps running until Ctrl-C`)
	for _, page := range []string{"pull request", "health", "metrics"} {
		fetch(t, http.MethodGet, r.until(`  `+page+` +(http://\S+)`), "", "")
	}
	history := r.until(`why a VM exists +(\(.*\))`)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", history).CombinedOutput(); err != nil || !strings.Contains(string(out), "EXECUTION_COMPLETED") {
		t.Errorf("%s: %v: %s", history, err, out)
	}
	m := printedBlock.FindStringSubmatch(r.text())
	if m == nil {
		t.Fatal("the commands are not printed")
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", m[1]).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", m[1], err, out)
	}
	curl(t, m[2])
	r.until(`pull request #4 \(open\) .*approval action_required: Waiting for 1 approval`)
	time.Sleep(2 * time.Second) // the grace of the approval
	curl(t, m[3])
	r.until(`pull request #4 \(open\) .*approval success`)
	curl(t, m[4])
	r.until(`pull request #4 \(merged\) .*The bot wrote its closing remark`)
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status := r.end(); status != 0 {
		t.Errorf("status %d after an interrupt", status)
	}
	r.gone()
}

// curl does what a printed command would.
func curl(t *testing.T, command string) {
	t.Helper()
	m := printedCurl.FindStringSubmatch(command)
	if m == nil {
		t.Fatalf("not as expected: %s", command)
	}
	fetch(t, m[1], m[4], m[2], m[3])
}

func fetch(t *testing.T, method, address, authorization, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, address, answer.Status)
	}
}

// A killed demo leaves nothing behind.
func testKilled(t *testing.T, programs string) {
	r := start(t, programs)
	r.until(`✓ .*the server says that it is ready`)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.end()
	r.gone()
}

// A server that does not start is told with its log and with what to do.
func testFails(t *testing.T, programs string) {
	broken := filepath.Join(t.TempDir(), "shepherd")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no more today >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := start(t, programs, "-once", "-shepherd="+broken)
	if status := r.end(); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	for _, want := range []string{"✗ ", "no more today", "What to do next", "The demo failed: $ shepherd serve --migrate: wait for the server to listen: the server ended by itself"} {
		if !strings.Contains(r.text(), want) {
			t.Errorf("the failure lacks %q", want)
		}
	}
	r.gone()
}

// running is a demo in a process of its own.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// start runs a demo in an environment that misleads.
func start(t *testing.T, programs string, args ...string) *running {
	t.Helper()
	r := &running{t: t, ended: make(chan struct{})}
	r.cmd = exec.Command(filepath.Join(programs, "demo"), append(args, "-clusters=1")...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = t.TempDir(), r, r
	r.cmd.Env = append(os.Environ(), "SHEPHERD_LISTEN=nowhere", "SHEPHERD_CONFIG=/nowhere", "DATABASE_URL=nowhere", "PGHOST=nowhere")
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait() // the status is asked for below
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it has ended where all is well
		<-r.ended
		if t.Failed() {
			t.Log("the demo said:\n" + r.text())
		}
	})
	return r
}

// end waits for the demo's end and returns its status.
func (r *running) end() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		r.t.Fatalf("no end within %s", limit)
		return -1
	}
}

// until waits for something in the output and returns its last group.
func (r *running) until(pattern string) string {
	r.t.Helper()
	sought := regexp.MustCompile(pattern)
	var found string
	r.wait("the demo to say "+pattern, func() bool {
		m := sought.FindStringSubmatch(r.text())
		if m != nil {
			found = m[len(m)-1]
		}
		return m != nil
	})
	return found
}

func (r *running) wait(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	if err := stage.Wait(ctx, what, func() (bool, error) { return ok(), nil }); err != nil {
		r.t.Fatal(err)
	}
}

var (
	printedAddress = regexp.MustCompile(`(?:https?|postgres)://\S+`)
	printedDir     = regexp.MustCompile(`\S*/shepherd-demo-[0-9]+`)
)

// gone waits until nothing of the demo listens any more and its directory is removed.
func (r *running) gone() {
	r.t.Helper()
	ports := map[string]bool{}
	for _, address := range printedAddress.FindAllString(r.text(), -1) {
		if u, err := url.Parse(strings.TrimRight(address, ",.:")); err == nil && u.Hostname() == "127.0.0.1" {
			ports[u.Host] = true
		}
	}
	if len(ports) < 3 {
		r.t.Errorf("addresses of only %d servers were printed", len(ports))
	}
	for host := range ports {
		r.wait(host+" to be silent", func() bool {
			conn, err := net.Dial("tcp", host)
			if err == nil {
				_ = conn.Close() // nothing was written
			}
			return err != nil
		})
	}
	dir := printedDir.FindString(r.text())
	r.wait(dir+" to be removed", func() bool {
		_, err := os.Stat(dir)
		return dir != "" && os.IsNotExist(err)
	})
}
