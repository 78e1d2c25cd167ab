package service

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/seal"
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
