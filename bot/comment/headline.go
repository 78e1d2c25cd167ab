package comment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// headline is what the reader has to know first: where the pull request stands, in bold, and what to do
// next. aged adds for how long it has waited.
func headline(v *reading, aged bool) string {
	switch v.State {
	case Merged:
		return mergedHeadline(v)
	case Closed:
		return "**Closed without merging.** Nothing was applied, and what was reserved is free again. Reopen the pull request to ask again."
	}
	if !v.Report.Governed && len(v.rows) == 0 && len(v.errors)+len(v.warnings) == 0 {
		return "**Nothing governed here.** No file of this pull request describes a VM, a system or the platform."
	}
	switch {
	case v.onlyOvertaken():
		return overtakenHeadline(v)
	case v.blocking():
		return problemHeadline(v)
	case len(v.rows) == 0:
		return "**Nothing changes.** The governed files mean the same as before."
	case v.tooLong:
		return fmt.Sprintf("**Too many changes to show: %d.** Nobody can approve what is cut off: split the pull request.", len(v.rows))
	case v.Report.Fork:
		return "**From a fork: checked, not submitted.** Push the branch to this repository and open the pull request from there."
	case v.Report.Draft:
		return "**Draft: checked, not submitted.** Mark it as ready for review to ask for approval."
	}
	return decisionHeadline(v, aged)
}

func problemHeadline(v *reading) string {
	n, them, there := len(v.errors), "them", "mend on the cluster what it refuses: it is asked again by itself"
	if n == 1 {
		them, there = "it", "mend it on the cluster, which is asked again by itself"
	}
	s := "**" + count(n, "problem") + " to mend.** Mend " + them + " and push"
	if v.refused() {
		s += ", or " + there
	}
	s += "; nothing is submitted until then."
	switch {
	case v.Report.Fork:
		s += " Also, this comes from a fork: push the branch to this repository and open the pull request from there."
	case v.Report.Draft:
		s += " This is a draft."
	}
	return s
}

// refused reports whether a cluster is what stands in the way: pushing is not the only way out.
func (v *reading) refused() bool {
	return slices.ContainsFunc(v.rows, func(e entry) bool {
		p := foresight(e.Change)
		return p != nil && p.Refused != nil
	})
}

// overtakenHeadline is for a pull request whose place another one took.
func overtakenHeadline(v *reading) string {
	var by []int
	for _, r := range v.pick(overtaken) {
		if !slices.Contains(by, r.TakenOver) {
			by = append(by, r.TakenOver)
		}
	}
	text := "**Taken over by " + these(by) + "**, which asks for the same and was approved. Close this pull request"
	if len(v.pick(overtaken)) < len(v.rows) {
		text = "**Taken over in part by " + these(by) + "**, which asks for the same and was approved. Take those files out and push"
	}
	return text + ", or wait: should " + these(by) + " be closed without merging, this one asks again by itself."
}

// onlyOvertaken reports whether nothing else is wrong than that other pull requests were approved first.
func (v *reading) onlyOvertaken() bool {
	taken := map[string]bool{}
	for _, r := range v.pick(overtaken) {
		taken[r.Change.Path] = true
	}
	return len(taken) > 0 && !slices.ContainsFunc(v.errors, func(p domain.Problem) bool {
		return p.Code != domain.DuplicatePendingRequest || !taken[p.Path]
	})
}

func decisionHeadline(v *reading, aged bool) string {
	if stopped := v.pick(rejected, held); len(stopped) > 0 {
		return rejectedHeadline(stopped)
	}
	if open := v.pick(waiting); len(open) > 0 {
		return waitingHeadline(v, open, aged) + alsoConfirm(v)
	}
	switch open := v.pick(unconfirmed); len(open) {
	case 0:
	case 1:
		return "**Waiting for a confirmation.** Somebody who may delete this, the author included, writes the line below as a comment."
	default:
		return "**Waiting for " + count(len(open), "confirmation") + ".** Somebody who may delete these, the author included, writes each line below as a comment."
	}
	if open := v.pick(ahead); len(open) > 0 {
		what := "file"
		if len(open) > 1 {
			what = "files"
		}
		return "**Approved, but the branch does not say what the plan says.** Commit the planned " + what + " below; the approval stays."
	}
	return mergeHeadline(v)
}

// alsoConfirm is what is missing beside approvals.
func alsoConfirm(v *reading) string {
	switch n := len(confirmations(v)); n {
	case 0:
		return ""
	case 1:
		return " It also has to be confirmed, with the line below."
	default:
		return fmt.Sprintf(" Also, %s are missing: see the lines below.", count(n, "confirmation"))
	}
}

// mergeHeadline is for a pull request that only has to be merged.
func mergeHeadline(v *reading) string {
	ready := "**Approved.** "
	if len(v.pick(approved)) == 0 {
		ready = "**No approval needed.** "
	}
	held := v.holder()
	switch {
	case held != "" && v.AutoMerge:
		return "**On hold by " + held + since(v.Held.Since) + ".** `/unhold` to go on. The hold stops only the automatic merge: by hand it can be merged now."
	case held != "":
		return ready + "Merge when ready. " + held + " put it on hold, which stops only automatic merges."
	case v.AutoMerge && v.MergeRefused != "":
		return ready + "Merge it yourself: the forge refused the automatic merge. " + prose(sentence(v.MergeRefused), maxMessage)
	case v.AutoMerge:
		return ready + "Merging…"
	}
	return ready + "Merge when ready."
}

// since is a day, where it is known.
func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(" since 2 January 2006")
}

// holder is who holds the automatic merge back; empty where nobody does.
func (v View) holder() string {
	if v.Held == nil {
		return ""
	}
	return person(v.Held.By)
}

func rejectedHeadline(stopped []entry) string {
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
	return "**Rejected by " + people + ".** Push what they ask for. It goes on when they approve, or withdraw the review."
}

// waitingHeadline says how many approvals are missing, and whose would count.
func waitingHeadline(v *reading, open []entry, aged bool) string {
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
func whose(v *reading, open []entry, missing int) string {
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
	list := names(v.mayApprove(open), 6)
	switch {
	case list == "" && slices.ContainsFunc(open, func(r entry) bool { return r.Change.Operation == domain.ChangePlatform }):
		return "another platform administrator. There is none yet: whoever runs Shepherd can name one in `administrators` of the server's " +
			"configuration, or set `approval.soloAdmin` there to let the only one act alone."
	case list == "":
		return who + " who may approve " + what + ". Nobody may yet: ask a platform administrator to bind an approver."
	}
	return who + " who may approve " + what + ": " + list + "."
}

func mergedHeadline(v *reading) string {
	t := v.tally()
	switch {
	case t.underWay > 0 && len(v.pick(settling, unclear)) == t.underWay && t.failed+t.quarantined == 0:
		return "**" + applied(v) + ".**"
	case t.underWay > 0 && t.underWay == t.all:
		return "**Merged.** " + underWay(v)
	case t.underWay > 0 && t.quarantined > 0:
		return fmt.Sprintf("**Merged, %d of %d quarantined.** The rest is under way. ", t.quarantined, t.all) + wayOut(v)
	case t.underWay > 0:
		return fmt.Sprintf("**Merged.** %d of %d done, %d under way.", t.all-t.underWay, t.all, t.underWay)
	case len(v.Quarantined) > 0 && t.done+t.failed == 0:
		return "**Quarantined: merged, and not applied.** " + wayOut(v)
	case len(v.Quarantined) > 0:
		return fmt.Sprintf("**Partly applied: %d of %d.** The rest is quarantined. ", t.done, t.all) + wayOut(v)
	case t.all == 0 && v.Report.Head != "":
		return "**Merged.** Nothing had to be applied."
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
func underWay(v *reading) string {
	for _, r := range v.rows {
		if r.at != comparing {
			return "It is being applied; this comment follows."
		}
	}
	return "It is being compared with what was approved."
}

func failedNext(n int) string {
	if n == 1 {
		return "What to do stands below."
	}
	return count(n, "change") + " failed; what to do stands below."
}

// wayOut is how a quarantine ends, also for somebody who went past the checks on purpose.
func wayOut(v *reading) string {
	text := ""
	if slices.ContainsFunc(v.Quarantined, func(p domain.Problem) bool { return p.Code == domain.ApprovalBypassed }) {
		text = "Merging past the checks approves nothing. "
	}
	switch {
	case v.Undone && v.Redo != "":
		return text + "It has been taken back. To have it applied after all, open a pull request from " + code(v.Redo) + "."
	case v.Undone:
		return text + "It has been taken back already. To have it applied after all, ask for it in a new pull request."
	case v.Undo == "":
		return text + "An undo is being prepared: a pull request that takes the content back, and then names the branch that asks for it again."
	}
	return text + "Merge " + link("the undo", v.Undo) + ", which takes it back. To have it applied after all, open a pull request from the branch that the undo names once it is merged."
}

// link is one to an address that the forge gave; any other stays text.
func link(text, address string) string {
	if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") || strings.ContainsAny(address, " <>()[]\\`\"@|\n\r\t") {
		return text + " " + Escape(address, 200)
	}
	return "[" + text + "](" + address + ")"
}
