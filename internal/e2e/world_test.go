// Package e2e plays whole journeys on real parts: PostgreSQL, a kube-apiserver with KubeVirt's kinds,
// git over HTTP, the forge stand-in, and the server as it is put together for production.
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot"
	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/stage"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// TestMain lets a few worlds live at once: most of a journey is waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set {
		_ = flag.Set("test.parallel", "10") // a number
	}
	code := m.Run()
	if testing.Verbose() {
		fmt.Println("the forge:", published.Seen())
	}
	removeBinary()
	os.Exit(code)
}

// world is one scene with a server that governs it.
type world struct {
	*stage.Stage
	t      testing.TB
	cfg    config.Config
	pool   *pgxpool.Pool
	kube   *kubetest.Cluster
	prefix string // of its namespaces on the API server, which all worlds share
	log    *logBuffer

	address string // of the server in this process
	process int    // the id of a server that was launched as a process of its own
	stop    func() // that server
}

// newWorld sets the scene, adds the clusters, takes the baseline and starts the server.
func newWorld(t testing.TB, change ...func(*stage.Options)) *world {
	t.Helper()
	return setup{stage: change}.world(t)
}

// setup is what differs between worlds.
type setup struct {
	stage      []func(*stage.Options)
	config     func(*config.Config)
	kubeconfig func(*world) []byte // for both clusters; nil: the administrator's
	asleep     bool                // no baseline and no server yet
	kubeVirt   bool                // the clusters run KubeVirt, and machines run by themselves
	alone      bool                // on an API server of its own, for what all worlds would see on the one that they share
}

func (o setup) world(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, prefix: "e2e-" + strings.ToLower(rand.Text()[:8]), log: &logBuffer{}}
	options := stage.Options{Dir: t.TempDir(), Files: w.namespaces()}
	options.Forge.Observer = published.Watch(t)
	for _, change := range o.stage {
		change(&options)
	}
	s, err := stage.Set(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Forge.Close() })
	w.Stage, w.kube = s, o.cluster(t)
	w.cfg = s.Config(storetest.DSN(t), t.TempDir(), "127.0.0.1:0")
	w.cfg.Approval.Grace = 0 // nobody has to read the plans; TestJourney waits
	if o.config != nil {
		o.config(&w.cfg)
	}
	kubeconfig := w.kube.Kubeconfig()
	if o.kubeconfig != nil {
		kubeconfig = o.kubeconfig(w)
	}
	w.connect(kubeconfig)
	t.Cleanup(w.complain) // while the database is still there
	if !o.asleep {
		w.baseline(w.Repo.Head("main"))
		w.serve()
	}
	return w
}

func (o setup) cluster(t testing.TB) *kubetest.Cluster {
	t.Helper()
	switch {
	case o.kubeVirt:
		return kubetest.NewKubeVirt(t)
	case o.alone:
		kube, err := kubetest.Start(t.Context(), kubetest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = kube.Stop() })
		return kube
	}
	return kubetest.New(t)
}

// namespaces are those of the platform, each of which has a namespace of its own on the API server.
func (w *world) namespaces() forgetest.Files {
	files := forgetest.Files{}
	for _, env := range []string{"test", "prod"} {
		files["platform/namespaces/"+env+"-shop.yaml"] = []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Namespace\nspec:\n  environment: " +
			env + "\n  kubernetesName: " + w.kubeNamespace(env) + "\n")
	}
	return files
}

func (w *world) kubeNamespace(env string) string { return w.prefix + "-" + env }

// connect opens the database and adds the clusters' credentials.
func (w *world) connect(kubeconfig []byte) {
	w.t.Helper()
	ctx := w.t.Context()
	pool, err := pgxpool.New(ctx, w.cfg.Database.Reveal())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	w.pool = pool
	clusters, _, err := app.NewClusters(w.cfg, pool, w.logger())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"test-1", "prod-1"} {
		if _, err := clusters.Add(ctx, name, kubeconfig, audit.Actor{Login: "dave", ID: 104}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) baseline(sha string) bot.BaselineResult {
	w.t.Helper()
	result, problems, err := w.tryBaseline(sha)
	if err != nil {
		w.t.Fatal(err, problems)
	}
	return result
}

func (w *world) tryBaseline(sha string) (bot.BaselineResult, domain.Problems, error) {
	w.t.Helper()
	ctx := w.t.Context()
	a, err := app.NewAside(ctx, w.cfg, w.logger())
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	b, err := a.Baseline()
	if err != nil {
		w.t.Fatal(err)
	}
	return b.Set(ctx, sha, audit.Actor{Login: "dave", ID: 104})
}

// serve runs the server in this process until stop or the end of the test.
func (w *world) serve() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	a, err := app.New(ctx, w.cfg, w.logger())
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	a.Linger = 0 // nobody but the test asks it; TestDrain waits
	addr, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- a.Serve(ctx, func(at string) { addr <- at }) }()
	select {
	case at := <-addr:
		w.address = at
		w.Hook(at)
	case err := <-done:
		cancel()
		w.t.Fatal(err)
	}
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("serve: %v", err)
		}
		a.Close()
	})
	w.t.Cleanup(w.stop)
}

// logBuffer keeps the server's log for failing tests.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// trail is the audit log, for people.
func (w *world) trail() string {
	const lines = `select coalesce(string_agg(concat_ws(' ', performed_at::time, action_code, performed_by, subject, '#' || pull_request, params), E'\n' order by id), '') from audit_log`
	var out string
	if err := w.pool.QueryRow(context.Background(), lines).Scan(&out); err != nil {
		return err.Error()
	}
	return out
}

// complain shows what the server and the forge's pages said, when the test failed.
func (w *world) complain() {
	if !w.t.Failed() {
		return
	}
	w.t.Log("the server said:\n" + w.log.String())
	w.t.Log("the trail:\n" + w.trail())
	for _, pr := range w.Repo.Pulls() {
		for _, c := range pr.Checks() {
			w.t.Logf("#%d %s: %s, %s\n%s", pr.Number(), c.Name, c.Conclusion, c.Title, c.Summary)
		}
		for _, c := range w.comments(pr) {
			headline, _, _ := strings.Cut(c.Body, "\n\n")
			w.t.Logf("#%d comment, edited %d times: %s", pr.Number(), c.Edits, headline)
		}
	}
}

const patience = 60 * time.Second
