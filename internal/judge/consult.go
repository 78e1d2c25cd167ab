package judge

import (
	"encoding/json"
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// The rules that take the place of an approval rule.
const (
	ruleSoloAdmin = "soloAdmin (the server's configuration)"
	ruleRevoke    = "taking a right away needs no approval"
)

// consult asks the policy.
func (j *judging) consult(c *change) {
	facts := j.facts(c)
	c.Verdict = policy.Evaluate(facts)
	switch {
	case c.Operation == domain.ChangePlatform && j.in.SoloAdmin:
		waive(&c.Verdict, ruleSoloAdmin)
	case c.Operation == domain.VNCAccess && c.Wanted == nil:
		waive(&c.Verdict, ruleRevoke)
	}
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

// waive lets a rule take the place of the one that asks for approvals. A verdict without such a rule stays the
// denial that it is.
func waive(v *policy.Verdict, rule string) {
	for i, child := range v.Children {
		if child.Needs == nil {
			continue
		}
		req := *child.Needs
		req.Approvals, req.From, req.Rule = 0, spec.ApprovalFrom{}, rule
		child.Needs, child.Message = &req, req.String()
		child.Inputs = map[string]string{"rule": rule, "approvals": "0"}
		child.Outcome = worst(child.Children)
		v.Children[i] = child
	}
	v.Outcome = worst(v.Children)
}

// worst is the outcome that outweighs all others; one that is not known is a denial.
func worst(verdicts []policy.Verdict) policy.Outcome {
	outcomes := []policy.Outcome{policy.Allow, policy.Warn, policy.NeedsConfirmation, policy.NeedsApproval, policy.Deny}
	at := 0
	for _, v := range verdicts {
		i := slices.Index(outcomes, v.Outcome)
		if i < 0 {
			return policy.Deny
		}
		at = max(at, i)
	}
	return outcomes[at]
}

// confirm finds the word of somebody that the change as it is is meant.
func (j *judging) confirm(c *change) {
	if !c.Requirement.Confirm.Needed() {
		return
	}
	for _, said := range j.in.Confirmed[c.Path] {
		if said.Digest == c.Digest {
			c.Confirmed = said.By
			return
		}
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
	wanted := c.Wanted
	if c.lineless {
		wanted = spec.Canonical(c.doc)
	}
	f := policy.Facts{
		Change: policy.Change{
			Operation: c.Operation, Ref: c.Ref, System: c.System, Environment: c.Environment,
			Accepted: object(c.Accepted), Wanted: object(wanted),
		},
		Request:  policy.PullRequest{Number: j.in.Number, Reason: c.Reason, Operations: j.operations},
		Author:   j.in.Author,
		Pushers:  j.in.Pushers[c.Path],
		Bindings: bindings,
		Policies: j.in.Policies,
	}
	if u := c.Usage; u != nil {
		f.Usage = &policy.Usage{Namespace: u.Namespace, System: u.System}
	}
	j.machineFacts(c, &f)
	return f
}

// machineFacts is what rules see of the documents that a VM is made of, as far as there are such.
func (j *judging) machineFacts(c *change, f *policy.Facts) {
	if c.uses.sizeContent != nil {
		f.Size = policy.SizeFacts(c.uses.size, c.uses.sizeContent)
	}
	if t := c.uses.templateContent; t != nil {
		f.Template = policy.TemplateFacts(c.uses.template, c.uses.version, t)
		if now, p := j.in.Platform.Template(c.uses.template, c.uses.version); p == nil {
			f.Template.Status = now.Status // content is recorded, and the status is that of today
		}
	}
	name := c.Ref.Namespace
	if c.VM != "" {
		name = j.target(c).Namespace
	}
	if ns, p := j.in.Platform.Namespace(name); p == nil {
		f.Namespace = policy.NamespaceFacts(name, ns)
	}
}

func object(raw json.RawMessage) map[string]any {
	var m map[string]any
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &m) // canonical JSON of ours
	}
	return m
}
