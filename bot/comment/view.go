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
	// Undone says that nothing is left to take back: the undo is merged, or somebody did it already.
	Undone bool
	// Redo is the branch that asks for it again; empty until it is there.
	Redo string
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
	// Retries is how many of the changes were carried out again after they had failed.
	Retries int

	// AutoMerge says that the bot merges the pull request once nothing is missing. A hold does not change it.
	AutoMerge bool
	// MergeRefused is why the forge did not let the bot merge; empty where it did not refuse.
	MergeRefused string
	// Held is who holds the bot back from merging; nil where nobody does.
	Held *Hold
	// SameHead are the other open pull requests whose head is the same commit.
	SameHead []int
	// TookFrom are the open pull requests from which an approval of this one took over what they asked for.
	TookFrom []int
	// RemindAfter is how long tickets wait before somebody is reminded; 0 reminds nobody.
	RemindAfter time.Duration
}

// Hold keeps the bot from merging by itself. It stops nothing else.
type Hold struct {
	By    string // login
	Since time.Time
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
	// Veto is who keeps the change from being submitted, where it has no ticket because of that.
	Veto *approval.Review
	// DismissedBy is who dismissed the veto without being allowed to lift it: it stands all the same.
	DismissedBy string
	// TakenOver is the pull request whose approval took over what this change had reserved; 0: none.
	TakenOver int
	// Grant is the console's, for VNC_ACCESS after the merge.
	Grant *Grant
	// Contributors are the people whose approval cannot count, because the change is theirs.
	Contributors []Contributor
}

// Grant is the right to use a console for a while.
type Grant struct {
	Until time.Time
}

// Contributor is somebody who made a change, and how.
type Contributor struct {
	Login string
	How   string // as in "opened the pull request"
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
	// Later says that a later change of the VM was applied: how the VM is now says nothing of this one.
	Later bool
	// Unseen says that nobody has looked at the VM since the change was applied: how it was before says
	// nothing of this one.
	Unseen bool
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
