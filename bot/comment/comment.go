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
	rows := v.rows()
	changes := ""
	if len(rows) > 0 {
		changes = "\n" + table(rows, summaryColumns, v.state, limit-around)
	}
	p := newPage(limit - len(changes) - 1)
	p.must(Marker + "\n" + headline(v, true) + "\n")
	if v.State == Open {
		errors, _ := split(v.problems())
		p.list("", problemLines(errors), maxProblems, " in the checks")
	}
	p.place(changes)
	notes(p, v, rows)
	fold(p, v, rows)
	return p.String()
}

// notes adds what people have to know beside the table.
func notes(p *page, v View, rows []Row) {
	switch v.State {
	case Open:
		p.list("Why an approval is asked for again:\n", reopened(v, rows), maxNotes, "")
		p.list("Approvals that do not count:\n", discounted(v.pick(rows, waiting, held)), maxNotes, "")
		asked(p, v, rows)
	case Merged:
		p.list("What failed:\n", failures(v, rows), maxNotes, "")
		p.list("What was merged without passing:\n", quarantines(v), maxNotes, "")
		p.list("How to reach what runs:\n", reach(v, rows), maxNotes, "")
	}
}

// asked is what people are asked to do, and what those who refused have said.
func asked(p *page, v View, rows []Row) {
	p.list("What was said:\n", rejections(v, rows), maxNotes, "")
	p.list("To confirm, write these lines as comments:\n", confirmations(v, rows), maxNotes, "")
	if len(v.pick(rows, waiting)) > 0 {
		p.must("\nTo approve, read the plan below and send an approving review. Comments approve nothing.\n")
	}
}

// fold adds what is read on demand.
func fold(p *page, v View, rows []Row) {
	_, warnings := split(v.problems())
	var items []string
	for _, line := range problemLines(warnings) {
		items = append(items, "- "+line+"\n")
	}
	p.fold(count(len(warnings), "warning"), items, "warning")
	p.fold("Plans and rules", details(v, rows), "plan")
}

// details are the plans, and what they were made from.
func details(v View, rows []Row) (out []string) {
	for _, r := range rows {
		out = append(out, detail(r))
	}
	if len(rows) > 0 && v.Report.Head != "" {
		out = append(out, "Checked at "+digest(v.Report.Head)+".\n\n")
	}
	if v.Grace > 0 && len(v.pick(rows, waiting)) > 0 {
		out = append(out, fmt.Sprintf("An approval counts when it is sent at least %s after this plan appeared, by somebody who did not work on the change.\n\n", v.Grace))
	}
	return out
}

// reach is how to get at the VMs that run.
func reach(v View, rows []Row) (out []string) {
	for _, r := range v.pick(rows, done) {
		if r.VM != nil && r.VM.Status == domain.VMRunning && r.VM.Name != "" {
			out = append(out, Escape("kubectl -n "+r.VM.Namespace+" get vm "+r.VM.Name, 300)+onCluster(r.VM.Cluster)+
				"; its host name is "+code(r.VM.Name))
		}
	}
	return out
}

// Fits reports whether every change can have its visible line, in the comment and in the approval check,
// whatever becomes of it. Where it does not, nobody can approve: the batch is too large.
func Fits(v View) bool {
	return !tooLong(v)
}

func tooLong(v View) bool {
	rows := v.rows()
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
