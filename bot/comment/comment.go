package comment

import (
	"fmt"

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
		p.list("", problemLines(r.errors), maxProblems, " in the checks")
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
		p.list("Why an approval is asked for again:\n\n", reopened(v), maxNotes, "")
		p.list("Approvals that do not count:\n\n", discounted(v), maxNotes, "")
		asked(p, v)
	case Merged:
		p.list("What failed:\n\n", failures(v), maxNotes, "")
		p.list("What was merged without passing:\n\n", quarantines(v), maxNotes, "")
		p.list("How to reach what runs:\n\n", reach(v), maxNotes, "")
	}
}

// asked is what people are asked to do, and what those who refused have said.
func asked(p *page, v *reading) {
	stopped := rejections(v)
	p.list("What was said:\n\n", stopped, maxNotes, "")
	p.list("To confirm, write these lines as comments:\n\n", confirmations(v), maxNotes, "")
	if len(stopped) == 0 && len(v.MayApprove) > 0 && len(v.pick(waiting)) > 0 {
		p.must("\nTo approve, read the plan below and send an approving review. Comments approve nothing.\n")
	}
}

// fold adds what is read on demand. Where the plans do not fit, the rules' reasons are left out first.
func fold(p *page, v *reading) {
	var warnings []string
	for _, line := range problemLines(v.warnings) {
		warnings = append(warnings, "- "+line+"\n")
	}
	p.fold(count(len(warnings), "warning"), warnings, "warning", "\n")
	plans := details(v, true)
	if size(plans) > p.left-around/4 {
		plans = details(v, false)
	}
	p.fold("Plans and rules", plans, "plan", conditions(v))
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

// conditions are what the plans were made from, and when an approval of them counts.
func conditions(v *reading) (text string) {
	if head := digest(v.Report.Head); head != "" {
		text = "Checked at " + head + ".\n\n"
	}
	if v.Grace > 0 && len(v.pick(waiting)) > 0 {
		text += fmt.Sprintf("An approval counts when it is sent at least %s after this plan appeared, by somebody who did not work on the change.\n\n", v.Grace)
	}
	return text
}

// reach is how to get at the VMs that run.
func reach(v *reading) (out []string) {
	for _, r := range v.pick(done) {
		if r.VM != nil && r.VM.Status == domain.VMRunning && r.VM.Name != "" {
			out = append(out, subject(r.Row)+": "+r.VM.reach())
		}
	}
	return out
}

// reach is how to look at the VM and how to log in.
func (m VM) reach() string {
	return Escape("kubectl -n "+m.Namespace+" get vm "+m.Name, 300) + onCluster(m.Cluster) + ", host name " + code(m.Name) +
		". Log in with " + Escape("virtctl -n "+m.Namespace+" ssh --username USER vm/"+m.Name, 300) +
		", the image's own user for USER, and an SSH key of the file or of the system."
}

// Fits reports whether every change can have its visible line, in the comment and in the approval check,
// whatever becomes of it. Where it does not, nobody can approve: the batch is too large.
func Fits(v View) bool { return !read(v).tooLong }

func tooLong(rows []entry) bool {
	for _, columns := range [][]column{summaryColumns, planColumns} {
		size := len(tableHead(columns))
		for _, r := range rows {
			size += len(line(r, columns, "")) + maxState
		}
		if size > limit-around {
			return true
		}
	}
	return false
}
