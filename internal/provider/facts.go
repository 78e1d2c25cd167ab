package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	// Capabilities is what suggestion, preview and impact go by.
	Capabilities   domain.Capabilities
	StorageClasses []StorageClass
	// Unknown names what the credentials do not allow to be read. What stands here is empty above
	// because it is not known, not because it is not there.
	Unknown []string
}

// Facts asks the cluster for what is worth knowing before a VM is placed there. Only the version, the
// uid and the served kinds are essential; what else is forbidden ends up in Unknown.
func (c *Cluster) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	steps := []func(context.Context, *Facts) error{
		c.readVersion, c.readUID, c.readServed, c.readKubeVirt, c.readCDI, c.readStorage,
	}
	for _, step := range steps {
		if err := step(ctx, &f); err != nil {
			return Facts{}, fmt.Errorf("facts: %w", err)
		}
	}
	return f, nil
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
	if err != nil || len(found) == 0 {
		return f.unknown("KubeVirt", err)
	}
	kubevirt := found[0].Object
	f.KubeVirtVersion, _, _ = unstructured.NestedString(kubevirt, "status", "observedKubeVirtVersion")
	f.KubeVirtPhase, _, _ = unstructured.NestedString(kubevirt, "status", "phase")
	f.Capabilities.RolloutStrategy, _, _ = unstructured.NestedString(kubevirt, "spec", "configuration", "vmRolloutStrategy")
	f.Capabilities.FeatureGates, _, _ = unstructured.NestedStringSlice(kubevirt, "spec", "configuration", "developerConfiguration", "featureGates")
	return nil
}

func (c *Cluster) readCDI(ctx context.Context, f *Facts) error {
	if !f.HasCDI {
		return nil
	}
	found, err := c.list(ctx, cdiKind)
	if err != nil || len(found) == 0 {
		return f.unknown("CDI", err)
	}
	f.CDIVersion, _, _ = unstructured.NestedString(found[0].Object, "status", "observedVersion")
	return nil
}

func (c *Cluster) readStorage(ctx context.Context, f *Facts) error {
	found, err := c.list(ctx, storageClassKind)
	if err != nil {
		return f.unknown("StorageClass", err)
	}
	for _, class := range found {
		isDefault := class.GetAnnotations()["storageclass.kubernetes.io/is-default-class"] == "true"
		f.StorageClasses = append(f.StorageClasses, StorageClass{class.GetName(), isDefault})
	}
	slices.SortFunc(f.StorageClasses, func(a, b StorageClass) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// unknown notes what is forbidden, or whose kind is not served, and passes other errors on.
func (f *Facts) unknown(what string, err error) error {
	if err == nil || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		f.Unknown = append(f.Unknown, what)
		return nil
	}
	return err
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
