package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
)

// VMs carries out the events of virtual machines.
type VMs struct {
	pool        *pgxpool.Pool
	db          *store.DB
	gateway     *approval.Gateway
	clusters    *provider.Registry
	environment func(ctx context.Context, cluster string) (domain.Environment, error)
	log         *slog.Logger
	now         func() time.Time
	dispatcher  *domain.Dispatcher
	observe     func(what string, took time.Duration)
	namespaces  sync.Map // of [2]string{cluster, namespace}: when it was last seen
}

// VMsDeps is what VMs is made of.
type VMsDeps struct {
	Pool     *pgxpool.Pool
	DB       *store.DB
	Gateway  *approval.Gateway
	Clusters *provider.Registry
	// Environment is what the accepted platform says of a cluster.
	Environment func(ctx context.Context, cluster string) (domain.Environment, error)
	Log         *slog.Logger
	Now         func() time.Time
	// Observe is told how long an apply took, for metrics.
	Observe func(what string, took time.Duration)
}

// NewVMs gives the service with a handler for every type of event that is queued.
func NewVMs(d VMsDeps) *VMs {
	s := &VMs{
		pool: d.Pool, db: d.DB, gateway: d.Gateway, clusters: d.Clusters, environment: d.Environment,
		log: d.Log, now: d.Now, observe: d.Observe,
	}
	s.dispatcher = domain.NewDispatcher(map[string]domain.Handler{domain.VMCreationRequested: s.create})
	return s
}

// Execute carries an event out: jobs.Executor. Only one worker works on a VM at a time.
func (s *VMs) Execute(ctx context.Context, id uuid.UUID) error {
	e, err := s.db.Event.Get(ctx, id)
	if err != nil {
		return s.gone(err, id)
	}
	err = store.WithLock(ctx, s.pool, "vm/"+e.Subject, func(ctx context.Context) error {
		return s.dispatcher.Dispatch(ctx, e.Type, id.String())
	})
	if errors.Is(err, store.ErrLocked) {
		return jobs.Later(time.Second, err)
	}
	return errors.Join(sorted(err), s.waits(ctx, id, err))
}

// waits lets people know what keeps an event from being carried out, when that is a cluster and trying
// again is all there is to do.
func (s *VMs) waits(ctx context.Context, id uuid.UUID, err error) error {
	var p *provider.Error
	if !errors.As(err, &p) || p.Class == provider.Never {
		return nil
	}
	return s.gateway.Wait(ctx, id, p.Problem)
}

func (s *VMs) gone(err error, id uuid.UUID) error {
	if ent.IsNotFound(err) {
		return jobs.Never(fmt.Errorf("event %s is gone", id))
	}
	return fmt.Errorf("read event %s: %w", id, err)
}

// Fail writes down that an event could not be carried out: jobs.Executor.
func (s *VMs) Fail(ctx context.Context, id uuid.UUID, cause error) error {
	err := s.gateway.Fail(ctx, id, problemOf(cause))
	if jobs.IsTerminal(err) {
		return nil // the event is gone: there is nothing to write it on
	}
	return err
}

// create applies the plan of a new VM, byte for byte.
func (s *VMs) create(ctx context.Context, eventID string) error {
	id, err := uuid.Parse(eventID)
	if err != nil {
		return jobs.Never(fmt.Errorf("event id %q: %w", eventID, err))
	}
	w, err := s.gateway.Start(ctx, id)
	if errors.Is(err, approval.ErrDone) {
		return nil
	}
	if err != nil {
		return err
	}
	began := s.now()
	applied, err := s.apply(ctx, w)
	if err != nil {
		return fmt.Errorf("apply vm %s on cluster %s: %w", w.VM.Name, w.VM.Cluster, err)
	}
	s.observe("apply", s.now().Sub(began))
	s.log.InfoContext(ctx, "vm applied", "vm", w.VM.Name, "cluster", w.VM.Cluster, "objects", applied.Summary)
	return s.gateway.Finish(ctx, w, applied)
}

func (s *VMs) apply(ctx context.Context, w approval.Work) (approval.Applied, error) {
	if err := s.sameEnvironment(ctx, w); err != nil {
		return approval.Applied{}, err
	}
	cluster, err := s.clusters.Cluster(ctx, w.VM.Cluster)
	if err != nil {
		return approval.Applied{}, err
	}
	created, err := s.ensureNamespace(ctx, cluster, w)
	if err != nil {
		return approval.Applied{}, err
	}
	manifests, err := sealed(w)
	if err != nil {
		return approval.Applied{}, jobs.Never(err)
	}
	changes, err := cluster.Apply(ctx, s.target(w), manifests)
	if err != nil {
		s.namespaces.Delete(namespaceOf(w)) // look again: it may be what is missing
		return approval.Applied{}, err
	}
	vm, _ := changes.VM()
	out := approval.Applied{UID: vm.UID, ResourceVersion: vm.ResourceVersion, Summary: summary(changes)}
	if created {
		out.Namespace = w.VM.KubernetesNamespace
	}
	return out, nil
}

// namespaceKept is how long a namespace that was seen counts as there: a merge of many VMs asks once.
const namespaceKept = 30 * time.Second

// ensureNamespace makes the namespace where it is missing.
func (s *VMs) ensureNamespace(ctx context.Context, cluster *provider.Cluster, w approval.Work) (created bool, err error) {
	key := namespaceOf(w)
	if seen, ok := s.namespaces.Load(key); ok && s.now().Sub(seen.(time.Time)) < namespaceKept {
		return false, nil
	}
	created, err = cluster.EnsureNamespace(ctx, w.VM.KubernetesNamespace, map[string]string{
		provider.LabelManagedBy: provider.ManagedBy, provider.LabelEnvironment: w.VM.Environment,
	})
	if err == nil {
		s.namespaces.Store(key, s.now())
	}
	return created, err
}

func namespaceOf(w approval.Work) [2]string { return [2]string{w.VM.Cluster, w.VM.KubernetesNamespace} }

// sameEnvironment looks once more, right before anything is touched, that the cluster belongs to the
// environment of the VM's namespace.
func (s *VMs) sameEnvironment(ctx context.Context, w approval.Work) error {
	env, err := s.environment(ctx, w.VM.Cluster)
	if err != nil {
		return fmt.Errorf("look up the environment of cluster %s: %w", w.VM.Cluster, err)
	}
	if string(env) == w.VM.Environment {
		return nil
	}
	return jobs.Never(domain.Problem{
		Code: domain.EnvironmentMismatch, Severity: domain.Error, Path: w.VM.Path,
		Message: fmt.Sprintf("namespace %s belongs to %s, cluster %s to %q", w.VM.Namespace, w.VM.Environment, w.VM.Cluster, env),
		Hint:    "ask for the VM again: a cluster of its environment is then chosen",
	})
}

func (s *VMs) target(w approval.Work) provider.Target {
	return provider.Target{
		Identity: map[string]string{
			provider.LabelManagedBy: provider.ManagedBy, provider.LabelSystem: w.VM.System, provider.LabelService: w.VM.Service,
			provider.LabelInstance: w.VM.Instance, provider.LabelEnvironment: w.VM.Environment,
		},
		UID: w.VM.UID, Creating: w.Ticket.Operation == string(domain.CreateVM),
	}
}

// sealed puts the envelope around the plan's manifests: why each object exists. The rest are the bytes
// that were approved.
func sealed(w approval.Work) ([]provider.Manifest, error) {
	out := make([]provider.Manifest, len(w.Manifests))
	for i, m := range w.Manifests {
		m, err := render.WithEnvelope(m, render.Envelope{
			Ticket: w.Ticket.ID.String(), Creator: w.Ticket.RequesterLogin, PullRequest: w.PullURL,
			MergeCommit: w.Event.MergeCommit, ChangeDigest: w.Ticket.ChangeDigest, EffectiveDigest: w.Plan.EffectiveDigest,
			Event: w.Event.ID.String(), Sequence: w.Event.Sequence,
		})
		if err != nil {
			return nil, fmt.Errorf("put the envelope on %s %s: %w", m.Kind, m.Name, err)
		}
		out[i] = provider.Manifest{APIVersion: m.APIVersion, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name, JSON: m.JSON}
	}
	return out, nil
}

func summary(changes provider.ChangeSet) string {
	lines := []string{changes.String()}
	for _, c := range changes {
		lines = append(lines, c.Notes...)
	}
	return strings.Join(lines, "\n")
}

// sorted gives a cluster's error the form that jobs understand.
func sorted(err error) error {
	var p *provider.Error
	if !errors.As(err, &p) {
		return err
	}
	switch p.Class {
	case provider.Never:
		return jobs.Never(err)
	case provider.Later:
		return jobs.Later(max(p.RetryAfter, time.Second), err)
	}
	return err
}

// problemOf is what people are told of an error.
func problemOf(err error) domain.Problem {
	var p *provider.Error
	if errors.As(err, &p) {
		return p.Problem
	}
	var known domain.Problem
	if errors.As(err, &known) {
		return known
	}
	return domain.Problem{
		Code: domain.ClusterRefused, Severity: domain.Error, Message: "it could not be carried out; the server's log has the details",
		Hint: "ask whoever runs Shepherd",
	}
}
