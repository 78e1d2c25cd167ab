package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// Pull is a pull request as the forge shows it at the time of a judging.
type Pull struct {
	Number  int
	Title   string
	URL     string
	Author  audit.Actor
	HeadSHA string
	BaseRef string
	State   string // open | closed | merged
	Draft   bool
	Fork    bool
	// UpdatedAt is when the forge last saw it change, by the forge's clock, which is also that of the reviews.
	UpdatedAt time.Time
}

// Submission is a judged pull request.
type Submission struct {
	Pull   Pull
	Judged int64 // the wanted judging that this one answers
	Report judge.Report
	// Vetoed names the paths that somebody who may approve them has refused, and not come round since:
	// a rejected change is not asked for again as it is.
	Vetoed map[string]bool
	// Held are the reservations of others that the judging saw, by key. Where one of them is another one by now,
	// the report is about a state that has passed: that is ErrMoved.
	Held map[string]judge.Claim
	// Cursor is how far the governed branch had been taken over when the judging began; empty: that does not matter.
	Cursor string
}

// ErrClaimed says that another pull request took a name between the judging and its submission.
var ErrClaimed = fmt.Errorf("claimed by another pull request: %w", ErrMoved)

// Submit makes the database agree with a judging: tickets whose change moved away are cancelled, those
// whose plan moved wait again, and, where the whole pull request is submittable, new changes get their
// event, ticket, plan and claims. All of it or nothing. No job that changes anything is queued. A judging
// that comes after the merge changes nothing.
func (g *Gateway) Submit(ctx context.Context, s Submission) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		moved, err := movedOn(ctx, tx, s)
		if err != nil {
			return err
		}
		if merged, err := lockWithHolders(ctx, tx, s); err != nil || merged {
			return err
		}
		if err := stillHeld(ctx, tx, s.Held); err != nil {
			return err
		}
		open, err := openTickets(ctx, tx, s.Pull.Number)
		if err != nil {
			return err
		}
		standing := map[string]*ent.Ticket{}
		for _, t := range open {
			kept, err := g.review(ctx, tx, s, t)
			if err != nil {
				return err
			}
			if kept {
				standing[t.Path] = t
			}
		}
		freed, err := g.submitNew(ctx, tx, s, standing)
		if err != nil {
			return err
		}
		if freed || len(standing) < len(open) {
			if err := wake(ctx, tx, g.queue, s.Pull.Number); err != nil {
				return err
			}
		}
		if err := g.tellSharers(ctx, tx, s.Pull.Number); err != nil { // of the head that it had
			return err
		}
		if err := savePull(ctx, tx, s); err != nil {
			return err
		}
		if moved {
			if err := WantInTime(ctx, tx, g.queue, s.Pull.Number); err != nil {
				return err
			}
		}
		return g.tell(ctx, tx, s.Pull.Number)
	})
}

// movedOn reports whether anything was merged since the judging began. Whoever merged it asked those to be judged again
// whose report leans on it, and did not see this report, which is not written yet: it has to be made once more. The row
// is locked first, as a merge does, and kept: until the report is there, nothing is merged.
func movedOn(ctx context.Context, tx *store.Tx, s Submission) (bool, error) {
	if s.Cursor == "" {
		return false, nil
	}
	var cursor string
	err := tx.PGX.QueryRow(ctx, `select cursor from repository for share`).Scan(&cursor)
	if err != nil {
		return false, fmt.Errorf("read how far the branch was followed: %w", err)
	}
	return cursor != s.Cursor, nil
}

// openTickets locks the tickets of a pull request that are undecided or approved and not merged yet.
// Their events are read once the tickets are locked: a merge that was waited for has moved them.
func openTickets(ctx context.Context, tx *store.Tx, number int) ([]*ent.Ticket, error) {
	ts, err := tx.Ticket.Query().
		Where(ticket.PullRequest(number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).
		WithPlan().WithEvent().Order(ent.Asc(ticket.FieldPath)).ForUpdate().All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the open tickets of #%d: %w", number, err)
	}
	return slices.DeleteFunc(ts, func(t *ent.Ticket) bool { return t.Edges.Event.Status != event.StatusPENDING }), nil
}

// review decides what becomes of one open ticket, and reports whether it stands.
func (g *Gateway) review(ctx context.Context, tx *store.Tx, s Submission, t *ent.Ticket) (bool, error) {
	change, found := s.Report.Change(t.Path)
	switch {
	case !found || !change.Decides(t.ChangeDigest):
		return false, g.end(ctx, tx, t, domain.TicketCancelled, domain.Superseded, "the requested content changed", audit.Actor{})
	case s.Report.Draft, s.Report.Fork:
		return false, g.end(ctx, tx, t, domain.TicketCancelled, domain.Superseded, "the pull request is a draft or comes from a fork", audit.Actor{})
	case change.Problems.Blocking() || change.Plan == nil && change.Operation.OnCluster():
		return true, g.wait(ctx, tx, t, "the request is no longer valid: "+firstMessage(change.Problems), nil)
	case effectiveDigest(change) != t.Edges.Plan.EffectiveDigest:
		if err := g.replan(ctx, tx, s, t, change); err != nil {
			return true, err
		}
	default:
		if err := noteHead(ctx, tx, t.PlanID, s.Report.Head); err != nil {
			return true, err
		}
	}
	verdict, err := json.Marshal(change.Verdict)
	if err != nil {
		return true, fmt.Errorf("write the verdict on %s: %w", t.Path, err)
	}
	err = tx.Ticket.UpdateOne(t).SetVerdict(verdict).SetApprovalsRequired(change.Requirement.Approvals).SetPlannedDigest(change.PlannedDigest).Exec(ctx)
	if err != nil {
		return true, fmt.Errorf("refresh ticket %s: %w", t.ID, err)
	}
	return true, nil
}

// wait sends an approved ticket back to be decided again; a waiting one only gets the changes.
func (g *Gateway) wait(ctx context.Context, tx *store.Tx, t *ent.Ticket, why string, change func(*ent.TicketUpdate)) error {
	if t.Status == ticket.StatusAPPROVED {
		err := move(ctx, tx, t, domain.TicketPending, func(u *ent.TicketUpdate) {
			u.SetDecision(why).SetDecidedBy(0).SetDecidedByLogin("").ClearDecidedAt()
			if change != nil {
				change(u)
			}
		})
		if err != nil {
			return err
		}
		if err := wake(ctx, tx, g.queue, t.PullRequest); err != nil { // it can be taken over now
			return err
		}
		return audit.Append(ctx, tx, entry(t, audit.ApprovalWithdrawn, audit.Actor{}, map[string]any{"why": why}))
	}
	if change == nil {
		return nil
	}
	update := tx.Ticket.Update().Where(ticket.ID(t.ID))
	change(update)
	if err := update.Exec(ctx); err != nil {
		return fmt.Errorf("refresh ticket %s: %w", t.ID, err)
	}
	return nil
}

// submitNew writes what is not there yet, when all of the pull request may be submitted. It reports
// whether it gave claims back.
func (g *Gateway) submitNew(ctx context.Context, tx *store.Tx, s Submission, standing map[string]*ent.Ticket) (freed bool, err error) {
	if !s.Report.Submittable() {
		if err := offer(ctx, tx, s, standing); err != nil {
			return false, err
		}
		return releaseAllBut(ctx, tx, s.Pull.Number, slices.Collect(maps.Keys(standing)))
	}
	wanted := map[string]uuid.UUID{}
	for _, c := range s.Report.Changes {
		var id uuid.UUID
		if t := standing[c.Path]; t != nil {
			id = t.ID
		} else if c.Requirement.Approvals > 0 {
			refused, err := rejected(ctx, tx, s, c)
			if err != nil {
				return false, err
			}
			if refused {
				continue
			}
			t, err := g.open(ctx, tx, s, c)
			if err != nil {
				return false, err
			}
			id = t.ID
		}
		wanted[c.Path] = id
	}
	return claimAll(ctx, tx, s, wanted)
}

// rejected reports whether this very change was refused, as asked for or as planned, and the refusal stands.
func rejected(ctx context.Context, tx *store.Tx, s Submission, c judge.Change) (bool, error) {
	if !s.Vetoed[c.Path] {
		return false, nil
	}
	yes, err := tx.Ticket.Query().Where(ticket.PullRequest(s.Pull.Number), ticket.Path(c.Path),
		ticket.Or(ticket.ChangeDigest(c.Digest), ticket.PlannedDigest(c.Digest)), ticket.StatusEQ(ticket.StatusREJECTED)).Exist(ctx)
	if err != nil {
		return false, fmt.Errorf("read the refusals of %s: %w", c.Path, err)
	}
	return yes, nil
}

// open writes event, plan and ticket of one change.
func (g *Gateway) open(ctx context.Context, tx *store.Tx, s Submission, c judge.Change) (*ent.Ticket, error) {
	e, err := writeEvent(ctx, tx, s.Pull, c, domain.EventPending)
	if err != nil {
		return nil, err
	}
	planID, err := planFor(ctx, tx, s, c)
	if err != nil {
		return nil, err
	}
	t, err := writeTicket(ctx, tx, s.Pull, c, e.ID, planID, domain.TicketPending)
	if err != nil {
		return nil, err
	}
	return t, audit.Append(ctx, tx, entry(t, audit.RequestSubmitted, s.Pull.Author, map[string]any{
		"operation": string(c.Operation), "digest": c.Digest, "cluster": choice(c).Cluster, "head": s.Report.Head, "reason": c.Reason,
	}))
}

func writeEvent(ctx context.Context, tx *store.Tx, pull Pull, c judge.Change, status domain.EventStatus) (*ent.Event, error) {
	payload, err := json.Marshal(Payload{
		Operation: c.Operation, Ref: c.Ref, Environment: c.Environment, Accepted: c.Accepted, Wanted: c.Wanted, Digest: c.Digest,
	})
	if err != nil {
		return nil, fmt.Errorf("write the payload of %s: %w", c.Path, err)
	}
	e, err := tx.Event.Create().SetType(domain.EventType(c.Operation)).SetOperation(string(c.Operation)).
		SetSubject(c.Subject).SetPath(c.Path).SetPayload(payload).
		SetRequestedBy(pull.Author.ID).SetRequestedByLogin(pull.Author.Login).
		SetPullRequest(pull.Number).SetStatus(eventStatus(status)).Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("write the event of %s: %w", c.Path, err)
	}
	return e, nil
}

func writeTicket(ctx context.Context, tx *store.Tx, pull Pull, c judge.Change, eventID, planID uuid.UUID, status domain.TicketStatus) (*ent.Ticket, error) {
	verdict, err := json.Marshal(c.Verdict)
	if err != nil {
		return nil, fmt.Errorf("write the verdict on %s: %w", c.Path, err)
	}
	instance := ""
	if c.Ref.Index > 0 {
		instance = c.Ref.Instance()
	}
	t, err := tx.Ticket.Create().SetEventID(eventID).SetPlanID(planID).SetPullRequest(pull.Number).
		SetOperation(string(c.Operation)).SetEnvironment(string(c.Environment)).SetPath(c.Path).SetSubject(c.Subject).
		SetSystem(c.Ref.System).SetService(c.Ref.Service).SetNamespace(c.Ref.Namespace).SetInstance(instance).
		SetRequesterID(pull.Author.ID).SetRequesterLogin(pull.Author.Login).SetReason(c.Reason).
		SetChangeDigest(c.Digest).SetStatus(ticket.Status(status)).
		SetApprovalsRequired(c.Requirement.Approvals).SetVerdict(verdict).
		SetSelectedCluster(choice(c).Cluster).SetSelectedStorageClass(choice(c).StorageClass).
		SetSelectedTemplateVersion(templateVersion(c)).Save(ctx)
	if ent.IsConstraintError(err) { // another pull request has one waiting for this path
		return nil, fmt.Errorf("write the ticket of %s: %w", c.Path, ErrClaimed)
	}
	if err != nil {
		return nil, fmt.Errorf("write the ticket of %s: %w", c.Path, err)
	}
	return t, nil
}

// savePull keeps what was judged. The row exists: routing made it.
func savePull(ctx context.Context, tx *store.Tx, s Submission) error {
	report, err := json.Marshal(s.Report)
	if err != nil {
		return fmt.Errorf("write the report on #%d: %w", s.Pull.Number, err)
	}
	p := s.Pull
	err = tx.PullRequest.UpdateOneID(p.Number).SetTitle(p.Title).SetURL(p.URL).
		SetAuthorID(p.Author.ID).SetAuthorLogin(p.Author.Login).SetHeadSha(p.HeadSHA).SetBaseRef(p.BaseRef).
		SetState(pullrequest.State(p.State)).SetDraft(p.Draft).SetFork(p.Fork).
		SetJudged(s.Judged).SetAsOf(p.UpdatedAt).SetReport(report).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save the judging of #%d: %w", p.Number, err)
	}
	return nil
}

func firstMessage(ps domain.Problems) string {
	for _, p := range ps.Sorted() {
		return p.Message
	}
	return "it cannot be planned"
}
