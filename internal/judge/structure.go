package judge

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// The claims' keys. A key is held by one pull request at a time.
func systemKey(system string) string   { return "system:" + system }
func serviceKey(service string) string { return "service:" + service }
func pairKey(r spec.Ref) string        { return "pair:" + r.System + "-" + r.Service }
func vmKey(name string) string         { return "vm:" + name }
func indexKey(r spec.Ref) string       { return "index:" + r.Service + "/" + strconv.Itoa(r.Index) }
func addressKey(network, ip string) string {
	return "address:" + network + "/" + ip
}

// claimed is a key as people read it.
func claimed(key string) string {
	kind, name, _ := strings.Cut(key, ":")
	of, what, _ := strings.Cut(name, "/")
	switch kind {
	case "pair":
		return "a service whose VMs would have the same names (" + name + ")"
	case "index":
		index, _ := strconv.Atoi(what)
		return "index " + spec.Ref{Index: index}.Instance() + " of service " + of
	case "address":
		return "address " + what + " of network " + of
	case "vm":
		return "VM " + name
	}
	return kind + " " + name
}

func number(n int) string { return strconv.Itoa(n) }

func (j *judging) createSystem(c *change) {
	c.Claims = ClaimKeys(c.Ref, c.Document)
}

func (j *judging) createService(c *change) {
	ref := c.Ref
	c.Claims = ClaimKeys(ref, c.Document)
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

// systemExists wants the system accepted, or created by this pull request.
func (j *judging) systemExists(c *change) bool {
	system := spec.Ref{Kind: spec.KindSystem, System: c.Ref.System}
	if j.in.World.Systems[system.System] || j.creates(system) {
		return true
	}
	j.missing(c, domain.SystemUnknown, "there is no system "+system.System, system,
		system.System, slices.Collect(maps.Keys(j.in.World.Systems)))
	return false
}

// serviceExists wants the service accepted in this system, or created by this pull request.
func (j *judging) serviceExists(c *change) {
	service := spec.Ref{Kind: spec.KindService, System: c.Ref.System, Service: c.Ref.Service}
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
		if c.Ref == ref && c.Accepted == nil && c.doc != nil && !c.Problems.Blocking() {
			return true
		}
	}
	return false
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

// ClaimKeys are the keys that creating what stands at ref would claim, so that callers know what to
// look up. head is the file's content, for the addresses that it fixes.
func ClaimKeys(ref spec.Ref, head []byte) []string {
	switch ref.Kind {
	case spec.KindSystem:
		return []string{systemKey(ref.System)}
	case spec.KindService:
		return []string{serviceKey(ref.Service), pairKey(ref)}
	case spec.KindVirtualMachine:
		keys := []string{vmKey(ref.VMName()), indexKey(ref)}
		doc, _ := spec.Parse(ref, head)
		return append(keys, addressKeys(machine(doc))...)
	}
	return nil
}

// addressKeys are the keys of the addresses that a VM fixes.
func addressKeys(vm *spec.VirtualMachine) (keys []string) {
	if vm == nil {
		return nil
	}
	for _, n := range vm.Networks {
		if n.IP != "" {
			keys = append(keys, addressKey(n.Name, n.IP))
		}
	}
	return keys
}

// machine is a VM as its canonical spec has it, so that nothing made from it depends on how the file
// is written; nil where the document is none.
func machine(doc *spec.Document) *spec.VirtualMachine {
	if doc == nil {
		return nil
	}
	decoded, _ := spec.Decode(doc.Ref.Kind, spec.Canonical(doc))
	vm, _ := decoded.(*spec.VirtualMachine)
	return vm
}
