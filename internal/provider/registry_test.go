package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// shelf is a Source in memory.
type shelf struct {
	mu     sync.Mutex
	stored map[string]credentials
}

type credentials struct{ kubeconfig, uid, generation string }

func (s *shelf) put(cluster string, c credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == nil {
		s.stored = map[string]credentials{}
	}
	s.stored[cluster] = c
}

var errNoCluster = errors.New("no such cluster")

func (s *shelf) Kubeconfig(_ context.Context, cluster string) ([]byte, string, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.stored[cluster]
	if !ok {
		return nil, "", "", errNoCluster
	}
	return []byte(c.kubeconfig), c.uid, c.generation, nil
}

func TestRegistryNoticesRotatedCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	uid, err := b.uid(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	source := &shelf{}
	source.put("a", credentials{string(b.kube.Kubeconfig()), uid, "1"})
	r := New(source, Options{})
	first, err := r.Cluster(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Cluster(t.Context(), "a"); again != first || err != nil {
		t.Errorf("made anew without a reason: %v", err)
	}
	source.put("a", credentials{string(b.kube.Restricted(t, may("", "namespaces", "get"))), uid, "2"})
	second, err := r.Cluster(t.Context(), "a")
	if err != nil || second == first {
		t.Fatalf("the old credentials are still used: %v", err)
	}
	if _, err := second.EnsureNamespace(t.Context(), b.ns+"-x", nil); err == nil {
		t.Error("the new credentials have the old rights")
	}
	if _, err := first.Observe(t.Context(), b.ns, "vm"); err != nil {
		t.Errorf("work under way with the old connection broke: %v", err)
	}
	r.Forget("a")
	if third, err := r.Cluster(t.Context(), "a"); err != nil || third == second {
		t.Errorf("a forgotten cluster is still held: %v", err)
	}
}

func TestRegistryRefusesAnotherCluster(t *testing.T) {
	t.Parallel()
	b := setup(t)
	source := &shelf{}
	source.put("a", credentials{string(b.kube.Kubeconfig()), "another-uid", "1"})
	r := New(source, Options{})
	for range 2 {
		_, err := r.Cluster(t.Context(), "a")
		refusedAs(t, err, domain.ClusterUnreachable, Later, "lead to another cluster", "another-uid")
	}
	uid, _ := b.uid(t.Context())
	source.put("a", credentials{string(b.kube.Kubeconfig()), uid, "2"})
	if _, err := r.Cluster(t.Context(), "a"); err != nil {
		t.Errorf("a refusal sticks: %v", err)
	}
}

func TestRegistryAnswersForWhatItCannotUse(t *testing.T) {
	t.Parallel()
	source := &shelf{}
	source.put("broken", credentials{kubeconfigText("server: https://k", "exec: {apiVersion: v1, command: sh}"), "", "1"})
	r := New(source, Options{})
	_, err := r.Cluster(t.Context(), "broken")
	refusedAs(t, err, domain.ClusterUnreachable, Later, "credentials of cluster broken cannot be used", "exec runs a program")
	if _, err := r.Cluster(t.Context(), "none"); !errors.Is(err, errNoCluster) || !strings.Contains(err.Error(), "none") {
		t.Errorf("unknown cluster: %v", err)
	}
}

func TestADeadClusterDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	silent := servedConfig(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	source := &shelf{}
	source.put("alive", credentials{string(b.kube.Kubeconfig()), "", "1"})
	source.put("dead", credentials{silent, "uid", "1"})
	r := New(source, Options{Timeout: 2 * time.Second})
	var group sync.WaitGroup
	dead := make([]error, 4)
	for i := range dead {
		group.Go(func() { _, dead[i] = r.Cluster(t.Context(), "dead") })
	}
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	c, err := r.Cluster(t.Context(), "alive")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Observe(t.Context(), b.ns, "vm"); err != nil {
		t.Fatal(err)
	}
	if spent := time.Since(start); spent > time.Second {
		t.Errorf("the living cluster answered after %s", spent)
	}
	start = time.Now()
	group.Wait()
	if spent := time.Since(start); spent > 5*time.Second {
		t.Errorf("users of the dead cluster waited for each other: %s", spent)
	}
	for _, err := range dead {
		refusedAs(t, err, domain.ClusterUnreachable, Retry)
	}
}
