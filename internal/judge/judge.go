package judge

import (
	"encoding/json"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// Judge makes the report.
func Judge(in Input) Report {
	j := &judging{in: in, report: Report{Head: in.Head, Platform: in.PlatformCommit, Draft: in.Draft, Fork: in.Fork}}
	for _, f := range slices.SortedFunc(slices.Values(in.Files), byPath) {
		j.read(f)
	}
	j.order()
	j.batch()
	j.nextPlatform()
	j.operations = map[domain.Operation]int{}
	for _, c := range j.changes {
		j.operations[c.Operation]++
	}
	j.account()
	for _, c := range j.changes {
		j.judge(c)
		j.report.Changes = append(j.report.Changes, c.Change)
	}
	return j.report
}

// byPath makes a report independent of the order in which its files were found.
func byPath(a, b File) int { return strings.Compare(a.Path, b.Path) }

// judging is one run.
type judging struct {
	in         Input
	report     Report
	changes    []*change
	operations map[domain.Operation]int
	// taken is what namespaces and systems take after the changes judged so far and all that makes room.
	taken map[string]policy.Amount
}

// change is a Change in the making.
type change struct {
	Change
	doc      *spec.Document       // what is judged; nil where the file is removed or cannot be read
	accepted any                  // the accepted spec as its type; nil for none
	vm       *spec.VirtualMachine // wanted, where a VM is created or changed
	uses     uses                 // what the VM is or would be made of
	moved    bool                 // what another file's VM is to become
	lineless bool                 // doc is no file: it comes from a plan
	file     File
	delta    policy.Amount // what the VM takes more, or less
}

// uses is what rules see of the documents that a VM is made of; nil where there is none.
type uses struct {
	template        string
	version         int
	templateContent *spec.Template
	size            string
	sizeContent     *spec.InstanceSize
}

func (c *change) add(p domain.Problem) {
	if p.Path == "" {
		p.Path = c.Path
	}
	if p.Severity == "" {
		p.Severity = domain.Error
	}
	c.Problems = append(c.Problems, p)
}

// at adds a problem at a field of the file at head.
func (c *change) at(code domain.Code, field, message, hint string) {
	c.found(&domain.Problem{Code: code, Message: message, Hint: hint}, field)
}

// found adds what a look-up in the platform answered, at the field that asked.
func (c *change) found(p *domain.Problem, field string) {
	if c.lineless {
		c.ofPlan(*p)
		return
	}
	q := *p
	q.Path, q.Line, q.Column = c.Path, 0, 0
	if c.doc != nil {
		q.Line, q.Column = c.doc.Position(field)
	}
	c.add(q)
}

// ofPlan adds a problem of what an approver chose: it stands in no file, and has no line.
func (c *change) ofPlan(p domain.Problem) {
	p.Path, p.Line, p.Column = c.Path, 0, 0
	p.Message = "the plan: " + p.Message
	c.add(p)
}

// read turns one differing file into a change, or into problems where it is none.
func (j *judging) read(f File) {
	ref, governed, problems := spec.ParsePath(f.Path)
	if !governed {
		return
	}
	j.report.Governed = true
	if problems.Blocking() {
		if f.Head != nil { // removing what should not be there is always right
			j.report.Problems = append(j.report.Problems, problems...)
		}
		return
	}
	c := &change{Change: Change{Ref: ref, Path: f.Path, Subject: ref.String()}, file: f}
	if !j.load(c) {
		return
	}
	c.Problems = append(problems, c.Problems...)
	c.Operation = classify(c)
	j.locate(c)
	c.Digest = c.digest(c.Wanted)
	j.replan(c)
	j.changes = append(j.changes, c)
}

// digest is that of the change were this the wanted spec.
func (c *change) digest(wanted json.RawMessage) string {
	return spec.Digest(spec.Change{
		Operation: c.Operation, Ref: c.Ref, Environment: c.Environment, Accepted: c.Accepted, Wanted: wanted,
	})
}

// load fills in both sides of a change. It reports false where there is no difference in meaning.
func (j *judging) load(c *change) bool {
	if a, ok := j.in.Accepted[c.Path]; ok {
		c.Accepted = json.RawMessage(a.Spec)
		c.accepted, _ = spec.Decode(c.Ref.Kind, a.Spec)
	}
	switch head := c.file.Head; {
	case head == nil:
		return c.Accepted != nil
	case head.Problem != nil:
		c.add(*head.Problem)
	default:
		doc, problems := spec.Parse(c.Ref, head.Data)
		c.Problems = append(c.Problems, problems...)
		c.Document = head.Data
		if doc == nil {
			break
		}
		c.doc, c.Wanted = doc, spec.Canonical(doc)
		return !slices.Equal(c.Wanted, c.Accepted)
	}
	return true
}

// locate finds out where a change takes place: the environment is that of the VM's namespace; structure
// and platform have none.
func (j *judging) locate(c *change) {
	switch c.Ref.Kind {
	case spec.KindVirtualMachine:
		if ns, p := j.in.Platform.Namespace(c.Ref.Namespace); p == nil {
			c.Environment = ns.Environment
		}
	case spec.KindConsoleAccess:
		j.locateConsole(c)
	}
}

// order puts what others build on first: systems, services, VMs, consoles, the platform; then what goes, from
// the VMs up. Among equals it goes by path.
func (j *judging) order() {
	kinds := []spec.Kind{spec.KindSystem, spec.KindService, spec.KindVirtualMachine, spec.KindConsoleAccess}
	rank := func(c *change) int {
		at := slices.Index(kinds, c.Ref.Kind)
		switch {
		case at < 0:
			return len(kinds)
		case c.Operation.Removes():
			return 2*len(kinds) - at
		}
		return at
	}
	slices.SortStableFunc(j.changes, func(a, b *change) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Path, b.Path)
	})
}

// judge holds one change to every rule.
func (j *judging) judge(c *change) {
	j.upToDate(c)
	if c.file.Head != nil && c.doc == nil {
		return // what cannot be read has been told
	}
	switch c.Operation {
	case domain.CreateSystem:
		j.createSystem(c)
	case domain.CreateService:
		j.createService(c)
	case domain.ModifySystem, domain.ModifyService:
		c.Claims = nameKeys(c.Ref)[:1]
	case domain.DeleteService, domain.DeleteSystem:
		j.deleteStructure(c)
	case domain.CreateVM:
		j.createVM(c)
	case domain.ModifyVM:
		j.modifyVM(c)
	case domain.StartVM, domain.StopVM, domain.RestartVM:
		j.powerVM(c)
	case domain.DeleteVM:
		j.deleteVM(c)
	case domain.VNCAccess:
		j.console(c)
	case domain.ChangePlatform:
		j.changePlatform(c)
	}
	j.room(c)
	if !j.nowhere(c) {
		j.consult(c)
	}
	j.collide(c)
	j.confirm(c)
}

// nowhere reports whether it is not known where a VM is or would be: of a namespace that nobody knows there is
// nothing to say but that.
func (j *judging) nowhere(c *change) bool {
	switch c.Ref.Kind {
	case spec.KindVirtualMachine, spec.KindConsoleAccess:
		return c.Environment == ""
	}
	return false
}

// upToDate holds the change to what the branch's tip has at its path.
func (j *judging) upToDate(c *change) {
	var tip json.RawMessage
	if t := c.file.Tip; t != nil && t.Problem == nil {
		if doc, _ := spec.Parse(c.Ref, t.Data); doc != nil {
			tip = spec.Canonical(doc)
		}
	}
	unread := c.file.Tip != nil && tip == nil
	switch {
	case unread || !slices.Equal(tip, c.Accepted):
		c.add(domain.Problem{
			Code: domain.Quarantined, Message: "what the branch has here was merged without passing Shepherd",
			Hint: "take it back first, by the undo that Shepherd has opened or a pull request of your own; this is judged again then",
		})
	case c.file.Stale: // only now: the undo changes the branch once more
		c.add(domain.Problem{
			Code: domain.StaleBase, Message: "the branch has changed this file since the pull request left it",
			Hint: "update the pull request's branch",
		})
	}
}
