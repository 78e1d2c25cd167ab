package service

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/store"
)

// What was seen of a cluster is what judging may count on.
func TestClusterFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for _, c := range []struct {
		name  string
		facts provider.Facts
		want  string
	}{
		{"without KubeVirt", provider.Facts{KubernetesVersion: "v1.34.0"}, "unhealthy KubeVirt is not installed v1.34.0  [] "},
		{"with it", provider.Facts{
			HasKubeVirt: true, KubernetesVersion: "v1.34.0", KubeVirtVersion: "v1.8.0",
			StorageClasses: []provider.StorageClass{{Name: "slow"}, {Name: "fast", Default: true}},
		}, "healthy  v1.34.0 v1.8.0 [slow fast] fast"},
		{"its default is gone", provider.Facts{HasKubeVirt: true, StorageClasses: []provider.StorageClass{{Name: "slow"}}}, "healthy    [slow] "},
	} {
		err := w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			row, err := tx.Cluster.Get(ctx, "prod-1")
			if err != nil {
				return err
			}
			return w.clusters.note(ctx, tx, row, c.facts)
		})
		w.ok(err)
		row, err := w.db.Cluster.Get(t.Context(), "prod-1")
		w.ok(err)
		got := fmt.Sprint(row.Health, " ", row.HealthMessage, " ", row.KubernetesVersion, " ", row.KubevirtVersion, " ", row.StorageClasses, " ", row.DefaultStorageClass)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Live tells whose a VM on a cluster is, and that there is none.
func TestClusterLive(t *testing.T) {
	t.Parallel()
	w, id := applied(t)
	name := w.event(id).Subject
	uid, labels, annotations, err := w.clusters.Live(t.Context(), "prod-1", w.ns, name)
	w.ok(err)
	if uid != w.vm(id).UID || labels[provider.LabelService] != "redis" || annotations["kubevirt-shepherd.io/event-id"] != id.String() {
		t.Errorf("%s %v %v", uid, labels, annotations)
	}
	if uid, _, _, err := w.clusters.Live(t.Context(), "prod-1", w.ns, "none"); err != nil || uid != "" {
		t.Errorf("of none: %q, %v", uid, err)
	}
	if _, _, _, err := w.clusters.Live(t.Context(), "elsewhere", w.ns, name); err == nil {
		t.Error("of no cluster: no error")
	}
}
