package service

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/store"
)

func TestClusterRemove(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.merged()
	w.reports(map[int]string{20: `{"changes": [{"plan": {"cluster": "prod-1"}}]}`})
	var inUse InUseError
	if err := w.clusters.Remove(t.Context(), w.queue, "prod-1", operator); !errors.As(err, &inUse) || inUse.VMs != 1 || !strings.Contains(err.Error(), "1 VM lives on cluster prod-1") {
		t.Fatalf("with a VM: %v", err)
	}
	w.same("judged again for nothing", nil, w.judgings())
	_, err := w.pool.Exec(t.Context(), `update vms set status = 'DELETED'`)
	w.ok(err)
	w.ok(w.clusters.Remove(t.Context(), w.queue, "prod-1", operator))
	w.same("judged again", []string{"20 at 4"}, w.judgings())
	w.same("left", nil, w.lines(`select id from clusters`))
	w.same("trail", []string{"CLUSTER_REMOVED prod-1 dave"}, w.lines(`select action_code || ' ' || subject || ' ' || performed_by from audit_log where action_code like 'CLUSTER_REM%'`))
	if err := w.clusters.Remove(t.Context(), w.queue, "prod-1", operator); err == nil || !strings.Contains(err.Error(), `there is no cluster "prod-1"`) {
		t.Errorf("twice: %v", err)
	}
	if got := (InUseError{"prod-1", 2}).Error(); !strings.HasPrefix(got, "2 VMs live on") {
		t.Error(got)
	}
}

// Of a merge that puts a VM on a cluster and the cluster's removal one wins: there is never a VM without its
// cluster's credentials.
func TestClusterRemoveRacesMerge(t *testing.T) {
	t.Parallel()
	won := map[string]int{}
	for range 5 {
		w := newWorld(t)
		w.add("prod-1")
		span := w.submitted()
		var merged, removed error
		var group sync.WaitGroup
		group.Go(func() { merged = w.gateway.Merge(t.Context(), span) })
		group.Go(func() { removed = w.clusters.Remove(t.Context(), w.queue, "prod-1", operator) })
		group.Wait()
		var inUse InUseError
		switch {
		case merged == nil && errors.As(removed, &inUse):
			won["merge"]++
		case removed == nil && jobs.IsLater(merged):
			won["removal"]++
		default:
			t.Fatalf("merge: %v, removal: %v", merged, removed)
		}
		if orphans := w.lines(`select name from vms where cluster not in (select id from clusters)`); len(orphans) > 0 {
			t.Errorf("VMs without a cluster: %v", orphans)
		}
	}
	t.Logf("won: %v", won)
}

// A removal that has begun is waited for by the merge, and the other way round.
func TestClusterRemoveWaitsForMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	span := w.submitted()
	var inUse InUseError
	removed := make(chan error, 1)
	w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.PGX.Exec(ctx, `select from clusters where id = 'prod-1' for update`) // a removal that is under way
		w.ok(err)
		merged := make(chan error, 1)
		go func() { merged <- w.gateway.Merge(t.Context(), span) }()
		select {
		case err := <-merged:
			t.Errorf("the merge did not wait: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		go func() {
			if err := <-merged; err != nil {
				t.Error(err)
			}
			removed <- w.clusters.Remove(t.Context(), w.queue, "prod-1", operator)
		}()
		return nil
	}))
	if err := <-removed; !errors.As(err, &inUse) {
		t.Errorf("after the merge: %v", err)
	}
}

// After the first key is another one and all is sealed with it, the old one is needed no more; the
// credentials and their connections stay.
func TestClusterReseal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	w.add("test-1")
	keys := func(names string) *Clusters {
		var list []string
		for _, k := range names {
			list = append(list, hex.EncodeToString(bytes.Repeat([]byte{byte(k)}, 32)))
		}
		ring, err := seal.ParseKeyring(seal.NewSecret(strings.Join(list, ",")))
		w.ok(err)
		return NewClusters(w.db, ring, provider.Options{}, w.now)
	}
	if _, err := keys("b").Reseal(t.Context(), operator); err == nil || !strings.Contains(err.Error(), "cluster prod-1: open the credentials") {
		t.Errorf("without the old key: %v", err)
	}
	for _, want := range [][]string{{"prod-1", "test-1"}, nil} {
		got, err := keys("ba").Reseal(t.Context(), operator)
		w.ok(err)
		if !slices.Equal(got, want) {
			t.Errorf("resealed %v, want %v", got, want)
		}
	}
	got, _, generation, err := keys("b").Kubeconfig(t.Context(), "prod-1")
	w.ok(err)
	if !bytes.Equal(got, w.kubeconfig) || generation != "1" {
		t.Errorf("generation %s, the same credentials: %v", generation, bytes.Equal(got, w.kubeconfig))
	}
	if _, _, _, err := keys("a").Kubeconfig(t.Context(), "prod-1"); err == nil {
		t.Error("the old key still opens")
	}
	trail := w.lines(`select subject || ' ' || performed_by from audit_log where action_code = 'CLUSTER_RESEALED' order by id`)
	if !slices.Equal(trail, []string{"prod-1 dave", "test-1 dave"}) {
		t.Errorf("trail %v", trail)
	}
}
