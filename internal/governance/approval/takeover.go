package approval

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/claim"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// offer keeps the plans of changes that wait for a name which another pull request holds and nobody has
// approved there: they go on show like any other, so that an approval has something to accept.
func offer(ctx context.Context, tx *store.Tx, s Submission, standing map[string]*ent.Ticket) error {
	if !s.Report.Takeable() {
		return nil
	}
	for _, c := range s.Report.Changes {
		if c.Requirement.Approvals == 0 || standing[c.Path] != nil {
			continue
		}
		id, err := offered(ctx, tx, s.Pull.Number, c)
		if err != nil {
			return err
		}
		if id == uuid.Nil {
			_, err = writePlan(ctx, tx, s, c)
		} else {
			err = noteHead(ctx, tx, id, s.Report.Head)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// offered finds the plan that was put on show for a change without a ticket; Nil where there is none.
// Only the last plan of a path counts, and only while no ticket has taken it up: what was on show before
// another plan was has been replaced.
func offered(ctx context.Context, tx *store.Tx, number int, c judge.Change) (uuid.UUID, error) {
	const query = `select p.id from plans p where p.pull_request = $1 and p.path = $2 and p.change_digest = $3 and p.effective_digest = $4
and not exists (select 1 from plans q where q.pull_request = $1 and q.path = $2 and q.id > p.id)
and not exists (select 1 from tickets t where t.pull_request = $1 and t.plan_id = p.id)
and p.created_at > coalesce((select epoch from pull_requests where id = $1), '-infinity')`
	rows, err := tx.PGX.Query(ctx, query, number, c.Path, c.Digest, effectiveDigest(c))
	if err != nil {
		return uuid.Nil, fmt.Errorf("look for the plan on show for %s: %w", c.Path, err)
	}
	defer rows.Close()
	var id uuid.UUID
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return uuid.Nil, fmt.Errorf("look for the plan on show for %s: %w", c.Path, err)
		}
	}
	return id, rows.Err()
}

// planFor is the plan of a new ticket: the one on show where there is one, so that what was said of it
// counts.
func planFor(ctx context.Context, tx *store.Tx, s Submission, c judge.Change) (uuid.UUID, error) {
	id, err := offered(ctx, tx, s.Pull.Number, c)
	if err != nil {
		return uuid.Nil, err
	}
	if id == uuid.Nil {
		return writePlan(ctx, tx, s, c)
	}
	return id, noteHead(ctx, tx, id, s.Report.Head)
}

// Offer is a plan on show of a change that has no ticket.
type Offer struct {
	Path string
	Plan *ent.Plan // with its heads
}

// Offers lists what a pull request has on show without a ticket.
func (g *Gateway) Offers(ctx context.Context, number int, report judge.Report) (out []Offer, err error) {
	if !report.Takeable() {
		return nil, nil
	}
	err = g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		for _, c := range report.Changes {
			id, err := offered(ctx, tx, number, c)
			if err != nil {
				return err
			}
			if id == uuid.Nil {
				continue
			}
			p, err := tx.Plan.Query().Where(plan.ID(id)).WithHeads().Only(ctx)
			if err != nil {
				return fmt.Errorf("read the plan on show for %s: %w", c.Path, err)
			}
			out = append(out, Offer{c.Path, p})
		}
		return nil
	})
	return out, err
}

// Taking is a change whose claims go over, and who approved it.
type Taking struct {
	Change judge.Change
	By     audit.Actor
}

// TakeOver gives the claims of changes to the pull request whose plans somebody approved, from those that
// only wait: their tickets end, and both sides are told. What was approved meanwhile is not taken, nor what
// others hold than those who were seen to: that is ErrMoved, and nothing is taken at all. The caller judges
// again in any case.
func (g *Gateway) TakeOver(ctx context.Context, number int, takings ...Taking) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		numbers := []int{number}
		for _, t := range takings {
			numbers = append(numbers, t.Change.Contested...)
		}
		if err := lockPulls(ctx, tx, numbers); err != nil {
			return err
		}
		for _, t := range takings {
			if err := g.takeOne(ctx, tx, number, t); err != nil {
				return err
			}
		}
		return wake(ctx, tx, g.queue, number) // what the winner does not want is free
	})
}

func (g *Gateway) takeOne(ctx context.Context, tx *store.Tx, number int, t Taking) error {
	c := t.Change
	held, err := tx.Claim.Query().Where(claim.IDIn(c.Claims...), claim.PullRequestNEQ(number)).Order(ent.Asc(claim.FieldID)).All(ctx)
	if err != nil {
		return fmt.Errorf("read the claims on %s: %w", c.Subject, err)
	}
	if len(held) == 0 {
		return fmt.Errorf("nobody else holds %s any more: %w", c.Subject, ErrMoved)
	}
	for _, h := range held {
		if !slices.Contains(c.Contested, h.PullRequest) {
			return fmt.Errorf("#%d holds %s by now: %w", h.PullRequest, h.ID, ErrMoved)
		}
		if err := g.dispossess(ctx, tx, number, h, t.By); err != nil {
			return err
		}
	}
	for _, key := range c.Claims {
		if err := claimOne(ctx, tx, number, c.Path, key, uuid.Nil); err != nil {
			return err
		}
	}
	return audit.Append(ctx, tx, audit.Entry{
		Action: audit.ClaimTakenOver, Actor: t.By, Subject: c.Subject, Environment: string(c.Environment), PullRequest: number,
		Params: map[string]any{"from": c.Contested},
	})
}

// lockPulls locks in the order of the numbers, as everybody does.
func lockPulls(ctx context.Context, tx *store.Tx, numbers []int) error {
	slices.Sort(numbers)
	for _, n := range slices.Compact(numbers) {
		merged, err := lockPull(ctx, tx, n)
		if err != nil {
			return err
		}
		if merged {
			return fmt.Errorf("#%d was merged: %w", n, ErrMoved)
		}
	}
	return nil
}

// TakenOverBy is how the decision on a ticket begins whose claims went to another pull request, with its
// number.
const TakenOverBy = "taken over by #%d"

// dispossess ends the ticket behind a claim and lets its pull request be judged again.
func (g *Gateway) dispossess(ctx context.Context, tx *store.Tx, winner int, h *ent.Claim, by audit.Actor) error {
	open, err := tx.Ticket.Query().Where(ticket.PullRequest(h.PullRequest), ticket.Path(h.Path),
		ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).ForUpdate().All(ctx)
	if err != nil {
		return fmt.Errorf("read the ticket behind %s: %w", h.ID, err)
	}
	if len(open) == 0 {
		// Of several claims of one change the first has ended the ticket; otherwise nobody waits for approval there.
		if n, err := tx.Claim.Query().Where(claim.ID(h.ID)).Count(ctx); err != nil || n == 0 {
			return err
		}
		return fmt.Errorf("%s is not waiting any more: %w", h.ID, ErrMoved)
	}
	for _, t := range open {
		if t.Status != ticket.StatusPENDING_APPROVAL {
			return fmt.Errorf("%s was approved meanwhile: %w", h.ID, ErrMoved)
		}
		why := fmt.Sprintf(TakenOverBy+", which was approved first", winner)
		if err := g.end(ctx, tx, t, domain.TicketCancelled, domain.Superseded, why, by); err != nil {
			return err
		}
	}
	return Want(ctx, tx, g.queue, h.PullRequest)
}
