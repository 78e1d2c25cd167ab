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
	maxCommand = 900
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
	if hint := advice(p.Hint); hint != "" {
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

// problemLines are the problems, those that say the same of several files in one line. A problem that
// has a line of a file keeps its own.
func (v *reading) problemLines(ps domain.Problems) (out []string) {
	type key struct {
		code          domain.Code
		message, hint string
	}
	same := map[key][]domain.Problem{}
	merges := func(p domain.Problem) bool { return p.Severity == domain.Warning || p.Line == 0 }
	for _, p := range ps {
		if k := (key{p.Code, p.Message, p.Hint}); merges(p) {
			same[k] = append(same[k], p)
		}
	}
	for _, p := range ps {
		k := key{p.Code, p.Message, p.Hint}
		switch all := same[k]; {
		case !merges(p) || len(all) == 1:
			out = append(out, problemLine(p))
		case all != nil:
			out = append(out, v.together(all))
			same[k] = nil
		}
	}
	return out
}

// together is one problem of several files, which are called by the names that the table has.
func (v *reading) together(ps []domain.Problem) string {
	var who []string
	for _, p := range ps {
		name := code(p.Path)
		if i := slices.IndexFunc(v.rows, func(r entry) bool { return r.Change.Path == p.Path }); i >= 0 {
			name = subject(v.rows[i].Row)
		}
		if name != "" && !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	first := ps[0]
	first.Path = ""
	text := problemLine(first)
	if len(who) > 0 {
		text += " (" + listed(who, 5) + ")"
	}
	return text
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
		who := cell(r.rejecter(), 60)
		text := cmp.Or(who, "Rejected")
		if words := Escape(r.objection(), maxText); words != "" {
			text += ": " + words
		} else {
			text += " gave no reason"
		}
		if by := cell(r.DismissedBy, 60); by != "" && who != "" {
			text += ". The rejection stands although " + by + " dismissed it: only " + who + ", or a platform administrator who did not work on the change, can lift it"
		}
		lines = append(lines, aloud{text, []Row{r.Row}})
	}
	return group(lines, len(v.rows))
}

// discounted are the approvals that do not count, and why.
func discounted(v *reading) []string {
	var lines []aloud
	decidable := 0
	for _, r := range v.rows {
		if r.required() > 0 {
			decidable++ // also where it is decided already: there the same approval may have counted
		}
	}
	for _, r := range v.pick(waiting, held) {
		if r.Ticket == nil {
			continue
		}
		for _, vote := range r.Ticket.Votes {
			if !vote.Counts && vote.Review.State == approval.StateApproved {
				why := prose(sentence(vote.Why), maxMessage)
				lines = append(lines, aloud{person(vote.Review.Reviewer.Login) + "'s approval does not count: " + why, []Row{r.Row}})
			}
		}
	}
	return group(lines, decidable)
}

// person is a login in a sentence.
func person(login string) string {
	if name := cell(login, 60); name != "" {
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
		out = append(out, confirmLine(r.Row)+" to "+operation(r.Change)+" "+subject(r.Row))
	}
	return out
}

// confirmLine is the line to copy.
func confirmLine(r Row) string {
	command := "/confirm " + spec.Digest8(r.Change.Digest)
	if r.Change.Requirement.Confirm == policy.ConfirmName {
		command = "/confirm " + r.Change.Subject + " " + spec.Digest8(r.Change.Digest)
	}
	return Escape(command, 300)
}

// sameHead is how two pull requests with one head get apart.
func sameHead(v *reading) []string {
	if len(v.SameHead) == 0 {
		return nil
	}
	return []string{these(v.SameHead) + plural(len(v.SameHead), " has", " have") + " the same head commit as this pull request. Checks belong to the commit, and show the worst of them: close all but one, or push another commit to one."}
}

// onHold tells of a hold while something else is missing as well.
func onHold(v *reading) []string {
	if held := v.holder(); held != "" && v.AutoMerge && len(v.pick(waiting, unconfirmed, ahead)) > 0 {
		return []string{held + " holds the automatic merge, and nothing else: `/unhold` ends that."}
	}
	return nil
}

// contested are the pull requests that ask for the same and still wait.
func contested(v *reading) []string {
	var lines []aloud
	for _, r := range v.pick(waiting, held) {
		if len(r.Change.Contested) == 0 {
			continue
		}
		n, what := len(r.Change.Contested), "the same"
		if r.Change.Ref.Kind == spec.KindVirtualMachine {
			what = "the same VM"
		}
		text := these(r.Change.Contested) + plural(n, " asks for ", " ask for ") + what + plural(n, " and still waits", " and still wait")
		lines = append(lines, aloud{text + ": an approval of this pull request takes it over.", []Row{r.Row}})
	}
	return group(lines, len(v.rows))
}

// tookOver says from whom an approval took over what they had asked for first.
func tookOver(v *reading) []string {
	if len(v.TookFrom) == 0 || len(v.pick(waiting, unconfirmed, free, approved, ahead)) == 0 {
		return nil
	}
	return []string{"An approval took this over from " + these(v.TookFrom) + ", which asked for the same and only waited."}
}

// waits are what keeps changes that are under way from being carried out, or from settling.
func waits(v *reading) []string {
	var lines []aloud
	for _, r := range v.pick(settling, unclear) {
		if r.VM != nil && !usual(r.VM.Message) {
			lines = append(lines, aloud{prose(sentence(r.VM.Message), maxMessage), []Row{r.Row}})
		}
	}
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
				onCluster(r.VM.Cluster)+". It was applied, but "+r.flaw()+cmp.Or(orNothing(": ", prose(sentence(r.VM.Message), maxMessage)), "."))
			continue
		}
		message, advice, _ := strings.Cut(r.Event.Message, " — ")
		out = append(out, text+next(v, r.Event.Code, advice)+" "+name(r.Event.Code)+prose(sentence(message), maxMessage))
	}
	return out
}

// usual reports whether a VM's message says no more than its state does.
func usual(message string) bool {
	switch strings.TrimSuffix(message, ".") {
	case "", "the VM is running", "the VM is stopped", "the VM is gone":
		return true
	}
	return false
}

// remarks are what is worth knowing of VMs that are as they should be.
func remarks(v *reading) []string {
	var lines []aloud
	for _, r := range v.pick(done) {
		if !r.Change.Operation.OnCluster() {
			continue
		}
		said := r.worthKnowing()
		if r.VM != nil && !r.VM.Later && !usual(r.VM.Message) && !slices.Contains(said, r.VM.Message) {
			said = append(said, r.VM.Message)
		}
		for _, text := range said {
			lines = append(lines, aloud{prose(sentence(text), maxMessage), []Row{r.Row}})
		}
	}
	return group(lines, len(v.rows))
}

// worthKnowing is what was noted although the change was carried out: a note a line.
func (r Row) worthKnowing() []string {
	if r.Event == nil || r.Event.Status != domain.EventCompleted || r.Event.Message == "" {
		return nil
	}
	return strings.Split(r.Event.Message, "\n")
}

func onCluster(name string) string {
	if name == "" {
		return ""
	}
	return " on cluster " + code(name)
}

// advice is what people can do, a command at its end whole and fit to be copied.
func advice(hint string) string {
	before, rest, found := strings.Cut(hint, commandLine)
	if !found {
		return prose(hint, maxHint)
	}
	return strings.TrimLeft(prose(before, maxHint)+" ", " ") + Escape(commandLine+rest, maxCommand)
}

// commandLine begins a command for a shell.
const commandLine = "kubectl "

// next is what people do about a failure: what its message advises, or the code's usual way out; then
// how to try again.
func next(v *reading, code domain.Code, hint string) string {
	again := "ask the platform team to carry it out again"
	if v.Retry != "" {
		again = prose(v.Retry, 100)
	}
	way := cmp.Or(advice(strings.TrimRight(hint, ". ")), waysOut[code], "have mended what the message says")
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
	var lines []string
	for _, p := range v.Quarantined.Sorted() {
		lines = append(lines, problemLine(p))
	}
	return slices.Compact(lines)
}
