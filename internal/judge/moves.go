package judge

import (
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// origin is a VM that the pull request no longer has: one that it removes, or that it asked for before its
// last push. content is nil for the latter.
type origin struct {
	ref     spec.Ref
	content []byte
}

// unmoved refuses to carry a VM elsewhere: its file's path is its identity. Another index of the same service
// and namespace is another VM, and no move.
func (j *judging) unmoved() {
	var gone []origin
	for _, c := range j.changes {
		if c.Operation == domain.DeleteVM {
			gone = append(gone, origin{c.Ref, c.Accepted})
		}
	}
	for _, ref := range j.in.Submitted {
		if ref.Kind == spec.KindVirtualMachine && !j.asks(ref) && !j.untouched(ref) {
			gone = append(gone, origin{ref: ref})
		}
	}
	slices.SortStableFunc(gone, func(a, b origin) int { return strings.Compare(a.ref.Path(), b.ref.Path()) })
	for _, from := range slices.CompactFunc(gone, func(a, b origin) bool { return a.ref == b.ref }) {
		for _, c := range j.changes {
			if c.Operation == domain.CreateVM {
				c.move(from)
			}
		}
	}
}

// untouched reports whether a VM is accepted and this pull request leaves it alone: what it asked of that VM
// before was taken back, and nothing is gone.
func (j *judging) untouched(ref spec.Ref) bool {
	for _, f := range j.in.Files {
		if f.Path == ref.Path() {
			return false
		}
	}
	m, known := j.in.World.Machines[ref.VMName()]
	return known && !m.Removed || j.in.World.Names[ref.VMName()] == ref.Path()
}

func (c *change) move(from origin) {
	to := c.Ref
	hint := "put " + from.ref.Path() + " back; to have a VM elsewhere, create it in another pull request"
	sameService := to.System == from.ref.System && to.Service == from.ref.Service
	sameIndex := to.Index == from.ref.Index
	renamed := !c.moved && from.content != nil && slices.Equal(from.content, c.Wanted) // what git calls a rename
	switch {
	case sameService && to.Namespace != from.ref.Namespace && (sameIndex || renamed):
		c.moved = true
		c.add(domain.Problem{
			Code: domain.NamespaceImmutable, Hint: hint,
			Message: "the namespace of " + from.ref.VMName() + " cannot change from " + from.ref.Namespace + " to " + to.Namespace,
		})
	case !sameService && (sameIndex && to.Namespace == from.ref.Namespace || renamed):
		c.moved = true
		c.add(domain.Problem{
			Code: domain.ServiceImmutable, Hint: hint,
			Message: "the service of " + from.ref.VMName() + " cannot change from " + from.ref.System + "/" + from.ref.Service + " to " + to.System + "/" + to.Service,
		})
	}
}
