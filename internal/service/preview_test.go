package service

import (
	"log/slog"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// previewer asks the world's cluster, whose credentials are added when they are not there.
func (w *world) previewer(change func(*PreviewerDeps)) *Previewer {
	w.Helper()
	d := PreviewerDeps{DB: w.db, Clusters: provider.New(w.clusters, provider.Options{}), Log: slog.New(slog.DiscardHandler), Now: w.now}
	if change != nil {
		change(&d)
	}
	return NewPreviewer(d)
}

func (w *world) registered() {
	w.Helper()
	_, err := w.clusters.Add(w.Context(), "prod-1", w.kubeconfig, operator)
	w.ok(err)
}

// wanting is the request for a new VM with an index.
func (w *world) wanting(index int) render.PreviewRequest {
	ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: index}
	return render.PreviewRequest{
		Cluster: "prod-1", Ref: ref, Environment: domain.Prod, Namespace: w.ns, Operation: domain.CreateVM,
		Manifests: []render.Manifest{machine(ref, w.ns)}, EffectiveDigest: "effective-" + ref.Instance(),
	}
}

func TestPreviewOfACreation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.registered()
	got := w.previewer(nil).Preview(t.Context(), []render.PreviewRequest{w.wanting(1)})[0]
	if got.Unanswered != "" || got.Refused != nil || len(got.Objects) != 1 || got.Objects[0].Action != "created" {
		t.Errorf("%+v", got)
	}
	if got.Cluster != "prod-1" || got.For != "effective-01" || got.At.IsZero() {
		t.Errorf("%+v", got)
	}
}
