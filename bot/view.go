package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/plan"
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
	for _, c := range v.Report.Changes {
		v.Rows = append(v.Rows, rowOf(c, tickets[c.Path], outcomes[c.Path], machines[c.Path]))
		waiting(&v, tickets[c.Path], c)
	}
	return v, nil
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
	if t == nil || t.Status != ticket.StatusPENDING_APPROVAL || t.ChangeDigest != c.Digest {
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
	return nil
}

// tickets are the latest of each path.
func (t *Teller) tickets(ctx context.Context, number int) (map[string]*ent.Ticket, error) {
	rows, err := t.db.Ticket.Query().Where(ticket.PullRequest(number)).
		WithPlan(func(q *ent.PlanQuery) { q.Select(plan.FieldID, plan.FieldPublishedAt) }).
		WithEvent(func(q *ent.EventQuery) {
			q.Select(event.FieldID, event.FieldStatus, event.FieldErrorCode, event.FieldErrorMessage)
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
	r := comment.Row{Change: c}
	if tk == nil || tk.ChangeDigest != c.Digest {
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
		}
	}
	return r
}

// unpublished are the plans in force that no check has carried yet.
func (t *Teller) unpublished(ctx context.Context, number int) ([]uuid.UUID, error) {
	rows, err := t.db.Ticket.Query().Where(ticket.PullRequest(number), ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED),
		ticket.HasPlanWith(plan.PublishedAtIsNil())).Select(ticket.FieldPlanID).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the unpublished plans of #%d: %w", number, err)
	}
	var out []uuid.UUID
	for _, row := range rows {
		out = append(out, row.PlanID)
	}
	return out, nil
}
