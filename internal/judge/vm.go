package judge

import (
	"fmt"
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// createVM holds a new VM to the fleet and plans it.
func (j *judging) createVM(c *change) {
	vm, ok := spec.As[spec.VirtualMachine](c.doc)
	if !ok {
		return
	}
	c.Reason = vm.Reason
	c.Claims = ClaimKeys(c.Ref, c.Document)
	if j.systemExists(c) {
		j.serviceExists(c)
	}
	j.nameIsFree(c)
	j.indexIsFree(c)
	j.plan(c, vm)
}

func (j *judging) nameIsFree(c *change) {
	owner, taken := j.in.World.Names[c.Subject]
	for _, other := range j.changes {
		if !taken && other != c && other.Ref.Kind == spec.KindVirtualMachine && other.Subject == c.Subject {
			owner, taken = other.Path, true
		}
	}
	if taken && owner != c.Path {
		c.add(domain.Problem{
			Code: domain.NameTaken, Message: "the VM's name " + c.Subject + " is that of " + owner, Hint: "choose another index",
		})
	}
}

// indexIsFree holds to the ledger: an index is used once in a service's name, for ever.
func (j *judging) indexIsFree(c *change) {
	used := slices.Clone(j.in.World.Indexes[c.Ref.Service])
	for _, other := range j.changes {
		if other != c && other.Operation == domain.CreateVM && other.Ref.Service == c.Ref.Service {
			if other.Ref.Index == c.Ref.Index && other.Path < c.Path {
				c.add(domain.Problem{
					Code: domain.IndexTaken, Message: fmt.Sprintf("index %s of service %s is also taken by %s", c.Ref.Instance(), c.Ref.Service, other.Path),
					Hint: "an index is unique in a service, across its namespaces",
				})
			}
			used = append(used, other.Ref.Index)
		}
	}
	if slices.Contains(j.in.World.Indexes[c.Ref.Service], c.Ref.Index) {
		free := c.Ref
		for free.Index = 1; slices.Contains(used, free.Index); free.Index++ {
		}
		c.add(domain.Problem{
			Code: domain.IndexTaken, Message: fmt.Sprintf("index %s of service %s was used before, and an index is never used again", c.Ref.Instance(), c.Ref.Service),
			Hint: "rename the file to " + free.Path(),
		})
	}
}
