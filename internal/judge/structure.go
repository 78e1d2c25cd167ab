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
	switch kind {
	case "pair":
		return "a service whose VMs would have the same names (" + name + ")"
	case "index":
		return "index " + name
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
	if !taken {
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

// systemExists wants the system accepted, or created by this pull request.
func (j *judging) systemExists(c *change) bool {
	if j.in.World.Systems[c.Ref.System] || j.creates(spec.Ref{Kind: spec.KindSystem, System: c.Ref.System}) {
		return true
	}
	names := slices.Sorted(maps.Keys(j.in.World.Systems))
	c.add(domain.Problem{
		Code: domain.SystemUnknown, Message: "there is no system " + c.Ref.System,
		Hint: "add systems/" + c.Ref.System + "/system.yaml to this pull request" + orElse(c.Ref.System, names),
	})
	return false
}

// serviceExists wants the service accepted in this system, or created by this pull request.
func (j *judging) serviceExists(c *change) {
	ref := c.Ref
	system, accepted := j.in.World.Services[ref.Service]
	if accepted && system == ref.System || j.creates(spec.Ref{Kind: spec.KindService, System: ref.System, Service: ref.Service}) {
		return
	}
	var names []string
	for service, of := range j.in.World.Services {
		if of == ref.System {
			names = append(names, service)
		}
	}
	slices.Sort(names)
	c.add(domain.Problem{
		Code: domain.ServiceUnknown, Message: "system " + ref.System + " has no service " + ref.Service,
		Hint: "add systems/" + ref.System + "/" + ref.Service + "/service.yaml to this pull request" + orElse(ref.Service, names),
	})
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

func orElse(name string, names []string) string {
	if s := spec.Suggest(name, names); s != "" {
		return ", or: " + s
	}
	return ""
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
		if vm, ok := spec.As[spec.VirtualMachine](doc); ok {
			for _, n := range vm.Networks {
				if n.IP != "" {
					keys = append(keys, addressKey(n.Name, n.IP))
				}
			}
		}
		return keys
	}
	return nil
}
