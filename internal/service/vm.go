package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/store"
)

// VMs carries out the events of virtual machines, and ends services and systems after theirs.
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
	// Observe is told how long an apply or a delete took, for metrics.
	Observe func(what string, took time.Duration)
}

// NewVMs gives the service with a handler for every type of event that is queued.
func NewVMs(d VMsDeps) *VMs {
	s := &VMs{
		pool: d.Pool, db: d.DB, gateway: d.Gateway, clusters: d.Clusters, environment: d.Environment,
		log: d.Log, now: d.Now, observe: d.Observe,
	}
	applies, removes := s.onCluster("apply", s.apply), domain.Handler(s.remove)
	s.dispatcher = domain.NewDispatcher(map[string]domain.Handler{
		domain.VMCreationRequested: applies, domain.VMModifyRequested: applies, domain.VMStartRequested: applies,
		domain.VMStopRequested: applies, domain.VMRestartRequested: applies,
		domain.VMDeletionRequested:      s.onCluster("delete", s.delete),
		domain.ServiceDeletionRequested: removes, domain.SystemDeletionRequested: removes,
	})
	return s
}

// Execute carries an event out: jobs.Executor. Only one worker works on a VM, a service or a system at a time.
func (s *VMs) Execute(ctx context.Context, id uuid.UUID) error {
	e, err := s.db.Event.Get(ctx, id)
	if err != nil {
		return s.gone(err, id)
	}
	err = store.WithLock(ctx, s.pool, "vm/"+e.Subject, func(ctx context.Context) error {
		return s.dispatcher.Dispatch(ctx, e.Type, id.String())
	})
	if errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrLockLost) {
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

// change is what is done to a VM on its cluster; it has to be able to run twice.
type change func(context.Context, *provider.Cluster, approval.Work) (approval.Applied, error)

// onCluster is the handler that does something to a VM: the intent is written down before, the outcome
// after, and in between the VM's environment and plan are held against what is known now.
func (s *VMs) onCluster(what string, do change) domain.Handler {
	return func(ctx context.Context, eventID string) error {
		id, err := parseID(eventID)
		if err != nil {
			return err
		}
		w, err := s.gateway.Start(ctx, id)
		if errors.Is(err, approval.ErrDone) {
			return nil
		}
		if err != nil {
			return err
		}
		began := s.now()
		applied, err := s.touch(ctx, w, do)
		if err != nil {
			return fmt.Errorf("%s vm %s on cluster %s: %w", what, w.VM.Name, w.VM.Cluster, err)
		}
		s.observe(what, s.now().Sub(began))
		s.log.InfoContext(ctx, "vm "+what+" done", "vm", w.VM.Name, "cluster", w.VM.Cluster, "operation", w.Event.Operation, "objects", applied.Summary)
		return s.gateway.Finish(ctx, w, applied)
	}
}

func (s *VMs) touch(ctx context.Context, w approval.Work, do change) (approval.Applied, error) {
	if err := planned(w); err != nil {
		return approval.Applied{}, err
	}
	if err := s.sameEnvironment(ctx, w); err != nil {
		return approval.Applied{}, err
	}
	cluster, err := s.clusters.Cluster(ctx, w.VM.Cluster)
	if err != nil {
		return approval.Applied{}, err
	}
	return do(ctx, cluster, w)
}

// remove ends a service or a system once nothing of it is left.
func (s *VMs) remove(ctx context.Context, eventID string) error {
	id, err := parseID(eventID)
	if err != nil {
		return err
	}
	if err := s.gateway.Remove(ctx, id); !errors.Is(err, approval.ErrDone) {
		return err
	}
	return nil
}

func parseID(eventID string) (uuid.UUID, error) {
	id, err := uuid.Parse(eventID)
	if err != nil {
		return id, jobs.Never(fmt.Errorf("event id %q: %w", eventID, err))
	}
	return id, nil
}

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

// identity is the labels by which a cluster's objects are known to be the VM's.
func identity(row *ent.VM) map[string]string {
	return map[string]string{
		provider.LabelManagedBy: provider.ManagedBy, provider.LabelSystem: row.System, provider.LabelService: row.Service,
		provider.LabelInstance: row.Instance, provider.LabelEnvironment: row.Environment,
	}
}
