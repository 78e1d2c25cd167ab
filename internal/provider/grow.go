package provider

import (
	"context"
	"fmt"
	"math"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

// AnnotationDiskSize says of a disk that grew what the DataVolume's spec cannot, which nobody may change
// after its creation. On the DataVolume it is the size that was asked for last; on the claim, where it is
// written together with the claim's own size, it is the size that the disk has.
const AnnotationDiskSize = "kubevirt-shepherd.io/disk-size"

// A claim for a filesystem is larger than its disk. CDI made it so; where the claim does not show by
// how much, because somebody else grew it, it is CDI's default that counts.
const (
	defaultOverhead = 0.06 / (1 - 0.06)
	maxOverhead     = 0.15
)

var claimSize = []string{"spec", "resources", "requests", "storage"}

// guardSize refuses a disk smaller than it is, and notes one that is to be larger. A disk that never
// grew, and is not to, is as large as it says.
func (s *step) guardSize(ctx context.Context) error {
	is, okLive := diskSize(s.live)
	wanted, okWant := diskSize(s.want)
	if !okLive || !okWant {
		return nil
	}
	if s.grows = false; wanted.Cmp(is) == 0 && s.live.GetAnnotations()[AnnotationDiskSize] == "" {
		return nil
	}
	claim, err := s.cluster.get(ctx, claimKind, s.want.GetNamespace(), s.want.GetName())
	if err != nil {
		return err
	}
	if claim != nil {
		is = grownSize(claim, is)
	}
	s.grows = wanted.Cmp(is) > 0
	return s.guardShrink(is, wanted)
}

func (s *step) guardShrink(is, wanted resource.Quantity) error {
	if wanted.Cmp(is) >= 0 {
		return nil
	}
	return never(problem(domain.DiskShrink, "ask for "+is.String()+" or more",
		"%s is %s and cannot shrink to %s", about("apply", s.want), is.String(), wanted.String()), nil)
}

// keepSize sends the size that the DataVolume has, as CDI refuses another one, be it larger; the wanted
// one is written beside it.
func (s *step) keepSize() {
	is, okLive := diskSize(s.live)
	wanted, okWant := diskSize(s.want)
	if okLive && okWant && wanted.Cmp(is) > 0 {
		_ = unstructured.SetNestedField(s.body.Object, wanted.String(), "metadata", "annotations", AnnotationDiskSize)
	}
	for _, path := range sizePaths {
		text, onCluster, _ := unstructured.NestedString(s.live.Object, path...)
		if _, sent, _ := unstructured.NestedString(s.body.Object, path...); onCluster && sent {
			_ = unstructured.SetNestedField(s.body.Object, text, path...)
		}
	}
}

// growth is the step that makes a disk's claim larger. What it wants is known once it was looked at.
func (s *step) growth() *step {
	claim := &unstructured.Unstructured{}
	claim.SetGroupVersionKind(claimKind)
	claim.SetNamespace(s.want.GetNamespace())
	claim.SetName(s.want.GetName())
	return &step{cluster: s.cluster, target: s.target, want: claim, disk: s}
}

// guardGrowth refuses claims that cannot grow or are not the disk's, and says how large they become.
func (s *step) guardGrowth(ctx context.Context) error {
	claim := about("apply", s.want)
	if s.live == nil {
		return later(problem(domain.ClusterRefused, "it grows when CDI has made its claim",
			"%s cannot grow: it is not there yet", claim), waitTerminating, nil)
	}
	if s.target.stranger(s.live) != "" && !ownedBy(s.live, s.disk.live) {
		return never(problem(domain.ForeignDisk, "rename the disk, or remove the claim by hand",
			"%s exists and is not this VM's", claim), nil)
	}
	if s.live.GetDeletionTimestamp() != nil {
		return later(problem(domain.ClusterRefused, "", "%s is being deleted", claim), waitTerminating, nil)
	}
	if phase, _, _ := unstructured.NestedString(s.live.Object, "status", "phase"); phase != "Bound" {
		return later(problem(domain.ClusterRefused, "it grows when it is bound, for some storage classes when the VM first starts",
			"%s cannot grow: it is not bound yet", claim), waitTerminating, nil)
	}
	if err := s.measure(); err != nil {
		return err
	}
	return s.guardClass(ctx)
}

// measure settles the size to ask for. It is never less than the claim has.
func (s *step) measure() error {
	wanted, _ := diskSize(s.disk.want)
	is, _ := diskSize(s.disk.live)
	is = grownSize(s.live, is)
	if err := s.disk.guardShrink(is, wanted); err != nil {
		return err
	}
	text, _, _ := unstructured.NestedString(s.live.Object, claimSize...)
	has, err := resource.ParseQuantity(text)
	if err != nil {
		return never(problem(domain.ClusterRefused, "", "%s has no size", about("apply", s.want)), err)
	}
	ask := has
	if wanted.Cmp(is) > 0 {
		ask = larger(has, resource.NewQuantity(wanted.Value()+s.overhead(wanted, is, has), resource.BinarySI))
	}
	s.want.SetAnnotations(map[string]string{AnnotationDiskSize: wanted.String()})
	s.growing = fmt.Sprintf("the disk grows from %s to %s", is.String(), wanted.String())
	return unstructured.SetNestedField(s.want.Object, ask.String(), claimSize...)
}

// overhead is how much larger than its disk a claim has to be: as much as it was so far.
func (s *step) overhead(wanted, is, has resource.Quantity) int64 {
	mode, _, _ := unstructured.NestedString(s.live.Object, "spec", "volumeMode")
	_, inflated, _ := unstructured.NestedMap(s.disk.live.Object, "spec", "storage")
	if mode == "Block" || !inflated || is.Sign() <= 0 {
		return 0
	}
	share := float64(has.Value()-is.Value()) / float64(is.Value())
	if share < 0 {
		return 0
	}
	if share > maxOverhead {
		share = defaultOverhead
	}
	const mebibyte = 1 << 20
	return int64(math.Ceil(float64(wanted.Value())*share/mebibyte)) * mebibyte
}

// guardClass says so when the storage class does not let claims grow. Credentials that may not read it
// leave that to the API server, which refuses such a claim in the dry-run.
func (s *step) guardClass(ctx context.Context) error {
	name, _, _ := unstructured.NestedString(s.live.Object, "spec", "storageClassName")
	if name == "" {
		return never(rigid(about("apply", s.want), "it has no storage class, which"), nil)
	}
	class, err := s.cluster.get(ctx, storageClassKind, "", name)
	if err != nil || class == nil {
		if apierrors.IsForbidden(err) {
			return nil
		}
		return err
	}
	if allowed, _, _ := unstructured.NestedBool(class.Object, "allowVolumeExpansion"); allowed {
		return nil
	}
	return never(rigid(about("apply", s.want), "its storage class "+words(name)), nil)
}

// rigid is the refusal of a claim that cannot grow.
func rigid(claim subject, what string) domain.Problem {
	return problem(domain.ClusterRefused,
		"ask for another disk beside it, or have the storage class set allowVolumeExpansion if its storage can do it, then retry",
		"%s cannot grow: %s does not allow it", claim, what)
}

// grownSize is the size that a claim was grown to, or else that of its disk.
func grownSize(claim *unstructured.Unstructured, disk resource.Quantity) resource.Quantity {
	grown, err := resource.ParseQuantity(claim.GetAnnotations()[AnnotationDiskSize])
	if err != nil {
		return disk
	}
	return larger(disk, &grown)
}

func larger(a resource.Quantity, b *resource.Quantity) resource.Quantity {
	if b.Cmp(a) > 0 {
		return *b
	}
	return a
}

func ownedBy(o, owner *unstructured.Unstructured) bool {
	for _, ref := range o.GetOwnerReferences() {
		if ref.UID == owner.GetUID() {
			return true
		}
	}
	return false
}

// sizePaths are where a DataVolume says its size.
var sizePaths = [][]string{
	{"spec", "storage", "resources", "requests", "storage"},
	{"spec", "pvc", "resources", "requests", "storage"},
}

func diskSize(u *unstructured.Unstructured) (resource.Quantity, bool) {
	for _, path := range sizePaths {
		text, ok, _ := unstructured.NestedString(u.Object, path...)
		if !ok {
			continue
		}
		size, err := resource.ParseQuantity(text)
		return size, err == nil
	}
	return resource.Quantity{}, false
}
