package comment

import (
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Marker is the hidden first line of the comment, by which the bot finds it again.
const Marker = "<!-- shepherd -->"

const (
	limit       = 60000 // bytes of a comment or of a check's summary; forges take 65,536 characters
	around      = 8000  // kept for what stands around the table
	maxProblems = 30    // in the comment
	maxNotes    = 20    // in any other list
)

// Comment is the one comment on a pull request, edited in place: the next step, one line a change, what
// stands in the way, and the plans folded away. It takes less than 60,000 bytes. The same View gives the
// same text, and apart from the days that it has waited nothing in it depends on the time.
func Comment(v View) string {
	r := read(v)
	changes := r.table(summaryColumns)
	p := newPage(limit - len(changes))
	p.must(Marker + "\n" + headline(r, true) + "\n")
	if v.State == Open {
		p.list("", r.problemLines(r.errors), maxProblems, " in the checks")
	}
	p.place(changes)
	notes(p, r)
	fold(p, r)
	return p.String()
}

// table is one line a change; empty where nothing changes.
func (v *reading) table(columns []column) string {
	if len(v.rows) == 0 {
		return ""
	}
	return "\n" + table(v.rows, columns, v.state, limit-around)
}

// notes adds what people have to know beside the table.
func notes(p *page, v *reading) {
	switch v.State {
	case Open:
		p.list("", sameHead(v), maxNotes, "")
		p.list("Why an approval is asked for again:\n\n", reopened(v), maxNotes, "")
		p.list("", contested(v), maxNotes, "")
		p.list("", tookOver(v), 1, "")
		p.list("", onHold(v), 1, "")
		p.list("", discounted(v), maxNotes, "")
		asked(p, v)
	case Merged:
		p.list("What is waited for; it goes on by itself:\n\n", waits(v), maxNotes, "")
		p.list("What to do about what failed:\n\n", failures(v), maxNotes, "")
		p.list("What was merged without passing:\n\n", quarantines(v), maxNotes, "")
		p.list("Worth knowing:\n\n", remarks(v), maxNotes, "")
		p.list("", consoles(v), maxNotes, "")
		p.list("How to reach what runs:\n\n", reach(v), maxNotes, "")
	}
}

// asked is what people are asked to do, and what those who refused have said.
func asked(p *page, v *reading) {
	stopped := rejections(v)
	p.list("What was said:\n\n", stopped, maxNotes, "")
	p.list("What approvers planned in place of what was asked for; an approval is for the plan:\n\n", plannedBy(v), maxNotes, "")
	p.list("To confirm, write these lines as comments:\n\n", confirmations(v), maxNotes, "")
	if open := v.pick(waiting); len(stopped) == 0 && len(open) > 0 && len(v.mayApprove(open)) > 0 {
		grace := ""
		if v.Grace > 0 {
			grace = fmt.Sprintf(", at least %s after the plan appeared", v.Grace)
		}
		p.must("\nTo approve, read the plan below and send an approving review" + grace +
			". Comments do not count, nor do reviews by people who worked on the change.\n")
	}
}

// fold adds what is read on demand. Where the plans do not fit, the rules' reasons are left out first.
func fold(p *page, v *reading) {
	var warnings []string
	for _, line := range v.problemLines(v.warnings) {
		warnings = append(warnings, "- "+line+"\n")
	}
	if v.State == Open {
		files := plannedFiles(v)
		p.fold(plural(len(files), "The planned file", "The planned files"), files, "file", "Commit this, or what means the same: approvals stay.\n\n")
	}
	p.fold(count(len(v.warnings), "warning"), warnings, "warning", "\n")
	plans := details(v, true)
	if size(plans) > p.left-around/4 {
		plans = details(v, false)
	}
	p.fold("The plan", plans, "plan", conditions(v))
}

func size(texts []string) (n int) {
	for _, s := range texts {
		n += len(s)
	}
	return n
}

// details are the plans and, with reasons, what the rules said.
func details(v *reading, reasons bool) (out []string) {
	for _, r := range v.rows {
		if r.Change.Digest != "" { // else it never became a change
			out = append(out, detail(r.Row, reasons))
		}
	}
	return out
}

// conditions are what the digests are for, and what the plans were made from.
func conditions(v *reading) (text string) {
	if slices.ContainsFunc(v.rows, func(r entry) bool { return r.required() > 0 }) {
		text = "Approvals are bound to these digests: other content needs new ones.\n\n"
	}
	if head := digest(v.Report.Head); head != "" {
		text += "Checked at commit " + head + ".\n\n"
	}
	return text
}

// consoles are the rights to use one that were given.
func consoles(v *reading) (out []string) {
	for _, r := range v.pick(done) {
		if r.Change.Operation == domain.VNCAccess {
			out = append(out, console(r.Row))
		}
	}
	return out
}

func console(r Row) string {
	if revokes(r.Change) {
		return person(r.Change.Ref.Login) + " may no longer open the console of " + subject(r) + "."
	}
	text := person(r.Change.Ref.Login) + " may open the console of " + subject(r)
	if r.Grant != nil {
		text += " until " + r.Grant.Until.UTC().Format("15:04 UTC on 2 January 2006")
	}
	return text + "."
}

// reach is how to get at the VMs that run.
func reach(v *reading) (out []string) {
	for _, r := range v.pick(done) {
		if r.VM != nil && !r.VM.Later && r.Change.Operation.OnCluster() && r.VM.Status == domain.VMRunning && r.VM.Name != "" {
			out = append(out, subject(r.Row)+": "+r.reach())
		}
	}
	return out
}

// reach is how to look at the VM and how to log in.
func (r Row) reach() string {
	look := Escape("kubectl -n "+r.VM.Namespace+" get vm "+r.VM.Name, 300) + onCluster(r.VM.Cluster) + ", host name " + code(r.VM.Name) + ". "
	key := "an SSH key of its system, if it has one"
	switch vm, keys := r.spec(), r.hasKeys(); {
	case vm != nil && len(vm.SSHKeys) > 0:
		key = "an SSH key of the file"
	case keys == no && r.initialPassword() != "":
		return look + r.initialPassword()
	case keys == no:
		return look + "No SSH key was given, in the file or by its system: nobody can log in with one."
	case keys == yes:
		key = "an SSH key of its system"
	}
	return look + "Log in with " + Escape("virtctl -n "+r.VM.Namespace+" ssh --username USER vm/"+r.VM.Name, 300) +
		", the image's own user for USER, and " + key + "." + orNothing(" Or ", strings.Replace(r.initialPassword(), "Log", "log", 1))
}

// Fits reports whether every change can have its visible line, in the comment and in the approval check,
// whatever becomes of it. Where it does not, nobody can approve: the batch is too large.
func Fits(v View) bool { return !read(v).tooLong }

func tooLong(rows []entry) bool {
	for _, columns := range [][]column{summaryColumns, planColumns} {
		size := len(tableHead(columns))
		for _, r := range rows {
			size += len(line(r, columns, "")) + maxState + maxImpact
		}
		if size > limit-around && groupedSize(rows, columns) > limit-around {
			return true
		}
	}
	return false
}
