package domain

import "fmt"

// EventStatus is where a domain event stands.
type EventStatus string

// PENDING waits for a decision or the merge, PROCESSING has a job, the others are final.
const (
	EventPending    EventStatus = "PENDING"
	EventProcessing EventStatus = "PROCESSING"
	EventCompleted  EventStatus = "COMPLETED"
	EventFailed     EventStatus = "FAILED"
	EventCancelled  EventStatus = "CANCELLED"
)

// TicketStatus is where an approval ticket stands.
type TicketStatus string

// A ticket is decided (APPROVED, REJECTED), ended by its event (COMPLETED, FAILED) or CANCELLED.
const (
	TicketPending   TicketStatus = "PENDING_APPROVAL"
	TicketApproved  TicketStatus = "APPROVED"
	TicketRejected  TicketStatus = "REJECTED"
	TicketCancelled TicketStatus = "CANCELLED"
	TicketCompleted TicketStatus = "COMPLETED"
	TicketFailed    TicketStatus = "FAILED"
)

// VMStatus is what is known of a VM on its cluster.
type VMStatus string

// The states of a VM. UNKNOWN is the honest answer where a cluster does not say.
const (
	VMCreating VMStatus = "CREATING"
	VMRunning  VMStatus = "RUNNING"
	VMStopping VMStatus = "STOPPING"
	VMStopped  VMStatus = "STOPPED"
	VMDeleting VMStatus = "DELETING"
	VMDeleted  VMStatus = "DELETED"
	VMFailed   VMStatus = "FAILED"
	VMUnknown  VMStatus = "UNKNOWN"
)

var eventMoves = map[EventStatus][]EventStatus{
	EventPending:    {EventProcessing, EventCancelled},
	EventProcessing: {EventCompleted, EventFailed, EventCancelled},
}

// Before its pull request is merged a ticket may lose an approval again; that is why APPROVED has
// ways back.
var ticketMoves = map[TicketStatus][]TicketStatus{
	TicketPending:  {TicketApproved, TicketRejected, TicketCancelled},
	TicketApproved: {TicketPending, TicketRejected, TicketCancelled, TicketCompleted, TicketFailed},
}

var vmMoves = map[VMStatus][]VMStatus{
	VMCreating: {VMRunning, VMStopped, VMFailed, VMUnknown, VMDeleting, VMStopping},
	VMRunning:  {VMStopping, VMStopped, VMFailed, VMUnknown, VMDeleting},
	VMStopping: {VMStopped, VMRunning, VMFailed, VMUnknown, VMDeleting},
	VMStopped:  {VMRunning, VMFailed, VMUnknown, VMDeleting, VMCreating},
	VMDeleting: {VMDeleted, VMFailed, VMUnknown},
	VMFailed:   {VMCreating, VMRunning, VMStopped, VMStopping, VMDeleting, VMUnknown},
	VMUnknown:  {VMCreating, VMRunning, VMStopped, VMStopping, VMDeleting, VMFailed, VMDeleted},
}

// MoveError is an illegal change of state. It is a bug or a race, never a user's mistake.
type MoveError struct{ Thing, From, To string }

func (e MoveError) Error() string {
	return fmt.Sprintf("%s cannot move from %s to %s", e.Thing, e.From, e.To)
}

// To returns nil when an event in status s may move to next, else a MoveError.
func (s EventStatus) To(next EventStatus) error { return move("event", eventMoves, s, next) }

// Final reports whether nothing can follow.
func (s EventStatus) Final() bool { return len(eventMoves[s]) == 0 }

// To returns nil when a ticket in status s may move to next, else a MoveError.
func (s TicketStatus) To(next TicketStatus) error { return move("ticket", ticketMoves, s, next) }

// Final reports whether nothing can follow.
func (s TicketStatus) Final() bool { return len(ticketMoves[s]) == 0 }

// Open reports whether the ticket still stands for a wish: undecided or approved.
func (s TicketStatus) Open() bool { return s == TicketPending || s == TicketApproved }

// To returns nil when a VM in status s may move to next, or already is there; else a MoveError.
func (s VMStatus) To(next VMStatus) error {
	if s == next {
		return nil
	}
	return move("vm", vmMoves, s, next)
}

func move[S ~string](thing string, moves map[S][]S, from, to S) error {
	for _, next := range moves[from] {
		if next == to {
			return nil
		}
	}
	return MoveError{thing, string(from), string(to)}
}
