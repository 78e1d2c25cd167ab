package comment

import (
	"fmt"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// standing is where one change stands.
type standing int

// Before the merge a change stands at one of those up to withdrawn, after it at one of the others.
const (
	blocked     standing = iota // has problems of its own
	unsubmitted                 // valid, and held up by a draft, a fork or other changes
	waiting
	unconfirmed
	free // needs no approval
	approved
	rejected
	held // somebody who may stop it did so before this content was submitted
	withdrawn
	comparing
	quarantined
	applying
	settling // applied, and the VM is on its way
	unclear  // applied, and the cluster does not say how the VM is
	done
	failed
	superseded
)

func (v *reading) standing(r Row) standing {
	switch v.State {
	case Merged:
		return v.progress(r)
	case Closed:
		return withdrawn
	}
	switch {
	case r.Change.Problems.Blocking():
		return blocked
	case v.Report.Draft, v.Report.Fork, v.blocking():
		return unsubmitted
	}
	return decision(r)
}

// decision is where a submitted change stands.
func decision(r Row) standing {
	switch {
	case r.Ticket != nil && r.Ticket.Status == domain.TicketRejected:
		return rejected
	case r.veto() != nil:
		return held
	case r.required() > 0 && !r.passed():
		return waiting
	case r.needsConfirmation():
		return unconfirmed
	case r.required() == 0:
		return free
	}
	return approved
}

// passed reports whether the ticket was approved, whatever became of it afterwards.
func (r Row) passed() bool {
	if r.Ticket == nil {
		return false
	}
	switch r.Ticket.Status {
	case domain.TicketApproved, domain.TicketCompleted, domain.TicketFailed:
		return true
	}
	return false
}

func (r Row) needsConfirmation() bool {
	c := r.Change.Requirement.Confirm
	return (c == policy.ConfirmDigest || c == policy.ConfirmName) && r.Confirmed == ""
}

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
	if r.Change.Operation.RecordOnly() {
		return done
	}
	if r.VM == nil {
		return settling
	}
	switch r.VM.Status {
	case domain.VMRunning, domain.VMStopped, domain.VMDeleted:
		return done
	case domain.VMFailed:
		return failed
	case domain.VMUnknown:
		return unclear
	}
	return settling
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

// state is where a change stands, in a few words. The short form is never longer than maxState, however
// long the names in it are.
func (v *reading) state(r entry, short bool) string {
	switch r.at {
	case blocked:
		errors, _ := split(r.Change.Problems)
		return "❌ " + count(len(errors), "problem")
	case unsubmitted:
		return "valid, not submitted"
	case waiting:
		return fmt.Sprintf("⏳ waiting %d/%d", r.approvals(), r.required())
	case unconfirmed:
		return "⏳ to be confirmed"
	case free:
		return "✅ no approval needed"
	case approved:
		return by("✅ approved", r.approvers(), short)
	case rejected, held:
		return by("❌ rejected", []string{r.rejecter()}, short)
	case withdrawn:
		return "not applied"
	default:
		return v.outcome(r)
	}
}

// maxState bounds the short form of a state, in bytes.
const maxState = 64

// outcome is what became of a merged change, in a few words.
func (v *reading) outcome(r entry) string {
	switch r.at {
	case comparing:
		return "⏳ merged, being checked"
	case quarantined:
		p, _ := v.quarantine(r.Row)
		return because("❌ quarantined", p.Code)
	case applying:
		if r.Event.Code != "" {
			return because("⏳ waiting", r.Event.Code)
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
	if r.Event != nil && r.Event.Status == domain.EventFailed {
		return because("❌ failed", r.Event.Code)
	}
	return "❌ applied, does not run"
}

func onTheWay(r Row) string {
	if r.VM != nil {
		switch r.VM.Status {
		case domain.VMDeleting:
			return "applied, being deleted"
		case domain.VMStopping:
			return "applied, stopping"
		}
	}
	return "applied, starting"
}

// result is the good end of a change.
func (r Row) result() string {
	if r.VM == nil || r.Change.Operation.RecordOnly() {
		return "recorded"
	}
	switch r.VM.Status {
	case domain.VMDeleted:
		return "deleted"
	case domain.VMStopped:
		return "stopped"
	}
	return "running"
}

func because(what string, c domain.Code) string {
	if c == "" {
		return what
	}
	return what + ": " + cell(string(c), 30)
}

func by(what string, who []string, short bool) string {
	if list := names(who, 3); list != "" && !short {
		return what + " by " + list
	}
	return what
}

// approvers are those whose approval counts.
func (r Row) approvers() []string {
	var who []string
	for _, vote := range r.Ticket.Votes {
		if vote.Counts {
			who = append(who, vote.Review.Reviewer.Login)
		}
	}
	if len(who) == 0 {
		who = append(who, r.Ticket.DecidedBy)
	}
	return who
}

// rejecter is who stopped the change.
func (r Row) rejecter() string {
	if veto := r.veto(); veto != nil {
		return veto.Reviewer.Login
	}
	return r.Ticket.DecidedBy
}

// objection is what was said when the change was stopped.
func (r Row) objection() string {
	if veto := r.veto(); veto != nil && veto.Text != "" {
		return veto.Text
	}
	if r.Ticket == nil {
		return ""
	}
	return r.Ticket.Decision
}
