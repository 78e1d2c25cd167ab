package bot

import (
	"context"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/push"
	"kv-shepherd.io/shepherd/ent/review"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// council is all that the decisions on one pull request depend on, besides its tickets: the reviews,
// who sent them, and who made the changes.
type council struct {
	reviews  []approval.Review
	report   judge.Report
	bindings *policy.Bindings
	members  map[int64]policy.Person // the reviewers, with their teams
	made     map[string]*contribution
	epoch    time.Time
	grace    time.Duration
}

// submitted are the identities that the pull request has open tickets for.
func (j *Judge) submitted(ctx context.Context, number int) ([]spec.Ref, error) {
	rows, err := j.db.Ticket.Query().Where(ticket.PullRequest(number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).
		Select(ticket.FieldPath).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tickets of #%d: %w", number, err)
	}
	var out []spec.Ref
	for _, row := range rows {
		if ref, _, problems := spec.ParsePath(row.Path); !problems.Blocking() {
			out = append(out, ref)
		}
	}
	return out, nil
}

// convene gathers the council. The forge is asked for the reviews always, for the commits only where an
// approval could count.
func (j *Judge) convene(ctx context.Context, pull forge.PullRequest, h heads, report judge.Report, in judge.Input) (*council, error) {
	c := &council{report: report, bindings: in.Bindings, members: map[int64]policy.Person{}, made: map[string]*contribution{}, grace: j.settings.Grace}
	if len(report.Changes) == 0 {
		return c, nil
	}
	row, err := j.db.PullRequest.Get(ctx, pull.Number)
	if err != nil && !ent.IsNotFound(err) {
		return nil, fmt.Errorf("read #%d: %w", pull.Number, err)
	}
	if err == nil && row.Epoch != nil {
		c.epoch = *row.Epoch
	}
	if c.reviews, err = j.reviews(ctx, pull); err != nil {
		return nil, err
	}
	if err := j.seat(ctx, c); err != nil {
		return nil, err
	}
	for _, r := range approval.Latest(c.reviews, c.epoch) {
		if r.State == approval.StateApproved {
			pushers, err := j.pushers(ctx, pull, h, in.Files)
			if err != nil {
				return nil, err
			}
			c.made, err = j.contributions(ctx, pull, h, report, pushers)
			return c, err
		}
	}
	return c, nil
}

// reviews joins what the forge lists now with what was seen when each review came in.
func (j *Judge) reviews(ctx context.Context, pull forge.PullRequest) ([]approval.Review, error) {
	listed, err := j.forge.Reviews(ctx, pull.Number)
	if err != nil {
		return nil, fmt.Errorf("read the reviews: %w", err)
	}
	rows, err := j.db.Review.Query().Where(review.PullRequest(pull.Number)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the reviews of #%d: %w", pull.Number, err)
	}
	seen := map[int64]*ent.Review{}
	for _, row := range rows {
		seen[row.ID] = row
	}
	moves, err := j.db.Push.Query().Where(push.PullRequest(pull.Number)).Order(ent.Asc(push.FieldAt)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the pushes to #%d: %w", pull.Number, err)
	}
	var out []approval.Review
	for _, r := range listed {
		out = append(out, asSeen(r, seen[r.ID], moves, pull.HeadSHA))
	}
	return out, nil
}

// asSeen trusts the first sight for what the forge may rewrite, and the forge for whether the review
// still stands.
func asSeen(r forge.Review, row *ent.Review, moves []*ent.Push, head string) approval.Review {
	out := approval.Review{
		ID: r.ID, Reviewer: approval.Reviewer{ID: r.Author.ID, Login: r.Author.Login, Bot: r.Author.Bot},
		State: approval.State(r.State), SubmittedAt: r.SubmittedAt, Text: r.Body, Withdrawn: r.State == forge.Dismissed,
	}
	if row == nil {
		out.CommitSHA = headAt(r, moves, head)
		if out.Withdrawn {
			// What it said is lost. As the last word of its author it takes back what went before.
			out.State = approval.StateChangesRequested
		}
		return out
	}
	out.State, out.CommitSHA, out.Text, out.SubmittedAt = approval.State(row.State), row.CommitSha, row.Body, row.SubmittedAt
	if out.CommitSHA == "" {
		out.CommitSHA = headAt(r, moves, head)
	}
	if r.State == forge.Dismissed && row.DismissedByForge {
		out.Withdrawn = false
	}
	return out
}

// headAt is the head at the moment of a review that no webhook told of: from the pushes that were
// seen. Without any, the forge's word is taken only where it names the head that there is.
func headAt(r forge.Review, moves []*ent.Push, head string) string {
	if len(moves) == 0 {
		if r.CommitSHA == head {
			return head
		}
		return ""
	}
	at := moves[0].Before
	for _, m := range moves {
		if !m.At.After(r.SubmittedAt) {
			at = m.After
		}
	}
	return at
}

// seat looks the reviewers up, in the teams that any of the changes asks about.
func (j *Judge) seat(ctx context.Context, c *council) error {
	for _, r := range c.reviews {
		if _, ok := c.members[r.Reviewer.ID]; ok || r.State == approval.State(forge.Commented) {
			continue
		}
		who := forge.Person{ID: r.Reviewer.ID, Login: r.Reviewer.Login, Bot: r.Reviewer.Bot}
		var asks []policy.Ask
		for _, change := range c.report.Changes {
			plain := policy.Person{ID: who.ID, Login: who.Login, Bot: who.Bot}
			asks = append(asks, change.Requirement.Ask(plain, scopeOf(change)))
		}
		member, err := j.people.Resolve(ctx, who, c.bindings.TeamsNeeded(asks...))
		if err != nil {
			return err
		}
		c.members[who.ID] = member
	}
	return nil
}

func scopeOf(c judge.Change) policy.Scope {
	return policy.Scope{System: c.Ref.System, Environment: c.Environment}
}

func (c *council) mayApprove(change judge.Change) func(approval.Reviewer) (bool, string) {
	return func(r approval.Reviewer) (bool, string) {
		d := policy.Eligible(c.bindings, c.members[r.ID], change.Requirement, scopeOf(change))
		return d.Allowed, d.Why
	}
}

func (c *council) mayVeto(change judge.Change) func(approval.Reviewer) bool {
	return func(r approval.Reviewer) bool {
		return c.bindings.CanApprove(c.members[r.ID], change.Operation, scopeOf(change)).Allowed
	}
}

// vetoed names the changes that somebody who may approve them has asked to be changed.
func (c *council) vetoed() map[string]bool {
	out := map[string]bool{}
	for _, change := range c.report.Changes {
		for _, r := range approval.Latest(c.reviews, c.epoch) {
			if r.State == approval.StateChangesRequested && change.Requirement.Approvals > 0 && c.mayVeto(change)(r.Reviewer) {
				out[change.Path] = true
			}
		}
	}
	return out
}

// decide weighs the reviews for every open ticket of the pull request and writes the outcomes down. It
// returns them by path, for those who have to be told why a review does not count.
func (j *Judge) decide(ctx context.Context, number int, c *council) (map[string]approval.Outcome, error) {
	tickets, err := j.db.Ticket.Query().
		Where(ticket.PullRequest(number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED), ticket.HasEventWith(event.StatusEQ(event.StatusPENDING))).
		WithPlan(func(q *ent.PlanQuery) { q.WithHeads() }).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tickets of #%d: %w", number, err)
	}
	out := map[string]approval.Outcome{}
	var all []approval.Decided
	for _, t := range tickets {
		change, ok := c.report.Change(t.Path)
		if !ok || change.Digest != t.ChangeDigest || change.Problems.Blocking() {
			continue
		}
		plans, err := j.db.Plan.Query().Where(plan.PullRequest(number), plan.Path(t.Path), plan.PublishedAtNotNil()).
			Select(plan.FieldID, plan.FieldPublishedAt).All(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the plans of %s: %w", t.Path, err)
		}
		outcome := approval.Weigh(c.caseOf(t, change, plans), c.reviews)
		out[t.Path] = outcome
		all = append(all, approval.Decided{Ticket: t.ID, Path: t.Path, Plan: t.PlanID, Outcome: outcome})
	}
	return out, j.gateway.Decide(ctx, number, all)
}

func (c *council) caseOf(t *ent.Ticket, change judge.Change, plans []*ent.Plan) approval.Case {
	out := approval.Case{
		Required: change.Requirement.Approvals, Plan: t.PlanID,
		MayApprove: c.mayApprove(change), MayVeto: c.mayVeto(change),
		Epoch: c.epoch, Grace: c.grace, Opened: t.CreatedAt,
	}
	if made := c.made[t.Path]; made != nil {
		out.Contributors, out.Unattributed = made.people, made.unattributed
	}
	if p := t.Edges.Plan; p != nil {
		if p.PublishedAt != nil {
			out.PublishedAt = *p.PublishedAt
		}
		for _, h := range p.Edges.Heads {
			out.Heads = append(out.Heads, h.Sha)
		}
	}
	for _, p := range plans {
		out.Plans = append(out.Plans, approval.PublishedPlan{ID: p.ID, At: *p.PublishedAt})
	}
	return out
}
