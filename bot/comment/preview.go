package comment

import (
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/render"
)

// maxImpact bounds the cell of an impact, in bytes.
const maxImpact = 24

// impactWords are what the impacts mean for whoever works on the VM.
var impactWords = map[render.Impact]string{
	render.ImpactNone:     "the guest notices nothing",
	render.ImpactLive:     "it takes effect while the VM runs",
	render.ImpactMigrates: "it takes effect while the VM runs, by moving it to another node",
	render.ImpactRestart:  "it takes effect only when the VM is restarted, which this request does not do",
	render.ImpactDestroys: "a disk and all that is on it are lost",
	render.ImpactIgnored:  "KubeVirt takes it and does nothing about it",
}

// impact is what a change does to the VM that there is, in a word; empty where there is none to be disturbed.
func impact(c judge.Change) string {
	p := foresight(c)
	switch {
	case p == nil || c.Operation == domain.CreateVM:
		return ""
	case p.Impact == "" && p.Unanswered != "":
		return "not known"
	}
	return cell(string(p.Impact), maxImpact)
}

func foresight(c judge.Change) *render.Preview {
	if c.Plan == nil {
		return nil
	}
	return c.Plan.Preview
}

// foreseen is what the cluster answered when it was asked, by a dry-run, what the plan would do there.
func foreseen(c judge.Change, item func(string, ...any)) {
	p := foresight(c)
	if p == nil || p.Refused != nil {
		return // a refusal is one of the problems
	}
	if p.Unanswered != "" {
		item("Not tried on cluster %s: %s. Nothing is wrong with the plan; the cluster is asked again later", code(p.Cluster), strings.TrimSuffix(prose(p.Unanswered, maxMessage), "."))
	} else {
		item("Tried on cluster %s by a dry-run: accepted%s", code(p.Cluster), orNothing(", ", wouldBe(p.Objects)))
	}
	if words := impactWords[p.Impact]; words != "" && c.Operation != domain.CreateVM {
		item("Impact: **%s**, %s", cell(string(p.Impact), maxImpact), impactOf(c, words))
	}
	lead := "On the cluster, "
	if p.Unanswered != "" {
		lead = "By what was agreed on last, "
	}
	for _, line := range fieldChanges(lead, p.Objects) {
		item("%s", line)
	}
	for _, n := range p.Notes {
		item("%s", prose(n, maxMessage))
	}
}

// trials are what was made of a document of the platform, to see whether clusters take it.
func trials(c judge.Change, item func(string, ...any)) {
	for _, t := range c.Trials {
		in := "Tried in " + cell(string(t.Environment), 20) + orNothing(" with ", prose(t.With, maxPath))
		switch p := t.Preview; {
		case t.Untried != "":
			item("Not tried in %s: %s", cell(string(t.Environment), 20), prose(t.Untried, maxMessage))
		case p == nil:
			item("To be tried in %s", cell(string(t.Environment), 20))
		case p.Unanswered != "":
			item("Not tried in %s: %s; the cluster is asked again later", cell(string(t.Environment), 20), strings.TrimSuffix(prose(p.Unanswered, maxMessage), "."))
		case p.Refused != nil:
			item("%s, by a dry-run on cluster %s: **refused**, %s", in, code(p.Cluster), prose(p.Refused.Message, maxMessage))
		default:
			item("%s, by a dry-run on cluster %s: accepted", in, code(p.Cluster))
			for _, n := range p.Notes {
				item("%s", prose(n, maxMessage))
			}
		}
	}
}

// impactOf corrects the words for an impact where the request itself is what it takes.
func impactOf(c judge.Change, words string) string {
	if restarts := c.Plan != nil && c.Plan.RestartedAt != ""; restarts && c.Plan.Preview.Impact == render.ImpactRestart {
		return "and the request restarts the VM"
	}
	return words
}

// wouldBe counts what would be done to the objects.
func wouldBe(objects []render.ObjectPreview) string {
	counts := map[string]int{}
	for _, o := range objects {
		counts[o.Action]++
	}
	var parts []string
	for _, is := range []struct{ action, words string }{{"created", "created"}, {"configured", "changed"}, {"deleted", "deleted"}, {"unchanged", "left as it is"}} {
		if n := counts[is.action]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s would be %s", count(n, "object"), is.words))
		}
	}
	return strings.Join(parts, ", ")
}

// fieldChanges are the fields that differ, with both values; lead says from what.
func fieldChanges(lead string, objects []render.ObjectPreview) (out []string) {
	n := 0
	for _, o := range objects {
		for _, f := range o.Fields {
			if n++; n > maxFields {
				continue
			}
			line := lead + of(o) + code(f.Path)
			if f.From != "" || f.To != "" {
				line += " from " + orAbsent(f.From) + " to " + orAbsent(f.To)
			}
			if f.Impact != "" {
				line += " (" + cell(string(f.Impact), maxImpact) + ")"
			}
			out = append(out, line)
		}
	}
	if rest := n - maxFields; rest > 0 {
		out = append(out, "and "+count(rest, "field")+" more")
	}
	return out
}

// of names the object that a field is of, where that is not the VM.
func of(o render.ObjectPreview) string {
	if o.Kind == render.KindVirtualMachine {
		return ""
	}
	return code(o.Kind+" "+o.Name) + " "
}

func orAbsent(s string) string {
	if s == "" {
		return "nothing"
	}
	return value(s)
}
