package bot

import (
	"context"
	"fmt"
	"slices"

	"kv-shepherd.io/shepherd/ent/decision"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// vetoed names the changes that somebody who may approve them has asked to be changed.
func (c *council) vetoed() map[string]bool {
	out := map[string]bool{}
	for _, change := range c.report.Changes {
		if c.veto(change) != nil {
			out[change.Path] = true
		}
	}
	return out
}

// veto is the review that keeps a change from being asked for, nil where none does.
func (c *council) veto(change judge.Change) *approval.Review {
	if change.Requirement.Approvals == 0 {
		return nil
	}
	weighed := approval.Case{MayLift: c.mayLift}
	if made := c.made[change.Path]; made != nil {
		weighed.Contributors, weighed.Unattributed = made.people, made.unattributed
	}
	for _, r := range approval.Latest(c.reviews, c.epoch) {
		if r.State == approval.StateChangesRequested && c.mayVeto(change)(r) && !weighed.Lifted(r) {
			return &r
		}
	}
	return nil
}

// mayVeto lets a veto stand also when its author has lost the permission since.
func (c *council) mayVeto(change judge.Change) func(approval.Review) bool {
	return func(r approval.Review) bool {
		return slices.Contains(c.stopped[change.Path], r.ID) ||
			c.bindings.CanApprove(c.members[r.Reviewer.ID], change.Operation, scopeOf(change)).Allowed
	}
}

// stopped are the reviews that have stopped changes of the pull request, by path.
func (j *Judge) stopped(ctx context.Context, number int, reviews []approval.Review) (map[string][]int64, error) {
	refuses := func(r approval.Review) bool { return r.State == approval.StateChangesRequested }
	if !slices.ContainsFunc(reviews, refuses) {
		return nil, nil
	}
	rows, err := j.db.Decision.Query().
		Where(decision.VerdictEQ(decision.VerdictReject), decision.HasTicketWith(ticket.PullRequest(number))).WithTicket().All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read who stopped changes of #%d: %w", number, err)
	}
	out := map[string][]int64{}
	for _, d := range rows {
		out[d.Edges.Ticket.Path] = append(out[d.Edges.Ticket.Path], d.ReviewID)
	}
	return out, nil
}

func (c *council) mayLift(r approval.Reviewer) bool {
	return c.bindings.CanDismiss(c.members[r.ID]).Allowed
}
