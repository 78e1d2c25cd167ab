// Package e2e plays whole journeys on real parts: PostgreSQL, a kube-apiserver with KubeVirt's kinds,
// git over HTTP, the forge stand-in, and the server as it is put together for production.
package e2e

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/bot"
	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// world is one scene with a server that governs it.
type world struct {
	*stage.Stage
	t    *testing.T
	cfg  config.Config
	pool *pgxpool.Pool
	kube *kubetest.Cluster
	log  *logBuffer
	stop func()
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

const patience = 60 * time.Second

// namespaces keeps worlds apart on the shared API server: each has namespaces of its own.
func platform(prefix string) forgetest.Files {
	files := forgetest.Files{}
	for _, env := range []string{"test", "prod"} {
		files["platform/namespaces/"+env+"-shop.yaml"] = []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Namespace\nspec:\n  environment: " +
			env + "\n  kubernetesName: " + prefix + "-" + env + "\n")
	}
	return files
}

// newWorld sets the scene, takes the baseline, adds the clusters and starts the server.
func newWorld(t *testing.T, change ...func(*stage.Options)) *world {
	t.Helper()
	prefix := "e" + strings.ToLower(strings.ReplaceAll(time.Now().Format("150405.000000"), ".", ""))
	o := stage.Options{Dir: t.TempDir(), Files: platform(prefix)}
	for _, c := range change {
		c(&o)
	}
	s, err := stage.Set(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Forge.Close() })
	w := &world{Stage: s, t: t, kube: kubetest.New(t), log: &logBuffer{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the server said:\n" + w.log.String())
		}
	})
	w.cfg = s.Config(migrated(t), t.TempDir(), "127.0.0.1:0")
	w.prepare()
	w.serve()
	return w
}

func migrated(t *testing.T) string {
	return pgtest.Template(t, "shepherd", func(ctx context.Context, dsn string) error {
		pool, err := pgxpool.New(ctx, dsn)
		if err != nil {
			return err
		}
		defer pool.Close()
		_, err = app.Migrate(ctx, pool)
		return err
	})
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// prepare is an operator's day one: credentials and baseline.
func (w *world) prepare() {
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
		if _, err := clusters.Add(ctx, name, w.kube.Kubeconfig()); err != nil {
			w.t.Fatal(err)
		}
	}
	w.baseline(w.Repo.Head("main"))
}

func (w *world) baseline(sha string) {
	w.t.Helper()
	ctx := w.t.Context()
	a, err := app.NewAside(ctx, w.cfg, w.logger())
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	b := bot.Baseline{DB: a.DB, Mirror: a.Mirror, Rules: a.Rules, Repo: a.Repo, Log: a.Log}
	if _, problems, err := b.Set(ctx, sha, audit.Actor{Login: "dave", ID: 104}); err != nil {
		w.t.Fatal(err, problems)
	}
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
	addr, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- a.Serve(ctx, func(at string) { addr <- at }) }()
	select {
	case at := <-addr:
		w.Hook(at)
		w.cfg.Listen = at
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

// eventually waits for what the system comes to by itself.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := stage.Wait(ctx, what, func() (bool, error) { return ok(), nil }); err != nil {
		w.t.Fatal(err)
	}
}

// check waits until a check of the pull request's head has a conclusion.
func (w *world) check(pr *forgetest.Pull, name, conclusion string) forgetest.Check {
	w.t.Helper()
	var last forgetest.Check
	w.eventually(name+" "+conclusion, func() bool {
		c, ok := pr.Check(name)
		last = c
		return ok && c.Conclusion == conclusion
	})
	return last
}

// comment waits until the bot's comment says something.
func (w *world) comment(pr *forgetest.Pull, text string) string {
	w.t.Helper()
	var body string
	w.eventually("a comment with "+text, func() bool {
		for _, c := range pr.CommentsBy("shepherd[bot]") {
			body = c.Body
			if strings.Contains(body, text) {
				return true
			}
		}
		return false
	})
	return body
}

// vm waits for a virtual machine on the cluster.
func (w *world) vm(env, name string) *kubevirtv1.VirtualMachine {
	w.t.Helper()
	vm := &kubevirtv1.VirtualMachine{}
	w.eventually("vm "+name, func() bool {
		return w.kube.Client().Get(w.t.Context(), client.ObjectKey{Namespace: w.kubeNamespace(env), Name: name}, vm) == nil
	})
	return vm
}

func (w *world) kubeNamespace(env string) string {
	data, ok := w.Repo.File("main", "platform/namespaces/"+env+"-shop.yaml")
	if !ok {
		w.t.Fatal("the platform has no namespace of " + env)
	}
	_, name, _ := strings.Cut(string(data), "kubernetesName: ")
	return strings.TrimSpace(name)
}

// ask opens a pull request with files.
func (w *world) ask(branch string, files forgetest.Files) *forgetest.Pull {
	w.t.Helper()
	if _, err := w.Alice.Commit(w.Repo, branch, "main", files, "ask for machines"); err != nil {
		w.t.Fatal(err)
	}
	pr, err := w.Alice.OpenPull(w.Repo, "Machines for the shop", branch, "main", "", false)
	if err != nil {
		w.t.Fatal(err)
	}
	return pr
}

// approve waits out the grace and approves.
func (w *world) approve(u *forgetest.User, pr *forgetest.Pull) {
	w.t.Helper()
	time.Sleep(time.Duration(w.cfg.Approval.Grace) + time.Second)
	if _, err := u.Approve(pr); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) merge(pr *forgetest.Pull, method string) {
	w.t.Helper()
	w.eventually("the branch protection to allow the merge", func() bool { return len(pr.Blockers()) == 0 })
	if _, err := w.Bob.Merge(pr, method); err != nil {
		w.t.Fatal(err)
	}
}

// count runs a query that counts.
func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func twoVMs() forgetest.Files {
	return forgetest.Files{
		"systems/shop/system.yaml":             stage.System("the web shop"),
		"systems/shop/redis/service.yaml":      stage.Service("the cache"),
		"systems/shop/redis/test-shop/01.yaml": stage.VM("small", "a cache to try things on"),
		"systems/shop/redis/prod-shop/02.yaml": stage.VM("medium", "the cache of the winter sale"),
	}
}

