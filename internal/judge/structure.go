package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

func (j *judging) createSystem(c *change) { c.Claims = nameKeys(c.Ref) }

func (j *judging) createService(c *change) {
	ref := c.Ref
	c.Claims = nameKeys(ref)
	j.systemExists(c)
	if system, taken := j.in.World.Services[ref.Service]; taken && system != ref.System {
		c.add(domain.Problem{
			Code: domain.NameTaken, Message: "system " + system + " already has a service " + ref.Service + "; service names are unique in the fleet",
			Hint: "choose another name",
		})
	}
	j.pairIsFree(c)
	for _, other := range j.changes {
		if other != c && other.Operation == domain.CreateService && other.Ref.Service == ref.Service {
			c.add(domain.Problem{
				Code: domain.NameTaken, Message: "this pull request creates service " + ref.Service + " twice: also in " + other.Path,
				Hint: "choose another name for one of them",
			})
		}
	}
}

// pairIsFree refuses a service whose VMs would be called like those of another: a+b-c and a-b+c meet.
func (j *judging) pairIsFree(c *change) {
	pair := c.Ref.System + "-" + c.Ref.Service
	owner, taken := j.in.World.Names[pair]
	if taken = taken && isService(owner); !taken {
		for _, other := range j.changes {
			if other != c && other.Operation == domain.CreateService && other.Ref.System+"-"+other.Ref.Service == pair && other.Ref.System != c.Ref.System {
				owner, taken = other.Path, true
			}
		}
	}
	if taken && owner != c.Path {
		c.add(domain.Problem{
			Code: domain.NameTaken, Message: "VMs of " + c.Subject + " would have the names of those of " + owner,
			Hint: "choose another name",
		})
	}
}

// isService tells a service's path from a VM's: a pair may read like the name of a VM, and is none.
func isService(path string) bool { return strings.HasSuffix(path, "/service.yaml") }

// systemExists wants the system accepted and left there, or created by this pull request.
func (j *judging) systemExists(c *change) bool {
	system := spec.Ref{Kind: spec.KindSystem, System: c.Ref.System}
	if j.removes(system) {
		j.leaving(c, domain.SystemUnknown, "system "+system.System, system)
		return false
	}
	if j.in.World.Systems[system.System] || j.creates(system) {
		return true
	}
	j.missing(c, domain.SystemUnknown, "there is no system "+system.System, system,
		system.System, slices.Collect(maps.Keys(j.in.World.Systems)))
	return false
}

// serviceExists wants the service accepted in this system and left there, or created by this pull request.
func (j *judging) serviceExists(c *change) {
	service := spec.Ref{Kind: spec.KindService, System: c.Ref.System, Service: c.Ref.Service}
	if j.removes(service) {
		j.leaving(c, domain.ServiceUnknown, "service "+service.String(), service)
		return
	}
	system, accepted := j.in.World.Services[service.Service]
	if accepted && system == service.System || j.creates(service) {
		return
	}
	var names []string
	for name, of := range j.in.World.Services {
		if of == service.System {
			names = append(names, name)
		}
	}
	message := "system " + service.System + " has no service " + service.Service
	if accepted && !j.asks(service) {
		c.add(domain.Problem{
			Code: domain.ServiceUnknown, Message: message,
			Hint: "that service belongs to system " + system + ": put the file below systems/" + system + "/" + service.Service + "/",
		})
		return
	}
	j.missing(c, domain.ServiceUnknown, message, service, service.Service, names)
}

// creates reports whether the pull request makes the thing, and nothing stands in its way.
func (j *judging) creates(ref spec.Ref) bool {
	for _, c := range j.changes {
		if c.Ref == ref && c.Accepted == nil && c.doc != nil && c.stands() {
			return true
		}
	}
	return false
}

// stands reports whether nothing is wrong with a change that was judged, but that others ask for the same.
func (c *change) stands() bool { return !c.Problems.Blocking() || len(c.Contested) > 0 }

// removes reports whether the pull request removes the thing, allowed or not.
func (j *judging) removes(ref spec.Ref) bool {
	return slices.ContainsFunc(j.changes, func(c *change) bool { return c.Ref == ref && c.Operation.Removes() })
}

func (j *judging) leaving(c *change, code domain.Code, what string, parent spec.Ref) {
	c.add(domain.Problem{
		Code: code, Message: what + " is deleted by this same pull request",
		Hint: "put " + parent.Path() + " back, or take this file out",
	})
}

// missing tells of a parent that is not there, and how to come by it: put right what would create it,
// mean another, or create it.
func (j *judging) missing(c *change, code domain.Code, message string, parent spec.Ref, name string, known []string) {
	hint := "to create it, add " + parent.Path() + " to this pull request"
	switch {
	case j.asks(parent):
		message += " yet, and the file that would create it is refused"
		hint = "see what is said of " + parent.Path() + ", and put it right first"
	case len(known) > 0:
		hint = spec.Suggest(name, known) + "; " + hint
	}
	c.add(domain.Problem{Code: code, Message: message, Hint: hint})
}

// deleteStructure lets a service or a system go when nothing is left below it but what this pull request
// removes as well. What goes with it has been judged before.
func (j *judging) deleteStructure(c *change) {
	c.Claims = nameKeys(c.Ref)
	leaving := map[string]bool{}
	for _, other := range j.changes {
		if other.Operation.Removes() && other.stands() {
			leaving[other.Path] = true
		}
	}
	var services, machines []string
	for _, path := range slices.Sorted(slices.Values(j.in.World.Below[c.Path])) {
		if ref, governed, problems := spec.ParsePath(path); leaving[path] || !governed || problems.Blocking() || path == c.Path {
			continue
		} else if ref.Kind == spec.KindService {
			services = append(services, ref.String())
		} else {
			machines = append(machines, ref.String())
		}
	}
	names := slices.Concat(services, machines)
	if len(names) > 0 {
		c.add(domain.Problem{
			Code: domain.DeleteRestricted, Message: c.kindAndName() + " still holds " + counted(services, machines) + ": " + first(names),
			Hint: "remove their files as well, in this pull request or before it",
		})
	}
	if left := slices.Sorted(slices.Values(j.in.World.Leftovers[c.Path])); len(left) > 0 {
		c.add(domain.Problem{
			Code: domain.DeleteRestricted, Message: fmt.Sprintf("%s of %s, removed before, still on a cluster: %s", plural(len(left), "VM"), c.kindAndName(), first(left)),
			Hint: "wait until Shepherd has deleted them, then ask again",
		})
	}
}

func (c *change) kindAndName() string {
	if c.Ref.Kind == spec.KindSystem {
		return "system " + c.Subject
	}
	return "service " + c.Subject
}

func counted(services, machines []string) string {
	var parts []string
	if len(services) > 0 {
		parts = append(parts, plural(len(services), "service"))
	}
	if len(machines) > 0 {
		parts = append(parts, plural(len(machines), "VM"))
	}
	return strings.Join(parts, " and ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// first lists the first few names and counts the rest.
func first(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
}
