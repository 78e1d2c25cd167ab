package provider

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// guard refuses objects that are not ours to touch: those of others, those that were replaced or
// deleted behind us, those that are going.
func (s *step) guard(ctx context.Context) error {
	if s.disk != nil {
		return s.guardGrowth(ctx)
	}
	if s.live == nil {
		return s.guardAbsent(ctx)
	}
	if err := s.target.own(s.live); err != nil {
		return err
	}
	if s.live.GetDeletionTimestamp() != nil {
		return later(problem(domain.ClusterRefused, "it is applied when the old one is gone",
			"%s is being deleted", about("apply", s.want)), waitTerminating, nil)
	}
	if s.want.GroupVersionKind() == dataVolumeKind {
		return s.guardSize(ctx)
	}
	return nil
}

func (s *step) isVM() bool { return s.want.GroupVersionKind() == vmKind }

// own refuses an object whose identity is another, and a VM with another uid than the recorded one.
func (t Target) own(o client.Object) error {
	kind := o.GetObjectKind().GroupVersionKind()
	if label := t.stranger(o); label != "" {
		return never(problem(foreignCode(kind), "have the other one removed, or ask for this one under another index or name",
			"%s exists and is not this VM's: its label %s is %q, not %q", about("get", o), label,
			words(o.GetLabels()[label]), t.Identity[label]), nil)
	}
	if kind == vmKind && t.UID != "" && string(o.GetUID()) != t.UID {
		return never(problem(domain.ForeignVM, "find out who replaced it; Shepherd does not take over the new one",
			"%s was replaced: its uid is %s, the VM that Shepherd created had %s", about("get", o), o.GetUID(), t.UID), nil)
	}
	return nil
}

func foreignCode(kind schema.GroupVersionKind) domain.Code {
	if kind == dataVolumeKind || kind == claimKind {
		return domain.ForeignDisk
	}
	return domain.ForeignVM
}

func (s *step) guardAbsent(ctx context.Context) error {
	switch {
	case s.isVM() && s.target.UID != "":
		return never(problem(domain.ForeignVM, "delete it in git too, or ask for it anew under another index",
			"%s was deleted behind Shepherd: the VM with uid %s is gone", about("apply", s.want), s.target.UID), nil)
	case s.want.GroupVersionKind() == dataVolumeKind:
		return s.guardClaim(ctx)
	}
	return nil
}

// guardClaim looks for a claim that has the name which the DataVolume would give its own: CDI may
// take it for the disk's content.
func (s *step) guardClaim(ctx context.Context) error {
	claim, err := s.cluster.get(ctx, claimKind, s.want.GetNamespace(), s.want.GetName())
	if err != nil || claim == nil || s.target.stranger(claim) == "" {
		return err
	}
	return never(problem(domain.ForeignDisk, "rename the disk, or remove the claim by hand",
		"%s exists and is not this VM's", about("apply", claim)), nil)
}
