package comment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// The commands, without their slash.
const (
	verbPlan    = "plan"
	verbConfirm = "confirm"
	verbHold    = "hold"
	verbUnhold  = "unhold"
	verbRetry   = "retry"
	verbExplain = "explain"
	verbHelp    = "help"
)

// verbs are the commands in the order in which people meet them.
var verbs = []string{verbPlan, verbConfirm, verbHold, verbUnhold, verbRetry, verbExplain, verbHelp}

// Asked is the comment or the review that is answered.
type Asked struct {
	Source string // "comment" or "review"
	ID     int64  // the forge's
}

// Answer is what became of one command, or of a word that was probably meant as one.
type Answer struct {
	Verb string `json:"verb"` // without the slash; of an unknown command the word; empty for the comment as a whole
	Line string `json:"line"` // as it was written
	// Suggestion is the verb that an unknown command was probably meant to be.
	Suggestion string `json:"suggestion,omitempty"`
	// Problems are why it was not carried out; none where it was.
	Problems domain.Problems `json:"problems,omitempty"`
	// Subjects are what an accepted /confirm or /retry was about.
	Subjects []string `json:"subjects,omitempty"`
	// Plans are what an accepted /plan chose.
	Plans []PlanAnswer `json:"plans,omitempty"`
}

// PlanAnswer is what was planned for one change, and how the branch gets to hold it.
type PlanAnswer struct {
	Ref     spec.Ref        `json:"ref"`
	Planned judge.Planned   `json:"planned"`
	Wanted  json.RawMessage `json:"wanted,omitempty"` // what the branch says
	Dropped []string        `json:"dropped,omitempty"`
	// Commit is the one by which the bot put the planned spec on the branch.
	Commit string `json:"commit,omitempty"`
	// Suggested says that the bot offers the planned spec as a suggestion on the file.
	Suggested bool `json:"suggested,omitempty"`
}

// ReplyMark is the hidden first line of the reply to a comment or review.
func ReplyMark(to Asked) string {
	return fmt.Sprintf("<!-- shepherd: reply to %s %d -->", to.source(), to.ID)
}

func (to Asked) source() string {
	if to.Source == "review" {
		return "review"
	}
	return "comment"
}

// Reply answers all commands of one comment or review in one text. It mentions nobody.
func Reply(v View, to Asked, answers []Answer) string {
	r := read(v)
	p := newPage(limit)
	p.must(ReplyMark(to) + "\n")
	for i, a := range answers {
		line := cmp.Or(Escape(a.Line, 120), Escape("/"+a.Verb, 40)) + ": "
		if a.Verb == "" {
			line = "This " + to.source() + ": "
		}
		if len(answers) > 1 {
			line = fmt.Sprintf("%d. %s", i+1, line)
		}
		text := line + r.answer(to, a)
		if i > 0 {
			text = "\n" + text
		}
		if len(text)+around > p.left {
			p.must(fmt.Sprintf("\n%s not answered, for want of room.\n", count(len(answers)-i, "command")))
			break
		}
		p.must(text + "\n")
		r.attach(p, a)
	}
	return p.String()
}

// answer is the sentence about one command.
func (v *reading) answer(to Asked, a Answer) string {
	switch {
	case a.Problems.Blocking():
		return refused(a.told())
	case !slices.Contains(verbs, a.Verb):
		return unknownVerb(a)
	}
	switch a.Verb {
	case verbPlan:
		return planTaken(to, a)
	case verbConfirm:
		return strings.TrimRight("confirmed "+about(a.Subjects)+". "+v.stillMissing(), " ")
	case verbHold:
		return "the automatic merge is on hold until somebody writes `/unhold`. The hold stops nothing else: by hand the pull request can be merged."
	case verbUnhold:
		if v.AutoMerge && v.MergeRefused == "" {
			return "no hold any more: the pull request is merged by itself once nothing is missing."
		}
		return "no hold any more."
	case verbRetry:
		return about(a.Subjects) + plural(len(a.Subjects), " is", " are") + " carried out again; the comment above follows."
	case verbExplain:
		return plural(len(v.rows), "how the change was judged.", "how each change was judged.")
	}
	return "what can be written here, at the beginning of a line."
}

// told are the problems as they are told. Only those of a plan, which may be about several files, are
// told with the file.
func (a Answer) told() domain.Problems {
	ps := a.Problems.Sorted()
	for i := range ps {
		if a.Verb != verbPlan {
			ps[i].Path = ""
		}
	}
	return ps
}

// attach adds what belongs below the sentence.
func (v *reading) attach(p *page, a Answer) {
	if a.Problems.Blocking() {
		if ps := a.told(); len(ps) > 1 {
			p.list("", v.problemLines(ps), maxNotes, "")
		}
		if a.Verb == verbConfirm && v.State == Open {
			p.list("", confirmations(v), maxNotes, "")
		}
		return
	}
	switch a.Verb {
	case verbHelp:
		p.list("", help(v), len(verbs), "")
		p.must("\nApproving and rejecting is done by reviews, never by comments.\n")
		if slices.ContainsFunc(v.rows, v.plannable) {
			p.fold("How to write a plan", []string{planForm}, "form", "")
		}
	case verbExplain:
		v.explain(p)
	case verbPlan:
		var files []string
		for _, c := range a.Plans {
			if c.Commit == "" && !c.matches() {
				if text := plannedFile(c.Ref, c.Ref.Path(), c.Planned.ModifiedSpec); text != "" {
					files = append(files, text)
				}
			}
		}
		p.list("", planLines(a.Plans), maxNotes, "")
		p.fold(plural(len(files), "The planned file", "The planned files"), files, "file", "")
	}
}

// about names what a command was about.
func about(subjects []string) string {
	var out []string
	for _, s := range subjects {
		if s = code(s); s != "" {
			out = append(out, s)
		}
	}
	return cmp.Or(listed(out, 10), "all that it was about")
}

// stillMissing is what else an open pull request needs.
func (v *reading) stillMissing() string {
	switch {
	case v.State != Open:
		return ""
	case len(confirmations(v)) > 0:
		return "Other confirmations are still missing; their lines stand in the comment above."
	case len(v.pick(waiting)) > 0:
		return "It still waits for approval."
	}
	return "The comment above says what comes next."
}

func planTaken(to Asked, a Answer) string {
	text := "taken, and judged now. What comes of it stands in the comment above."
	if to.Source == "review" {
		return text + " A review that carries a plan counts as no approval: approve once the new plan is on show."
	}
	return text + " A plan is no approval: approve once it is on show."
}

// matches reports whether the branch needs no commit for the plan.
func (c PlanAnswer) matches() bool {
	return len(c.Planned.ModifiedSpec) == 0 || len(differences(c.Wanted, c.Planned.ModifiedSpec)) == 0 && len(c.Wanted) > 0
}

// planLines are what was chosen for each change, and what is to be done about it.
func planLines(plans []PlanAnswer) (out []string) {
	for _, c := range plans {
		text := code(c.Ref.String()) + orNothing(": ", choices(c.Planned, c.Wanted)) + dropped(c.Dropped) + ". "
		switch {
		case c.Commit != "":
			text += "Committed as " + digest(c.Commit) + "."
		case c.matches():
			text += "The file stays as it is."
		case c.Suggested:
			text += "Suggested on the file: the author accepts the suggestion, or commits the file below."
		default:
			text += "The author commits the file below; until then the check waits."
		}
		out = append(out, text)
	}
	return out
}

// unknownVerb answers what is no command.
func unknownVerb(a Answer) string {
	text := "no such command. "
	if slices.Contains(verbs, a.Suggestion) {
		text += "Did you mean `/" + a.Suggestion + "`? "
	}
	return text + "`/help` lists what there is."
}

// refused is why a command was not carried out: in the sentence where there is one reason, else below it.
func refused(ps domain.Problems) string {
	if len(ps) == 1 {
		return "not done. " + sentence(problemLine(ps[0]))
	}
	return "not done:"
}
