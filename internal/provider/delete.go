package provider

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// DeleteOptions say which VM Delete is about, and what stays of it.
type DeleteOptions struct {
	Namespace, Name string
	// RetainDisks keeps the VM's DataVolumes and claims. Its Secrets go all the same.
	RetainDisks bool
}

// Delete removes a VM and then what Shepherd made for it: disks, unless they are retained, and
// Secrets. Deletion is asked for, not waited for: an object that has a deletionTimestamp counts as
// deleted, and is Unchanged, as is a VM that is absent. The ChangeSet holds what was done, also when
// an error ends it early; deleting again after any error or crash goes on where it ended.
//
// Everything is looked at before the first object is touched. A VM of another identity or with another
// uid than Target.UID is FOREIGN_VM, and nothing is touched. Of disks and Secrets only those go that
// carry all of the VM's identity labels and that Shepherd applied, or that are the claim of such a
// disk. Every other disk stays; where the end of the VM would take it along, it is taken out of the
// VM's ownership first.
func (c *Cluster) Delete(ctx context.Context, t Target, o DeleteOptions) (ChangeSet, error) {
	r := &removal{cluster: c, target: t, options: o}
	err := r.run(ctx)
	return r.done, err
}

// NoteEnding is the note on an object whose deletion somebody else has asked for already, as the end of a
// disk's DataVolume does for its claim.
const NoteEnding = "it is being deleted already"

// removal is one Delete under way.
type removal struct {
	cluster    *Cluster
	target     Target
	options    DeleteOptions
	rehearsal  bool                          // nothing is written
	vm         *metav1.PartialObjectMetadata // nil when absent
	belongings []belonging
	done       ChangeSet
}

func (r *removal) run(ctx context.Context) error {
	if err := r.target.complete(); err != nil {
		return never(problem(domain.PlanInvalid, "", "%s", words(err.Error())), err)
	}
	if r.options.Namespace == "" || r.options.Name == "" {
		return never(problem(domain.PlanInvalid, "", "the VM to delete has no namespace or no name"), nil)
	}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"look at VM", r.look}, {"look for its disks and Secrets", r.survey}, {"keep disks", r.keep},
		{"delete VM", r.deleteVM}, {"delete disks and Secrets", r.deleteBelongings},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (r *removal) look(ctx context.Context) (err error) {
	r.vm, err = r.cluster.meta(ctx, vmKind, r.options.Namespace, r.options.Name)
	if err != nil || r.vm == nil {
		return err
	}
	return r.target.own(r.vm)
}

func (r *removal) deleteVM(ctx context.Context) error {
	if r.vm == nil {
		r.done = append(r.done, Change{
			Kind: vmKind.Kind, Namespace: r.options.Namespace, Name: r.options.Name, Action: Unchanged,
			Notes: []string{"the VM was gone already"},
		})
		return nil
	}
	return r.delete(ctx, *r.vm)
}

func (r *removal) deleteBelongings(ctx context.Context) error {
	for _, b := range r.belongings {
		if b.keep {
			continue
		}
		if err := r.delete(ctx, b.object); err != nil {
			return err
		}
	}
	return nil
}

// delete removes one object as it was looked at. One that moved meanwhile is looked at again: it may
// be somebody else's now.
func (r *removal) delete(ctx context.Context, o metav1.PartialObjectMetadata) error {
	for range looks {
		if o.DeletionTimestamp != nil {
			r.did(o, Unchanged, NoteEnding)
			return nil
		}
		err := r.cluster.delete(ctx, o, r.rehearsal)
		if err == nil || isAbsent(err) {
			r.did(o, Deleted)
			return nil
		}
		if !isStale(err) {
			return err
		}
		fresh, err := r.again(ctx, o)
		if err != nil {
			return err
		}
		if fresh == nil {
			r.did(o, Deleted)
			return nil
		}
		o = *fresh
	}
	return restless(about("delete", &o))
}

// again looks at an object that moved since it was looked at; nil when it is gone.
func (r *removal) again(ctx context.Context, o metav1.PartialObjectMetadata) (*metav1.PartialObjectMetadata, error) {
	fresh, err := r.cluster.meta(ctx, o.GroupVersionKind(), o.Namespace, o.Name)
	if err != nil || fresh == nil {
		return nil, err
	}
	if fresh.UID != o.UID {
		return nil, never(problem(foreignCode(o.GroupVersionKind()), "find out who replaced it; Shepherd does not touch the new one",
			"%s was replaced while it was being deleted: its uid is %s, it was %s", about("delete", &o), fresh.UID, o.UID), nil)
	}
	if r.target.stranger(&o) != "" {
		return fresh, nil // not ours before either: the claim of a disk that is
	}
	return fresh, r.target.own(fresh)
}

func (r *removal) did(o metav1.PartialObjectMetadata, action Action, notes ...string) {
	r.done = append(r.done, Change{
		Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Action: action,
		UID: string(o.UID), ResourceVersion: o.ResourceVersion, Notes: notes,
	})
}

// delete asks for the end of an object, or whether it may end, provided that it is still the one that was
// looked at.
func (c *Cluster) delete(ctx context.Context, o metav1.PartialObjectMetadata, rehearsal bool) error {
	// Not by the metadata client: it cannot read the object that is answered when finalizers keep it.
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(o.GroupVersionKind())
	u.SetNamespace(o.Namespace)
	u.SetName(o.Name)
	options := []client.DeleteOption{
		client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion},
	}
	if rehearsal {
		options = append(options, client.DryRunAll)
	}
	_, err := c.do(ctx, about("delete", u), func(ctx context.Context) error { return c.client.Delete(ctx, u, options...) })
	return err
}

// meta reads an object's metadata alone. Absence is not an error: the result is nil.
func (c *Cluster) meta(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	var o metav1.PartialObjectMetadata
	o.SetGroupVersionKind(kind)
	absent := false
	_, err := c.do(ctx, subject{"get", kind, namespace, name}, func(ctx context.Context) error {
		err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &o)
		absent = isAbsent(err)
		if absent {
			return nil
		}
		return err
	})
	if err != nil || absent {
		return nil, err
	}
	o.SetGroupVersionKind(kind)
	return &o, nil
}

// metas lists the metadata of a namespace's objects of a kind. A cluster without CDI has no DataVolumes.
func (c *Cluster) metas(ctx context.Context, kind schema.GroupVersionKind, namespace string, labels map[string]string) ([]metav1.PartialObjectMetadata, error) {
	var found metav1.PartialObjectMetadataList
	found.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	_, err := c.do(ctx, subject{verb: "list", kind: kind, namespace: namespace}, func(ctx context.Context) error {
		return c.client.List(ctx, &found, client.InNamespace(namespace), client.MatchingLabels(labels))
	})
	if kind == dataVolumeKind && isUnserved(err) {
		return nil, nil
	}
	for i := range found.Items {
		found.Items[i].SetGroupVersionKind(kind)
	}
	return found.Items, err
}
