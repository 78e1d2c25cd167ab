package judge

import (
	"encoding/json"
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
func accessKey(path string) string     { return "access:" + path }
func platformKey(path string) string   { return "platform:" + path }
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
	case "access", "platform":
		return "a change of " + name
	}
	return kind + " " + name
}

func number(n int) string { return strconv.Itoa(n) }

// nameKeys are the keys of the names that stand behind ref, whatever is done to it.
func nameKeys(ref spec.Ref) []string {
	switch ref.Kind {
	case spec.KindSystem:
		return []string{systemKey(ref.System)}
	case spec.KindService:
		return []string{serviceKey(ref.Service), pairKey(ref)}
	case spec.KindVirtualMachine:
		return []string{vmKey(ref.VMName())}
	case spec.KindConsoleAccess:
		return []string{accessKey(ref.Path())}
	}
	return []string{platformKey(ref.Path())}
}

// ClaimKeys are the keys that a change of what stands at ref can claim, so that callers know what to look up.
// head is the file's content, for the addresses that it fixes; nil where it is removed. A spec that an approver
// put in its place can fix others: see [AddressKeys].
func ClaimKeys(ref spec.Ref, head []byte) []string {
	keys := nameKeys(ref)
	if ref.Kind == spec.KindVirtualMachine && head != nil {
		doc, _ := spec.Parse(ref, head)
		keys = append(append(keys, indexKey(ref)), addressKeys(machine(doc))...)
	}
	return keys
}

// AddressKeys are the claim keys of the addresses that a VM's canonical spec fixes: of an accepted one, to fill
// [World.Addresses], or of a planned one.
func AddressKeys(canonical json.RawMessage) []string {
	decoded, _ := spec.Decode(spec.KindVirtualMachine, canonical)
	vm, _ := decoded.(*spec.VirtualMachine)
	return addressKeys(vm)
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

// collide looks for reservations of other pull requests. What needs no approval waits for nobody: the first
// that is merged wins.
func (j *judging) collide(c *change) {
	free := c.Requirement.Rule != "" && c.Requirement.Approvals == 0
	var keys []string
	var found []domain.Problem
	var others []int
	contested := !free && !c.Problems.Blocking()
	for _, key := range c.Claims {
		held, taken := j.in.World.Claims[key]
		if !taken || !free {
			keys = append(keys, key)
		}
		if !taken {
			continue
		}
		contested = contested && held.Status == domain.TicketPending
		if !slices.Contains(others, held.PullRequest) {
			others = append(others, held.PullRequest)
			found = append(found, held.duplicate(key, free))
		}
	}
	c.Claims = keys
	for _, p := range found {
		if contested {
			p.Hint += "; it only waits, and an approval of this pull request takes that over"
		}
		c.add(p)
	}
	if contested && len(others) > 0 {
		slices.Sort(others)
		c.Contested = others
	}
}

// duplicate is what is said of a claim that another pull request holds. What needs no approval is only
// warned of.
func (held Claim) duplicate(key string, free bool) domain.Problem {
	p := domain.Problem{
		Code: domain.DuplicatePendingRequest, Message: "pull request #" + number(held.PullRequest) + " already asks for " + claimed(key),
		Hint: "wait until it is merged or closed, or ask for another",
	}
	if free {
		p.Severity, p.Hint = domain.Warning, "the first of both that is merged wins"
	}
	if held.Running {
		p.Message = "what pull request #" + number(held.PullRequest) + " asked of " + claimed(key) + " is being carried out"
		p.Hint = "this goes on by itself when that has ended"
		if free {
			p.Hint = "this one is carried out after it"
		}
	}
	return p
}
