package github

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	testRepoID = int64(4711)
	testToken  = "s3cr3t-of-the-bot-account"
	headSHA    = "1111111111111111111111111111111111111111"
	baseSHA    = "2222222222222222222222222222222222222222"
)

var testNow = time.Date(2026, 1, 23, 12, 0, 0, 0, time.UTC)

// routes answers by "METHOD /path", below /api/v3.
type routes map[string]http.HandlerFunc

// wire is a forge of a few fixed answers; it remembers what it was asked.
type wire struct {
	*httptest.Server
	mu     sync.Mutex
	routes routes
	calls  []string
	bodies []string
}

func newWire(t *testing.T, r routes) *wire {
	t.Helper()
	w := &wire{routes: r}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) serve(rw http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.EscapedPath()[len("/api/v3"):]
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.calls = append(w.calls, key)
	w.bodies = append(w.bodies, string(body))
	handle := w.routes[key]
	w.mu.Unlock()
	if handle == nil {
		answer(http.StatusNotFound, map[string]any{"message": "Not Found"})(rw, r)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	handle(rw, r)
}

func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// client makes a client with a token that knows where the repository is.
func (w *wire) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{
		BaseURL: w.URL, RepositoryID: testRepoID, Owner: "acme", Name: "vms", Token: testToken,
		Now: func() time.Time { return testNow }, Timeout: 5 * time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type fields = map[string]any

// answer writes a JSON answer. Headers come as pairs.
func answer(status int, body any, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			panic(err)
		}
	}
}

// inTurn answers each call by the next handler; the last one stays.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

func repoJSON(owner, name string) fields {
	return fields{"id": testRepoID, "name": name, "owner": fields{"id": 5, "login": owner, "type": "Organization"}, "default_branch": "main"}
}

func pullJSON(number int, change ...func(fields)) fields {
	p := fields{
		"number": number, "state": "open", "title": "a VM", "html_url": "https://forge.test/acme/vms/pull/1",
		"user": fields{"id": 7, "login": "alice", "type": "User"},
		"head": fields{"ref": "add", "sha": headSHA, "repo": repoJSON("acme", "vms")},
		"base": fields{"ref": "main", "sha": baseSHA, "repo": repoJSON("acme", "vms")},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func newKey(t testing.TB) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// logTo gathers what is logged.
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
