package kubetest

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// definitions holds a CustomResourceDefinition in each file.
//
//go:embed crds/*.yaml
var definitions embed.FS

// installCRDs adds the definitions that the cluster does not have, and waits until all their kinds
// are served.
func (c *Cluster) installCRDs(ctx context.Context) error {
	files, err := fs.Glob(definitions, "crds/*.yaml")
	if err != nil {
		return err
	}
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, file := range files {
		wg.Go(func() {
			if err := c.installCRD(ctx, file); err != nil {
				errs[i] = fmt.Errorf("install %s: %w", file, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Cluster) installCRD(ctx context.Context, file string) error {
	text, err := definitions.ReadFile(file)
	if err != nil {
		return err
	}
	var crd unstructured.Unstructured
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		return err
	}
	var live extv1.CustomResourceDefinition
	err = c.client.Get(ctx, client.ObjectKeyFromObject(&crd), &live)
	if apierrors.IsNotFound(err) {
		err = c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(&crd),
			client.FieldOwner("kubetest"), client.ForceOwnership)
	}
	if err != nil {
		return err
	}
	return c.waitServed(ctx, crd.GetName())
}

// waitServed returns when every version of a kind can be listed. A definition is Established a
// moment before the server has the handlers for it.
func (c *Cluster) waitServed(ctx context.Context, name string) error {
	cfg := rest.CopyConfig(c.config)
	cfg.WarningHandler = rest.NoWarnings{} // old versions are served all the same
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return err
	}
	for {
		served, err := c.served(ctx, disco, name)
		if err == nil && served {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until it is served: %w", context.Cause(ctx)), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Cluster) served(ctx context.Context, disco *discovery.DiscoveryClient, name string) (bool, error) {
	var crd extv1.CustomResourceDefinition
	if err := c.client.Get(ctx, client.ObjectKey{Name: name}, &crd); err != nil || !established(&crd) {
		return false, err
	}
	for _, v := range crd.Spec.Versions {
		if !v.Served {
			continue
		}
		list := disco.RESTClient().Get().AbsPath("/apis", crd.Spec.Group, v.Name, crd.Spec.Names.Plural)
		if err := list.Param("limit", "1").Do(ctx).Error(); err != nil {
			return false, err
		}
	}
	return true, nil
}

func established(crd *extv1.CustomResourceDefinition) bool {
	for _, cond := range crd.Status.Conditions {
		if cond.Type == extv1.Established {
			return cond.Status == extv1.ConditionTrue
		}
	}
	return false
}
