package comment

import (
	"fmt"

	"kv-shepherd.io/shepherd/internal/domain"
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
	held  // somebody who may stop it did so before this content was submitted
	ahead // approved otherwise than the branch has it
	overtaken
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
	case r.TakenOver > 0 && len(r.Change.Contested) == 0: // contested, it can be taken back
		return overtaken
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
	case r.Change.Ahead:
		return ahead
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

// confirmable reports whether somebody has to confirm the change.
func (r Row) confirmable() bool { return r.Change.Requirement.Confirm.Needed() }

func (r Row) needsConfirmation() bool { return r.Change.Unconfirmed() }

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
		return fmt.Sprintf("⏳ waiting %d/%d", r.approvals(), r.required()) + r.confirmation(short)
	case unconfirmed:
		if r.required() == 0 {
			return "⏳ to be confirmed"
		}
		return by("⏳ approved", r.approvers(), short) + r.confirmation(short)
	case free:
		if r.confirmable() {
			return by("✅ confirmed", []string{r.Change.Confirmed}, short)
		}
		return "✅ no approval needed"
	case approved:
		return by("✅ approved", r.approvers(), short) + r.confirmation(short)
	case ahead:
		return "⏳ approved, to be committed" + r.confirmation(short)
	case overtaken:
		return fmt.Sprintf("taken over by #%d", r.TakenOver)
	case rejected, held:
		return by("❌ rejected", []string{r.rejecter()}, short)
	case withdrawn:
		return "not applied"
	default:
		return v.outcome(r)
	}
}

// confirmation is whether the change was confirmed, and by whom; empty where it need not be.
func (r Row) confirmation(short bool) string {
	switch {
	case !r.confirmable():
		return ""
	case r.needsConfirmation():
		return ", to be confirmed"
	}
	return by(", confirmed", []string{r.Change.Confirmed}, short)
}

// maxState bounds the short form of a state, in bytes.
const maxState = 64

func by(what string, who []string, short bool) string {
	if list := names(who, 3); list != "" && !short {
		return what + " by " + list
	}
	return what
}

// approvers are those whose approval counts.
func (r Row) approvers() []string {
	var who []string
	if r.Ticket == nil {
		return nil
	}
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
