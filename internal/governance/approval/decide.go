package approval

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/decision"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/store"
)

// Decided is the outcome for one ticket and the plan that it was weighed against.
type Decided struct {
	Ticket  uuid.UUID
	Path    string
	Plan    uuid.UUID
	Outcome Outcome
}

// Decide writes outcomes down: who accepted or refused which plan, and where that moves a ticket. A
// ticket whose plan or status moved since it was weighed is left alone; the judging that moved it
// weighs it again. After the merge nothing is decided.
func (g *Gateway) Decide(ctx context.Context, number int, all []Decided) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if merged, err := lockPull(ctx, tx, number); err != nil || merged {
			return err
		}
		moved := false
		for _, d := range all {
			m, err := g.decideOne(ctx, tx, d)
			if err != nil {
				return err
			}
			moved = moved || m
		}
		if moved { // what is refused is free, what waits again can be taken over, what is approved cannot
			if err := wake(ctx, tx, g.queue, number); err != nil {
				return err
			}
		}
		news, err := saveOutcomes(ctx, tx, number, all)
		if err != nil || !moved && !news {
			return err
		}
		return g.tell(ctx, tx, number)
	})
}

// saveOutcomes keeps how the reviews were weighed, for telling, and reports whether that is news.
func saveOutcomes(ctx context.Context, tx *store.Tx, number int, all []Decided) (bool, error) {
	byPath := map[string]Outcome{}
	for _, d := range all {
		byPath[d.Path] = d.Outcome
	}
	data, err := json.Marshal(byPath)
	if err != nil {
		return false, fmt.Errorf("write the outcomes of #%d: %w", number, err)
	}
	// Compared in the database: it holds JSON by meaning, not by bytes.
	const update = `update pull_requests set outcomes = $2::jsonb where id = $1 and outcomes is distinct from $2::jsonb`
	tag, err := tx.PGX.Exec(ctx, update, number, string(data))
	if err != nil {
		return false, fmt.Errorf("save the outcomes of #%d: %w", number, err)
	}
	return tag.RowsAffected() > 0, nil
}

func (g *Gateway) decideOne(ctx context.Context, tx *store.Tx, d Decided) (moved bool, err error) {
	t, err := tx.Ticket.Query().Where(ticket.ID(d.Ticket)).ForUpdate().Only(ctx)
	if ent.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read ticket %s: %w", d.Ticket, err)
	}
	status := domain.TicketStatus(t.Status)
	if !status.Open() || t.PlanID != d.Plan {
		return false, nil
	}
	for _, v := range d.Outcome.Votes {
		if !v.Counts {
			continue
		}
		if err := record(ctx, tx, t, v.Review, decision.VerdictApprove); err != nil {
			return false, err
		}
	}
	if d.Outcome.Status == status {
		return false, nil
	}
	return true, g.settle(ctx, tx, t, d.Outcome)
}

func (g *Gateway) settle(ctx context.Context, tx *store.Tx, t *ent.Ticket, o Outcome) error {
	switch o.Status {
	case domain.TicketApproved:
		return g.approve(ctx, tx, t, o)
	case domain.TicketRejected:
		if err := record(ctx, tx, t, *o.Veto, decision.VerdictReject); err != nil {
			return err
		}
		by := audit.Actor{ID: o.Veto.Reviewer.ID, Login: o.Veto.Reviewer.Login}
		return g.end(ctx, tx, t, domain.TicketRejected, "", o.Veto.Text, by)
	default:
		return g.wait(ctx, tx, t, "an approval no longer counts", nil)
	}
}

func (g *Gateway) approve(ctx context.Context, tx *store.Tx, t *ent.Ticket, o Outcome) error {
	var by audit.Actor
	var who []string
	for _, v := range o.Votes {
		if v.Counts {
			by = audit.Actor{ID: v.Review.Reviewer.ID, Login: v.Review.Reviewer.Login}
			who = append(who, v.Review.Reviewer.Login)
		}
	}
	err := move(ctx, tx, t, domain.TicketApproved, func(u *ent.TicketUpdate) {
		u.SetDecision("").SetDecidedBy(by.ID).SetDecidedByLogin(by.Login).SetDecidedAt(g.now())
	})
	if err != nil {
		return err
	}
	return audit.Append(ctx, tx, entry(t, audit.ApprovalApproved, by, map[string]any{"by": who, "plan": t.PlanID.String()}))
}

// record keeps who said what about which plan, once.
func record(ctx context.Context, tx *store.Tx, t *ent.Ticket, r Review, verdict decision.Verdict) error {
	seen, err := tx.Decision.Query().Where(decision.TicketID(t.ID), decision.PlanID(t.PlanID),
		decision.ReviewID(r.ID), decision.VerdictEQ(verdict)).Exist(ctx)
	if err != nil {
		return fmt.Errorf("read the decisions on ticket %s: %w", t.ID, err)
	}
	if seen {
		return nil
	}
	err = tx.Decision.Create().SetTicketID(t.ID).SetPlanID(t.PlanID).SetReviewID(r.ID).
		SetReviewerID(r.Reviewer.ID).SetReviewerLogin(r.Reviewer.Login).SetVerdict(verdict).SetText(r.Text).Exec(ctx)
	if err != nil {
		return fmt.Errorf("record the decision of %s on ticket %s: %w", r.Reviewer.Login, t.ID, err)
	}
	return nil
}

// StartAfresh makes decisions from before at, a time of the forge's, not count any more. It only moves forward: what
// comes late, a lost delivery or a judging that took its time, takes nothing back.
func StartAfresh(ctx context.Context, tx *store.Tx, number int, at time.Time) error {
	err := tx.PullRequest.Update().Where(pullrequest.ID(number),
		pullrequest.Or(pullrequest.EpochIsNil(), pullrequest.EpochLT(at))).SetEpoch(at).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note that #%d is asked for anew: %w", number, err)
	}
	return nil
}

// Cancel ends every open ticket of a pull request that was closed without a merge, or that no longer
// aims at the governed branch, and frees its claims. One that turns out to be merged is left alone.
func (g *Gateway) Cancel(ctx context.Context, pull Pull, judged int64, why string) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := waiting(ctx, tx, pull.Number); err != nil {
			return err
		}
		if merged, err := lockPull(ctx, tx, pull.Number); err != nil || merged {
			return err
		}
		open, err := openTickets(ctx, tx, pull.Number)
		if err != nil {
			return err
		}
		for _, t := range open {
			if err := g.end(ctx, tx, t, domain.TicketCancelled, "", why, audit.Actor{}); err != nil {
				return err
			}
		}
		if _, err := releaseAllBut(ctx, tx, pull.Number, nil); err != nil {
			return err
		}
		if err := wake(ctx, tx, g.queue, pull.Number); err != nil {
			return err
		}
		err = tx.PullRequest.UpdateOneID(pull.Number).SetState(pullrequest.State(pull.State)).SetBaseRef(pull.BaseRef).
			SetJudged(judged).SetAsOf(pull.UpdatedAt).ClearReport().Exec(ctx)
		if err != nil {
			return fmt.Errorf("close #%d: %w", pull.Number, err)
		}
		if err := StartAfresh(ctx, tx, pull.Number, cmp.Or(pull.UpdatedAt, g.now())); err != nil {
			return err
		}
		return g.tell(ctx, tx, pull.Number)
	})
}
