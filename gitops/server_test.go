package gitops

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// gitEnv keeps a developer's own git configuration out of the tests.
func gitEnv() []string {
	return append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Bob",
		"GIT_COMMITTER_EMAIL=bob@example.org", "GIT_AUTHOR_DATE=1700000000 +0100",
		"GIT_COMMITTER_DATE=1700000000 +0000", "LC_ALL=C")
}

func git(tb testing.TB, dir string, stdin io.Reader, args ...string) string {
	tb.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// origin is a bare repository on the disk, which a forge would hold.
type origin struct {
	tb    testing.TB
	dir   string
	clock int64
}

func newOrigin(tb testing.TB) *origin {
	tb.Helper()
	o := &origin{tb: tb, dir: filepath.Join(tb.TempDir(), "spec.git"), clock: 1_700_000_000}
	git(tb, ".", nil, "init", "-q", "--bare", "-b", "main", o.dir)
	o.git("config", "uploadpack.allowFilter", "true")
	o.git("config", "gc.auto", "0")
	return o
}

func (o *origin) git(args ...string) string {
	o.tb.Helper()
	return git(o.tb, o.dir, nil, args...)
}

// tree is a whole snapshot: path → content. A content that begins with a mode and a space ("100755 ",
// "120000 ", "160000 ") is that; a submodule's content is a commit id.
type tree map[string]string

func (t tree) with(path, content string) tree {
	next := maps.Clone(t)
	next[path] = content
	return next
}

func (t tree) without(path string) tree {
	next := maps.Clone(t)
	delete(next, path)
	return next
}

// commit makes a commit with the snapshot, one second later than the one before.
func (o *origin) commit(t tree, parents ...SHA) SHA {
	o.tb.Helper()
	o.clock++
	return o.commitAt(o.clock, fmt.Sprintf("commit at %d", o.clock), t, parents...)
}

func (o *origin) commitAt(when int64, message string, t tree, parents ...SHA) SHA {
	o.tb.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "commit refs/test/tmp\nauthor Ann <ann@example.org> %d +0000\ncommitter Bob <bob@example.org> %d +0000\n", when, when)
	fmt.Fprintf(&b, "data %d\n%s\n", len(message), message)
	for i, p := range parents {
		fmt.Fprintf(&b, "%s %s\n", []string{"from", "merge"}[min(i, 1)], p)
	}
	b.WriteString("deleteall\n")
	for _, path := range slices.Sorted(maps.Keys(t)) {
		writeEntry(&b, path, t[path])
	}
	git(o.tb, o.dir, &b, "fast-import", "--quiet", "--force")
	sha := SHA(o.git("rev-parse", "refs/test/tmp"))
	o.git("update-ref", "-d", "refs/test/tmp")
	return sha
}

func writeEntry(b *bytes.Buffer, path, content string) {
	mode := "100644"
	for _, m := range []string{"100755", "120000", "160000"} {
		if rest, ok := strings.CutPrefix(content, m+" "); ok {
			mode, content = m, rest
		}
	}
	if mode == "160000" {
		fmt.Fprintf(b, "M 160000 %s %s\n", content, path)
		return
	}
	fmt.Fprintf(b, "M %s inline %s\ndata %d\n%s\n", mode, path, len(content), content)
}

func (o *origin) ref(name string, sha SHA) {
	o.tb.Helper()
	o.git("update-ref", name, string(sha))
}

// server serves an origin the way forges do, through git's own CGI program.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	log      []string // method and path of each request
	password string   // "" is without
	before   func(w http.ResponseWriter, r *http.Request) bool
	bytes    atomic.Int64
}

func serve(tb testing.TB, o *origin) *server {
	tb.Helper()
	execPath := git(tb, ".", nil, "--exec-path")
	backend := &cgi.Handler{
		Path: filepath.Join(execPath, "git-http-backend"),
		Env: append([]string{"GIT_PROJECT_ROOT=" + filepath.Dir(o.dir), "GIT_HTTP_EXPORT_ALL=1"},
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull),
		Stderr: io.Discard,
	}
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.log = append(s.log, r.Method+" "+r.URL.Path)
		password, before := s.password, s.before
		s.mu.Unlock()
		if _, got, _ := r.BasicAuth(); password != "" && got != password {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if before != nil && before(w, r) {
			return
		}
		backend.ServeHTTP(&countingWriter{w, &s.bytes}, r)
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *server) url() string { return s.URL + "/spec.git" }

func (s *server) intercept(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func (s *server) setPassword(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = p
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.n.Add(int64(len(b)))
	return w.ResponseWriter.Write(b)
}

// open opens a mirror of the server in a fresh folder, closed at the test's end.
func open(tb testing.TB, s *server) *Mirror {
	tb.Helper()
	return openIn(tb, s, filepath.Join(tb.TempDir(), "mirror"))
}

func openIn(tb testing.TB, s *server, dir string) *Mirror {
	tb.Helper()
	m, err := Open(context.Background(), Options{Dir: dir, URL: s.url(), Logger: testLogger(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

func testLogger(tb testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(tb.Output(), nil))
}

func fetch(tb testing.TB, m *Mirror, refs ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Minute)
	defer cancel()
	if err := m.Fetch(ctx, refs...); err != nil {
		tb.Fatal(err)
	}
}

// mirrored serves an origin and fetches these of its references.
func mirrored(tb testing.TB, o *origin, refs ...string) *Mirror {
	tb.Helper()
	m := open(tb, serve(tb, o))
	fetch(tb, m, refs...)
	return m
}
