package service

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/store"
)

// Clusters keeps the credentials of clusters, sealed, and what was last seen there.
type Clusters struct {
	db      *store.DB
	keys    *seal.Keyring
	options provider.Options
	now     func() time.Time

	once        sync.Once
	connections *provider.Registry
}

// NewClusters gives the service.
func NewClusters(db *store.DB, keys *seal.Keyring, o provider.Options, now func() time.Time) *Clusters {
	return &Clusters{db: db, keys: keys, options: o, now: now}
}

// Kubeconfig opens the credentials of a cluster: provider.Source.
func (c *Clusters) Kubeconfig(ctx context.Context, name string) (kubeconfig []byte, uid, generation string, err error) {
	row, err := c.db.Cluster.Get(ctx, name)
	if err != nil {
		return nil, "", "", fmt.Errorf("read the credentials: %w", err)
	}
	kubeconfig, err = c.keys.Open(row.Kubeconfig, []byte(name))
	if err != nil {
		return nil, "", "", fmt.Errorf("open the credentials: %w", err)
	}
	return kubeconfig, row.UID, strconv.FormatInt(row.Generation, 10), nil
}

// ErrOtherCluster refuses credentials that lead to another cluster than the one of that name: what is
// test must not become prod by a new kubeconfig.
var ErrOtherCluster = errors.New("these credentials lead to another cluster than the one of that name")

// Add tries the credentials and stores them. A cluster that is known keeps its pinned uid: credentials
// that lead elsewhere are refused. The open pull requests that lean on it, or found no cluster, are judged again.
// by is written to the audit log.
func (c *Clusters) Add(ctx context.Context, name string, kubeconfig []byte, by audit.Actor) (provider.Facts, error) {
	ref := spec.Ref{Kind: spec.KindCluster, Name: name}
	if _, _, problems := spec.ParsePath(ref.Path()); problems.Blocking() {
		return provider.Facts{}, problems.Sorted()[0]
	}
	facts, err := c.facts(ctx, kubeconfig)
	if err != nil {
		return facts, fmt.Errorf("add cluster %s: %w", name, err)
	}
	queue, err := jobs.NewQueue()
	if err != nil {
		return facts, fmt.Errorf("add cluster %s: %w", name, err)
	}
	err = c.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := approval.WakeClusters(ctx, tx, queue, name); err != nil {
			return err
		}
		return c.save(ctx, tx, name, kubeconfig, facts, by)
	})
	if err != nil {
		return facts, fmt.Errorf("add cluster %s: %w", name, err)
	}
	return facts, nil
}

func (c *Clusters) facts(ctx context.Context, kubeconfig []byte) (provider.Facts, error) {
	connection, err := provider.Connect(ctx, kubeconfig, c.options)
	if err != nil {
		return provider.Facts{}, err
	}
	defer connection.Close()
	return connection.Facts(ctx)
}

func (c *Clusters) save(ctx context.Context, tx *store.Tx, name string, kubeconfig []byte, facts provider.Facts, by audit.Actor) error {
	sealed := c.keys.Seal(kubeconfig, []byte(name))
	key, err := seal.KeyID(sealed)
	if err != nil {
		return err
	}
	row, err := tx.Cluster.Query().Where(cluster.ID(name)).ForUpdate().Only(ctx)
	switch {
	case ent.IsNotFound(err):
		row, err = tx.Cluster.Create().SetID(name).SetUID(facts.UID).SetKubeconfig(sealed).SetKeyID(key).Save(ctx)
	case err != nil:
	case row.UID != facts.UID:
		return ErrOtherCluster
	default:
		row, err = tx.Cluster.UpdateOne(row).SetKubeconfig(sealed).SetKeyID(key).AddGeneration(1).Save(ctx)
	}
	if err != nil {
		return fmt.Errorf("store the credentials: %w", err)
	}
	facts.Capabilities = known(row.Capabilities, facts)
	if err := c.note(ctx, tx, row, facts); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Entry{
		Action: audit.ClusterAdded, Actor: by, Subject: name, Params: map[string]any{"uid": facts.UID, "generation": row.Generation, "key": key},
	})
}

// note keeps what was seen.
func (c *Clusters) note(ctx context.Context, tx *store.Tx, row *ent.Cluster, f provider.Facts) error {
	health, message := Condition(f)
	classes, standard := classesOf(f)
	err := tx.Cluster.UpdateOne(row).SetHealth(health).SetHealthMessage(message).
		SetKubernetesVersion(f.KubernetesVersion).SetKubevirtVersion(f.KubeVirtVersion).
		SetStorageClasses(classes).SetDefaultStorageClass(standard).
		SetCapabilities(&f.Capabilities).SetCheckedAt(c.now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note the facts of cluster %s: %w", row.ID, err)
	}
	return nil
}

// Live returns what a cluster has under a VM's name; an empty uid for nothing.
func (c *Clusters) Live(ctx context.Context, name, namespace, vm string) (uid string, labels, annotations map[string]string, err error) {
	connection, err := c.Registry().Cluster(ctx, name)
	if err != nil {
		return "", nil, nil, err
	}
	seen, err := connection.Observe(ctx, namespace, vm)
	return seen.UID, seen.Labels, seen.Annotations, err
}

// Registry holds the connections to the clusters, and knows which are paused.
func (c *Clusters) Registry() *provider.Registry {
	c.once.Do(func() { c.connections = provider.New(c, c.options) })
	return c.connections
}

// List returns the clusters by name, without their credentials.
func (c *Clusters) List(ctx context.Context) ([]*ent.Cluster, error) {
	rows, err := c.db.Cluster.Query().Order(ent.Asc(cluster.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the clusters: %w", err)
	}
	for _, row := range rows {
		row.Kubeconfig = nil
	}
	return rows, nil
}
