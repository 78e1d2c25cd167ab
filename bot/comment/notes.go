package comment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/policy"
)

// The lengths, in runes, to which texts are cut.
const (
	maxMessage = 400
	maxHint    = 300
	maxText    = 400 // what a reviewer wrote
	maxPath    = 200
)

// problemLine is one problem: where, which, what, and what to do.
func problemLine(p domain.Problem) string {
	var b strings.Builder
	if p.Path != "" {
		where := plain(p.Path, maxPath)
		if p.Line > 0 {
			where += fmt.Sprintf(":%d", p.Line)
		}
		b.WriteString(Escape(where, maxPath+12) + " ")
	}
	message := prose(p.Message, maxMessage)
	if message == "" {
		message = "no more is known"
	}
	b.WriteString(name(p.Code) + message)
	if hint := prose(p.Hint, maxHint); hint != "" {
		b.WriteString(" — " + hint)
	}
	return b.String()
}

// name is a code, and the space behind it.
func name(c domain.Code) string {
	if s := prose(string(c), 40); s != "" {
		return "**" + s + "** "
	}
	return ""
}

func problemLines(ps domain.Problems) (out []string) {
	for _, p := range ps {
		out = append(out, problemLine(p))
	}
	return out
}

// aloud is one line that names the rows that it is about, unless it is about all of them.
type aloud struct {
	text string
	rows []Row
}

// group joins equal lines of several rows.
func group(lines []aloud, all int) (out []string) {
	var order []string
	about := map[string][]string{}
	for _, l := range lines {
		if _, ok := about[l.text]; !ok {
			order = append(order, l.text)
		}
		for _, r := range l.rows {
			about[l.text] = append(about[l.text], subject(r))
		}
	}
	for _, text := range order {
		if who := about[text]; len(who) < all {
			text += " (" + listed(who, 5) + ")"
		}
		out = append(out, text)
	}
	return out
}

// rejections are who stopped what, in their own words.
func rejections(v *reading) []string {
	var lines []aloud
	for _, r := range v.pick(rejected, held) {
		text := cell(r.rejecter(), 60)
		if text == "" {
			text = "Rejected"
		}
		if words := Escape(r.objection(), maxText); words != "" {
			text += ": " + words
		} else {
			text += " gave no reason"
		}
		lines = append(lines, aloud{text, []Row{r.Row}})
	}
	return group(lines, len(v.rows))
}

// discounted are the approvals that do not count, and why.
func discounted(v *reading) []string {
	var lines []aloud
	undecided := v.pick(waiting, held)
	for _, r := range undecided {
		if r.Ticket == nil {
			continue
		}
		for _, vote := range r.Ticket.Votes {
			if !vote.Counts && vote.Review.State == approval.StateApproved {
				why := prose(sentence(vote.Why), maxMessage)
				lines = append(lines, aloud{reviewer(vote.Review.Reviewer) + "'s approval does not count: " + why, []Row{r.Row}})
			}
		}
	}
	return group(lines, len(undecided))
}

func reviewer(r approval.Reviewer) string {
	if name := cell(r.Login, 60); name != "" {
		return name
	}
	return "somebody unknown"
}

// reopened are the approvals that were lost again, and why.
func reopened(v *reading) []string {
	var lines []aloud
	for _, r := range v.pick(waiting) {
		if r.Ticket != nil && r.Ticket.Decision != "" {
			lines = append(lines, aloud{prose(sentence(r.Ticket.Decision), maxMessage), []Row{r.Row}})
		}
	}
	return group(lines, len(v.rows))
}

// confirmations are the lines to copy.
func confirmations(v *reading) (out []string) {
	for _, r := range v.pick(waiting, unconfirmed) {
		if !r.needsConfirmation() {
			continue
		}
		command := "/confirm " + spec.Digest8(r.Change.Digest)
		if r.Change.Requirement.Confirm == policy.ConfirmName {
			command = "/confirm " + r.Change.Subject + " " + spec.Digest8(r.Change.Digest)
		}
		out = append(out, Escape(command, 300)+" to "+operation(r.Change.Operation)+" "+subject(r.Row))
	}
	return out
}

// waits are what keeps changes that are under way from being carried out.
func waits(v *reading) []string {
	var lines []aloud
	for _, r := range v.pick(applying) {
		if r.Event.Code != "" {
			lines = append(lines, aloud{name(r.Event.Code) + prose(sentence(r.Event.Message), maxMessage), []Row{r.Row}})
		}
	}
	return group(lines, len(v.rows))
}

// failures are what to do about each change that did not work, and what happened.
func failures(v *reading) (out []string) {
	for _, r := range v.pick(failed) {
		text := subject(r.Row) + ": "
		if r.Event.Status != domain.EventFailed {
			out = append(out, text+"look at it with "+Escape("kubectl -n "+r.VM.Namespace+" describe vm "+r.VM.Name, 300)+
				onCluster(r.VM.Cluster)+". It was applied, but does not run. "+prose(sentence(r.VM.Message), maxMessage))
			continue
		}
		message, advice, _ := strings.Cut(r.Event.Message, " — ")
		out = append(out, text+next(v, r.Event.Code, advice)+" "+name(r.Event.Code)+prose(sentence(message), maxMessage))
	}
	return out
}

func onCluster(name string) string {
	if name == "" {
		return ""
	}
	return " on cluster " + code(name)
}

// next is what people do about a failure: what its message advises, or the code's usual way out; then
// how to try again.
func next(v *reading, code domain.Code, advice string) string {
	again := "ask the platform team to carry it out again"
	if v.Retry != "" {
		again = prose(v.Retry, 100)
	}
	way := cmp.Or(prose(strings.TrimRight(advice, ". "), maxHint), waysOut[code], "have mended what the message says")
	return way + ", then " + again + "."
}

var waysOut = map[domain.Code]string{
	domain.NamespacePermissionDenied: "have an operator create the namespace on the cluster",
	domain.NamespaceQuotaExceeded:    "free room in the namespace's quota or have it raised",
	domain.NamespaceTerminating:      "wait until the namespace is gone",
	domain.ForeignVM:                 "have the other VM of this name renamed or removed",
	domain.ForeignDisk:               "have the other disk of this name renamed or removed",
	domain.FieldConflict:             "undo the change on the cluster or take it into git",
	domain.ClusterUnreachable:        "have an operator bring the cluster back",
	domain.ClusterCordoned:           "have an operator open the cluster again",
	domain.EnvironmentMismatch:       "have an operator correct the environment of the namespace or of the cluster",
	domain.StorageClassUnknown:       "have an operator add the storage class to the cluster",
	domain.ClusterRefused:            "show the cluster's words to the platform team",
	domain.DiskShrink:                "ask for a disk that is not smaller",
}

// quarantines are what was merged without passing.
func quarantines(v *reading) []string {
	lines := problemLines(v.Quarantined.Sorted())
	return slices.Compact(lines)
}
