package comment

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// maxMentions is how many people a reminder mentions.
const maxMentions = 6

// MarkOf is the hidden line by which a text of ours is found again: its first.
func MarkOf(body string) string {
	line, _, _ := strings.Cut(body, "\n")
	return line
}

// Decided is the one remark that a decision is there: everything that needs an approval has it, or
// somebody said no. Its first line is the same for the same decision on the same content, so that it is
// written once. It mentions the author and nobody else.
func Decided(v View) (body string, due bool) {
	if v.State != Open {
		return "", false
	}
	r := read(v)
	if !r.asks() {
		return "", false
	}
	p := newPage(limit)
	if stopped := r.pick(rejected, held); len(stopped) > 0 {
		p.must(r.refusal(stopped) + "\n" + mention(v.Author) + rejectedHeadline(stopped) + "\n")
		p.list("", rejections(r), maxNotes, " in the comment above")
		return p.String(), true
	}
	if len(r.pick(waiting, overtaken)) > 0 {
		return "", false
	}
	p.must(r.mark("approved") + "\n" + mention(v.Author) + "**Approved" + approvedBy(r) + ".** " + r.afterApproval() + "\n")
	p.list("", confirmations(r), maxNotes, " in the comment above")
	return p.String(), true
}

// asks reports whether the pull request is submitted and anything in it needs an approval.
func (v *reading) asks() bool {
	if v.blocking() || v.tooLong || v.Report.Draft || v.Report.Fork {
		return false
	}
	for _, r := range v.rows {
		if r.required() > 0 {
			return true
		}
	}
	return false
}

func approvedBy(v *reading) string {
	var who []string
	seen := map[string]bool{}
	for _, r := range v.pick(approved, ahead, unconfirmed) {
		for _, login := range r.approvers() {
			if login != "" && !seen[login] {
				seen[login] = true
				who = append(who, login)
			}
		}
	}
	return orNothing(" by ", names(who, 3))
}

// afterApproval is the next step of somebody whose request was approved.
func (v *reading) afterApproval() string {
	switch held := v.holder(); {
	case len(v.pick(unconfirmed)) > 0:
		return "It still has to be confirmed, by a comment with " + plural(len(v.pick(unconfirmed)), "this line:", "each of these lines:")
	case len(v.pick(ahead)) > 0:
		return "The plan is not what the branch says: commit the planned " + plural(len(v.pick(ahead)), "file", "files") + " from the comment above, then merge."
	case held != "" && v.AutoMerge:
		return held + " holds the automatic merge: write `/unhold`, or merge by hand."
	case v.AutoMerge && v.MergeRefused == "":
		return "It is merged by itself."
	}
	return "Merge when ready."
}

// mark is the hidden line of a notice about the content as it is.
func (v *reading) mark(what string) string {
	h := sha256.New()
	for _, r := range v.rows {
		if r.required() > 0 {
			fmt.Fprintf(h, "%s\n%s\n%s\n", r.Change.Path, r.Change.Digest, r.effective())
		}
	}
	return fmt.Sprintf("<!-- shepherd: %s %x -->", what, h.Sum(nil)[:4])
}

// refusal is the hidden line of the notice of reviews that stop something: what the author pushes meanwhile
// does not make them news.
func (v *reading) refusal(stopped []entry) string {
	var ids []int64
	for _, r := range stopped {
		veto := r.veto()
		if veto == nil || veto.ID == 0 {
			return v.mark("rejected")
		}
		ids = append(ids, veto.ID)
	}
	slices.Sort(ids)
	h := sha256.Sum256(fmt.Append(nil, slices.Compact(ids)))
	return fmt.Sprintf("<!-- shepherd: rejected %x -->", h[:4])
}

// Reminder is the one remark that approvals are waited for longer than people should wait. It mentions up
// to six of those who may approve, and no teams. Its first line is the same as long as the content is.
func Reminder(v View) (body string, due bool) {
	if v.State != Open || v.RemindAfter <= 0 || v.WaitingSince.IsZero() || v.Now.Sub(v.WaitingSince) < v.RemindAfter {
		return "", false
	}
	r := read(v)
	open := r.pick(waiting)
	if !r.asks() || len(open) == 0 || len(r.pick(rejected, held)) > 0 {
		return "", false
	}
	what := plural(len(open), "A change", fmt.Sprintf("%d changes", len(open)))
	if author := cell(v.Author, 60); author != "" {
		what += " by " + author
	}
	since := " has"
	if len(open) > 1 {
		since = " have"
	}
	age := r.age()
	text := addressed(v.MayApprove) + "**" + what + since + " waited for an approval for " + age + ".** "
	if len(v.MayApprove) == 0 {
		text += "Nobody may approve " + plural(len(open), "it", "them") + ": a platform administrator has to bind an approver."
	} else {
		text += "The plan is in the comment above: approve it by a review, or request changes."
	}
	p := newPage(limit)
	p.must(r.mark("reminder") + "\n" + text + "\n")
	return p.String(), true
}

// age is for how long has been waited.
func (v View) age() string {
	if days := v.waited(); days > 0 {
		return count(days, "day")
	}
	return count(max(int(v.Now.Sub(v.WaitingSince).Hours()), 1), "hour")
}

// addressed mentions the people of a list and names the rest.
func addressed(of []string) string {
	var people, rest []string
	for _, name := range of {
		if len(people) < maxMentions && login.MatchString(name) {
			people = append(people, "@"+name)
		} else if name = cell(name, 60); name != "" {
			rest = append(rest, name)
		}
	}
	if len(rest) > 0 {
		people = append(people, listed(rest, maxMentions))
	}
	if len(people) == 0 {
		return ""
	}
	return strings.Join(people, ", ") + ": "
}

// failedOnes reports whether anything can be retried.
func (v *reading) failedOnes() bool {
	for _, r := range v.pick(failed) {
		if r.Event != nil && r.Event.Status == domain.EventFailed {
			return true
		}
	}
	return false
}
