package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

// StorageClass is a class of storage that disks can be asked of.
type StorageClass struct {
	Name    string
	Default bool
}

// Facts describe a cluster.
type Facts struct {
	// UID is that of the namespace kube-system, which lives as long as the cluster.
	UID               string
	KubernetesVersion string
	// HasKubeVirt and HasCDI say whether the API server serves the kinds.
	HasKubeVirt, HasCDI bool
	KubeVirtVersion     string
	KubeVirtPhase       string
	CDIVersion          string
	StorageClasses      []StorageClass
	// Capabilities is what suggestion, preview and impact go by. Unknown there names the kinds of its own that
	// could not be read, or not to their end.
	Capabilities domain.Capabilities
	// Unknown names what the credentials do not allow to be read, and what the cluster does not serve. What
	// stands here is empty above because it is not known, not because it is not there.
	Unknown []string
	// Unread names kinds of the Capabilities that the cluster did not answer for this time, although it
	// answered for the rest: what was known of them before is the best that there is.
	Unread []string
}

// Facts asks the cluster for what is worth knowing before a VM is placed there. That the version, the uid, the
// served kinds and what is installed are answered for is essential; what else is forbidden ends up in Unknown,
// and what fails of the Capabilities in Unread.
func (c *Cluster) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	for _, step := range []func(context.Context, *Facts) error{c.readVersion, c.readUID, c.readServed} {
		if err := step(ctx, &f); err != nil {
			return Facts{}, fmt.Errorf("facts: %w", err)
		}
	}
	if err := c.readParts(ctx, &f); err != nil {
		return Facts{}, fmt.Errorf("facts: %w", err)
	}
	return f, nil
}

// part is what is read of one kind. It writes fields of Facts that no other part writes.
type part struct {
	kind string
	read func(context.Context, *Facts) error
	// capability: its kind may stand in Capabilities.Unknown.
	capability bool
	// essential: no answer is an error of the whole.
	essential bool
}

// The ways in which a part is not known although the cluster answered.
var (
	errNone   = errors.New("there is none")
	errTooBig = errors.New("there is more than is kept")
)

// readParts reads all parts side by side: a distant cluster is asked for long enough as it is.
func (c *Cluster) readParts(ctx context.Context, f *Facts) error {
	parts := []part{
		{"KubeVirt", c.readKubeVirt, true, true}, {"CDI", c.readCDI, false, true}, {"StorageClass", c.readStorage, false, true},
		{nodeKind.Kind, c.readNodes, true, false}, {attachmentKind.Kind, c.readNetworks, true, false},
		{instancetypeKind.Kind, c.readInstancetypes, true, false}, {preferenceKind.Kind, c.readPreferences, true, false},
	}
	errs := make([]error, len(parts))
	var group sync.WaitGroup
	for i, p := range parts {
		group.Go(func() { errs[i] = p.read(ctx, f) })
	}
	group.Wait()
	for i, p := range parts {
		if err := f.note(p, errs[i]); err != nil {
			return err
		}
	}
	return nil
}

// note sorts how the reading of a part ended.
func (f *Facts) note(p part, err error) error {
	switch {
	case err == nil:
	case errors.Is(err, errNone), errors.Is(err, errTooBig), apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		f.Unknown = append(f.Unknown, p.kind)
		if p.capability {
			f.Capabilities.Unknown = append(f.Capabilities.Unknown, p.kind)
		}
	case p.essential:
		return err
	default:
		f.Unread = append(f.Unread, p.kind)
	}
	return nil
}

func (c *Cluster) readVersion(ctx context.Context, f *Facts) (err error) {
	f.KubernetesVersion, err = c.version(ctx)
	return err
}

func (c *Cluster) readUID(ctx context.Context, f *Facts) (err error) {
	f.UID, err = c.uid(ctx)
	return err
}

func (c *Cluster) readServed(ctx context.Context, f *Facts) (err error) {
	if f.HasKubeVirt, err = c.serves(ctx, vmKind.GroupVersion().String(), vmKind.Kind); err != nil {
		return err
	}
	f.HasCDI, err = c.serves(ctx, dataVolumeKind.GroupVersion().String(), dataVolumeKind.Kind)
	return err
}

func (c *Cluster) readKubeVirt(ctx context.Context, f *Facts) error {
	if !f.HasKubeVirt {
		return nil
	}
	found, err := c.list(ctx, kubeVirtKind)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNone
	}
	kubevirt, settings := found[0].Object, []string{"spec", "configuration"}
	f.KubeVirtVersion, _, _ = unstructured.NestedString(kubevirt, "status", "observedKubeVirtVersion")
	f.KubeVirtPhase, _, _ = unstructured.NestedString(kubevirt, "status", "phase")
	f.Capabilities.RolloutStrategy, _, _ = unstructured.NestedString(kubevirt, append(settings, "vmRolloutStrategy")...)
	gates := append(settings, "developerConfiguration")
	f.Capabilities.FeatureGates, _, _ = unstructured.NestedStringSlice(kubevirt, append(gates, "featureGates")...)
	f.Capabilities.DisabledFeatureGates, _, _ = unstructured.NestedStringSlice(kubevirt, append(gates, "disabledFeatureGates")...)
	return nil
}

func (c *Cluster) readCDI(ctx context.Context, f *Facts) error {
	if !f.HasCDI {
		return nil
	}
	found, err := c.list(ctx, cdiKind)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errNone
	}
	f.CDIVersion, _, _ = unstructured.NestedString(found[0].Object, "status", "observedVersion")
	return nil
}

func (c *Cluster) readStorage(ctx context.Context, f *Facts) error {
	found, err := c.list(ctx, storageClassKind)
	if err != nil {
		return err
	}
	for _, class := range found {
		isDefault := class.GetAnnotations()["storageclass.kubernetes.io/is-default-class"] == "true"
		f.StorageClasses = append(f.StorageClasses, StorageClass{class.GetName(), isDefault})
	}
	slices.SortFunc(f.StorageClasses, func(a, b StorageClass) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// version asks for the API server's version, which needs no permission.
func (c *Cluster) version(ctx context.Context) (string, error) {
	body, err := c.read(ctx, "/version")
	if err != nil {
		return "", err
	}
	var version struct{ GitVersion string }
	if err := json.Unmarshal(body, &version); err != nil || version.GitVersion == "" {
		return "", never(problem(domain.ClusterRefused, "", "what answers at the cluster's address is no Kubernetes API server"), err)
	}
	return version.GitVersion, nil
}

// uid is the uid of kube-system.
func (c *Cluster) uid(ctx context.Context) (string, error) {
	system, err := c.get(ctx, namespaceKind, "", "kube-system")
	if err != nil {
		return "", err
	}
	if system == nil {
		return "", never(problem(domain.ClusterRefused, "", "the cluster has no namespace kube-system"), nil)
	}
	return string(system.GetUID()), nil
}

// serves reports whether the API server knows a kind. It asks for the one group, not for all.
func (c *Cluster) serves(ctx context.Context, groupVersion, kind string) (bool, error) {
	body, err := c.read(ctx, "/apis/"+groupVersion)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var group struct{ Resources []struct{ Kind string } }
	if err := json.Unmarshal(body, &group); err != nil {
		return false, errors.New("the API server's list of kinds does not parse")
	}
	for _, r := range group.Resources {
		if r.Kind == kind {
			return true, nil
		}
	}
	return false, nil
}
