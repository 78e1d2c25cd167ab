package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Source is where clusters' credentials are kept. Who stores them decides.
type Source interface {
	// Kubeconfig returns a cluster's credentials, the uid that was pinned when the cluster was
	// added (empty if none was) and a generation that changes whenever the credentials do.
	Kubeconfig(ctx context.Context, cluster string) (kubeconfig []byte, uid, generation string, err error)
}

// Registry hands out connections to the registered clusters and keeps them. Each cluster has a breaker: calls
// that fail three times in a row, or credentials that are not accepted, pause it, and no call is sent there until
// it has proved itself. Calls meanwhile end at once with an *Error of class Later that says why.
type Registry struct {
	source  Source
	options Options
	now     func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is what is kept of a cluster for one generation of its credentials.
type entry struct {
	generation string
	breaker    *breaker
	cluster    *Cluster // nil until it was reached
}

// Pause is a cluster to which nothing is sent for now.
type Pause struct {
	Cluster string
	// Since is when it began, Until when the cluster is tried again.
	Since, Until time.Time
	Reason       domain.Problem
}

// New makes a Registry over a source of credentials.
func New(source Source, o Options) *Registry {
	return &Registry{source: source, options: o, now: time.Now, entries: map[string]*entry{}}
}

// Cluster returns the connection to a cluster, made anew when its credentials changed. The first use
// of credentials compares the cluster's uid with the pinned one; another uid is an *Error of class
// Later: nothing may be sent there until somebody repairs the credentials.
func (r *Registry) Cluster(ctx context.Context, name string) (*Cluster, error) {
	kubeconfig, uid, generation, err := r.source.Kubeconfig(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("credentials of cluster %s: %w", name, err)
	}
	kept, breaker := r.kept(name, generation)
	if kept != nil {
		return kept, nil
	}
	// No lock is held while the cluster is asked: one that does not answer makes nobody else wait.
	fresh, err := r.connect(ctx, name, kubeconfig, uid, breaker)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	return r.keep(ctx, name, generation, fresh), nil
}

// Prove asks a paused cluster whether it is back, if its pause is over. It is nil when calls are sent again, and
// for clusters that are not paused.
func (r *Registry) Prove(ctx context.Context, name string) error {
	c, err := r.Cluster(ctx, name)
	if err != nil {
		return err
	}
	if refused := c.admit(ctx); refused != nil {
		return fmt.Errorf("cluster %s: %w", name, refused)
	}
	return nil
}

// Paused lists the clusters to which nothing is sent for now, by name.
func (r *Registry) Paused() []Pause {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Pause
	for _, e := range r.entries {
		if p, ok := e.breaker.paused(); ok {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Pause) int { return strings.Compare(a.Cluster, b.Cluster) })
	return out
}

// Forget drops what is known of a cluster: one that is no longer registered, or of which something changed that
// makes it worth to begin anew. The next use connects again.
func (r *Registry) Forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[name]; ok {
		e.close()
		delete(r.entries, name)
	}
}

func (e *entry) close() {
	if e.cluster != nil {
		e.cluster.Close()
	}
}

// kept returns the connection with these credentials, nil where there is none yet, and their breaker.
func (r *Registry) kept(name, generation string) (*Cluster, *breaker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[name]
	if !ok || e.generation != generation {
		if ok {
			e.close()
		}
		e = &entry{generation: generation, breaker: newBreaker(name, r.now, r.options.logger())}
		r.entries[name] = e
	}
	return e.cluster, e.breaker
}

// keep stores a connection, unless another caller was faster with the same credentials, and returns
// the one that is stored.
func (r *Registry) keep(ctx context.Context, name, generation string, fresh *Cluster) *Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[name]
	if !ok || e.generation != generation {
		return fresh // it was forgotten meanwhile, or has other credentials: good for this one use
	}
	if e.cluster != nil {
		fresh.Close()
		return e.cluster
	}
	e.cluster = fresh
	r.options.logger().InfoContext(ctx, "connected to cluster", "cluster", name, "generation", generation)
	return fresh
}

// connect makes a connection and proves where it leads.
func (r *Registry) connect(ctx context.Context, name string, kubeconfig []byte, pinned string, b *breaker) (*Cluster, error) {
	prove, refused := b.admit()
	if refused != nil {
		return nil, refused
	}
	c, err := newCluster(kubeconfig, r.options)
	if err != nil {
		wrong := barred(later(problem(domain.ClusterUnreachable, addCredentials,
			"the credentials of cluster %s cannot be used: %s", name, words(err.Error())), waitUnreachable, err))
		b.ended(ctx, prove, wrong)
		return nil, wrong
	}
	c.name, c.pinned, c.breaker = name, pinned, b
	if wrong := c.identify(ctx); wrong != nil {
		b.ended(ctx, prove, wrong)
		c.Close()
		return nil, wrong
	}
	b.ended(ctx, prove, nil)
	return c, nil
}
