package judge

import (
	"maps"
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// replan lets what an approver chose take its place, where it was chosen for the change as it is at head, or
// where the head says it already. From here on the planned spec is judged like any other; its problems have
// no line, as it stands in no file.
func (j *judging) replan(c *change) {
	planned, ok := j.in.Planned[c.Path]
	if !ok || c.file.Head != nil && c.doc == nil {
		return
	}
	doc, problems := plannedSpec(c.Ref, planned)
	canonical := spec.Canonical(doc)
	says := doc != nil && slices.Equal(canonical, c.Wanted)
	if planned.For != c.Digest && !says {
		return
	}
	c.Planned = &planned
	if c.Operation != domain.CreateVM && c.Operation != domain.ModifyVM {
		c.ofPlan(domain.Problem{
			Code: domain.PlanInvalid, Message: "what " + string(c.Operation) + " does cannot be planned otherwise",
			Hint: "approve or reject it as it is",
		})
		return
	}
	if len(planned.ModifiedSpec) == 0 {
		return
	}
	for _, p := range problems {
		c.ofPlan(p)
	}
	if doc == nil {
		c.doc, c.Ahead, c.lineless = nil, true, true
		return
	}
	c.PlannedDigest, c.Ahead = c.digest(canonical), !says
	c.Dropped = dropped(object(c.Wanted), object(canonical))
	if c.Ahead {
		c.doc, c.lineless = doc, true
		c.sameOperation()
	}
}

// plannedSpec reads the spec of a plan; nil where it has none, or where the problems say why.
func plannedSpec(ref spec.Ref, planned Planned) (*spec.Document, domain.Problems) {
	if len(planned.ModifiedSpec) == 0 || ref.Kind != spec.KindVirtualMachine {
		return nil, nil
	}
	return spec.ParseModifiedSpec(ref, planned.ModifiedSpec)
}

// dropped are the top-level fields that a planned spec leaves out.
func dropped(wanted, planned map[string]any) (fields []string) {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if _, kept := planned[name]; !kept {
			fields = append(fields, name)
		}
	}
	return fields
}

// sameOperation refuses a planned spec that makes something else of the change: the permission and the
// approvals were asked for this one.
func (c *change) sameOperation() {
	old := c.acceptedVM()
	if c.Operation != domain.ModifyVM || old == nil {
		return
	}
	planned := machine(c.doc)
	message := ""
	if spec.Equal(planned, old) {
		message = "its spec is what is accepted already: nothing would change"
	} else if op := modification(old, planned); op != c.Operation {
		message = "its spec makes " + string(op) + " of " + string(c.Operation)
	}
	if message != "" {
		c.ofPlan(domain.Problem{
			Code: domain.PlanInvalid, Message: message, Hint: "plan another spec, or request changes and have that asked for in a pull request",
		})
	}
}

// chosen is what an approver chose; empty where nobody did.
func (c *change) chosen() Planned {
	if c.Planned == nil {
		return Planned{}
	}
	return *c.Planned
}
