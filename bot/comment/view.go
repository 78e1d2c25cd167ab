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
	Rows   []Row
	// Quarantined are what was merged without passing, with the reason; set after a merge.
	Quarantined domain.Problems
	// Undo is the URL of the pull request that takes the quarantined content back; empty until it is open.
	Undo string
	// WaitingSince is when the oldest undecided ticket was written; zero where none waits.
	WaitingSince time.Time
	Now          time.Time
	// MayApprove names the people and teams whose approval would count, for what still waits.
	MayApprove []string
	Grace      time.Duration
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
}

// Ticket is the approval of a change as people have to know it.
type Ticket struct {
	Status    domain.TicketStatus
	Approvals int // that count
	Required  int
	Published bool // the plan is on show: approvals can count
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
