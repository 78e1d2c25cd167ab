package provider

import (
	"context"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// belonging is a disk, a claim or a Secret that is, or looks like, a part of the VM.
type belonging struct {
	object metav1.PartialObjectMetadata
	keep   bool
	why    string // why it is kept
}

// survey finds what belongs to the VM, before anything is touched, and decides what stays. Disks are
// read without a selector: one that is not ours may still end with the VM. Only metadata is read, of
// Secrets too.
func (r *removal) survey(ctx context.Context) error {
	disks, err := r.cluster.metas(ctx, dataVolumeKind, r.options.Namespace, nil)
	if err != nil {
		return err
	}
	claims, err := r.cluster.metas(ctx, claimKind, r.options.Namespace, nil)
	if err != nil {
		return err
	}
	secrets, err := r.cluster.metas(ctx, secretKind, r.options.Namespace, r.target.Identity)
	if err != nil {
		return err
	}
	r.judgeDisks(disks)
	r.judgeClaims(claims, disks)
	r.judgeSecrets(secrets)
	return nil
}

func (r *removal) judgeDisks(disks []metav1.PartialObjectMetadata) {
	for _, o := range disks {
		switch {
		case r.target.stranger(&o) != "":
			r.spare(o, "is not this VM's")
		case r.options.RetainDisks:
			r.retain(o, "is retained")
		case owned(&o) == nil:
			r.retain(o, "carries this VM's labels, and Shepherd did not make it")
		case r.othersOwn(o):
			r.retain(o, "carries this VM's labels, and something else owns it")
		default:
			r.belongings = append(r.belongings, belonging{object: o})
		}
	}
}

// judgeClaims decides about claims. A claim goes with the disk that it is the content of, also when an
// earlier run got no further than the disk.
func (r *removal) judgeClaims(claims, disks []metav1.PartialObjectMetadata) {
	for _, o := range claims {
		disk := ownerDisk(o)
		mine := r.target.stranger(&o) == ""
		switch {
		case disk != "" && r.goes(disk):
			r.belongings = append(r.belongings, belonging{object: o})
		case !mine:
			r.spare(o, "is not this VM's")
		case r.options.RetainDisks:
			r.retain(o, "is retained")
		case disk != "" && !r.othersOwn(o) && !slices.ContainsFunc(disks, func(d metav1.PartialObjectMetadata) bool { return d.UID == disk }):
			r.belongings = append(r.belongings, belonging{object: o})
		default:
			r.retain(o, "carries this VM's labels, and is not the content of a disk that goes")
		}
	}
}

func (r *removal) judgeSecrets(secrets []metav1.PartialObjectMetadata) {
	for _, o := range secrets {
		switch {
		case r.target.stranger(&o) != "":
		case owned(&o) == nil:
			r.retain(o, "carries this VM's labels, and Shepherd did not make it")
		default:
			r.belongings = append(r.belongings, belonging{object: o})
		}
	}
}

// goes reports whether the disk with a uid is to be deleted.
func (r *removal) goes(uid types.UID) bool {
	return slices.ContainsFunc(r.belongings, func(b belonging) bool { return b.object.UID == uid && !b.keep })
}

// retain keeps an object and says so.
func (r *removal) retain(o metav1.PartialObjectMetadata, why string) {
	r.belongings = append(r.belongings, belonging{object: o, keep: true, why: why})
}

// spare keeps a stranger's disk, which is worth a word only where it would end with the VM.
func (r *removal) spare(o metav1.PartialObjectMetadata, why string) {
	if r.endsWithVM(o) {
		r.retain(o, why)
	}
}

// endsWithVM reports whether the garbage collector would remove an object together with the VM.
func (r *removal) endsWithVM(o metav1.PartialObjectMetadata) bool {
	return r.vm != nil && slices.ContainsFunc(o.OwnerReferences, r.isVM)
}

func (r *removal) isVM(ref metav1.OwnerReference) bool { return r.vm != nil && ref.UID == r.vm.UID }

// othersOwn reports whether an object has an owner besides this VM and, for a claim, its disk.
func (r *removal) othersOwn(o metav1.PartialObjectMetadata) bool {
	disk := ownerDisk(o)
	return slices.ContainsFunc(o.OwnerReferences, func(ref metav1.OwnerReference) bool {
		gone := r.vm == nil && ref.Kind == vmKind.Kind && ref.Name == r.options.Name
		return !r.isVM(ref) && !gone && ref.UID != disk
	})
}

// ownerDisk is the uid of the DataVolume that a claim is the content of, or "".
func ownerDisk(claim metav1.PartialObjectMetadata) types.UID {
	if claim.GroupVersionKind() != claimKind {
		return ""
	}
	for _, ref := range claim.OwnerReferences {
		if ref.Kind == dataVolumeKind.Kind && ref.Name == claim.Name {
			return ref.UID
		}
	}
	return ""
}

// keep says what is kept, and takes disks out of the VM's ownership where its end would take them
// along. It comes before the VM's deletion.
func (r *removal) keep(ctx context.Context) error {
	for _, b := range r.belongings {
		if !b.keep {
			continue
		}
		if b.object.Kind == secretKind.Kind || !r.endsWithVM(b.object) {
			r.did(b.object, Unchanged, "kept: it "+b.why)
			continue
		}
		if err := r.release(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// release removes the VM from an object's owners.
func (r *removal) release(ctx context.Context, b belonging) error {
	o := b.object
	for range looks {
		err := r.cluster.disown(ctx, &o, r.isVM, r.rehearsal)
		if err == nil {
			r.did(o, Configured, "kept: it "+b.why+"; it no longer ends with the VM")
			r.done[len(r.done)-1].Fields = []string{"metadata.ownerReferences"}
			return nil
		}
		if !isStale(err) && !isAbsent(err) {
			return err
		}
		fresh, err := r.cluster.meta(ctx, o.GroupVersionKind(), o.Namespace, o.Name)
		if err != nil {
			return err
		}
		if fresh == nil || !r.endsWithVM(*fresh) {
			return nil
		}
		o = *fresh
	}
	return restless(about("patch", &o))
}

// disown takes owners off an object, or asks whether it may, provided that it is still the one that was looked at.
func (c *Cluster) disown(ctx context.Context, o *metav1.PartialObjectMetadata, match func(metav1.OwnerReference) bool, rehearsal bool) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": o.UID, "resourceVersion": o.ResourceVersion,
		"ownerReferences": slices.DeleteFunc(slices.Clone(o.OwnerReferences), match),
	}})
	if err != nil {
		return err
	}
	options := []client.PatchOption{client.FieldOwner(FieldManager)}
	if rehearsal {
		options = append(options, client.DryRunAll)
	}
	kind := o.GroupVersionKind()
	_, err = c.do(ctx, about("patch", o), func(ctx context.Context) error {
		return c.client.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), options...)
	})
	o.SetGroupVersionKind(kind)
	return err
}
