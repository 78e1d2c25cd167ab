package service

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/store"
)

// Look reads a cluster's facts now, with the stored credentials, what of provider.Needs these do not allow, and
// what they allow although it is never needed. Nothing is noted. A cluster of another uid than the pinned one is
// ErrOtherCluster.
func (c *Clusters) Look(ctx context.Context, name string) (f provider.Facts, missing, excess []provider.Permission, err error) {
	kubeconfig, uid, _, err := c.Kubeconfig(ctx, name)
	if err != nil {
		return f, nil, nil, fmt.Errorf("check cluster %s: %w", name, err)
	}
	connection, err := provider.Connect(ctx, kubeconfig, c.options)
	if err != nil {
		return f, nil, nil, fmt.Errorf("check cluster %s: %w", name, err)
	}
	defer connection.Close()
	if f, err = connection.Facts(ctx); err == nil && f.UID != uid {
		err = ErrOtherCluster
	}
	if err == nil {
		missing, err = connection.Missing(ctx)
	}
	if err == nil {
		excess, err = connection.Excess(ctx)
	}
	if err != nil {
		return provider.Facts{}, nil, nil, fmt.Errorf("check cluster %s: %w", name, err)
	}
	return f, missing, excess, nil
}

// InUseError refuses to remove a cluster on which VMs live.
type InUseError struct {
	Cluster string
	VMs     int
}

// Error says how many VMs there are.
func (e InUseError) Error() string {
	machines := "1 VM lives"
	if e.VMs != 1 {
		machines = fmt.Sprintf("%d VMs live", e.VMs)
	}
	return fmt.Sprintf("%s on cluster %s: its credentials are needed until they are deleted", machines, e.Cluster)
}

// Remove forgets a cluster and its credentials, and has the open pull requests that lean on it judged again. It
// is an InUseError while VMs that are not deleted live there.
func (c *Clusters) Remove(ctx context.Context, queue *jobs.Queue, name string, by audit.Actor) error {
	err := c.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := approval.WakeClusters(ctx, tx, queue, name); err != nil {
			return err
		}
		row, err := tx.Cluster.Query().Where(cluster.ID(name)).ForUpdate().Only(ctx)
		if ent.IsNotFound(err) {
			return fmt.Errorf("there is no cluster %q", name)
		}
		if err != nil {
			return fmt.Errorf("read the credentials: %w", err)
		}
		machines, err := tx.VM.Query().Where(vm.Cluster(name), vm.StatusNEQ(vm.StatusDELETED)).Count(ctx)
		if err != nil {
			return fmt.Errorf("count the VMs: %w", err)
		}
		if machines > 0 {
			return InUseError{name, machines}
		}
		if err := tx.Cluster.DeleteOne(row).Exec(ctx); err != nil {
			return fmt.Errorf("remove the credentials: %w", err)
		}
		return audit.Append(ctx, tx, audit.Entry{Action: audit.ClusterRemoved, Actor: by, Subject: name, Params: map[string]any{"uid": row.UID}})
	})
	if err != nil {
		return fmt.Errorf("remove cluster %s: %w", name, err)
	}
	return nil
}

// Reseal seals the credentials of all clusters with the first of the encryption keys, so that the others can be
// taken away, and returns the names of those that were sealed with another one. It is all or nothing.
func (c *Clusters) Reseal(ctx context.Context, by audit.Actor) (resealed []string, err error) {
	err = c.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		resealed = nil
		rows, err := tx.Cluster.Query().Where(cluster.KeyIDNEQ(c.keys.IDs()[0])).Order(ent.Asc(cluster.FieldID)).ForUpdate().All(ctx)
		if err != nil {
			return fmt.Errorf("read the credentials: %w", err)
		}
		for _, row := range rows {
			if err := c.reseal(ctx, tx, row, by); err != nil {
				return fmt.Errorf("cluster %s: %w", row.ID, err)
			}
			resealed = append(resealed, row.ID)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reseal the credentials: %w", err)
	}
	return resealed, nil
}

// reseal leaves the generation as it is: the credentials are the same.
func (c *Clusters) reseal(ctx context.Context, tx *store.Tx, row *ent.Cluster, by audit.Actor) error {
	kubeconfig, err := c.keys.Open(row.Kubeconfig, []byte(row.ID))
	if err != nil {
		return fmt.Errorf("open the credentials: %w", err)
	}
	sealed := c.keys.Seal(kubeconfig, []byte(row.ID))
	key, err := seal.KeyID(sealed)
	if err != nil {
		return err
	}
	if err := tx.Cluster.UpdateOne(row).SetKubeconfig(sealed).SetKeyID(key).Exec(ctx); err != nil {
		return fmt.Errorf("store the credentials: %w", err)
	}
	return audit.Append(ctx, tx, audit.Entry{
		Action: audit.ClusterResealed, Actor: by, Subject: row.ID, Params: map[string]any{"was": row.KeyID, "key": key},
	})
}
