package comment

import (
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// View is all that is said about one pull request.
type View struct {
	Number int
	State  State
	Author string // login
	Report judge.Report
	// Rows are the changes with what became of them. Changes of the report that have no row are shown
	// as if nothing had become of them yet.
	Rows []Row
	// Quarantined are what was merged without passing, with the reason; set after a merge.
	Quarantined domain.Problems
	// Undo is the URL of the pull request that takes the quarantined content back; empty until it is open.
	Undo string
	// Undone says that nothing is left to take back: somebody did it already.
	Undone bool
	// WaitingSince is when the oldest undecided ticket was written; zero where none waits.
	WaitingSince time.Time
	Now          time.Time
	// MayApprove names the people and teams whose approval would count, for what still waits. Empty means
	// that nobody can approve, and is said so.
	MayApprove []string
	Grace      time.Duration
	// Retry says how a failed change is carried out again, as in "comment /retry here"; where it is empty
	// people are sent to the platform team.
	Retry string
}

// State is where the pull request stands.
type State string

// The states.
const (
	Open   State = "open"
	Closed State = "closed"
	Merged State = "merged"
)

// Row is one change with what became of it.
type Row struct {
	Change judge.Change
	// Ticket is nil where no approval is needed, or nothing was submitted.
	Ticket *Ticket
	VM     *VM // after the merge
	Event  *Event
	// Confirmed is who confirmed the change, where its requirement asks for that; empty until then.
	Confirmed string
	// Veto is who keeps the change from being submitted, where it has no ticket because of that.
	Veto *approval.Review
}

// Ticket is the approval of a change as people have to know it.
type Ticket struct {
	Status    domain.TicketStatus
	Approvals int // that count
	Required  int
	// Published says that the plan is on show. What is written does not depend on it: it is the text
	// itself that publishes the plan, and it must not change by having done so.
	Published bool
	DecidedBy string
	Decision  string // the text of a rejection, or why an approved ticket waits again
	Votes     []approval.Vote
	Veto      *approval.Review
}

// Event is how carrying a change out went.
type Event struct {
	Status  domain.EventStatus
	Code    domain.Code
	Message string
}

// VM is the machine as its cluster shows it.
type VM struct {
	Status  domain.VMStatus
	Message string
	Cluster string
	Name    string
	// Namespace is the one on the cluster.
	Namespace string
}

// veto is the review that stops the change, nil where none does.
func (r Row) veto() *approval.Review {
	if r.Ticket != nil && r.Ticket.Veto != nil {
		return r.Ticket.Veto
	}
	return r.Veto
}

// required is how many approvals the row needs.
func (r Row) required() int {
	if r.Ticket != nil && r.Ticket.Required > 0 {
		return r.Ticket.Required
	}
	return r.Change.Requirement.Approvals
}

// approvals is how many count so far.
func (r Row) approvals() int {
	if r.Ticket == nil {
		return 0
	}
	return r.Ticket.Approvals
}
