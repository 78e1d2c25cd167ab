package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/stage"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// buffer is a log that several write to.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// scene is a forge and the configuration of a server for it.
func scene(t *testing.T) (*stage.Stage, config.Config) {
	t.Helper()
	s, err := stage.Set(stage.Options{Dir: t.TempDir(), Forge: forgetest.Options{Observer: published.Watch(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Forge.Close() })
	return s, s.Config(storetest.DSN(t), t.TempDir(), "127.0.0.1:0")
}

// serve runs a server until the test or stop ends it.
func serve(t *testing.T, cfg config.Config, log *slog.Logger) (a *App, addr string, stop func()) {
	t.Helper()
	a, err := New(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	a.Linger = 0
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	at, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- a.Serve(ctx, func(addr string) { at <- addr }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case addr = <-at:
	case err := <-done:
		t.Fatal(err)
	}
	return a, addr, stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// A server becomes ready by itself, measures itself, and takes clusters that are added while it runs.
func TestServe(t *testing.T) {
	t.Parallel()
	_, cfg := scene(t)
	var log buffer
	a, addr, stop := serve(t, cfg, slog.New(slog.NewTextHandler(&log, nil)))
	base := "http://" + addr
	if status, body := get(t, base+"/health/live"); status != 200 {
		t.Errorf("live: %d %s", status, body)
	}
	eventually(t, "readiness", func() bool { status, _ := get(t, base+"/health/ready"); return status == 200 })
	_, body := get(t, base+"/health/ready")
	var state map[string]string
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"status": "ready", "database": "ok", "migrations": "ok", "jobs": "ok"}, state); diff != "" {
		t.Errorf("ready (-want +got):\n%s", diff)
	}
	if _, body := get(t, base+"/metrics"); !strings.Contains(body, `shepherd_job_duration_seconds_count{kind="heartbeat",result="ok"}`) {
		t.Error("the heartbeat is not measured")
	}
	for _, sql := range []string{
		`insert into clusters (id, uid, kubeconfig, key_id, created_at) values ('added', 'u', '', 'k', now())`,
		`insert into river_job (args, kind, max_attempts, queue) values ('{"event_id": "00000000-0000-4000-8000-000000000001"}', 'verify_vm', 3, 'cluster_added')`,
	} {
		if _, err := a.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the queue of the new cluster", func() bool {
		var n int
		if err := a.Pool.QueryRow(t.Context(), `select count(*) from river_job where queue = 'cluster_added' and state = 'cancelled'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	stop()
	for _, secret := range []string{cfg.Database.Reveal(), cfg.EncryptionKeys.Reveal(), cfg.GitHub.WebhookSecrets[0].Reveal(), "PRIVATE KEY"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %.12s...", secret)
		}
	}
	if _, err := http.Get(base + "/health/live"); err == nil { //nolint:noctx // it is not there
		t.Error("a stopped server answers")
	}
}

func TestServeWhereTheAddressIsTaken(t *testing.T) {
	t.Parallel()
	_, cfg := scene(t)
	taken := httptest.NewServer(nil)
	defer taken.Close()
	cfg.Listen = strings.TrimPrefix(taken.URL, "http://")
	a, err := New(t.Context(), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Serve(t.Context(), func(string) { t.Error("it listens") }); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("%v", err)
	}
}

// From the moment that it stops a server is not ready, and goes on to answer.
func TestDrain(t *testing.T) {
	t.Parallel()
	a := &App{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	var draining atomic.Bool
	h := a.drain(&draining)
	status := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	for _, c := range []struct {
		draining    bool
		ready, live int
	}{{false, 200, 200}, {true, 503, 200}} {
		draining.Store(c.draining)
		if ready, live := status("/health/ready"), status("/health/live"); ready != c.ready || live != c.live {
			t.Errorf("draining %v: ready %d, live %d", c.draining, ready, live)
		}
	}
}

// Each thing that keeps a server from being ready says so by its own name, and tells no addresses.
func TestChecks(t *testing.T) {
	t.Parallel()
	beat := `insert into river_job (args, kind, max_attempts, state, finalized_at) values ('{}', 'heartbeat', 1, 'completed', now() - $1::interval)`
	schema := func(t *testing.T) string { return storetest.DSN(t) }
	for _, c := range []struct {
		name  string
		dsn   func(*testing.T) string
		given func(context.Context, *pgxpool.Pool) error
		want  map[string]string
	}{
		{"ready", schema, func(ctx context.Context, p *pgxpool.Pool) error {
			_, err := p.Exec(ctx, beat, 30*time.Second)
			return err
		}, map[string]string{}},
		{"no heartbeat", schema, func(context.Context, *pgxpool.Pool) error { return nil }, map[string]string{"jobs": "no job finished within 1m0s"}},
		{"the heart stopped", schema, func(ctx context.Context, p *pgxpool.Pool) error {
			_, err := p.Exec(ctx, beat, 61*time.Second)
			return err
		}, map[string]string{"jobs": "no job finished within 1m0s"}},
		{"an empty database", func(t *testing.T) string { return pgtest.New(t) }, func(context.Context, *pgxpool.Pool) error { return nil },
			map[string]string{"migrations": ErrMigrationsPending.Error(), "jobs": "the heartbeat cannot be read"}},
		{"no database", schema, func(_ context.Context, p *pgxpool.Pool) error { p.Close(); return nil },
			map[string]string{"database": "the database does not answer", "migrations": "the migrations' state cannot be read", "jobs": "the heartbeat cannot be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pool, err := pgxpool.New(t.Context(), c.dsn(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			if err := c.given(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, check := range (&App{Pool: pool}).checks() {
				if err := check.Run(t.Context()); err != nil {
					got[check.Name] = err.Error()
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What keeps the server from being put together is said in a sentence.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, whole := scene(t)
	for _, c := range []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"no webhook secret", func(c *config.Config) { c.GitHub.WebhookSecrets = nil }, "configuration: github.webhookSecrets: without a secret anybody could send webhooks"},
		{"migrations are pending", func(c *config.Config) { c.Database = seal.NewSecret(pgtest.New(t)) }, ErrMigrationsPending.Error()},
		{"no key of 32 bytes", func(c *config.Config) { c.EncryptionKeys = seal.NewSecret("short") }, "encryptionKeys"},
		{"another App", func(c *config.Config) { c.GitHub.App.ID++ }, "open the forge"},
		{"another repository", func(c *config.Config) { c.Repository.ID += 1000 }, "open the forge"},
		{"no private key", func(c *config.Config) { c.GitHub.App.PrivateKey = seal.NewSecret("PEM") }, "open the forge"},
		{"nowhere to keep the mirror", func(c *config.Config) { c.DataDir = "/dev/null" }, "open the mirror"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := whole
			cfg.DataDir = t.TempDir()
			c.change(&cfg)
			a, err := New(t.Context(), cfg, quiet())
			if err == nil {
				a.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), cfg.Database.Reveal()) {
				t.Errorf("%v: want it to say %q", err, c.want)
			}
		})
	}
}

// A command beside a server has a mirror of its own, and leaves nothing.
func TestNewAside(t *testing.T) {
	t.Parallel()
	_, cfg := scene(t)
	a, err := NewAside(t.Context(), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(a.scratch, "mirror")); err != nil || a.Config.DataDir == cfg.DataDir {
		t.Errorf("its mirror is in %s: %v", a.Config.DataDir, err)
	}
	a.Close()
	if _, err := os.Stat(a.scratch); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left %s: %v", a.scratch, err)
	}
	cfg.Repository.ID = 0
	if _, err := NewAside(t.Context(), cfg, quiet()); err == nil || !strings.Contains(err.Error(), "repository.id") {
		t.Errorf("%v", err)
	}
}

func TestProcessIDs(t *testing.T) {
	t.Parallel()
	if a, b := processID(), processID(); a == b || len(a) > 100 {
		t.Errorf("%s, %s", a, b)
	}
}

func TestAdministrators(t *testing.T) {
	t.Parallel()
	got := administrators(config.Config{Administrators: []config.Administrator{{Login: "dave", ID: 104}}})
	if diff := cmp.Diff([]spec.Person{{Login: "dave", ID: 104}}, got); diff != "" {
		t.Error(diff)
	}
}
