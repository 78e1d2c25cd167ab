package comment

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/domain"
)

// The names of the checks.
const (
	ValidateName = "shepherd/validate"
	ApprovalName = "shepherd/approval"
)

// Validate is the check that says whether the changes are valid and permitted, with an annotation on
// every line that is not.
func Validate(v View) forge.Check {
	r := readOpen(v)
	c := forge.Check{Name: ValidateName, HeadSHA: v.Report.Head, Conclusion: forge.Success}
	switch n := len(r.rows); {
	case len(v.Quarantined) > 0:
		c.Conclusion, c.Title = forge.Failure, "Quarantined"
	case r.blocking():
		c.Conclusion, c.Title = forge.Failure, count(len(r.errors), "problem")
	case len(r.contested) > 0:
		c.Conclusion, c.Title = forge.Failure, "Another pull request asks for the same and waits"
	case n == 0 && !v.Report.Governed:
		c.Title = "Nothing governed here"
	case n == 0:
		c.Title = "Nothing changes"
	case n == 1:
		c.Title = "1 change is valid"
	default:
		c.Title = fmt.Sprintf("%d changes are valid", n)
	}
	if len(r.warnings) > 0 {
		c.Title += ", " + count(len(r.warnings), "warning")
	}
	c.Title += sharing(v)
	c.Summary = validateSummary(v, r)
	c.Annotations = annotations(slices.Concat(r.errors, r.contested, r.warnings))
	return Identified(c)
}

// sharing is the end of the title of a check that several pull requests share.
func sharing(v View) string {
	if len(v.SameHead) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s %s the same head", these(v.SameHead), plural(len(v.SameHead), "has", "have"))
}

func validateSummary(given View, v *reading) string {
	p := newPage(limit)
	switch {
	case len(v.Quarantined) > 0:
		p.must(headline(read(given), false) + "\n")
		p.list("", quarantines(v), len(v.Quarantined), "")
	case v.State == Open && v.onlyOvertaken():
		p.must(overtakenHeadline(v) + "\n")
	case v.blocking():
		p.must(problemHeadline(v) + "\n")
	case len(v.contested) > 0:
		p.must("**Another pull request asks for the same and waits.** What is approved first is taken.\n")
		p.list("", contested(v), maxNotes, "")
		p.list("", v.problemLines(v.contested), maxProblems, "")
	case len(v.rows) == 0:
		p.must(headline(v, false) + "\n")
	default:
		p.must("Every change is valid and permitted.\n")
	}
	p.list("", v.problemLines(v.errors), len(v.errors), "")
	p.list("Warnings:\n\n", v.problemLines(v.warnings), len(v.warnings), "")
	return p.String()
}

// annotations are the worst problems that have a file, on their line or on the first.
func annotations(sorted domain.Problems) (out []forge.Annotation) {
	for _, p := range sorted {
		if p.Path == "" || !utf8.ValidString(p.Path) || len(out) == forge.MaxAnnotations {
			continue
		}
		a := forge.Annotation{
			Path: p.Path, Line: max(p.Line, 1), Level: forge.LevelFailure,
			Title: plain(string(p.Code), 40), Message: plain(p.Message, maxMessage),
		}
		if p.Severity == domain.Warning {
			a.Level = forge.LevelWarning
		}
		if p.Hint != "" {
			a.Message += "\n" + plain(p.Hint, maxCommand)
		}
		out = append(out, a)
	}
	return out
}

// Approval is the check that holds the merge until every change is approved or needs no approval. Its
// summary carries the plans: that the forge has accepted it is what publishes them.
func Approval(v View) forge.Check {
	r := readOpen(v)
	c := forge.Check{Name: ApprovalName, HeadSHA: v.Report.Head}
	c.Conclusion, c.Title = r.ruling()
	c.Title += sharing(v)
	changes := r.table(planColumns)
	p := newPage(limit - len(changes))
	if len(v.Quarantined) > 0 {
		p.must(headline(read(v), false) + "\n")
	} else {
		p.must(headline(r, false) + "\n")
	}
	p.place(changes)
	p.list("", sameHead(r), maxNotes, "")
	if !r.blocking() {
		p.list("", contested(r), maxNotes, "")
		asked(p, r)
		fold(p, r)
	}
	c.Summary = p.String()
	return Identified(c)
}

// ruling is the conclusion of the approval check and its title.
func (v *reading) ruling() (forge.Conclusion, string) {
	switch {
	case len(v.Quarantined) > 0:
		return forge.Failure, "Quarantined"
	case v.State == Open && v.onlyOvertaken():
		return forge.Failure, fmt.Sprintf("Taken over by #%d", v.pick(overtaken)[0].TakenOver)
	case v.blocking():
		return forge.Failure, "Waiting for valid changes"
	case v.State == Closed:
		return forge.ActionRequired, "Closed without merging"
	case len(v.rows) == 0 && v.Report.Governed:
		return forge.Success, "Nothing changes"
	case len(v.rows) == 0:
		return forge.Success, "Nothing governed here"
	case v.tooLong:
		return forge.Failure, "Too many changes to show"
	case v.Report.Fork:
		return forge.ActionRequired, "From a fork: checked, not submitted"
	case v.Report.Draft:
		return forge.ActionRequired, "Draft: checked, not submitted"
	}
	return v.decided()
}

// decided is the conclusion where every change is submitted.
func (v *reading) decided() (forge.Conclusion, string) {
	stopped, open := v.pick(rejected, held), v.pick(waiting)
	switch {
	case len(stopped) > 0:
		return forge.Failure, rejectedTitle(stopped[0])
	case len(open) > 0:
		return forge.ActionRequired, waitingTitle(v, open)
	case len(v.pick(unconfirmed)) > 0:
		return forge.ActionRequired, "Waiting for " + count(len(v.pick(unconfirmed)), "confirmation")
	case len(v.pick(ahead)) > 0:
		return forge.ActionRequired, "Approved, but the branch does not say what the plan says"
	case len(v.pick(overtaken)) > 0:
		return forge.Failure, fmt.Sprintf("Taken over by #%d", v.pick(overtaken)[0].TakenOver)
	}
	title := "Approved"
	if len(v.pick(approved)) == 0 {
		title = "No approval needed"
	}
	if v.Held != nil && v.AutoMerge {
		title += ", automatic merge on hold by " + plain(v.Held.By, 60)
	}
	return forge.Success, title
}

func rejectedTitle(r entry) string {
	if who := plain(r.rejecter(), 60); who != "" {
		return "Rejected by " + who
	}
	return "Rejected"
}

func waitingTitle(v *reading, open []entry) string {
	missing := 1
	for _, r := range open {
		missing = max(missing, r.required()-r.approvals())
	}
	title := "Waiting for " + count(missing, "approval")
	if n := len(confirmations(v)); n > 0 {
		title += " and " + count(n, "confirmation")
	}
	return title
}

// Identified gives the check an id that is the same as long as it says the same, however it got to say so.
func Identified(c forge.Check) forge.Check {
	c.ExternalID = ""
	data, err := json.Marshal(c)
	if err != nil { // structs of text and numbers always marshal
		data = []byte(c.Summary)
	}
	c.ExternalID = fmt.Sprintf("%x", sha256.Sum256(data))[:16]
	return c
}
