package chaos

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/stage"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// world is a forge, a PostgreSQL and a cluster, with several servers between them.
type world struct {
	*stage.Stage
	t           testing.TB
	erin, frank *forgetest.User
	cfg         config.Config
	database    *pgtest.Server
	pool        *pgxpool.Pool
	kube        *kubetest.Cluster
	front       *front
	player      *player
	prefix      string // of its namespaces
	baseline    string
	balancer    *balancer
	servers     []*server
	log         *os.File // what the servers say
	script      *script
	artifacts   string
	over        atomic.Bool // people have gone home
}

// sweepEvery is how often servers look for what they have missed.
const sweepEvery = 4 * time.Second

// newWorld starts everything but the servers.
func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{t: t, prefix: "chaos-" + strings.ToLower(rand.Text()[:8]), kube: kubetest.New(t)}
	dir := t.TempDir()
	s, err := stage.Set(stage.Options{Dir: dir, Files: w.platform(), Forge: forgetest.Options{
		Seed: seed, RateLimit: 1 << 30, DeliveryConcurrency: 6, KeepDeliveries: 1 << 20, Observer: published.Watch(t),
	}})
	w.do(err)
	t.Cleanup(func() { _ = s.Forge.Close() })
	w.Stage = s
	w.erin, w.frank = s.Forge.UserWithID("erin", 105), s.Forge.UserWithID("frank", 106)
	s.Repo.SetPermission(w.erin, "write")
	s.Repo.SetPermission(w.frank, "write")
	server, dsn := storetest.Server(t)
	w.database = server
	w.cfg = s.Config(dsn, t.TempDir(), "127.0.0.1:0")
	w.cfg.Approval.Grace = 0 // people approve what they see a moment after they see it
	w.artifacts = artifacts(t)
	w.log, err = os.Create(filepath.Join(w.artifacts, "servers.log"))
	w.do(err)
	t.Cleanup(func() { _ = w.log.Close() })
	w.front, w.player = newFront(t, w.kube), newPlayer(t, w.kube, w.namespace("test"), w.namespace("prod"))
	w.prepare()
	w.balancer = newBalancer(t)
	w.Hook(w.balancer.address)
	return w
}

// artifacts is where a run leaves what explains it: SHEPHERD_CHAOS_DIR, or a directory that stays when the run
// fails.
func artifacts(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SHEPHERD_CHAOS_DIR")
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dir, err := os.MkdirTemp("", "shepherd-chaos-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}

func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) namespace(env string) string { return w.prefix + "-" + env }

// people are their roles, once for the server and once for the checker.
func people() map[string]Rights {
	both, test := map[string]bool{"test": true, "prod": true}, map[string]bool{"test": true}
	return map[string]Rights{
		"alice": {Ask: both},
		"bob":   {Approve: both},
		"erin":  {Approve: both, Ask: both},
		"frank": {Approve: test},
		"dave":  {Approve: both, Ask: both, Lift: true}, // the platform's administrator
	}
}

func (w *world) platform() forgetest.Files {
	files := forgetest.Files{}
	document := func(path, kind, spec string) {
		files["platform/"+path+".yaml"] = []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: " + kind + "\nspec:\n" + spec)
	}
	for _, env := range []string{"test", "prod"} {
		document("namespaces/"+env+"-shop", "Namespace", "  environment: "+env+"\n  kubernetesName: "+w.namespace(env)+"\n")
	}
	role := func(name, role, person string, id int, environments string) {
		document("roles/"+name, "RoleBinding", fmt.Sprintf("  role: %s\n  people:\n    - login: %s\n      id: %d\n  allowedEnvironments: %s\n", role, person, id, environments))
	}
	role("erin-asks", "operator", "erin", 105, "[test, prod]")
	role("erin-approves", "approver", "erin", 105, "[test, prod]")
	role("frank-approves", "approver", "frank", 106, "[test]")
	return files
}

// prepare adds the clusters and takes the baseline.
func (w *world) prepare() {
	w.t.Helper()
	ctx := w.t.Context()
	pool, err := pgxpool.New(ctx, w.cfg.Database.Reveal())
	w.do(err)
	w.t.Cleanup(pool.Close)
	w.pool = pool
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	clusters, _, err := app.NewClusters(w.cfg, pool, logger)
	w.do(err)
	dave := audit.Actor{Login: "dave", ID: 104}
	for _, name := range []string{"test-1", "prod-1"} {
		_, err := clusters.Add(ctx, name, w.front.kubeconfig, dave)
		w.do(err)
	}
	aside, err := app.NewAside(ctx, w.cfg, logger)
	w.do(err)
	defer aside.Close()
	b, err := aside.Baseline()
	w.do(err)
	w.baseline = w.Repo.Head("main")
	_, problems, err := b.Set(ctx, w.baseline, dave)
	if err != nil {
		w.t.Fatal(err, problems)
	}
}

// binary builds the program once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "shepherd-chaos")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "shepherd")
	out, err := exec.Command("go", "build", "-o", path, "kv-shepherd.io/shepherd/cmd/shepherd").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// count runs a query that counts. The run asks the database only whether it is at rest; the checker does not.
func (w *world) count(ctx context.Context, query string) (n int, err error) {
	err = w.pool.QueryRow(ctx, query).Scan(&n)
	return n, err
}
