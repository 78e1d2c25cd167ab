package judge

import (
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// masked holds the request to the masks of the template that it would be made of; of a template that is not known
// there is nothing to say. What an accepted request has as well was let through when it was made. It reports
// whether nothing was wrong.
func (c *change) masked(t *spec.Template, name string, version int, old *spec.VirtualMachine) bool {
	if t == nil {
		return false
	}
	problems := t.Check(name+" v"+number(version), c.vm, old)
	for _, p := range problems {
		field := "spec"
		if p.Field != "" {
			field += "." + p.Field
		}
		if p.Code == domain.RequiredFieldRemoved && !c.lineless {
			p.Code = domain.YAMLInvalid // as for any other field that a file lacks
		}
		if c.chosen().TemplateVersion == version {
			c.ofPlan(p.Problem) // nobody but the plan asks for this version
		} else {
			c.found(&p.Problem, field)
		}
	}
	return len(problems) == 0
}

// given is what the VM is made of, and what rules see of it; no size where there is none.
func (c *change) given(t *spec.Template, s *spec.InstanceSize) (spec.VirtualMachine, *spec.InstanceSize) {
	if s == nil {
		return *c.vm, nil
	}
	vm, size := spec.Given(*c.vm, t, s)
	c.uses.sizeContent = &size
	return vm, &size
}

// keeps reports whether nobody chose another version of a VM's template than it has.
func (c *change) keeps(plan *Plan) bool {
	chosen := c.chosen().TemplateVersion
	return chosen == 0 || chosen == plan.TemplateVersion
}
