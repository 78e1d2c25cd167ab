package approval

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/claim"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// claimAll makes the pull request's claims those of its changes: claims of changes that are gone are
// released, new ones are written. One that another pull request holds is ErrClaimed. It reports whether
// any was released.
func claimAll(ctx context.Context, tx *store.Tx, s Submission, wanted map[string]uuid.UUID) (freed bool, err error) {
	var keys []string
	for _, c := range s.Report.Changes {
		if _, ok := wanted[c.Path]; ok {
			keys = append(keys, c.Claims...)
		}
	}
	number := s.Pull.Number
	n, err := tx.Claim.Delete().Where(claim.PullRequest(number), claim.IDNotIn(keys...)).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("release the claims of #%d: %w", number, err)
	}
	for _, c := range s.Report.Changes {
		owner, ok := wanted[c.Path]
		if !ok {
			continue // refused: it reserves nothing
		}
		for _, key := range c.Claims {
			if err := claimOne(ctx, tx, number, c.Path, key, owner); err != nil {
				return false, err
			}
		}
	}
	return n > 0, nil
}

// claimOne is one statement, so that two pull requests cannot both believe that they have the key.
func claimOne(ctx context.Context, tx *store.Tx, number int, path, key string, ticketID uuid.UUID) error {
	var owner *uuid.UUID
	if ticketID != uuid.Nil {
		owner = &ticketID
	}
	const upsert = `insert into claims (id, pull_request, path, ticket_id, created_at) values ($1, $2, $3, $4, now())
on conflict (id) do update set path = excluded.path, ticket_id = excluded.ticket_id where claims.pull_request = excluded.pull_request`
	tag, err := tx.PGX.Exec(ctx, upsert, key, number, path, owner)
	if err != nil {
		return fmt.Errorf("claim %s: %w", key, err)
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("claim %s: %w", key, ErrClaimed)
	}
	return nil
}

// releaseAllBut keeps the claims of these changes only, such as those of standing tickets: what is not
// valid reserves nothing. It reports whether any was released.
func releaseAllBut(ctx context.Context, tx *store.Tx, number int, paths []string) (freed bool, err error) {
	n, err := tx.Claim.Delete().Where(claim.PullRequest(number), claim.PathNotIn(paths...)).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("release the claims of #%d: %w", number, err)
	}
	return n > 0, nil
}

// release frees what a change of a pull request had reserved.
func release(ctx context.Context, tx *store.Tx, number int, path string) error {
	if _, err := tx.Claim.Delete().Where(claim.PullRequest(number), claim.Path(path)).Exec(ctx); err != nil {
		return fmt.Errorf("release the claims of %s: %w", path, err)
	}
	return nil
}

// lockWithHolders locks a pull request and those that hold what it wants, in the order of their numbers. From then
// on each of them stays what it is until the report is written, and whoever moves it afterwards finds the report and
// wakes its pull request. Without that a report written a moment after the waking would wait for nobody.
func lockWithHolders(ctx context.Context, tx *store.Tx, s Submission) (merged bool, err error) {
	numbers := []int{s.Pull.Number}
	for _, h := range s.Held {
		numbers = append(numbers, h.PullRequest)
	}
	slices.Sort(numbers)
	for _, n := range slices.Compact(numbers) {
		over, err := lockPull(ctx, tx, n)
		if err != nil {
			return false, err
		}
		if n == s.Pull.Number {
			merged = over
		}
	}
	return merged, nil
}

// stillHeld looks whether reservations are as they were seen.
func stillHeld(ctx context.Context, tx *store.Tx, seen map[string]judge.Claim) error {
	if len(seen) == 0 {
		return nil
	}
	rows, err := tx.Claim.Query().Where(claim.IDIn(slices.Collect(maps.Keys(seen))...)).
		WithTicket(func(q *ent.TicketQuery) { q.WithEvent() }).All(ctx)
	if err != nil {
		return fmt.Errorf("read the claims of others: %w", err)
	}
	now := map[string]judge.Claim{}
	for _, row := range rows {
		now[row.ID] = Held(row)
	}
	for key, was := range seen {
		if now[key] != was {
			return fmt.Errorf("%s is not held as it was: %w", key, ErrMoved)
		}
	}
	return nil
}

// Held is what others have to know of a reservation, whose ticket and event have to be loaded with it.
func Held(row *ent.Claim) judge.Claim {
	c := judge.Claim{PullRequest: row.PullRequest}
	if t := row.Edges.Ticket; t != nil {
		c.Status = domain.TicketStatus(t.Status)
		c.Running = t.Edges.Event != nil && t.Edges.Event.Status == event.StatusPROCESSING
	}
	return c
}

// free is release at the end of an event: whoever waited for what it held is judged again.
func (g *Gateway) free(ctx context.Context, tx *store.Tx, e *ent.Event) error {
	// Before the claims are touched: who waits may be about to take them. Locked first and looked for after: who is
	// being submitted as waiting for this event has ended by then, and is found.
	if _, err := waiting(ctx, tx, e.PullRequest); err != nil {
		return err
	}
	if err := wake(ctx, tx, g.queue, e.PullRequest); err != nil {
		return err
	}
	return release(ctx, tx, e.PullRequest, e.Path)
}
