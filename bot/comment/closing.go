package comment

import (
	"fmt"
	"regexp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// ClosingMarker is the hidden first line of the closing remark.
const ClosingMarker = "<!-- shepherd: the end -->"

// ClosingMark is the hidden first line of the closing remark that is due: what is carried out again ends anew.
func ClosingMark(v View) string {
	if v.Retries > 0 {
		return fmt.Sprintf("<!-- shepherd: the end, after %d retried -->", v.Retries)
	}
	return ClosingMarker
}

// Closing is the one remark that notifies: it is due when nothing is under way any more. It mentions the
// author and nobody else.
func Closing(v View) (body string, due bool) {
	if v.State != Merged {
		return "", false
	}
	r := read(v)
	t := r.tally()
	if t.underWay > 0 || t.all == 0 && len(v.Quarantined) == 0 {
		return "", false
	}
	if len(v.Quarantined) > 0 && v.Undo == "" && !v.Undone {
		return "", false // the way out is part of the news
	}
	p := newPage(limit)
	p.must(ClosingMark(v) + "\n" + mention(v.Author) + closingHeadline(r, t))
	if len(reach(r)) > 0 {
		p.must(" How to reach what runs stands in the comment above.")
	}
	p.must("\n")
	p.list("", failures(r), maxNotes, " in the comment above")
	p.list("", quarantines(r), maxNotes, " in the comment above")
	p.list("", remarks(r), maxNotes, " in the comment above")
	p.list("", ends(r), maxNotes, " in the comment above")
	return p.String(), true
}

func closingHeadline(v *reading, t tally) string {
	switch {
	case len(v.Quarantined) > 0:
		return mergedHeadline(v)
	case t.failed == t.all:
		return "**Failed.**"
	case t.failed > 0:
		return fmt.Sprintf("**Partly applied: %d of %d.**", t.done, t.all)
	}
	return "**" + applied(v) + ".**"
}

// ends are the good ends, one line each.
func ends(v *reading) (out []string) {
	for _, r := range v.pick(done, superseded) {
		name := subject(r.Row)
		switch op := r.Change.Operation; {
		case r.at == superseded:
			out = append(out, name+" was superseded by a later change.")
		case op == domain.VNCAccess:
			out = append(out, console(r.Row))
		case op == domain.ChangePlatform:
			out = append(out, name+" is in force.")
		case op.Removes():
			out = append(out, name+" is deleted"+disksOf(r.Row)+".")
		case r.VM == nil || op.RecordOnly():
			out = append(out, name+" is recorded.")
		case r.VM.Later:
			out = append(out, name+" is applied; a later change came after it.")
		case r.VM.Status == domain.VMDeleted:
			out = append(out, name+" is applied; the VM was deleted since.")
		default:
			out = append(out, name+" "+ending(r.Row)+onCluster(r.VM.Cluster)+".")
		}
	}
	return out
}

// disksOf is what became of the disks of a VM that is deleted.
func disksOf(r Row) string {
	switch p := r.Change.Plan; {
	case p == nil || !r.Change.Operation.OnCluster():
		return ""
	case p.DeletionPolicy == spec.RetainDisks:
		return "; its disks are kept"
	case p.DeletionPolicy == spec.DeleteDisks:
		return ", with its disks"
	}
	return ""
}

// ending is how a VM is that is as it was asked for.
func ending(r Row) string {
	if r.VM.Status == domain.VMRunning {
		switch r.Change.Operation {
		case domain.ModifyVM:
			return "is changed and runs"
		case domain.RestartVM:
			return "was restarted and runs"
		}
		return "runs"
	}
	switch r.Change.Operation {
	case domain.StopVM:
		return "is stopped"
	case domain.ModifyVM:
		return "is changed and stopped"
	}
	return "is applied and stopped"
}

// login is what forges allow as one: nothing else is ever mentioned.
var login = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$`)

func mention(author string) string {
	if !login.MatchString(author) {
		return ""
	}
	return "@" + author + " "
}
