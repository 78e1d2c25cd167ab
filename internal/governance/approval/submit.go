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
	"kv-shepherd.io/shepherd/ent/claim"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/planhead"
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
}

// Submission is a judged pull request.
type Submission struct {
	Pull   Pull
	Judged int64 // the wanted judging that this one answers
	Report judge.Report
	// Vetoed names the paths that somebody who may approve them has refused, and not come round since:
	// a rejected change is not asked for again as it is.
	Vetoed map[string]bool
}

// ErrClaimed says that another pull request took a name between the judging and its submission.
var ErrClaimed = fmt.Errorf("claimed by another pull request: %w", ErrMoved)

// Submit makes the database agree with a judging: tickets whose change moved away are cancelled, those
// whose plan moved wait again, and, where the whole pull request is submittable, new changes get their
// event, ticket, plan and claims. All of it or nothing. No job that changes anything is queued.
func (g *Gateway) Submit(ctx context.Context, s Submission) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
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
		if err := g.submitNew(ctx, tx, s, standing); err != nil {
			return err
		}
		if err := savePull(ctx, tx, s); err != nil {
			return err
		}
		return g.tell(ctx, tx, s.Pull.Number)
	})
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
	case !found || change.Digest != t.ChangeDigest:
		return false, g.end(ctx, tx, t, domain.TicketCancelled, domain.Superseded, "the requested content changed", audit.Actor{})
	case s.Report.Draft, s.Report.Fork:
		return false, g.end(ctx, tx, t, domain.TicketCancelled, domain.Superseded, "the pull request is a draft or comes from a fork", audit.Actor{})
	case change.Problems.Blocking() || change.Plan == nil && !change.Operation.RecordOnly():
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
	err = tx.Ticket.UpdateOne(t).SetVerdict(verdict).SetApprovalsRequired(change.Requirement.Approvals).Exec(ctx)
	if err != nil {
		return true, fmt.Errorf("refresh ticket %s: %w", t.ID, err)
	}
	return true, nil
}

// replan gives the ticket the plan that the change has now, which nobody has approved.
func (g *Gateway) replan(ctx context.Context, tx *store.Tx, s Submission, t *ent.Ticket, c judge.Change) error {
	id, err := writePlan(ctx, tx, s, c)
	if err != nil {
		return err
	}
	return g.wait(ctx, tx, t, "the plan changed", func(u *ent.TicketUpdate) { setPlan(u, id, c) })
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

// submitNew writes what is not there yet, when all of the pull request may be submitted.
func (g *Gateway) submitNew(ctx context.Context, tx *store.Tx, s Submission, standing map[string]*ent.Ticket) error {
	if !s.Report.Submittable() {
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
				return err
			}
			if refused {
				continue
			}
			t, err := g.open(ctx, tx, s, c)
			if err != nil {
				return err
			}
			id = t.ID
		}
		wanted[c.Path] = id
	}
	return claimAll(ctx, tx, s, wanted)
}

// rejected reports whether this very change was refused and the refusal stands.
func rejected(ctx context.Context, tx *store.Tx, s Submission, c judge.Change) (bool, error) {
	if !s.Vetoed[c.Path] {
		return false, nil
	}
	yes, err := tx.Ticket.Query().Where(ticket.PullRequest(s.Pull.Number), ticket.Path(c.Path),
		ticket.ChangeDigest(c.Digest), ticket.StatusEQ(ticket.StatusREJECTED)).Exist(ctx)
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
	t, err := writeTicket(ctx, tx, s, c, e.ID, domain.TicketPending)
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
	e, err := tx.Event.Create().SetType(eventType(c.Operation)).SetOperation(string(c.Operation)).
		SetSubject(c.Subject).SetPath(c.Path).SetPayload(payload).
		SetRequestedBy(pull.Author.ID).SetRequestedByLogin(pull.Author.Login).
		SetPullRequest(pull.Number).SetStatus(eventStatus(status)).Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("write the event of %s: %w", c.Path, err)
	}
	return e, nil
}

func writeTicket(ctx context.Context, tx *store.Tx, s Submission, c judge.Change, eventID uuid.UUID, status domain.TicketStatus) (*ent.Ticket, error) {
	planID, err := writePlan(ctx, tx, s, c)
	if err != nil {
		return nil, err
	}
	verdict, err := json.Marshal(c.Verdict)
	if err != nil {
		return nil, fmt.Errorf("write the verdict on %s: %w", c.Path, err)
	}
	instance := ""
	if c.Ref.Index > 0 {
		instance = c.Ref.Instance()
	}
	t, err := tx.Ticket.Create().SetEventID(eventID).SetPlanID(planID).SetPullRequest(s.Pull.Number).
		SetOperation(string(c.Operation)).SetEnvironment(string(c.Environment)).SetPath(c.Path).SetSubject(c.Subject).
		SetSystem(c.Ref.System).SetService(c.Ref.Service).SetNamespace(c.Ref.Namespace).SetInstance(instance).
		SetRequesterID(s.Pull.Author.ID).SetRequesterLogin(s.Pull.Author.Login).SetReason(c.Reason).
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

// writePlan keeps what would be applied, and that this head has it.
func writePlan(ctx context.Context, tx *store.Tx, s Submission, c judge.Change) (uuid.UUID, error) {
	create := tx.Plan.Create().SetPullRequest(s.Pull.Number).SetPath(c.Path).SetChangeDigest(c.Digest).
		SetEffectiveDigest(effectiveDigest(c))
	if p := c.Plan; p != nil {
		manifests, err := json.Marshal(p.Manifests)
		if err != nil {
			return uuid.Nil, fmt.Errorf("write the manifests of %s: %w", c.Path, err)
		}
		template, err := toMap(p.TemplateSnapshot)
		if err != nil {
			return uuid.Nil, err
		}
		size, err := toMap(p.SizeSnapshot)
		if err != nil {
			return uuid.Nil, err
		}
		create.SetCluster(p.Cluster).SetStorageClass(p.StorageClass).
			SetTemplate(p.Template).SetTemplateVersion(p.TemplateVersion).SetKubernetesNamespace(p.KubernetesNamespace).
			SetTemplateSnapshot(template).SetSizeSnapshot(size).SetManifests(manifests)
	}
	p, err := create.Save(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("write the plan of %s: %w", c.Path, err)
	}
	return p.ID, noteHead(ctx, tx, p.ID, s.Report.Head)
}

func noteHead(ctx context.Context, tx *store.Tx, planID uuid.UUID, head string) error {
	seen, err := tx.PlanHead.Query().Where(planhead.PlanID(planID), planhead.Sha(head)).Exist(ctx)
	if err != nil {
		return fmt.Errorf("read the heads of plan %s: %w", planID, err)
	}
	if seen {
		return nil
	}
	if err := tx.PlanHead.Create().SetPlanID(planID).SetSha(head).Exec(ctx); err != nil {
		return fmt.Errorf("note head %s of plan %s: %w", head, planID, err)
	}
	return nil
}

func setPlan(u *ent.TicketUpdate, id uuid.UUID, c judge.Change) {
	u.SetPlanID(id).SetSelectedCluster(choice(c).Cluster).SetSelectedStorageClass(choice(c).StorageClass).
		SetSelectedTemplateVersion(templateVersion(c)).SetApprovalsRequired(c.Requirement.Approvals)
}

// claimAll makes the pull request's claims those of its changes: claims of changes that are gone are
// released, new ones are written. One that another pull request holds is ErrClaimed.
func claimAll(ctx context.Context, tx *store.Tx, s Submission, wanted map[string]uuid.UUID) error {
	var keys []string
	for _, c := range s.Report.Changes {
		if _, ok := wanted[c.Path]; ok {
			keys = append(keys, c.Claims...)
		}
	}
	number := s.Pull.Number
	if _, err := tx.Claim.Delete().Where(claim.PullRequest(number), claim.IDNotIn(keys...)).Exec(ctx); err != nil {
		return fmt.Errorf("release the claims of #%d: %w", number, err)
	}
	for _, c := range s.Report.Changes {
		owner, ok := wanted[c.Path]
		if !ok {
			continue // refused: it reserves nothing
		}
		for _, key := range c.Claims {
			if err := claimOne(ctx, tx, number, c.Path, key, owner); err != nil {
				return err
			}
		}
	}
	return nil
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
// valid reserves nothing.
func releaseAllBut(ctx context.Context, tx *store.Tx, number int, paths []string) error {
	_, err := tx.Claim.Delete().Where(claim.PullRequest(number), claim.PathNotIn(paths...)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("release the claims of #%d: %w", number, err)
	}
	return nil
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
		SetJudged(s.Judged).SetReport(report).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save the judging of #%d: %w", p.Number, err)
	}
	return nil
}

// Publish notes when the forge accepted the check that carries the plans: from then on an approval can
// accept them. A plan is published once; a second time changes nothing.
func (g *Gateway) Publish(ctx context.Context, number int, plans []uuid.UUID, at time.Time) error {
	if len(plans) == 0 {
		return nil
	}
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Plan.Update().Where(plan.IDIn(plans...), plan.PullRequest(number), plan.PublishedAtIsNil()).
			SetPublishedAt(at).Save(ctx)
		if err != nil {
			return fmt.Errorf("publish the plans of #%d: %w", number, err)
		}
		if n == 0 {
			return nil
		}
		return audit.Append(ctx, tx, audit.Entry{
			Action: audit.PlanPublished, PullRequest: number, Params: map[string]any{"plans": n, "at": at.UTC().Format(time.RFC3339)},
		})
	})
}

func firstMessage(ps domain.Problems) string {
	for _, p := range ps.Sorted() {
		return p.Message
	}
	return "it cannot be planned"
}

func choice(c judge.Change) judge.Choice {
	if c.Plan == nil {
		return judge.Choice{}
	}
	return c.Plan.Choice
}

// effectiveDigest stands for all that would be done. Where recording is all, that is the change itself.
func effectiveDigest(c judge.Change) string {
	if c.Plan == nil {
		return c.Digest
	}
	return c.Plan.EffectiveDigest
}

func templateVersion(c judge.Change) int {
	if c.Plan == nil {
		return 0
	}
	return c.Plan.TemplateVersion
}

func toMap(v any) (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write a snapshot: %w", err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("write a snapshot: %w", err)
	}
	return m, nil
}
