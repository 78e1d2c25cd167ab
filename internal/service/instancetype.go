package service

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// promised compares what a size says with the instance type that the VM is to get. KubeVirt takes a VM whose
// instance type is not there, and never starts it: that is a refusal. Limits count what the size says: that it is
// something else is a note to a request, and refuses the size itself where that is on trial.
func (b *batch) promised(ctx context.Context, c *provider.Cluster, r render.PreviewRequest, p *render.Preview) error {
	if r.Promise == nil {
		return nil
	}
	if kept, err := keepsInstancetype(r); kept || err != nil {
		return err
	}
	name, namespace, place := r.Promise.Instancetype.Name, "", "cluster "+b.cluster
	if r.Promise.Instancetype.EffectiveKind() != spec.ClusterInstancetype {
		namespace, place = r.Namespace, "namespace "+r.Namespace+" of cluster "+b.cluster
	}
	if namespace == render.PreviewNamespace {
		p.Notes = append(p.Notes, "instance type "+name+" is each namespace's own: it is looked for when a VM is asked for")
		return nil
	}
	found, err := c.Instancetype(ctx, namespace, name)
	switch {
	case provider.Forbidden(err):
		p.Notes = append(p.Notes, fmt.Sprintf("%s does not let instance type %s be read: whether it is what size %s says is not known", place, name, r.Promise.Size))
		return nil
	case err != nil:
		return err
	case found == nil:
		return stopped(domain.ClusterRefused, "have it made there, or use another size",
			"%s has no instance type %s, which size %s names: the VM would never start", place, name, r.Promise.Size)
	}
	return compared(*found, place, r, p)
}

// compared says what an instance type has otherwise than the size.
func compared(found provider.Instancetype, place string, r render.PreviewRequest, p *render.Preview) error {
	memory, err := resource.ParseQuantity(r.Promise.Memory)
	if err != nil {
		return fmt.Errorf("memory of size %s: %w", r.Promise.Size, err)
	}
	if found.Cores == int64(r.Promise.Cores) && found.Memory.Cmp(memory) == 0 {
		return nil
	}
	differs := fmt.Sprintf("size %s says %s, instance type %s of %s has %s", r.Promise.Size, hardware(int64(r.Promise.Cores), r.Promise.Memory),
		r.Promise.Instancetype.Name, place, hardware(found.Cores, found.Memory.String()))
	if r.Namespace == render.PreviewNamespace {
		return stopped(domain.PlanInvalid, "say in the size what the instance type has", "%s: limits would count wrongly", differs)
	}
	p.Notes = append(p.Notes, differs+": limits count what the size says")
	return nil
}

func hardware(cores int64, memory string) string {
	if cores == 1 {
		return "1 core and " + memory
	}
	return fmt.Sprintf("%d cores and %s", cores, memory)
}

// keepsInstancetype reports whether a VM that is there keeps the instance type that it has: KubeVirt remembers it
// as it was then, whatever has become of it.
func keepsInstancetype(r render.PreviewRequest) (bool, error) {
	if r.UID == "" {
		return false, nil
	}
	is, err := instancetypeOf(r.Previous)
	if err != nil {
		return false, fmt.Errorf("what was applied last: %w", err)
	}
	wanted, err := instancetypeOf(r.Manifests)
	return is == wanted, err
}

// instancetypeOf is the instance type that manifests name; the zero one where they name none.
func instancetypeOf(ms []render.Manifest) (kubevirtv1.InstancetypeMatcher, error) {
	for _, m := range ms {
		if m.Kind != render.KindVirtualMachine {
			continue
		}
		var vm struct {
			Spec struct {
				Instancetype kubevirtv1.InstancetypeMatcher `json:"instancetype"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(m.JSON, &vm); err != nil {
			return kubevirtv1.InstancetypeMatcher{}, fmt.Errorf("the manifest of %s cannot be read", m.Name)
		}
		return vm.Spec.Instancetype, nil
	}
	return kubevirtv1.InstancetypeMatcher{}, nil
}

// stopped is a refusal that lasts until people change something.
func stopped(code domain.Code, hint, format string, args ...any) error {
	return &provider.Error{Class: provider.Never, Problem: domain.Problem{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}}
}
