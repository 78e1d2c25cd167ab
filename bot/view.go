package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/grant"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// view gathers what there is to say about a pull request.
func (t *Teller) view(ctx context.Context, row *ent.PullRequest) (comment.View, error) {
	v := comment.View{
		Number: row.ID, State: comment.State(row.State), Author: row.AuthorLogin, Now: t.now(), Grace: t.grace,
		Retry: "comment /retry here", RemindAfter: t.remind,
	}
	if row.HeldBy != 0 && row.HeldAt != nil {
		v.Held = &comment.Hold{By: row.HeldByLogin, Since: *row.HeldAt}
	}
	report := row.Report
	if v.State == comment.Merged {
		report = row.MergeReport
	}
	if len(report) > 0 {
		if err := json.Unmarshal(report, &v.Report); err != nil {
			return v, fmt.Errorf("read the report on #%d: %w", row.ID, err)
		}
	}
	if v.State == comment.Merged {
		v.Quarantined, v.Report.Problems = v.Report.Problems, nil
		if err := t.undo(ctx, &v); err != nil {
			return v, err
		}
		if err := t.retries(ctx, &v); err != nil {
			return v, err
		}
	}
	outcomes := map[string]approval.Outcome{}
	if len(row.Outcomes) > 0 {
		if err := json.Unmarshal(row.Outcomes, &outcomes); err != nil {
			return v, fmt.Errorf("read the outcomes on #%d: %w", row.ID, err)
		}
	}
	tickets, err := t.tickets(ctx, row.ID)
	if err != nil {
		return v, err
	}
	machines, err := t.machines(ctx, v.Report.Changes)
	if err != nil {
		return v, err
	}
	grants, err := t.grants(ctx, row.ID)
	if err != nil {
		return v, err
	}
	for _, c := range v.Report.Changes {
		r := rowOf(c, tickets[c.Path], outcomes[c.Path], machines[c.Path])
		r.Grant = grants[c.Path]
		v.Rows = append(v.Rows, r)
		waiting(&v, tickets[c.Path], c)
	}
	if v.State == comment.Open {
		return v, t.around(ctx, row, &v)
	}
	return v, nil
}

// around adds what else there is to know of an open pull request: who shares its head, and how far the
// bot has come with merging it.
func (t *Teller) around(ctx context.Context, row *ent.PullRequest, v *comment.View) (err error) {
	v.SameHead, err = t.db.PullRequest.Query().Where(pullrequest.HeadSha(row.HeadSha), pullrequest.HeadShaNEQ(""), pullrequest.IDNEQ(row.ID),
		pullrequest.StateEQ(pullrequest.StateOpen), pullrequest.ReportNotNil()).Order(ent.Asc(pullrequest.FieldID)).IDs(ctx)
	if err != nil {
		return fmt.Errorf("read who shares the head of #%d: %w", row.ID, err)
	}
	const took = `select distinct t.pull_request from tickets t join pull_requests p on p.id = t.pull_request
where p.state = 'open' and t.status = 'CANCELLED' and t.decision like $1 and not exists (
  select 1 from tickets u where u.pull_request = t.pull_request and u.path = t.path and u.created_at > t.created_at) order by 1`
	rows, err := t.pool.Query(ctx, took, fmt.Sprintf(approval.TakenOverBy, row.ID)+",%")
	if err != nil {
		return fmt.Errorf("read from whom #%d took over: %w", row.ID, err)
	}
	if v.TookFrom, err = pgx.CollectRows(rows, pgx.RowTo[int]); err != nil {
		return fmt.Errorf("read from whom #%d took over: %w", row.ID, err)
	}
	if v.AutoMerge = t.merges && v.Report.Automatic; !v.AutoMerge {
		return nil
	}
	e, err := t.db.Effect.Get(ctx, mergeKey(row.ID, v.Report.Head))
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the merge of #%d: %w", row.ID, err)
	}
	if e.Status == effect.StatusFailed {
		v.MergeRefused = e.Result
	}
	return nil
}

// grants are the consoles that a merged pull request opened, by path.
func (t *Teller) grants(ctx context.Context, number int) (map[string]*comment.Grant, error) {
	rows, err := t.db.Grant.Query().Where(grant.PullRequest(number)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the grants of #%d: %w", number, err)
	}
	out := map[string]*comment.Grant{}
	for _, row := range rows {
		out[row.Path] = &comment.Grant{Until: row.ExpiresAt}
	}
	return out, nil
}

// machines are the VMs of the changes, by path.
func (t *Teller) machines(ctx context.Context, changes []judge.Change) (map[string]*ent.VM, error) {
	var paths []string
	for _, c := range changes {
		if !c.Operation.RecordOnly() {
			paths = append(paths, c.Path)
		}
	}
	rows, err := t.db.VM.Query().Where(vm.PathIn(paths...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the VMs: %w", err)
	}
	out := map[string]*ent.VM{}
	for _, row := range rows {
		out[row.Path] = row
	}
	return out, nil
}

// waiting notes since when people are waited for, and for whom.
func waiting(v *comment.View, t *ent.Ticket, c judge.Change) {
	if t == nil || t.Status != ticket.StatusPENDING_APPROVAL || !c.Decides(t.ChangeDigest) {
		return
	}
	if v.WaitingSince.IsZero() || t.CreatedAt.Before(v.WaitingSince) {
		v.WaitingSince = t.CreatedAt
	}
	for _, name := range c.Approvers {
		if !slices.Contains(v.MayApprove, name) {
			v.MayApprove = append(v.MayApprove, name)
		}
	}
}

// retries counts what was carried out again.
func (t *Teller) retries(ctx context.Context, v *comment.View) (err error) {
	v.Retries, err = t.db.Event.Query().Where(event.PullRequest(v.Number), event.RetryOfNotNil()).Count(ctx)
	if err != nil {
		return fmt.Errorf("count the retries of #%d: %w", v.Number, err)
	}
	return nil
}

// undo finds the pull request that takes a quarantined merge back.
func (t *Teller) undo(ctx context.Context, v *comment.View) error {
	if len(v.Quarantined) == 0 {
		return nil
	}
	e, err := t.db.Effect.Get(ctx, undoPrefix+v.Report.Head)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for the undo: %w", err)
	}
	v.Undo, v.Undone = e.Result, e.Status == effect.StatusDone && e.Result == ""
	if v.Undone || v.Undo == "" {
		return nil
	}
	if v.Undone, err = t.db.PullRequest.Query().Where(pullrequest.URL(v.Undo), pullrequest.StateEQ(pullrequest.StateMerged)).Exist(ctx); err != nil || !v.Undone {
		return err
	}
	again, err := t.db.Effect.Query().Where(effect.ID(redoPrefix+v.Report.Head), effect.StatusEQ(effect.StatusDone), effect.ResultNEQ("")).Exist(ctx)
	if again {
		v.Redo = redoBranch(v.Report.Head)
	}
	return err
}

// tickets are the latest of each path.
func (t *Teller) tickets(ctx context.Context, number int) (map[string]*ent.Ticket, error) {
	rows, err := t.db.Ticket.Query().Where(ticket.PullRequest(number)).
		WithPlan(func(q *ent.PlanQuery) { q.Select(plan.FieldID, plan.FieldPublishedAt) }).
		WithEvent(func(q *ent.EventQuery) {
			q.Select(event.FieldID, event.FieldStatus, event.FieldErrorCode, event.FieldErrorMessage, event.FieldSequence)
		}).Order(ent.Asc(ticket.FieldCreatedAt)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tickets of #%d: %w", number, err)
	}
	out := map[string]*ent.Ticket{}
	for _, row := range rows {
		out[row.Path] = row
	}
	return out, nil
}

func rowOf(c judge.Change, tk *ent.Ticket, o approval.Outcome, m *ent.VM) comment.Row {
	r := comment.Row{Change: c, Veto: o.Veto}
	for _, made := range o.Contributors {
		r.Contributors = append(r.Contributors, comment.Contributor{Login: made.Login, How: made.How})
	}
	if o.Veto != nil && o.Veto.Withdrawn {
		r.DismissedBy = o.Veto.WithdrawnBy.Login
	}
	if tk == nil {
		return r
	}
	if tk.Status == ticket.StatusCANCELLED {
		_, _ = fmt.Sscanf(tk.Decision, approval.TakenOverBy, &r.TakenOver)
	}
	if !c.Decides(tk.ChangeDigest) {
		return r
	}
	r.Ticket = &comment.Ticket{
		Status: domain.TicketStatus(tk.Status), Approvals: o.Approvals(), Required: tk.ApprovalsRequired,
		Published: tk.Edges.Plan.PublishedAt != nil, DecidedBy: tk.DecidedByLogin, Decision: tk.Decision,
		Votes: o.Votes, Veto: o.Veto,
	}
	e := tk.Edges.Event
	r.Event = &comment.Event{Status: domain.EventStatus(e.Status), Code: domain.Code(e.ErrorCode), Message: e.ErrorMessage}
	if m != nil {
		r.VM = &comment.VM{
			Status: domain.VMStatus(m.Status), Message: m.StatusMessage, Cluster: m.Cluster, Name: m.Name, Namespace: m.KubernetesNamespace,
			Later:  m.AppliedSequence > e.Sequence && e.Sequence > 0,
			Unseen: m.StatusMessage == "",
		}
	}
	return r
}

// unpublished are the plans in force that no check has carried yet.
func (t *Teller) unpublished(ctx context.Context, number int, report judge.Report) ([]uuid.UUID, error) {
	rows, err := t.db.Ticket.Query().Where(ticket.PullRequest(number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED),
		ticket.HasPlanWith(plan.PublishedAtIsNil())).Select(ticket.FieldPlanID).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the unpublished plans of #%d: %w", number, err)
	}
	var out []uuid.UUID
	for _, row := range rows {
		out = append(out, row.PlanID)
	}
	offers, err := t.gateway.Offers(ctx, number, report)
	if err != nil {
		return nil, err
	}
	for _, o := range offers {
		if o.Plan.PublishedAt == nil {
			out = append(out, o.Plan.ID)
		}
	}
	return out, nil
}
