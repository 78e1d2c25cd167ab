package bot

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/bot/command"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/push"
	"kv-shepherd.io/shepherd/ent/review"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
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
	alike    map[string][]string // path → commits that reviews name and that say the same of it as the head
	stopped  map[string][]int64  // path → reviews that have stopped it
	epoch    time.Time
	grace    time.Duration
}

// submitted are the identities that the pull request has asked for since it was opened or reopened, also where
// it does so no more: a push that was refused does not make the next one a new request.
func (j *Judge) submitted(ctx context.Context, number int) ([]spec.Ref, error) {
	since, err := j.epoch(ctx, number)
	if err != nil {
		return nil, err
	}
	rows, err := j.db.Ticket.Query().Where(ticket.PullRequest(number), ticket.CreatedAtGT(since)).Select(ticket.FieldPath).All(ctx)
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
	if c.alike, err = j.alike(ctx, c.reviews, report, h.head); err != nil {
		return nil, err
	}
	if err := j.seat(ctx, c); err != nil {
		return nil, err
	}
	if c.stopped, err = j.stopped(ctx, pull.Number, c.reviews); err != nil {
		return nil, err
	}
	for _, r := range approval.Latest(c.reviews, c.epoch) {
		if r.State == approval.StateApproved || r.Withdrawn {
			pushers, err := j.pushers(ctx, pull, h, in.Files, in.Planned)
			if err != nil {
				return nil, err
			}
			c.made, err = j.contributions(ctx, pull, h, report, pushers, in.Planned)
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
	return out, j.whoWithdrew(ctx, pull.Number, out)
}

// whoWithdrew asks the forge who dismissed a review whose webhook never came, and what it had said; and whether
// it was a person, where the webhook does not tell.
func (j *Judge) whoWithdrew(ctx context.Context, number int, reviews []approval.Review) error {
	unknown := func(r approval.Review) bool { return r.Withdrawn && r.WithdrawnBy.ID == 0 }
	if !slices.ContainsFunc(reviews, unknown) {
		return nil
	}
	dismissals, err := j.forge.Dismissals(ctx, number)
	if err != nil {
		return fmt.Errorf("read who dismissed reviews: %w", err)
	}
	for i := range reviews {
		r := &reviews[i]
		for _, d := range dismissals {
			if unknown(*r) && d.ReviewID == r.ID {
				r.WithdrawnBy = approval.Reviewer{ID: d.By.ID, Login: d.By.Login, Bot: d.By.Bot}
				r.State = approval.State(d.State)
				r.Withdrawn = d.ByCommit == "" // the forge's own dismissal decides nothing
			}
		}
	}
	return nil
}

// asSeen trusts the first sight for what the forge may rewrite, and the forge for whether the review
// still stands.
func asSeen(r forge.Review, row *ent.Review, moves []*ent.Push, head string) approval.Review {
	out := approval.Review{
		ID: r.ID, Reviewer: approval.Reviewer{ID: r.Author.ID, Login: r.Author.Login, Bot: r.Author.Bot},
		State: approval.State(r.State), SubmittedAt: r.SubmittedAt, Text: r.Body, Withdrawn: r.State == forge.Dismissed,
	}
	if row == nil {
		out.CommitSHA, out.CarriesPlan = headAt(r, moves, head), command.CarriesPlan(r.Body)
		if out.Withdrawn {
			// What it said has to be asked for. As the last word of its author it takes back what went before.
			out.State = approval.StateChangesRequested
		}
		return out
	}
	out.State, out.CommitSHA, out.Text, out.SubmittedAt = approval.State(row.State), row.CommitSha, row.Body, row.SubmittedAt
	out.CarriesPlan = command.CarriesPlan(out.Text)
	if out.CommitSHA == "" {
		out.CommitSHA = headAt(r, moves, head)
	}
	if r.State == forge.Dismissed {
		out.Withdrawn, out.WithdrawnBy = true, approval.Reviewer{ID: row.DismissedBy, Login: row.DismissedByLogin}
		if row.DismissedByForge { // or so it looked, since a push came with it: only the forge knows
			out.WithdrawnBy = approval.Reviewer{}
		}
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

// seat looks the reviewers up, and those who lifted vetoes, in the teams that any of the changes asks
// about. What concerns prod is asked anew.
func (j *Judge) seat(ctx context.Context, c *council) error {
	for _, r := range c.reviews {
		if r.State == approval.State(forge.Commented) {
			continue
		}
		for _, who := range []approval.Reviewer{r.Reviewer, r.WithdrawnBy} {
			if err := j.seatOne(ctx, c, forge.Person{ID: who.ID, Login: who.Login, Bot: who.Bot}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *Judge) seatOne(ctx context.Context, c *council, who forge.Person) error {
	if _, ok := c.members[who.ID]; ok || !who.Known() {
		return nil
	}
	plain, fresh := policy.Person{ID: who.ID, Login: who.Login, Bot: who.Bot}, false
	asks := []policy.Ask{{Person: plain, Permission: policy.PlatformAdmin}}
	for _, change := range c.report.Changes {
		fresh = fresh || change.Environment == domain.Prod || change.Operation == domain.ChangePlatform
		asks = append(asks, change.Requirement.Ask(plain, scopeOf(change)))
	}
	member, err := j.people.Resolve(ctx, who, c.bindings.TeamsNeeded(asks...), fresh)
	if err != nil {
		return err
	}
	c.members[who.ID] = member
	return nil
}

func scopeOf(c judge.Change) policy.Scope {
	return policy.Scope{System: cmp.Or(c.Ref.System, c.System), Environment: c.Environment}
}

func (c *council) mayApprove(change judge.Change) func(approval.Reviewer) (bool, string) {
	return func(r approval.Reviewer) (bool, string) {
		d := policy.Eligible(c.bindings, c.members[r.ID], change.Requirement, scopeOf(change))
		return d.Allowed, d.Why
	}
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
		if !ok || !change.Decides(t.ChangeDigest) || change.Problems.Blocking() {
			continue
		}
		plans, err := j.shown(ctx, number, t.Path)
		if err != nil {
			return nil, err
		}
		outcome := approval.Weigh(c.caseOf(t, change, plans), c.reviews)
		outcome.Contributors = c.made[t.Path].named()
		out[t.Path] = outcome
		all = append(all, approval.Decided{Ticket: t.ID, Path: t.Path, Plan: t.PlanID, Outcome: outcome})
	}
	for _, change := range c.report.Changes {
		if _, weighed := out[change.Path]; !weighed {
			if veto := c.veto(change); veto != nil { // it keeps the change from having a ticket
				all = append(all, approval.Decided{Path: change.Path, Outcome: approval.Outcome{Status: domain.TicketRejected, Veto: veto}})
			}
		}
	}
	return out, j.gateway.Decide(ctx, number, all)
}

// shown are the plans of a path that were ever on show.
func (j *Judge) shown(ctx context.Context, number int, path string) ([]*ent.Plan, error) {
	plans, err := j.db.Plan.Query().Where(plan.PullRequest(number), plan.Path(path), plan.PublishedAtNotNil()).
		Select(plan.FieldID, plan.FieldPublishedAt).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the plans of %s: %w", path, err)
	}
	return plans, nil
}

func (c *council) caseOf(t *ent.Ticket, change judge.Change, plans []*ent.Plan) approval.Case {
	return c.caseAbout(change, t.PlanID, t.Edges.Plan, t.CreatedAt, plans)
}

// caseAbout is what the decision about a plan of a change depends on.
func (c *council) caseAbout(change judge.Change, id uuid.UUID, p *ent.Plan, opened time.Time, plans []*ent.Plan) approval.Case {
	out := approval.Case{
		Required: change.Requirement.Approvals, Plan: id,
		MayApprove: c.mayApprove(change), MayVeto: c.mayVeto(change), MayLift: c.mayLift,
		Epoch: c.epoch, Grace: c.grace, Opened: opened, Heads: slices.Clone(c.alike[change.Path]),
	}
	if made := c.made[change.Path]; made != nil {
		out.Contributors, out.Unattributed = made.people, made.unattributed
	}
	if p != nil {
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
