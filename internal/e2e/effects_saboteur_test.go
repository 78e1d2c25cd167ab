package e2e

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kv-shepherd.io/shepherd/internal/config"
)

// harm is how a write to the outside goes wrong.
type harm string

// The ways: what was asked for is done, and the answer lost; the same, and whoever asked dies of it; nothing is done.
const (
	harmless harm = "no harm"
	deaf     harm = "the answer is lost"
	deadly   harm = "the answer is lost and the server dies"
	refusing harm = "502"
)

// saboteur stands between the server and all that is outside of it, and harms writes: which ones, chosen decides by
// their kind and how many of the kind there were. It knows no kind beforehand.
type saboteur struct {
	harm   harm
	chosen func(kind string, nth int) bool
	die    func() // ends the server at once, and has another one started

	mu     sync.Mutex
	seen   map[string]int
	harmed []string
}

// takes decides about a request, and reports whether it is to be harmed.
func (s *saboteur) takes(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[kind]++
	if s.harm == harmless || !s.chosen(kind, s.seen[kind]) {
		return false
	}
	s.harmed = append(s.harmed, fmt.Sprintf("%s, no. %d", kind, s.seen[kind]))
	return true
}

// account is how many writes there were of each kind, and those that were harmed.
func (s *saboteur) account() (seen map[string]int, harmed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.seen), slices.Clone(s.harmed)
}

// guard is pass with the saboteur before it. kindOf is the kind of a write, and empty for what changes nothing.
func (s *saboteur) guard(kindOf func(*http.Request) string, pass http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		kind := kindOf(r)
		if kind == "" || !s.takes(kind) {
			pass.ServeHTTP(rw, r)
			return
		}
		if s.harm == refusing {
			http.Error(rw, `{"message":"Server Error"}`, http.StatusBadGateway)
			return
		}
		pass.ServeHTTP(httptest.NewRecorder(), r)
		if s.harm == deadly {
			s.die()
		}
		panic(http.ErrAbortHandler)
	})
}

// variable are the parts of a path that differ from world to world.
var variable = regexp.MustCompile(`/([0-9a-f]{40}|[0-9]+)(/|$)`)

// forgeWrite is the kind of a request to the forge that changes something there.
func forgeWrite(r *http.Request) string {
	path, api := strings.CutPrefix(r.URL.Path, "/api/v3")
	if !api || r.Method == http.MethodGet || strings.HasSuffix(path, "/access_tokens") {
		return ""
	}
	path = variable.ReplaceAllString(variable.ReplaceAllString(path, "/*$2"), "/*$2")
	if before, _, ok := strings.Cut(path, "/git/refs/heads/"); ok {
		path = before + "/git/refs/heads/*"
	}
	return r.Method + " " + path
}

// clusterWrite is the kind of a request to a cluster that changes something there.
func clusterWrite(r *http.Request) string {
	parts := strings.Split(r.URL.Path, "/")
	if r.Method == http.MethodGet || r.URL.Query().Has("dryRun") || strings.Contains(r.URL.Path, "authorization.k8s.io") {
		return ""
	}
	if i := slices.Index(parts, "namespaces"); i >= 0 && len(parts) > i+2 {
		parts = parts[i+2:]
	} else if i >= 0 {
		parts = parts[i:]
	}
	if len(parts) > 1 {
		parts[1] = "*"
	}
	return "cluster " + r.Method + " " + strings.Join(parts, "/")
}

// sabotaged is a world in which all that goes out passes the saboteur. The server is a process of its own, where it is
// to die.
func sabotaged(t *testing.T, s *saboteur, change func(*config.Config)) *plant {
	t.Helper()
	s.seen = map[string]int{}
	p := &plant{gate: &gate{}}
	p.world = setup{asleep: true, config: func(c *config.Config) {
		target, err := url.Parse(c.GitHub.BaseURL)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(s.guard(forgeWrite, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}))
		t.Cleanup(server.Close)
		c.GitHub.BaseURL = server.URL
		change(c)
	}, kubeconfig: func(w *world) []byte {
		p.gate.kube = w.kube
		kubeConfig := p.gate.kube.Config()
		target := must(url.Parse(kubeConfig.Host))(w)
		p.gate.pass = &httputil.ReverseProxy{Transport: must(rest.TransportFor(kubeConfig))(w), Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Authorization")
		}}
		server := httptest.NewTLSServer(s.guard(clusterWrite, p.gate))
		t.Cleanup(server.Close)
		authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		return fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: u, user: {token: t}}]}`,
			server.URL, base64.StdEncoding.EncodeToString(authority))
	}}.world(t)
	p.baseline(p.Repo.Head("main"))
	if s.harm == deadly {
		s.die = p.mortal()
	} else {
		p.serve()
	}
	return p
}

// mortal runs the server as a process, and returns what kills it the hard way and starts the next one in its place.
func (w *world) mortal() (die func()) {
	w.t.Helper()
	path := must(binary())(w)
	w.cfg.Listen = freeAddress(w)
	var mu sync.Mutex
	var running *exec.Cmd
	over := false
	start := func() error {
		running = exec.Command(path, "serve")
		running.Env = append(append(os.Environ(), w.Environ(w.cfg)...),
			fmt.Sprint("SHEPHERD_APPROVAL_PUSH_MODIFIED_SPECS=", w.cfg.Approval.PushModifiedSpecs),
			"SHEPHERD_APPROVAL_COMMENT_INTERVAL="+time.Duration(w.cfg.Approval.CommentInterval).String(),
			"SHEPHERD_APPROVAL_REMIND_AFTER="+time.Duration(w.cfg.Approval.RemindAfter).String())
		running.Stdout, running.Stderr = w.log, w.log
		return running.Start()
	}
	end := func() {
		_ = running.Process.Kill()
		_ = running.Wait() // it was killed
	}
	w.do(start())
	w.t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		end()
	})
	w.listening()
	w.Hook(w.cfg.Listen)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		w.Forge.PauseDeliveries() // what a dead server misses is another test's
		defer w.Forge.ResumeDeliveries()
		end()
		if err := start(); err != nil {
			w.t.Errorf("start the server again: %v", err)
			return
		}
		w.listening()
	}
}

// listening waits for the server.
func (w *world) listening() {
	for range 1200 {
		if w.asked("/health/live") == http.StatusOK {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Error("the server does not listen")
}

// portion chooses every so many-eth write, evenly over kinds and numbers.
func portion(n, of int) func(kind string, nth int) bool {
	return func(kind string, nth int) bool {
		h := fnv.New32a()
		fmt.Fprint(h, kind)
		return (int(h.Sum32()%uint32(of))+nth)%of == n
	}
}
