// Package approval is the gate between what people ask for and what clusters are given. Each method
// of the Gateway is one transaction of the design's table; nothing outside the database is touched in
// any of them. Which reviews count is decided in handler.go, without I/O.
package approval

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// Gateway moves events, tickets, claims and VMs through their states.
type Gateway struct {
	db    *store.DB
	queue *jobs.Queue
	now   func() time.Time
}

// New gives a gateway. now is the clock of decisions' and states' times.
func New(db *store.DB, queue *jobs.Queue, now func() time.Time) *Gateway {
	return &Gateway{db: db, queue: queue, now: now}
}

// ErrMoved says that the state which a transaction builds on is no longer there: somebody else was
// faster. The caller looks again.
var ErrMoved = errors.New("the state moved meanwhile")

// lockPull makes the transactions about one pull request wait for each other, from before they read
// anything, and reports whether its merge is written down: from then on nothing asks or decides there.
func lockPull(ctx context.Context, tx *store.Tx, number int) (merged bool, err error) {
	p, err := tx.PullRequest.Query().Where(pullrequest.ID(number)).Select(pullrequest.FieldID, pullrequest.FieldState).ForUpdate().Only(ctx)
	if ent.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock #%d: %w", number, err)
	}
	return p.State == pullrequest.StateMerged, nil
}

// move changes a ticket's status where that is legal and nobody else has changed it since it was
// read. change may set further columns in the same update.
func move(ctx context.Context, tx *store.Tx, t *ent.Ticket, to domain.TicketStatus, change func(*ent.TicketUpdate)) error {
	if err := domain.TicketStatus(t.Status).To(to); err != nil {
		return fmt.Errorf("ticket %s: %w", t.ID, err)
	}
	update := tx.Ticket.Update().Where(ticket.ID(t.ID), ticket.StatusEQ(t.Status)).SetStatus(ticket.Status(to))
	if change != nil {
		change(update)
	}
	n, err := update.Save(ctx)
	if err != nil {
		return fmt.Errorf("move ticket %s to %s: %w", t.ID, to, err)
	}
	if n != 1 {
		return fmt.Errorf("move ticket %s to %s: %w", t.ID, to, ErrMoved)
	}
	t.Status = ticket.Status(to)
	return nil
}

// moveEvent is move for events.
func moveEvent(ctx context.Context, tx *store.Tx, id uuid.UUID, from, to domain.EventStatus, change func(*ent.EventUpdate)) error {
	if err := from.To(to); err != nil {
		return fmt.Errorf("event %s: %w", id, err)
	}
	update := tx.Event.Update().Where(event.ID(id), event.StatusEQ(event.Status(from))).SetStatus(event.Status(to))
	if change != nil {
		change(update)
	}
	n, err := update.Save(ctx)
	if err != nil {
		return fmt.Errorf("move event %s to %s: %w", id, to, err)
	}
	if n != 1 {
		return fmt.Errorf("move event %s to %s: %w", id, to, ErrMoved)
	}
	return nil
}

// end takes an undecided or approved ticket off the table before its merge: ticket, event, claims and
// the trail.
func (g *Gateway) end(ctx context.Context, tx *store.Tx, t *ent.Ticket, to domain.TicketStatus, code domain.Code, why string, by audit.Actor) error {
	now := g.now()
	err := move(ctx, tx, t, to, func(u *ent.TicketUpdate) {
		u.SetDecision(why).SetDecidedBy(by.ID).SetDecidedByLogin(by.Login).SetDecidedAt(now)
	})
	if err != nil {
		return err
	}
	err = moveEvent(ctx, tx, t.EventID, domain.EventPending, domain.EventCancelled, func(u *ent.EventUpdate) {
		u.SetErrorCode(string(code)).SetErrorMessage(why).SetFinishedAt(now)
	})
	if err != nil {
		return err
	}
	if err := release(ctx, tx, t.PullRequest, t.Path); err != nil {
		return err
	}
	action := audit.RequestCancelled
	if to == domain.TicketRejected {
		action = audit.ApprovalRejected
	}
	return audit.Append(ctx, tx, entry(t, action, by, map[string]any{"code": string(code), "why": why}))
}

// entry is a line of the trail about a ticket.
func entry(t *ent.Ticket, action audit.Action, by audit.Actor, params map[string]any) audit.Entry {
	return audit.Entry{
		Action: action, Actor: by, Subject: t.Subject, Environment: t.Environment,
		PullRequest: t.PullRequest, Ticket: t.ID, Event: t.EventID, Params: params,
	}
}

// tell asks for a pull request to be told of, and for those that share its head: a commit's checks show the
// worst of them.
func (g *Gateway) tell(ctx context.Context, tx *store.Tx, number int) error {
	if err := Tell(ctx, tx, g.queue, number); err != nil {
		return err
	}
	return g.tellSharers(ctx, tx, number)
}

// tellSharers asks for those to be told of that have the head which a pull request has. Their rows are not locked, for they may be waiting for this one: a telling too
// many does no harm.
func (g *Gateway) tellSharers(ctx context.Context, tx *store.Tx, number int) error {
	const query = `select o.id from pull_requests o join pull_requests p on p.head_sha = o.head_sha
where p.id = $1 and o.id <> p.id and o.state = 'open' and o.head_sha <> '' order by o.id`
	sharers, err := numbersOf(ctx, tx, query, number)
	if err != nil {
		return fmt.Errorf("look for who shares the head of #%d: %w", number, err)
	}
	for _, n := range sharers {
		if err := g.queue.Add(ctx, tx.PGX, jobs.TellPullRequest{Number: n}); err != nil {
			return err
		}
	}
	return nil
}

// Tell asks for a pull request to be told of, in the caller's transaction. However much happens while a
// tell job waits, one runs: it says what is true then.
func Tell(ctx context.Context, tx *store.Tx, queue *jobs.Queue, number int) error {
	// The row is locked even where a job waits: that job must not read what is true before this
	// transaction has ended, or its news would be lost.
	const ask = `update pull_requests p set telling = true from (select id, telling from pull_requests where id = $1 for update) was
where p.id = was.id returning was.telling`
	var waits bool
	err := tx.PGX.QueryRow(ctx, ask, number).Scan(&waits)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && waits {
		return nil // there is no pull request to tell, or one waits already
	}
	if err != nil {
		return fmt.Errorf("ask to tell #%d: %w", number, err)
	}
	return queue.Add(ctx, tx.PGX, jobs.TellPullRequest{Number: number})
}
