package approval

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/claim"
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

// free is release at the end of an event: whoever waited for what it held is judged again.
func (g *Gateway) free(ctx context.Context, tx *store.Tx, e *ent.Event) error {
	// Before the claims are touched: who waits may be about to take them.
	if err := wake(ctx, tx, g.queue, e.PullRequest); err != nil {
		return err
	}
	return release(ctx, tx, e.PullRequest, e.Path)
}
