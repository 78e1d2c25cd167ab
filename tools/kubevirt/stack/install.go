package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"

	"kv-shepherd.io/shepherd/tools/kubevirt/definitions"
)

// manager is who owns what is installed: in a real cluster, KubeVirt's operator.
const manager = "virt-operator"

// install brings the definitions and the objects into the cluster that the parts need to start. What
// an earlier run has left is taken over.
func (s *stack) install(ctx context.Context, version string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.define(ctx); err != nil {
		return err
	}
	for _, o := range []any{installNamespace(), apiService(), deployment()} {
		if err := s.apply(ctx, o); err != nil {
			return err
		}
	}
	if err := s.applyStatus(ctx, deployed(version)); err != nil {
		return err
	}
	return s.freeLease(ctx)
}

// define installs all definitions and waits until their kinds are served.
func (s *stack) define(ctx context.Context) error {
	crds, err := definitions.All()
	if err != nil {
		return err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(s.config)
	if err != nil {
		return err
	}
	errs := make([]error, len(crds))
	var wg sync.WaitGroup
	for i, crd := range crds {
		wg.Go(func() {
			if errs[i] = s.apply(ctx, crd); errs[i] != nil {
				return
			}
			for _, v := range crd.Spec.Versions {
				if !v.Served {
					continue
				}
				list := disco.RESTClient().Get().AbsPath("/apis", crd.Spec.Group, v.Name, crd.Spec.Names.Plural).Param("limit", "1")
				err := poll(ctx, func() error { return list.Do(ctx).Error() })
				if err != nil {
					errs[i] = errors.Join(errs[i], fmt.Errorf("wait for %s %s: %w", crd.Name, v.Name, err))
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// freeLease ends the leadership of an earlier run, which would be waited out.
func (s *stack) freeLease(ctx context.Context) error {
	lease := object("coordination.k8s.io/v1", "Lease", "virt-controller")
	err := s.resource(lease).Delete(ctx, lease.GetName(), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// register makes the API server ask virt-api, and returns when it does.
func (s *stack) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := <-listening(ctx, s.api.address()); err != nil {
		return err
	}
	for _, o := range registrations(s.api.port, s.authority) {
		if err := s.apply(ctx, o); err != nil {
			return err
		}
	}
	if err := poll(ctx, func() error { return s.subresources(ctx) }); err != nil {
		return fmt.Errorf("wait for the subresources: %w", err)
	}
	if err := poll(ctx, func() error { return s.mutated(ctx) }); err != nil {
		return fmt.Errorf("wait for the mutating webhooks: %w", err)
	}
	if err := poll(ctx, func() error { return s.validated(ctx) }); err != nil {
		return fmt.Errorf("wait for the validating webhooks: %w", err)
	}
	return nil
}

func (s *stack) subresources(ctx context.Context) error {
	disco, err := discovery.NewDiscoveryClientForConfig(s.config)
	if err != nil {
		return err
	}
	return disco.RESTClient().Get().AbsPath("/apis/subresources.kubevirt.io/v1").Do(ctx).Error()
}

// mutated asks for a machine and looks whether it got its defaults.
func (s *stack) mutated(ctx context.Context) error {
	vm, err := s.try(ctx, "Halted")
	if err != nil {
		return err
	}
	if _, found, err := unstructured.NestedString(vm.Object, "spec", "template", "spec", "architecture"); err != nil || !found {
		return errors.Join(errors.New("a machine got no architecture"), err)
	}
	return nil
}

// validated asks for a machine that only a webhook refuses.
func (s *stack) validated(ctx context.Context) error {
	_, err := s.try(ctx, "Never")
	switch {
	case err == nil:
		return errors.New("a machine with a wrong run strategy was accepted")
	case strings.Contains(err.Error(), "virtualmachine-validator.kubevirt.io"):
		return nil
	default:
		return err
	}
}

// try creates a machine in a dry run.
func (s *stack) try(ctx context.Context, strategy string) (*unstructured.Unstructured, error) {
	vm := probe(strategy)
	return s.resource(vm).Create(ctx, vm, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func (s *stack) apply(ctx context.Context, typed any) error {
	o, err := convert(typed)
	if err != nil {
		return err
	}
	unstructured.RemoveNestedField(o.Object, "status")
	_, err = s.resource(o).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

func (s *stack) applyStatus(ctx context.Context, o *unstructured.Unstructured) error {
	_, err := s.resource(o).ApplyStatus(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return fmt.Errorf("apply status of %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// resource returns where objects like o are kept. All the kinds used here have a regular plural.
func (s *stack) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	if ns := o.GetNamespace(); ns != "" {
		return s.objects.Resource(plural).Namespace(ns)
	}
	return s.objects.Resource(plural)
}

func convert(typed any) (*unstructured.Unstructured, error) {
	if o, ok := typed.(*unstructured.Unstructured); ok {
		return o, nil
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil, err
	}
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	return &unstructured.Unstructured{Object: fields}, nil
}
