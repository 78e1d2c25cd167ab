package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/store"
)

// The numbers of the health loop: how many clusters are looked at together, how long one may take, and how
// many looks in a row it may leave unanswered before it counts as unreachable.
const (
	looksAtOnce = 8
	lookTimeout = 20 * time.Second
	maxSilence  = 3
)

// Health looks at the clusters and notes how they are.
type Health struct {
	clusters *Clusters
	queue    *jobs.Queue
	log      *slog.Logger
}

// NewHealth gives the loop's one round: Run.
func NewHealth(c *Clusters, queue *jobs.Queue, log *slog.Logger) *Health {
	return &Health{clusters: c, queue: queue, log: log}
}

// Run looks at every cluster once, side by side, so that a dead one delays no other by more than one look. How
// a cluster is, is no error; only that it cannot be read or noted in the database is one. Where health,
// storage classes or capabilities change, that is logged and audited, and the open pull requests that lean on it
// are judged again.
func (h *Health) Run(ctx context.Context, _ jobs.CheckClusters) error {
	rows, err := h.clusters.db.Cluster.Query().Order(ent.Asc(cluster.FieldID)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the clusters: %w", err)
	}
	var (
		group sync.WaitGroup
		slots = make(chan struct{}, looksAtOnce)
		errs  = make([]error, len(rows))
	)
	for i, row := range rows {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = h.check(ctx, row)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// finding is what a look at a cluster says.
type finding struct {
	health  cluster.Health
	message string
	facts   *provider.Facts // nil where none were read that are this cluster's
}

func (h *Health) check(ctx context.Context, row *ent.Cluster) error {
	// Where nobody waited for the answer, which says nothing about the cluster, nothing is noted either: ctx is over.
	if err := h.note(ctx, row, h.look(ctx, row)); err != nil {
		return fmt.Errorf("check cluster %s: %w", row.ID, err)
	}
	return nil
}

func (h *Health) look(ctx context.Context, row *ent.Cluster) finding {
	kubeconfig, err := h.clusters.keys.Open(row.Kubeconfig, []byte(row.ID))
	if err != nil {
		return finding{health: cluster.HealthUnhealthy, message: "its credentials do not open with any encryption key"}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	facts, err := h.clusters.facts(ctx, kubeconfig)
	switch {
	case err != nil:
		return failed(row, err)
	case facts.UID != row.UID:
		return finding{health: cluster.HealthUnhealthy, message: "leads to another cluster"}
	}
	facts.Capabilities = known(row.Capabilities, facts)
	health, message := Condition(facts)
	return finding{health, message, &facts}
}

// failed tells a cluster that refuses, which answers and is unhealthy at once, from one that does not answer:
// that one keeps its health until that was often enough in a row. The count stands in the message, so that all
// processes count together and people see it.
func failed(row *ent.Cluster, err error) finding {
	var sorted *provider.Error
	message := "its credentials cannot be used"
	if errors.As(err, &sorted) {
		message = sorted.Problem.Message
	}
	if sorted == nil || sorted.Problem.Code != domain.ClusterUnreachable {
		return finding{health: cluster.HealthUnhealthy, message: message}
	}
	n := 1 + unanswered(row.HealthMessage)
	if row.Health == cluster.HealthUnreachable || n >= maxSilence {
		return finding{health: cluster.HealthUnreachable, message: message}
	}
	return finding{health: row.Health, message: fmt.Sprintf(countFormat, n, maxSilence) + ": " + message}
}

const countFormat = "no answer, %d of %d"

// unanswered is how many looks in a row had no answer, by the message that the last one left.
func unanswered(message string) int {
	var n, of int
	if got, err := fmt.Sscanf(message, countFormat, &n, &of); err != nil || got != 2 {
		return 0
	}
	return n
}

// errOvertaken ends a transaction whose cluster was changed since it was looked at: the next look counts.
var errOvertaken = errors.New("the cluster was changed meanwhile")

func (h *Health) note(ctx context.Context, row *ent.Cluster, found finding) error {
	changed := found.changes(row)
	err := h.clusters.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if len(changed) > 0 {
			if err := h.wake(ctx, tx, row, found); err != nil {
				return err
			}
		}
		now, err := tx.Cluster.Query().Where(cluster.ID(row.ID)).ForUpdate().Only(ctx)
		if ent.IsNotFound(err) || err == nil && overtaken(row, now) {
			return errOvertaken
		}
		if err != nil {
			return fmt.Errorf("lock its row: %w", err)
		}
		return h.store(ctx, tx, row, found, changed)
	})
	if errors.Is(err, errOvertaken) {
		return nil
	}
	if err == nil && len(changed) > 0 {
		level := slog.LevelInfo
		if found.health != row.Health {
			level = slog.LevelWarn
		}
		h.log.Log(ctx, level, "a cluster has changed", "cluster", row.ID, "was", row.Health, "health", found.health, "message", found.message, "changed", changed)
	}
	return err
}

// wake has those judged again to whom it matters: nodes with devices and classes of storage come and go by themselves.
func (h *Health) wake(ctx context.Context, tx *store.Tx, row *ent.Cluster, found finding) error {
	if found.gains(row) {
		return approval.WakeLacking(ctx, tx, h.queue)
	}
	return approval.WakeClusters(ctx, tx, h.queue, row.ID)
}

func overtaken(was, now *ent.Cluster) bool {
	return was.Generation != now.Generation || was.Health != now.Health || was.HealthMessage != now.HealthMessage
}

func (h *Health) store(ctx context.Context, tx *store.Tx, row *ent.Cluster, found finding, changed []string) error {
	if found.facts != nil {
		if err := h.clusters.note(ctx, tx, row, *found.facts); err != nil {
			return err
		}
	} else {
		err := tx.Cluster.UpdateOne(row).SetHealth(found.health).SetHealthMessage(found.message).SetCheckedAt(h.clusters.now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("note its health: %w", err)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	params := map[string]any{"was": row.Health, "health": found.health, "message": found.message, "changed": changed}
	if found.facts != nil {
		params["storageClasses"], params["defaultStorageClass"] = classesOf(*found.facts)
	}
	return audit.Append(ctx, tx, audit.Entry{Action: audit.ClusterHealth, Subject: row.ID, Params: params})
}

// changes says what is otherwise than before, so that plans may come out otherwise too; a line each.
func (f finding) changes(row *ent.Cluster) []string {
	var out []string
	if f.health != row.Health {
		out = append(out, fmt.Sprintf("health: %s, was %s", f.health, row.Health))
	}
	if f.facts == nil {
		return out
	}
	classes, standard := classesOf(*f.facts)
	out = append(out, difference("storage classes", row.StorageClasses, classes)...)
	if standard != row.DefaultStorageClass {
		out = append(out, fmt.Sprintf("default storage class: %q, was %q", standard, row.DefaultStorageClass))
	}
	if row.KubevirtVersion != f.facts.KubeVirtVersion {
		out = append(out, fmt.Sprintf("KubeVirt: %q, was %q", f.facts.KubeVirtVersion, row.KubevirtVersion))
	}
	return append(out, differences(row.Capabilities, f.facts.Capabilities)...)
}

// gains reports whether the cluster has all that it had, and is otherwise as it was.
func (f finding) gains(row *ent.Cluster) bool {
	if f.health != row.Health || f.facts == nil || row.Capabilities == nil {
		return false
	}
	classes, standard := classesOf(*f.facts)
	return standard == row.DefaultStorageClass && f.facts.KubeVirtVersion == row.KubevirtVersion &&
		len(without(row.StorageClasses, classes)) == 0 && grown(*row.Capabilities, f.facts.Capabilities)
}

// Condition is what facts say of a cluster's health. A phase that is not known is not held against it.
func Condition(f provider.Facts) (health cluster.Health, message string) {
	switch {
	case !f.HasKubeVirt:
		return cluster.HealthUnhealthy, "KubeVirt is not installed"
	case f.KubeVirtPhase != "" && f.KubeVirtPhase != "Deployed":
		return cluster.HealthUnhealthy, fmt.Sprintf("KubeVirt is in phase %.40q, not Deployed", f.KubeVirtPhase)
	}
	return cluster.HealthHealthy, ""
}

// classesOf are the names of the storage classes, and the default one's.
func classesOf(f provider.Facts) (names []string, standard string) {
	for _, s := range f.StorageClasses {
		names = append(names, s.Name)
		if s.Default {
			standard = s.Name
		}
	}
	return names, standard
}
