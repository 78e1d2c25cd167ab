package judge

import (
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// batch holds the pull request as a whole to its rules.
func (j *judging) batch() {
	j.unmixed()
	j.unmoved()
	creates := 0
	for _, c := range j.changes {
		if c.Operation == domain.CreateVM {
			creates++
		}
	}
	if limits, ok := j.in.Limits[""]; ok && creates > limits.Creates {
		limit := limits.Creates
		j.problem(domain.BatchTooLarge, fmt.Sprintf("the pull request creates %d VMs; the limit is %d", creates, limit),
			fmt.Sprintf("split it into pull requests of at most %d", limit))
	}
}

func (j *judging) problem(code domain.Code, message, hint string) {
	j.report.Problems = append(j.report.Problems, domain.Problem{Code: code, Severity: domain.Error, Message: message, Hint: hint})
}

// unmixed refuses rules and what they govern in one pull request: the one could not be judged by the
// other.
func (j *judging) unmixed() {
	var platform, governed bool
	for _, c := range j.changes {
		if c.Ref.Platform() {
			platform = true
		} else {
			governed = true
		}
	}
	if platform && governed {
		j.problem(domain.MixedChange, "the pull request changes the platform and systems together",
			"make a pull request of the platform's change, and one of the systems' after it")
	}
}

// unmoved refuses to carry a VM elsewhere: its file's path is its identity. It looks at what the pull
// request removes, and at what it asked for before its last push.
func (j *judging) unmoved() {
	gone := slices.Clone(j.in.Submitted)
	for _, c := range j.changes {
		if c.Operation == domain.DeleteVM {
			gone = append(gone, c.Ref)
		}
	}
	slices.SortFunc(gone, func(a, b spec.Ref) int { return strings.Compare(a.Path(), b.Path()) })
	for _, from := range slices.Compact(gone) {
		if from.Kind != spec.KindVirtualMachine || j.asks(from) {
			continue
		}
		for _, c := range j.changes {
			if c.Operation == domain.CreateVM {
				j.move(c, from)
			}
		}
	}
}

// asks reports whether the head still has the file.
func (j *judging) asks(ref spec.Ref) bool {
	for _, f := range j.in.Files {
		if f.Path == ref.Path() {
			return f.Head != nil
		}
	}
	return false
}

func (j *judging) move(c *change, from spec.Ref) {
	to := c.Ref
	hint := "put " + from.Path() + " back; to have a VM elsewhere, create it in another pull request"
	switch {
	case to.System == from.System && to.Service == from.Service && to.Index == from.Index:
		c.moved = true
		c.add(domain.Problem{
			Code: domain.NamespaceImmutable, Hint: hint,
			Message: "the namespace of " + from.VMName() + " cannot change from " + from.Namespace + " to " + to.Namespace,
		})
	case to.Namespace == from.Namespace && to.Index == from.Index:
		c.moved = true
		c.add(domain.Problem{
			Code: domain.ServiceImmutable, Hint: hint,
			Message: "the service of " + from.VMName() + " cannot change from " + from.System + "/" + from.Service + " to " + to.System + "/" + to.Service,
		})
	}
}
