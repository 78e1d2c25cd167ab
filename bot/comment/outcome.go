package comment

import (
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// progress is where a merged change stands.
func (v *reading) progress(r Row) standing {
	if _, ok := v.quarantine(r); ok {
		return quarantined
	}
	if r.Event == nil {
		switch {
		case r.Ticket != nil && r.Ticket.Status == domain.TicketCompleted:
			return done
		case len(v.Quarantined) > 0: // the merge was taken over, and this was no part of it
			return quarantined
		}
		return comparing
	}
	switch r.Event.Status {
	case domain.EventProcessing:
		return applying
	case domain.EventFailed:
		return failed
	case domain.EventCancelled:
		return superseded
	case domain.EventCompleted:
		return r.settled()
	}
	return comparing
}

// settled is where a change stands that its cluster has accepted.
func (r Row) settled() standing {
	switch {
	case !r.Change.Operation.OnCluster():
		return done
	case r.VM == nil:
		return settling
	case r.VM.Later:
		return done
	case r.VM.Unseen:
		return settling
	}
	switch r.VM.Status {
	case domain.VMFailed:
		return failed
	case domain.VMUnknown:
		return unclear
	case domain.VMRunning, domain.VMStopped, domain.VMDeleted:
		if r.asAsked() {
			return done
		}
	}
	return settling
}

// asAsked reports whether a VM that is at rest is where the change wanted it. Until it is, it moves.
func (r Row) asAsked() bool {
	switch r.Change.Operation {
	case domain.DeleteVM:
		return r.VM.Status == domain.VMDeleted
	case domain.StopVM:
		return r.VM.Status != domain.VMRunning
	case domain.StartVM, domain.RestartVM:
		return r.VM.Status != domain.VMStopped
	}
	return true
}

// quarantine is why the row's change was merged and not applied.
func (v *reading) quarantine(r Row) (domain.Problem, bool) {
	for _, p := range v.Quarantined {
		if p.Path == r.Change.Path {
			return p, true
		}
	}
	return domain.Problem{}, false
}

// outcome is what became of a merged change, in a few words.
func (v *reading) outcome(r entry) string {
	switch r.at {
	case comparing:
		return "⏳ merged, being checked"
	case quarantined:
		p, _ := v.quarantine(r.Row)
		return because("❌ quarantined", p.Code)
	case applying:
		switch {
		case r.Event.Code != "":
			return because("⏳ waiting", r.Event.Code)
		case r.parent():
			return "⏳ goes after what it holds"
		}
		return "⏳ applying…"
	case settling:
		return "⏳ " + onTheWay(r.Row)
	case unclear:
		return "⏳ applied, state not known"
	case done:
		return "✅ " + r.result()
	case superseded:
		return "superseded by a later change"
	}
	switch {
	case r.Event != nil && r.Event.Status == domain.EventFailed:
		return because("❌ failed", r.Event.Code)
	}
	return "❌ applied, " + r.flaw()
}

// flaw is what is wrong with a VM that failed after its change was applied.
func (r Row) flaw() string {
	switch r.Change.Operation {
	case domain.DeleteVM:
		return "is not gone"
	case domain.StopVM:
		return "is in an error state"
	}
	return "does not run"
}

// parent reports whether the change ends something that may hold others.
func (r Row) parent() bool { return r.Change.Operation.Removes() && !r.Change.Operation.OnCluster() }

func onTheWay(r Row) string {
	switch op := r.Change.Operation; {
	case op == domain.DeleteVM, r.VM != nil && r.VM.Status == domain.VMDeleting:
		return "being deleted"
	case op == domain.RestartVM:
		return "restarting"
	case op == domain.StopVM, r.VM != nil && r.VM.Status == domain.VMStopping:
		return "applied, stopping"
	case r.VM != nil && r.VM.Unseen && op == domain.ModifyVM:
		return "applied, being looked at"
	}
	return "applied, starting"
}

// result is the good end of a change.
func (r Row) result() string {
	op := r.Change.Operation
	switch {
	case revokes(r.Change):
		return "revoked"
	case op == domain.VNCAccess && r.Grant != nil:
		return "granted until " + r.Grant.Until.UTC().Format("15:04 UTC")
	case op == domain.VNCAccess:
		return "granted"
	case op == domain.ChangePlatform:
		return "in force"
	case op.Removes():
		return "deleted"
	case r.VM == nil || op.RecordOnly():
		return "recorded"
	case r.VM.Later:
		return "applied"
	case r.VM.Status == domain.VMDeleted:
		return "applied, deleted since"
	}
	state := "running"
	if r.VM.Status == domain.VMStopped {
		state = "stopped"
	}
	switch op {
	case domain.ModifyVM:
		return "changed, " + state
	case domain.RestartVM:
		return "restarted"
	}
	return state
}

// applied are the words for a good end: what only the records hold is not applied to anything, and what
// is to run is looked for.
func applied(v *reading) string {
	rows := v.pick(done, settling, unclear)
	real := rows[:0:0]
	finished := 0
	for _, r := range rows {
		if r.Change.Operation.RecordOnly() {
			continue
		}
		real = append(real, r)
		if r.at == done {
			finished++
		}
	}
	switch {
	case len(rows) == 0:
		return "Superseded by a later change"
	case len(real) == 0:
		return noted(rows)
	}
	if running, all := v.machines(); stay(real) {
		switch {
		case all > 0 && running == all:
			return "Applied and running"
		case all > 0:
			return fmt.Sprintf("Applied, %d of %d running", running, all)
		}
		return "Applied"
	}
	begun, ended := words(real)
	switch {
	case finished == len(real):
		return ended
	case len(real) == 1:
		return begun
	}
	return fmt.Sprintf("%s: %d of %d", ended, finished, len(real))
}

// stay reports whether the changes only make or change VMs: what counts then is whether they run.
func stay(rows []entry) bool {
	for _, r := range rows {
		if op := r.Change.Operation; op != domain.CreateVM && op != domain.ModifyVM {
			return false
		}
	}
	return true
}

// noted are the words for what is done by being written down.
func noted(rows []entry) string {
	if len(rows) == 1 && rows[0].Change.Operation == domain.VNCAccess {
		result := rows[0].result()
		return strings.ToUpper(result[:1]) + result[1:]
	}
	word := ""
	for i, r := range rows {
		w := "Recorded"
		switch op := r.Change.Operation; {
		case revokes(r.Change):
			w = "Revoked"
		case op == domain.VNCAccess:
			w = "Granted"
		case op == domain.ChangePlatform:
			w = "Merged and in force"
		}
		if i > 0 && w != word {
			return "Recorded"
		}
		word = w
	}
	return word
}

// words are those for changes of one kind, before and after the end. Where the kinds differ they are
// applied.
func words(rows []entry) (begun, ended string) {
	for i, r := range rows {
		b, e := "Being applied", "Applied"
		switch op := r.Change.Operation; {
		case r.VM != nil && r.VM.Later: // whether it came to this nobody has seen
		case op.Removes():
			b, e = "Being deleted", "Deleted"
		case op == domain.StopVM:
			b, e = "Being stopped", "Stopped"
		case op == domain.StartVM:
			b, e = "Being started", "Started"
		case op == domain.RestartVM:
			b, e = "Being restarted", "Restarted"
		}
		if i > 0 && e != ended {
			return "Being applied", "Applied"
		}
		begun, ended = b, e
	}
	return begun, ended
}

// machines counts the VMs that are to run, and those that do.
func (v *reading) machines() (running, all int) {
	for _, r := range v.pick(done, settling, unclear) {
		vm := r.spec()
		switch op := r.Change.Operation; {
		case r.VM == nil && r.at == done, r.VM != nil && (r.VM.Later || r.VM.Status == domain.VMDeleted), !op.OnCluster(), op == domain.DeleteVM, op == domain.StopVM, vm != nil && vm.Power == spec.PowerStopped:
			continue
		case r.VM != nil && r.VM.Status == domain.VMRunning:
			running++
		}
		all++
	}
	return running, all
}

func because(what string, c domain.Code) string {
	if c == "" {
		return what
	}
	return what + ": " + cell(string(c), 30)
}
