package judge

import (
	"fmt"
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// createVM holds a new VM to the fleet and plans it.
func (j *judging) createVM(c *change) {
	vm := machine(c.doc)
	if vm == nil {
		return
	}
	c.vm, c.Reason = vm, vm.Reason
	c.Claims = append([]string{vmKey(c.Subject), indexKey(c.Ref)}, addressKeys(vm)...)
	j.restart(c, "")
	if j.systemExists(c) {
		j.serviceExists(c)
	}
	j.nameIsFree(c)
	j.indexIsFree(c)
	j.addressesAreFree(c, nil)
	j.planNew(c)
}

func (j *judging) nameIsFree(c *change) {
	owner, taken := j.in.World.Names[c.Subject]
	taken = taken && !isService(owner)
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

// indexIsFree holds to the ledger: an index is used once in a service's name, for ever. A VM that was
// moved here has been told to go back, and needs no other index.
func (j *judging) indexIsFree(c *change) {
	if c.moved {
		return
	}
	taken := func(message string) {
		c.add(domain.Problem{
			Code: domain.IndexTaken, Hint: j.freeIndex(c.Ref),
			Message: fmt.Sprintf("index %s of service %s %s", c.Ref.Instance(), c.Ref.Service, message),
		})
	}
	if slices.Contains(j.in.World.Indexes[c.Ref.Service], c.Ref.Index) {
		taken("was used before, and an index is never used again")
		return
	}
	for _, other := range j.changes {
		if j.rivals(other, c) && other.Ref.Service == c.Ref.Service && other.Ref.Index == c.Ref.Index {
			taken("is also asked for by " + other.Path + "; all namespaces of a service share its indexes")
			return
		}
	}
}

// rivals reports whether another new VM comes before this one, so that of two that want the same the
// first can have it.
func (j *judging) rivals(other, c *change) bool {
	return other.Operation == domain.CreateVM && other.Path < c.Path
}

// maxIndex is the last that a path can carry.
const maxIndex = 9999

// freeIndex is the way out of a taken index: the first that neither the ledger nor the pull request has.
func (j *judging) freeIndex(ref spec.Ref) string {
	used := map[int]bool{}
	for _, n := range j.in.World.Indexes[ref.Service] {
		used[n] = true
	}
	for _, c := range j.changes {
		if c.Ref.Kind == spec.KindVirtualMachine && c.Ref.Service == ref.Service {
			used[c.Ref.Index] = true
		}
	}
	for ref.Index = 1; ref.Index <= maxIndex; ref.Index++ {
		if !used[ref.Index] {
			return "rename the file to " + ref.Path() + ", the next free one"
		}
	}
	return "the service has used all its indexes; create another service"
}

// addressesAreFree holds fixed addresses to those of the fleet and of the VMs that this pull request judges
// before this one. Those that the VM has already are its own.
func (j *judging) addressesAreFree(c *change, own []string) {
	for i, n := range c.vm.Networks {
		key := addressKey(n.Name, n.IP)
		if n.IP == "" || c.moved || slices.Contains(own, key) {
			continue
		}
		owner, taken := j.in.World.Addresses[key]
		for _, other := range j.changes {
			if other == c {
				break
			}
			if !taken && slices.Contains(other.Claims, key) {
				owner, taken = other.Path, true
			}
		}
		if taken && owner != c.Path {
			c.at(domain.AddressTaken, "spec.networks["+number(i)+"].ip", claimed(key)+" is that of "+owner, "choose another, or leave ip out to get one")
		}
	}
}
