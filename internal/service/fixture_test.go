package service

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// world is a database, an API server, and the services on both.
type world struct {
	*testing.T
	pool        *pgxpool.Pool
	db          *store.DB
	queue       *jobs.Queue
	kube        *kubetest.Cluster
	ns          string
	gateway     *approval.Gateway
	clusters    *Clusters
	vms         *VMs
	environment domain.Environment // what the platform says of the cluster
	ahead       time.Duration      // how far the clock is
	steps       []string           // what was measured
	kubeconfig  []byte             // how the cluster is reached
}

func newKeyring(t *testing.T, key string) *seal.Keyring {
	t.Helper()
	keys, err := seal.ParseKeyring(seal.NewSecret(hex.EncodeToString([]byte(strings.Repeat(key, 32)))))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := storetest.Open(t)
	queue, err := jobs.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, pool: pool, queue: queue, db: store.New(pool), kube: kubetest.New(t), environment: domain.Prod}
	w.kubeconfig = w.kube.Kubeconfig()
	w.ns = w.kube.Namespace(t)
	w.gateway = approval.New(w.db, queue, w.now)
	w.clusters = NewClusters(w.db, newKeyring(t, "a"), provider.Options{}, w.now)
	w.vms = w.service(w.gateway)
	w.ok(w.db.Repository.Create().SetID(42).SetBranch("main").SetCursor("c0").Exec(t.Context()))
	w.ok(w.db.PullRequest.Create().SetID(7).SetWanted(1).Exec(t.Context()))
	return w
}

// service is the service on a gateway, such as one whose transactions break.
func (w *world) service(g *approval.Gateway) *VMs {
	var mu sync.Mutex
	return NewVMs(VMsDeps{
		Pool: w.pool, DB: w.db, Gateway: g, Clusters: provider.New(w.clusters, provider.Options{}),
		Environment: func(context.Context, string) (domain.Environment, error) { return w.environment, nil },
		Log:         slog.New(slog.DiscardHandler), Now: w.now,
		Observe: func(what string, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			w.steps = append(w.steps, what)
		},
	})
}

func (w *world) now() time.Time { return time.Now().Add(w.ahead) }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) lines(query string, args ...any) []string {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), query, args...)
	w.ok(err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.ok(err)
	return out
}

// add gives the API server's credentials a name.
func (w *world) add(name string) {
	w.Helper()
	_, err := w.clusters.Add(w.Context(), name, w.kubeconfig, operator)
	w.ok(err)
}

var operator = audit.Actor{Login: "dave"}

var number atomic.Int64

// merged brings a request for a VM from nothing to its job, and returns its event.
func (w *world) merged() uuid.UUID {
	w.Helper()
	span := w.submitted()
	w.ok(w.gateway.Merge(w.Context(), span))
	e, err := w.db.Event.Query().Where(event.Path(span.Merged[0].Change.Path)).Only(w.Context())
	w.ok(err)
	return e.ID
}

// submitted brings a request for a VM to where it can be merged.
func (w *world) submitted() approval.Span {
	w.Helper()
	index := int(number.Add(1))
	ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: index}
	c := judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.VMName(), Operation: domain.CreateVM, Environment: domain.Prod,
		Wanted: json.RawMessage(`{"power":"running","size":"medium","template":"ubuntu"}`), Digest: "digest-" + ref.Instance(),
		Verdict: policy.Verdict{Outcome: policy.Allow}, Requirement: policy.Requirement{Operation: domain.CreateVM},
		Claims: []string{"vm:" + ref.VMName()}, Document: []byte("spec: {}\n"),
		Plan: &judge.Plan{
			Choice: judge.Choice{Cluster: "prod-1"}, Template: "ubuntu", TemplateVersion: 1, Size: "medium", KubernetesNamespace: w.ns,
			TemplateSnapshot: &spec.Template{Status: "active"}, SizeSnapshot: &spec.InstanceSize{Cores: 1, Memory: "1Gi"},
			EffectiveDigest: "effective-" + ref.Instance(), Manifests: []render.Manifest{machine(ref, w.ns)},
		},
	}
	pull := approval.Pull{Number: 7, URL: "https://forge.test/acme/vms/pull/7", Author: audit.Actor{ID: 101, Login: "alice"}, HeadSHA: "h1", BaseRef: "main", State: "open"}
	report := judge.Report{Head: "h1", Platform: "c0", Governed: true, Changes: []judge.Change{c}}
	w.ok(w.gateway.Submit(w.Context(), approval.Submission{Pull: pull, Judged: 1, Report: report}))
	return approval.Span{Repository: 42, From: "c0", To: "c1", Pull: pull, Merged: []approval.Merged{{Change: c}}}
}

// machine is a VM's manifest as rendering makes it, as small as the API server takes it.
func machine(ref spec.Ref, ns string) render.Manifest {
	labels := fmt.Sprintf(`{%q:%q,%q:"shop",%q:"redis",%q:%q,%q:"prod"}`, provider.LabelManagedBy, provider.ManagedBy,
		provider.LabelSystem, provider.LabelService, provider.LabelInstance, ref.Instance(), provider.LabelEnvironment)
	return render.Manifest{
		APIVersion: "kubevirt.io/v1", Kind: render.KindVirtualMachine, Namespace: ns, Name: ref.VMName(),
		JSON: fmt.Appendf(nil, `{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine","metadata":{"name":%q,"namespace":%q,"labels":%s},
"spec":{"runStrategy":"Always","template":{"metadata":{"labels":%[3]s},"spec":{"domain":{"devices":{},"memory":{"guest":"1Gi"}}}}}}`,
			ref.VMName(), ns, labels),
	}
}

func (w *world) event(id uuid.UUID) *ent.Event {
	w.Helper()
	e, err := w.db.Event.Get(w.Context(), id)
	w.ok(err)
	return e
}

func (w *world) vm(id uuid.UUID) *ent.VM {
	w.Helper()
	row, err := w.db.VM.Query().Where(vm.Path(w.event(id).Path)).Only(w.Context())
	w.ok(err)
	return row
}
