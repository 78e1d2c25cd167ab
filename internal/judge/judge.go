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
	j.operations = map[domain.Operation]int{}
	for _, c := range j.changes {
		j.operations[c.Operation]++
	}
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
}

// change is a Change in the making.
type change struct {
	Change
	doc      *spec.Document       // nil where the file is removed or cannot be read
	accepted any                  // the accepted spec as its type; nil for none
	vm       *spec.VirtualMachine // wanted, where a VM is created
	moved    bool                 // what another file's VM is to become
	file     File
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
	if c.doc == nil {
		c.add(domain.Problem{Code: code, Message: message, Hint: hint})
		return
	}
	c.add(c.doc.Problem(code, domain.Error, field, message, hint))
}

// found adds what a look-up in the platform answered, at the field that asked.
func (c *change) found(p *domain.Problem, field string) {
	line, column := c.doc.Position(field)
	q := *p
	q.Path, q.Line, q.Column = c.Path, line, column
	c.add(q)
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
	c.Digest = spec.Digest(spec.Change{Operation: c.Operation, Ref: ref, Environment: j.environment(c), Accepted: c.Accepted, Wanted: c.Wanted})
	j.changes = append(j.changes, c)
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

// classify names the operation from the meaning of the change, not from git's words.
func classify(c *change) domain.Operation {
	added, removed := c.Accepted == nil, c.file.Head == nil
	pick := func(create, modify, remove domain.Operation) domain.Operation {
		switch {
		case removed:
			return remove
		case added:
			return create
		}
		return modify
	}
	switch c.Ref.Kind {
	case spec.KindSystem:
		return pick(domain.CreateSystem, domain.ModifySystem, domain.DeleteSystem)
	case spec.KindService:
		return pick(domain.CreateService, domain.ModifyService, domain.DeleteService)
	case spec.KindVirtualMachine:
		return pick(domain.CreateVM, modification(c), domain.DeleteVM)
	case spec.KindConsoleAccess:
		return domain.VNCAccess
	}
	return domain.ChangePlatform
}

// modification tells a change of power from a change of anything else.
func modification(c *change) domain.Operation {
	old, _ := c.accepted.(*spec.VirtualMachine)
	wanted, ok := spec.As[spec.VirtualMachine](c.doc)
	if old == nil || !ok {
		return domain.ModifyVM
	}
	powered, restarted := *wanted, *wanted
	powered.Power, restarted.RestartedAt = old.Power, old.RestartedAt
	switch {
	case old.Power != wanted.Power && spec.Equal(powered, *old) && wanted.Power == spec.PowerRunning:
		return domain.StartVM
	case old.Power != wanted.Power && spec.Equal(powered, *old):
		return domain.StopVM
	case spec.Equal(restarted, *old):
		return domain.RestartVM
	}
	return domain.ModifyVM
}

// environment is that of the VM's namespace; structure and platform have none.
func (j *judging) environment(c *change) domain.Environment {
	if c.Ref.Kind == spec.KindVirtualMachine {
		if ns, p := j.in.Platform.Namespace(c.Ref.Namespace); p == nil {
			c.Environment = ns.Environment
		}
	}
	return c.Environment
}

// order puts what others build on first: systems, services, VMs; by path among equals.
func (j *judging) order() {
	rank := func(c *change) int {
		return slices.Index([]spec.Kind{spec.KindSystem, spec.KindService, spec.KindVirtualMachine}, c.Ref.Kind)
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
	if !c.Operation.Supported() {
		c.add(domain.Problem{
			Code:    domain.OperationUnsupported,
			Message: "this version of Shepherd cannot carry out " + string(c.Operation) + " yet",
			Hint:    "take the change of " + c.Path + " out of this pull request",
		})
		return
	}
	if c.doc == nil {
		return
	}
	switch c.Operation {
	case domain.CreateSystem:
		j.createSystem(c)
	case domain.CreateService:
		j.createService(c)
	case domain.CreateVM:
		j.createVM(c)
	}
	j.collide(c)
	if c.Operation != domain.CreateVM || c.Environment != "" {
		j.consult(c) // of a namespace that nobody knows there is nothing to say but that
	}
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
			Hint: "merge the undo that Shepherd has opened, then ask again on top of it",
		})
	case c.file.Stale: // only now: the undo changes the branch once more
		c.add(domain.Problem{
			Code: domain.StaleBase, Message: "the branch has changed this file since the pull request left it",
			Hint: "update the pull request's branch",
		})
	}
}

// collide looks for reservations of other pull requests.
func (j *judging) collide(c *change) {
	told := map[int]bool{}
	for _, key := range c.Claims {
		held, ok := j.in.World.Claims[key]
		if !ok || told[held.PullRequest] {
			continue
		}
		told[held.PullRequest] = true
		c.add(domain.Problem{
			Code:    domain.DuplicatePendingRequest,
			Message: "pull request #" + number(held.PullRequest) + " already asks for " + claimed(key),
			Hint:    "wait until it is merged or closed, or ask for another",
		})
	}
}

// consult asks the policy.
func (j *judging) consult(c *change) {
	facts := j.facts(c)
	c.Verdict = policy.Evaluate(facts)
	c.Problems = append(c.Problems, c.Verdict.Problems(c.Path)...)
	req, ok := c.Verdict.Requirement()
	if !ok {
		return
	}
	c.Requirement = req
	if req.Approvals > 0 {
		c.Approvers = approvers(facts, req)
	}
}

// approvers names who could approve a change, as far as the bindings tell: nobody who had a part in it.
func approvers(f policy.Facts, req policy.Requirement) []string {
	contributors := map[int64]bool{f.Author.ID: true}
	for _, p := range f.Pushers {
		contributors[p.ID] = true
	}
	var names []string
	people, teams := policy.WhoMayApprove(f.Bindings, req, f.Change.Scope())
	for _, p := range people {
		if !contributors[p.ID] && p.Login != "" {
			names = append(names, p.Login)
		}
	}
	for _, t := range teams {
		names = append(names, "team "+t.Organization+"/"+t.Team)
	}
	return names
}

func (j *judging) facts(c *change) policy.Facts {
	bindings := j.in.Bindings
	if sys := c.Ref.System; sys != "" && !j.in.World.Systems[sys] {
		bindings = bindings.WithCreator(sys, j.in.Author) // who creates a system owns it
	}
	f := policy.Facts{
		Change: policy.Change{
			Operation: c.Operation, Ref: c.Ref, Environment: c.Environment,
			Accepted: object(c.Accepted), Wanted: object(c.Wanted),
		},
		Request:  policy.PullRequest{Number: j.in.Number, Reason: c.Reason, Operations: j.operations},
		Author:   j.in.Author,
		Pushers:  j.in.Pushers[c.Path],
		Bindings: bindings,
		Policies: j.in.Policies,
	}
	if c.vm != nil {
		j.vmFacts(c, &f)
	}
	return f
}

func object(raw json.RawMessage) map[string]any {
	var m map[string]any
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &m) // canonical JSON of ours
	}
	return m
}
