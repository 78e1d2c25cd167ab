package comment

import (
	"fmt"
	"strings"
)

// headline is what the reader has to know first: where the pull request stands, in bold, and what to do
// next. aged adds for how long it has waited.
func headline(v View, aged bool) string {
	switch v.State {
	case Merged:
		return mergedHeadline(v)
	case Closed:
		return "**Closed without merging.** Nothing was applied, and what was reserved is free again. Reopen the pull request to ask again."
	}
	rows := v.rows()
	if !v.Report.Governed && len(rows) == 0 && len(v.problems()) == 0 {
		return "**Nothing governed here.** No file of this pull request describes a VM, a system or the platform."
	}
	errors, _ := split(v.problems())
	switch {
	case len(errors) > 0:
		return problemHeadline(v, len(errors))
	case len(rows) == 0:
		return "**Nothing changes.** The governed files mean the same as before."
	case tooLong(v):
		return fmt.Sprintf("**Too many changes to show: %d.** Nobody can approve what is cut off: split the pull request.", len(rows))
	case v.Report.Fork:
		return "**From a fork: checked, not submitted.** Push the branch to this repository and open the pull request from there."
	case v.Report.Draft:
		return "**Draft: checked, not submitted.** Mark it as ready for review to ask for approval."
	}
	return decisionHeadline(v, rows, aged)
}

func problemHeadline(v View, n int) string {
	s := "**" + count(n, "problem") + " to mend.** "
	if n == 1 {
		s += "Mend it and push; nothing is submitted until then."
	} else {
		s += "Mend them and push; nothing is submitted until then."
	}
	switch {
	case v.Report.Fork:
		s += " Also, this comes from a fork: push the branch to this repository and open the pull request from there."
	case v.Report.Draft:
		s += " This is a draft."
	}
	return s
}

// pick are the rows that stand at one of the places.
func (v View) pick(rows []Row, at ...standing) (out []Row) {
	for _, r := range rows {
		for _, s := range at {
			if v.standing(r) == s {
				out = append(out, r)
			}
		}
	}
	return out
}

func decisionHeadline(v View, rows []Row, aged bool) string {
	if stopped := v.pick(rows, rejected, held); len(stopped) > 0 {
		return rejectedHeadline(stopped)
	}
	if open := v.pick(rows, waiting); len(open) > 0 {
		return waitingHeadline(v, open, aged)
	}
	if open := v.pick(rows, unconfirmed); len(open) > 0 {
		return "**Waiting for a confirmation.** Somebody who may delete this, the author included, writes the line below as a comment."
	}
	if len(v.pick(rows, approved)) == 0 {
		return "**No approval needed.** Merge when ready."
	}
	return "**Approved.** Merge when ready."
}

func rejectedHeadline(stopped []Row) string {
	var who []string
	seen := map[string]bool{}
	for _, r := range stopped {
		if w := r.rejecter(); w != "" && !seen[w] {
			seen[w] = true
			who = append(who, w)
		}
	}
	people := names(who, 3)
	if people == "" {
		return "**Rejected.** Push a change, or close the pull request."
	}
	return "**Rejected by " + people + ".** Push what they ask for, or talk to them: an approval or a withdrawal of the review by the same person lets it go on."
}

// waitingHeadline says how many approvals are missing, and whose would count.
func waitingHeadline(v View, open []Row, aged bool) string {
	missing, have := 0, 0
	for _, r := range open {
		missing, have = max(missing, r.required()-r.approvals()), max(have, r.approvals())
	}
	missing = max(missing, 1)
	noun := "approval"
	if have > 0 {
		noun = "more approval"
	}
	wait, mark := "Waiting", ""
	if days := v.waited(); aged && days > 0 {
		wait, mark = "Waiting "+count(days, "day"), patience(days)
	}
	return fmt.Sprintf("%s**%s for %s** by %s", mark, wait, count(missing, noun), whose(v, open, missing))
}

// whose is the rest of the sentence: who may approve what waits.
func whose(v View, open []Row, missing int) string {
	what := "these changes"
	if envs, all := environments(open); all {
		what = envs + " VMs"
	} else if len(open) == 1 {
		what = "this change"
	}
	who := "a person"
	if missing > 1 {
		who = "people"
	}
	list := names(v.MayApprove, 6)
	if list == "" {
		return who + " who may approve " + what + ". Nobody may yet: ask a platform administrator to bind an approver."
	}
	return who + " who may approve " + what + ": " + list + "."
}

// tally counts where merged changes stand.
type tally struct{ all, done, failed, quarantined, underWay int }

func (v View) tally(rows []Row) (t tally) {
	for _, r := range rows {
		t.all++
		switch v.standing(r) {
		case done, superseded:
			t.done++
		case failed:
			t.failed++
		case quarantined:
			t.quarantined++
		default:
			t.underWay++
		}
	}
	return t
}

func mergedHeadline(v View) string {
	t := v.tally(v.rows())
	switch {
	case t.underWay > 0 && t.underWay == t.all:
		return "**Merged.** " + underWay(v)
	case t.underWay > 0:
		return fmt.Sprintf("**Merged.** %d of %d done, %d under way.", t.all-t.underWay, t.all, t.underWay)
	case len(v.Quarantined) > 0 && t.done+t.failed == 0:
		return "**Quarantined: merged, and not applied.** " + wayOut(v)
	case len(v.Quarantined) > 0:
		return fmt.Sprintf("**Partly applied: %d of %d.** The rest is quarantined. ", t.done, t.all) + wayOut(v)
	case t.all == 0:
		return "**Merged.** It is being compared with what was approved."
	case t.failed == t.all:
		return "**Failed.** " + failedNext(t.failed)
	case t.failed > 0:
		return fmt.Sprintf("**Partly applied: %d of %d.** ", t.done, t.all) + failedNext(t.failed)
	}
	return "**" + applied(v) + ".**"
}

// underWay says what is being waited for where nothing is done yet.
func underWay(v View) string {
	for _, r := range v.rows() {
		if v.standing(r) != comparing {
			return "It is being applied; this comment follows."
		}
	}
	return "It is being compared with what was approved."
}

// applied is the word for a good end: what only the records hold is not applied to anything.
func applied(v View) string {
	for _, r := range v.rows() {
		if !r.Change.Operation.RecordOnly() {
			return "Applied"
		}
	}
	return "Recorded"
}

func failedNext(n int) string {
	if n == 1 {
		return "What failed, and what to do, stands below."
	}
	return count(n, "change") + " failed; what to do stands below."
}

// wayOut is how a quarantine ends.
func wayOut(v View) string {
	if v.Undo == "" {
		return "An undo is being prepared: a pull request that takes the content back."
	}
	return "To take it back, merge " + link("the undo", v.Undo) + "."
}

// link is one to an address that the forge gave; any other stays text.
func link(text, address string) string {
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") || strings.ContainsAny(address, " <>()[]\\`\"@|\n\r\t") {
		return text + " " + Escape(address, 200)
	}
	return "[" + text + "](" + address + ")"
}
