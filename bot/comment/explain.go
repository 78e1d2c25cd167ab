package comment

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/policy"
)

// The bounds of an explanation: of the rules below one rule, and of how deep they go.
const (
	maxRules  = 100
	maxInputs = 8
	maxDepth  = 6
)

// explain shows of every change how it was judged, folded where there are several.
func (v *reading) explain(p *page) {
	left := 0
	for _, r := range v.rows {
		text := "\n" + v.explanation(r)
		if len(text)+around/8 > p.left {
			left++
			continue
		}
		p.must(text)
	}
	if left > 0 {
		p.must(fmt.Sprintf("\n%s left out, for want of room.\n", count(left, "change")))
	}
}

// explanation is all that the decision about one change depends on.
func (v *reading) explanation(r entry) string {
	head := fmt.Sprintf("**%s** %s%s: %s\n\n", subject(r.Row), operation(r.Change), inEnvironment(r.Change), v.state(r, false))
	var b strings.Builder
	ruled := r.Change.Verdict.Problems("")
	for _, p := range r.Change.Problems.Sorted() {
		p.Path = ""
		if slices.ContainsFunc(ruled, func(q domain.Problem) bool { return q.Code == p.Code && q.Message == p.Message }) {
			continue // the rule below says it
		}
		fmt.Fprintf(&b, "- %s %s\n", problemMark(p), problemLine(p))
	}
	if r.Change.Verdict.Rule == "" {
		b.WriteString("- No rule was asked: the change cannot be read.\n")
	}
	for _, c := range r.Change.Verdict.Children {
		v.explainRule(&b, r, c, 0)
	}
	b.WriteString(madeBy(r.Contributors))
	if len(v.rows) == 1 {
		return head + b.String()
	}
	return head + "<details><summary>Why</summary>\n\n" + b.String() + "\n</details>\n"
}

// explainRule is one rule and those below it.
func (v *reading) explainRule(b *strings.Builder, r entry, rule policy.Verdict, depth int) {
	indent := strings.Repeat("  ", depth)
	line := mark(rule.Outcome) + " " + ruleName(rule)
	if rule.Outcome == policy.NeedsApproval && r.passed() || rule.Outcome == policy.NeedsConfirmation && !r.needsConfirmation() {
		line = mark(policy.Allow) + " " + ruleName(rule)
	}
	if message := prose(rule.Message, maxMessage); message != "" {
		line += ": " + message
	}
	if hint := advice(rule.Hint); hint != "" {
		line += " — " + hint
	}
	b.WriteString(indent + "- " + line + ruleInputs(rule) + "\n")
	for _, extra := range v.explainPeople(r, rule) {
		b.WriteString(indent + "  - " + extra + "\n")
	}
	if depth >= maxDepth {
		return
	}
	for _, c := range rule.Children[:min(len(rule.Children), maxRules)] {
		v.explainRule(b, r, c, depth+1)
	}
	if rest := len(rule.Children) - maxRules; rest > 0 {
		fmt.Fprintf(b, "%s  - and %s more\n", indent, count(rest, "rule"))
	}
}

// explainPeople is what people did, or can do, about a demand of the policy.
func (v *reading) explainPeople(r entry, rule policy.Verdict) (out []string) {
	switch {
	case rule.Rule == "approval" && r.required() > 0:
		out = append(out, fmt.Sprintf("%d of %d so far%s", r.approvals(), r.required(), orNothing("; could come from ", names(r.Change.Approvers, 10))))
		if r.Ticket == nil {
			return out
		}
		for _, vote := range r.Ticket.Votes {
			if vote.Review.State == approval.StateApproved {
				out = append(out, voteLine(vote))
			}
		}
		if veto := r.veto(); veto != nil {
			out = append(out, mark(policy.Deny)+" "+person(veto.Reviewer.Login)+" requested changes")
		}
	case rule.Rule == "confirmation" && r.needsConfirmation():
		out = append(out, "still missing: "+confirmLine(r.Row))
	case rule.Rule == "confirmation" && r.confirmable():
		out = append(out, "by "+person(r.Change.Confirmed))
	}
	return out
}

func voteLine(vote approval.Vote) string {
	who := person(vote.Review.Reviewer.Login)
	if vote.Counts {
		return mark(policy.Allow) + " " + who + "'s approval counts"
	}
	return mark(policy.Warn) + " " + who + "'s approval does not count: " + prose(vote.Why, maxMessage)
}

// madeBy names those who worked on the change.
func madeBy(people []Contributor) string {
	var out []string
	for _, c := range people {
		text := person(c.Login)
		if how := prose(c.How, maxPath); how != "" {
			text += " (" + how + ")"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return ""
	}
	return "- Who worked on it, and so cannot approve it: " + listed(out, 10) + "\n"
}

// ruleName is a rule with the file that it stands in.
func ruleName(rule policy.Verdict) string {
	name := cell(rule.Rule, 80)
	if name == "rules" {
		name = "rules of the platform"
	}
	if source := rule.Inputs["source"]; source != "" {
		name += orNothing(" of ", cell(source, maxPath))
	}
	return name
}

// ruleInputs are the values that a rule of the platform looked at.
func ruleInputs(rule policy.Verdict) string {
	if rule.Inputs["effect"] == "" { // a rule of ours, whose message says it all
		return ""
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(rule.Inputs)) {
		if key == "source" || key == "effect" {
			continue
		}
		if text := Escape(key+" = "+rule.Inputs[key], maxReason); text != "" {
			out = append(out, text)
		}
	}
	return orNothing("; looked at ", listed(out, maxInputs))
}

func problemMark(p domain.Problem) string {
	if p.Severity == domain.Warning {
		return mark(policy.Warn)
	}
	return mark(policy.Deny)
}

var marks = map[policy.Outcome]string{
	policy.Allow: "✅", policy.Warn: "⚠️", policy.NeedsApproval: "⏳", policy.NeedsConfirmation: "⏳", policy.Deny: "❌",
}

func mark(o policy.Outcome) string {
	if m, ok := marks[o]; ok {
		return m
	}
	return marks[policy.Deny]
}
