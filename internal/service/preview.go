package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
)

// What previews may cost: how many are under way on one cluster, how long one request to it may take, how long
// all of them together, and for how many more of them that time is given once more: a large batch takes its time
// on a healthy cluster too.
const (
	previewsAtOnce = 4
	previewCall    = 5 * time.Second
	previewBudget  = 8 * time.Second
	previewsMore   = 250
)

// Previewer asks clusters what applying plans would do. It never writes there.
type Previewer struct {
	db       *store.DB
	clusters *provider.Registry
	log      *slog.Logger
	now      func() time.Time
	call     time.Duration
	budget   time.Duration
}

// PreviewerDeps is what a Previewer is made of.
type PreviewerDeps struct {
	DB       *store.DB
	Clusters *provider.Registry
	Log      *slog.Logger
	Now      func() time.Time
	// Call bounds one request to a cluster, Budget all previews that are asked for together, and a little more for
	// each of them; zero for 5 and 8 s.
	Call, Budget time.Duration
}

// NewPreviewer gives the service.
func NewPreviewer(d PreviewerDeps) *Previewer {
	p := &Previewer{db: d.DB, clusters: d.Clusters, log: d.Log, now: d.Now, call: previewCall, budget: previewBudget}
	if d.Call > 0 {
		p.call = d.Call
	}
	if d.Budget > 0 {
		p.budget = d.Budget
	}
	return p
}

// Preview asks the clusters what the requests' plans would do, side by side, and answers in the requests' order.
// There is no error: what could not be asked, or was not answered in time, says so in Unanswered. A cluster that
// is known to be unreachable is not asked, and one that falls silent is not asked again.
func (p *Previewer) Preview(ctx context.Context, requests []render.PreviewRequest) []render.Preview {
	out := make([]render.Preview, len(requests))
	if len(requests) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.budget+p.budget*time.Duration(len(requests))/previewsMore, errBudget)
	defer cancel()
	var group sync.WaitGroup
	rows, err := p.rows(ctx, requests)
	for name, indexes := range byCluster(requests) {
		b := &batch{previewer: p, cluster: name, row: rows[name], requests: requests, out: out}
		if err != nil {
			b.all(indexes, "what is known of cluster "+name+" cannot be read")
			continue
		}
		group.Go(func() { b.run(ctx, indexes) })
	}
	group.Wait()
	now := p.now()
	for i, r := range requests {
		out[i].Cluster, out[i].For, out[i].At = r.Cluster, r.EffectiveDigest, now
		if out[i].Unanswered != "" {
			expect(&out[i], r, rows[r.Cluster])
		}
	}
	return out
}

// expect fills in, where the cluster gave no answer, what follows from what was agreed on last. row is nil for a
// cluster that is not registered.
func expect(p *render.Preview, r render.PreviewRequest, row *ent.Cluster) {
	if len(r.Previous) == 0 || len(r.Manifests) == 0 || r.Operation == domain.RestartVM {
		return
	}
	on := render.ImpactContext{Running: r.Running}
	if row != nil {
		on.KubeVirt = render.KubeVirtOf(row.KubevirtVersion, row.Capabilities)
	}
	if objects, impact, err := render.JudgeManifests(r.Previous, r.Manifests, on); err == nil { // else nothing can be expected
		p.Objects, p.Impact = objects, impact
	}
}

// errBudget ends the previews that were not answered in time.
var errBudget = errors.New("no time is left for previews")

func byCluster(requests []render.PreviewRequest) map[string][]int {
	out := map[string][]int{}
	for i, r := range requests {
		out[r.Cluster] = append(out[r.Cluster], i)
	}
	return out
}

// rows are the clusters of the requests as they were last seen.
func (p *Previewer) rows(ctx context.Context, requests []render.PreviewRequest) (map[string]*ent.Cluster, error) {
	var names []string
	for name := range byCluster(requests) {
		names = append(names, name)
	}
	found, err := p.db.Cluster.Query().Where(cluster.IDIn(names...)).All(ctx)
	if err != nil {
		p.log.ErrorContext(ctx, "previews are left out: the clusters cannot be read", "error", err)
		return nil, err
	}
	out := map[string]*ent.Cluster{}
	for _, row := range found {
		out[row.ID] = row
	}
	return out, nil
}

// batch is the previews of one cluster.
type batch struct {
	previewer *Previewer
	cluster   string
	row       *ent.Cluster // nil where the cluster is not registered
	requests  []render.PreviewRequest
	out       []render.Preview
	silence   atomic.Pointer[string] // why nothing more is asked
}

func (b *batch) run(ctx context.Context, indexes []int) {
	switch {
	case b.row == nil:
		b.all(indexes, "cluster "+b.cluster+" is not registered")
		return
	case b.row.Health == cluster.HealthUnreachable:
		b.all(indexes, fmt.Sprintf("cluster %s does not answer: %s", b.cluster, b.row.HealthMessage))
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connection, err := b.connect(ctx)
	if err != nil {
		b.all(indexes, b.unanswered(ctx, err))
		return
	}
	queue := make(chan int, len(indexes))
	for _, i := range indexes {
		queue <- i
	}
	close(queue)
	var group sync.WaitGroup
	for range min(previewsAtOnce, len(indexes)) {
		group.Go(func() {
			for i := range queue {
				b.ask(ctx, cancel, connection, i)
			}
		})
	}
	group.Wait()
}

func (b *batch) all(indexes []int, why string) {
	for _, i := range indexes {
		b.out[i].Unanswered = why
	}
}

func (b *batch) connect(ctx context.Context) (*provider.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, b.previewer.call)
	defer cancel()
	connection, err := b.previewer.clusters.Cluster(ctx, b.cluster)
	if err != nil {
		return nil, err
	}
	return connection.Within(b.previewer.call), nil
}

// ask makes one preview. The first that the cluster leaves unanswered ends the others of this cluster.
func (b *batch) ask(ctx context.Context, giveUp func(), connection *provider.Cluster, i int) {
	if why := b.silence.Load(); why != nil {
		b.out[i].Unanswered = *why
		return
	}
	answer, err := b.rehearse(ctx, connection, b.requests[i])
	if err == nil {
		b.out[i] = answer
		return
	}
	if refused := refusal(err); refused != nil {
		b.out[i].Refused = refused
		return
	}
	why := b.unanswered(ctx, err)
	if provider.Silent(err) {
		if !b.silence.CompareAndSwap(nil, &why) {
			why = *b.silence.Load()
		}
		giveUp()
	}
	b.out[i].Unanswered = why
}

// refusal is the problem of an error that lasts until people change something, or nil.
func refusal(err error) *domain.Problem {
	var sorted *provider.Error
	if !errors.As(err, &sorted) || sorted.Class != provider.Never {
		return nil
	}
	return &sorted.Problem
}

// unanswered says in a sentence why there is no answer.
func (b *batch) unanswered(ctx context.Context, err error) string {
	var sorted *provider.Error
	switch {
	case errors.Is(context.Cause(ctx), errBudget):
		return fmt.Sprintf("cluster %s does not answer fast enough: previews are given a limited time", b.cluster)
	case !errors.As(err, &sorted):
		b.previewer.log.ErrorContext(ctx, "a cluster cannot be asked for previews", "cluster", b.cluster, "error", err)
		return fmt.Sprintf("cluster %s cannot be asked; the server's log has the details", b.cluster)
	case provider.Silent(err):
		return fmt.Sprintf("cluster %s does not answer: %s", b.cluster, sorted.Problem.Message)
	}
	return fmt.Sprintf("cluster %s gives no answer to this: %s", b.cluster, sorted.Problem.Message)
}
