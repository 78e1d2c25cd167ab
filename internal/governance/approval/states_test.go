package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/store"
)

var (
	eventStates = []domain.EventStatus{domain.EventPending, domain.EventProcessing, domain.EventCompleted, domain.EventFailed, domain.EventCancelled}
	ticketState = []domain.TicketStatus{domain.TicketPending, domain.TicketApproved, domain.TicketRejected, domain.TicketCancelled, domain.TicketCompleted, domain.TicketFailed}
	vmStates    = []domain.VMStatus{domain.VMCreating, domain.VMRunning, domain.VMStopping, domain.VMStopped, domain.VMDeleting, domain.VMDeleted, domain.VMFailed, domain.VMUnknown}
)

// matrix draws which moves are legal: a row a state, x where one leads to another.
func matrix[S ~string](states []S, to func(from, to S) error) string {
	var b strings.Builder
	for _, from := range states {
		for _, next := range states {
			mark := "."
			if to(from, next) == nil {
				mark = "x"
			}
			b.WriteString(mark)
		}
		fmt.Fprintf(&b, " %s\n", from)
	}
	return b.String()
}

func TestMoves(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ got, want string }{
		"events": {matrix(eventStates, domain.EventStatus.To), `.x..x PENDING
..xxx PROCESSING
..... COMPLETED
..... FAILED
..... CANCELLED
`},
		"tickets": {matrix(ticketState, domain.TicketStatus.To), `.xxx.. PENDING_APPROVAL
x.xxxx APPROVED
...... REJECTED
...... CANCELLED
...... COMPLETED
...... FAILED
`},
		"vms": {matrix(vmStates, domain.VMStatus.To), `xxxxx.xx CREATING
.xxxx.xx RUNNING
.xxxx.xx STOPPING
xx.xx.xx STOPPED
....xxxx DELETING
.....x.. DELETED
xxxxx.xx FAILED
xxxxxxxx UNKNOWN
`},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, s := range eventStates {
		if want := !slices.Contains([]domain.EventStatus{domain.EventPending, domain.EventProcessing}, s); s.Final() != want {
			t.Errorf("event %s: final is %v", s, s.Final())
		}
	}
	for _, s := range ticketState {
		open := s == domain.TicketPending || s == domain.TicketApproved
		if s.Open() != open || s.Final() == open {
			t.Errorf("ticket %s: open is %v, final %v", s, s.Open(), s.Final())
		}
	}
	for _, err := range []error{domain.EventPending.To("NEW"), domain.TicketStatus("NEW").To(domain.TicketApproved), domain.VMDeleted.To(domain.VMRunning)} {
		var illegal domain.MoveError
		if !errors.As(err, &illegal) || illegal.From == "" || illegal.To == "" || !strings.Contains(err.Error(), "cannot move from") {
			t.Errorf("got %v", err)
		}
	}
}

// Through the database a move is legal exactly where the machine says so, and only from the state that
// was read.
func TestMovesInTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	row := w.ticket(vm1.Path)
	inTx := func(do func(context.Context, *store.Tx) error) error { return w.db.InTx(w.Context(), do) }
	stale := func(real bool, err error, legal error, what string) {
		t.Helper()
		var illegal domain.MoveError
		switch {
		case legal != nil && !errors.As(err, &illegal):
			t.Errorf("%s is illegal: got %v", what, err)
		case legal == nil && real && err != nil:
			t.Errorf("%s: %v", what, err)
		case legal == nil && !real && !errors.Is(err, ErrMoved):
			t.Errorf("%s from a state that is gone: got %v", what, err)
		}
	}
	for _, real := range []bool{true, false} {
		for _, from := range ticketState {
			for _, to := range ticketState {
				is := from
				if !real {
					is = ticketState[(slices.Index(ticketState, from)+1)%len(ticketState)]
				}
				w.ok(w.db.Ticket.UpdateOneID(row.ID).SetStatus(ticket.Status(is)).Exec(w.Context()))
				read := &ent.Ticket{ID: row.ID, Status: ticket.Status(from)}
				err := inTx(func(ctx context.Context, tx *store.Tx) error { return move(ctx, tx, read, to, nil) })
				stale(real, err, from.To(to), fmt.Sprintf("ticket %s → %s", from, to))
			}
		}
		for _, from := range eventStates {
			for _, to := range eventStates {
				is := from
				if !real {
					is = eventStates[(slices.Index(eventStates, from)+1)%len(eventStates)]
				}
				w.ok(w.db.Event.UpdateOneID(row.EventID).SetStatus(event.Status(is)).Exec(w.Context()))
				err := inTx(func(ctx context.Context, tx *store.Tx) error { return moveEvent(ctx, tx, row.EventID, from, to, nil) })
				stale(real, err, from.To(to), fmt.Sprintf("event %s → %s", from, to))
			}
		}
	}
	for _, from := range vmStates {
		for _, to := range vmStates {
			w.ok(w.db.VM.Update().SetStatus(vm.Status(from)).SetStatusMessage("before").Exec(w.Context()))
			err := w.g.Observe(w.Context(), row.EventID, to, "seen")
			stale(true, err, from.To(to), fmt.Sprintf("vm %s → %s", from, to))
			want, message := from, "before"
			if from.To(to) == nil {
				want, message = to, "seen"
			}
			if got := w.vm(vm1.Path); got.Status != vm.Status(want) || got.StatusMessage != message {
				t.Errorf("vm %s → %s: it is %s, %q", from, to, got.Status, got.StatusMessage)
			}
		}
	}
}
