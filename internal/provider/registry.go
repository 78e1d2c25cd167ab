package provider

import (
	"context"
	"fmt"
	"sync"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Source is where clusters' credentials are kept. Who stores them decides.
type Source interface {
	// Kubeconfig returns a cluster's credentials, the uid that was pinned when the cluster was
	// added (empty if none was) and a generation that changes whenever the credentials do.
	Kubeconfig(ctx context.Context, cluster string) (kubeconfig []byte, uid, generation string, err error)
}

// Registry hands out connections to the registered clusters and keeps them.
type Registry struct {
	source  Source
	options Options

	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	generation string
	cluster    *Cluster
}

// New makes a Registry over a source of credentials.
func New(source Source, o Options) *Registry {
	return &Registry{source: source, options: o, entries: map[string]entry{}}
}

// Cluster returns the connection to a cluster, made anew when its credentials changed. The first use
// of credentials compares the cluster's uid with the pinned one; another uid is an *Error of class
// Later: nothing may be sent there until somebody repairs the credentials.
func (r *Registry) Cluster(ctx context.Context, name string) (*Cluster, error) {
	kubeconfig, uid, generation, err := r.source.Kubeconfig(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("credentials of cluster %s: %w", name, err)
	}
	if kept := r.kept(name, generation); kept != nil {
		return kept, nil
	}
	// No lock is held while the cluster is asked: one that does not answer makes nobody else wait.
	fresh, err := r.connect(ctx, name, kubeconfig, uid)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	return r.keep(ctx, name, generation, fresh), nil
}

// Forget drops a cluster that is no longer registered.
func (r *Registry) Forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[name]; ok {
		e.cluster.Close()
		delete(r.entries, name)
	}
}

func (r *Registry) kept(name, generation string) *Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[name]; ok && e.generation == generation {
		return e.cluster
	}
	return nil
}

// keep stores a connection, unless another caller was faster with the same credentials, and returns
// the one that is stored.
func (r *Registry) keep(ctx context.Context, name, generation string, fresh *Cluster) *Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[name]; ok {
		if e.generation == generation {
			fresh.Close()
			return e.cluster
		}
		e.cluster.Close()
	}
	r.entries[name] = entry{generation, fresh}
	r.options.logger().InfoContext(ctx, "connected to cluster", "cluster", name, "generation", generation)
	return fresh
}

func (r *Registry) connect(ctx context.Context, name string, kubeconfig []byte, pinned string) (*Cluster, error) {
	c, err := newCluster(kubeconfig, r.options)
	if err != nil {
		return nil, later(problem(domain.ClusterUnreachable, "give the cluster new credentials with `shepherd cluster add`",
			"the credentials of cluster %s cannot be used: %s", name, words(err.Error())), waitUnreachable, err)
	}
	if pinned == "" {
		return c, nil
	}
	live, err := c.uid(ctx)
	if err == nil && live != pinned {
		err = later(problem(domain.ClusterUnreachable, "give the cluster the right credentials with `shepherd cluster add`",
			"the credentials of cluster %s lead to another cluster (uid %s instead of %s)", name, words(live), pinned),
			waitUnreachable, nil)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
