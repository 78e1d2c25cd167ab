package service

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
)

func TestClusterAdd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	facts, err := w.clusters.Add(t.Context(), "prod-1", w.kube.Kubeconfig(), operator)
	w.ok(err)
	got, uid, generation, err := w.clusters.Kubeconfig(t.Context(), "prod-1")
	w.ok(err)
	if !bytes.Equal(got, w.kube.Kubeconfig()) || uid != facts.UID || uid == "" || generation != "1" {
		t.Errorf("uid %q, generation %s", uid, generation)
	}
	w.add("another")
	rows, err := w.clusters.List(t.Context())
	w.ok(err)
	var list []string
	for _, r := range rows {
		list = append(list, fmt.Sprint(r.ID, " ", r.UID == facts.UID, " ", r.KubernetesVersion == facts.KubernetesVersion, " ", r.Health, r.HealthMessage, len(r.Kubeconfig)))
	}
	if rows[0].CheckedAt == nil || rows[0].KubernetesVersion == "" {
		t.Errorf("%+v", rows[0])
	}
	health := fmt.Sprint(rows[0].Health, rows[0].HealthMessage)
	if diff := cmp.Diff([]string{"another true true " + health + "0", "prod-1 true true " + health + "0"}, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is stored is sealed: no word of the credentials is anywhere in the database.
func TestClusterIsSealedAtRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	w.add("prod-1")
	var secrets []string
	for _, line := range strings.Split(string(w.kube.Kubeconfig()), "\n") {
		for _, word := range strings.Fields(line) {
			if len(word) >= 32 { // keys, certificates, tokens
				secrets = append(secrets, word)
			}
		}
	}
	if len(secrets) == 0 {
		t.Fatalf("there is nothing secret in the kubeconfig")
	}
	var dump strings.Builder
	for _, table := range w.lines(`select tablename::text from pg_tables where schemaname = 'public'`) {
		for _, row := range w.lines(fmt.Sprintf(`select t::text from %q t`, table)) {
			dump.WriteString(row)
		}
	}
	text := dump.String()
	if !strings.Contains(text, "prod-1") || !strings.Contains(text, "CLUSTER_ADDED") {
		t.Fatal("the dump misses the cluster or its trail")
	}
	for _, s := range append(secrets, "current-context", "apiVersion: v1") {
		if strings.Contains(text, s) || strings.Contains(text, fmt.Sprintf("%x", s)) {
			t.Errorf("%.20s... is stored in the clear", s)
		}
	}
}

// Each rotation is a new generation, so that connections are made anew.
func TestClusterRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	rotated := append(w.kube.Kubeconfig(), "# rotated\n"...)
	_, err := w.clusters.Add(t.Context(), "prod-1", rotated, operator)
	w.ok(err)
	got, _, generation, err := w.clusters.Kubeconfig(t.Context(), "prod-1")
	w.ok(err)
	if generation != "2" || !bytes.Equal(got, rotated) {
		t.Errorf("generation %s", generation)
	}
	trail := w.lines(`select format('%s %s by %s generation %s', action_code, subject, performed_by, params->>'generation') from audit_log order by id`)
	if diff := cmp.Diff([]string{"CLUSTER_ADDED prod-1 by dave generation 1", "CLUSTER_ADDED prod-1 by dave generation 2"}, trail); diff != "" {
		t.Errorf("trail (-want +got):\n%s", diff)
	}
}

// A name stays with its cluster: test does not become prod by a new kubeconfig.
func TestClusterOfAnotherUID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	before := w.lines(`select c::text from clusters c`)
	_, err := w.pool.Exec(t.Context(), `update clusters set uid = 'of-another-cluster'`)
	w.ok(err)
	if _, err := w.clusters.Add(t.Context(), "prod-1", w.kube.Kubeconfig(), operator); !errors.Is(err, ErrOtherCluster) {
		t.Fatalf("%v", err)
	}
	_, err = w.pool.Exec(t.Context(), `update clusters set uid = $1`, w.uid())
	w.ok(err)
	if diff := cmp.Diff(before, w.lines(`select c::text from clusters c`)); diff != "" {
		t.Errorf("the refusal changed the row (-want +got):\n%s", diff)
	}
	if trail := w.lines(`select action_code from audit_log`); len(trail) != 1 {
		t.Errorf("trail %v", trail)
	}
}

func (w *world) uid() string {
	w.Helper()
	connection, err := provider.Connect(w.Context(), w.kube.Kubeconfig(), provider.Options{})
	w.ok(err)
	defer connection.Close()
	facts, err := connection.Facts(w.Context())
	w.ok(err)
	return facts.UID
}

func TestClusterRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ name, cluster, kubeconfig, want string }{
		{"no kubeconfig", "prod-1", "words", "add cluster prod-1"},
		{"an empty one", "prod-1", "", "add cluster prod-1"},
		{"a name that is none", "prod/1", string(w.kube.Kubeconfig()), string(domain.PathInvalid)},
		{"a name in capitals", "PROD", string(w.kube.Kubeconfig()), `did you mean "platform/clusters/prod.yaml"?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := w.clusters.Add(t.Context(), c.cluster, []byte(c.kubeconfig), operator); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: want %s", err, c.want)
			}
		})
	}
	if rows, err := w.clusters.List(t.Context()); err != nil || len(rows) != 0 {
		t.Errorf("stored: %v, %v", rows, err)
	}
}

func TestKubeconfigErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, _, _, err := w.clusters.Kubeconfig(t.Context(), "none"); err == nil {
		t.Error("there is no such cluster")
	}
	w.add("prod-1")
	other := NewClusters(w.db, newKeyring(t, "b"), provider.Options{}, w.now)
	if _, _, _, err := other.Kubeconfig(t.Context(), "prod-1"); err == nil || !strings.Contains(err.Error(), "open the credentials") {
		t.Errorf("with another key: %v", err)
	}
	// A row's credentials do not open under another name.
	_, err := w.pool.Exec(t.Context(), `update clusters set id = 'test-1'`)
	w.ok(err)
	if _, _, _, err := w.clusters.Kubeconfig(t.Context(), "test-1"); err == nil {
		t.Error("credentials were moved to another name")
	}
}
