package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
)

// Work is what a worker needs to carry an event out: everything was decided before.
type Work struct {
	Event     *ent.Event
	Ticket    *ent.Ticket
	Plan      *ent.Plan
	VM        *ent.VM
	PullURL   string
	Manifests []render.Manifest
}

// ErrDone says that there is nothing left to do for an event.
var ErrDone = errors.New("the event is finished")

// errGone says that there is no such event.
var errGone = errors.New("the event is gone")

// waitForEarlier is how long an event waits before it looks again whether an earlier one of the same
// VM has finished.
const waitForEarlier = 2 * time.Second

// Start opens the execution of an event: it looks whether it is this event's turn and writes down that
// it begins. It returns ErrDone for one that is finished or that came too late, an error that asks to
// wait while an earlier event of the VM runs, and a terminal error when the event is gone. It may be
// called again after a crash.
func (g *Gateway) Start(ctx context.Context, id uuid.UUID) (w Work, err error) {
	late := false
	err = g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if w, err = load(ctx, tx, id); err != nil {
			return err
		}
		if w.Event.Status != event.StatusPROCESSING {
			return fmt.Errorf("event %s is %s: %w", id, w.Event.Status, ErrDone)
		}
		earlier, err := tx.Event.Query().Where(event.Path(w.Event.Path), event.SequenceLT(w.Event.Sequence),
			event.StatusEQ(event.StatusPROCESSING)).Exist(ctx)
		if err != nil {
			return fmt.Errorf("read the earlier events of %s: %w", w.Event.Subject, err)
		}
		if earlier {
			return jobs.Later(waitForEarlier, fmt.Errorf("an earlier event of %s is not finished", w.Event.Subject))
		}
		if w.Manifests, err = manifestsOf(w.Plan); err != nil {
			return jobs.Never(err)
		}
		if late = w.VM.AppliedSequence >= w.Event.Sequence; late {
			return g.supersede(ctx, tx, w)
		}
		return g.begin(ctx, tx, w)
	})
	if err == nil && late {
		err = fmt.Errorf("event %s was superseded: %w", id, ErrDone)
	}
	return w, err
}

func load(ctx context.Context, tx *store.Tx, id uuid.UUID) (Work, error) {
	e, err := tx.Event.Query().Where(event.ID(id)).ForUpdate().Only(ctx)
	if ent.IsNotFound(err) {
		return Work{}, jobs.Never(fmt.Errorf("event %s: %w", id, errGone))
	}
	if err != nil {
		return Work{}, fmt.Errorf("read event %s: %w", id, err)
	}
	t, err := tx.Ticket.Query().Where(ticket.EventID(id)).WithPlan().Only(ctx)
	if err != nil {
		return Work{}, fmt.Errorf("read the ticket of event %s: %w", id, err)
	}
	w := Work{Event: e, Ticket: t, Plan: t.Edges.Plan}
	if !domain.Operation(e.Operation).OnCluster() {
		return w, nil
	}
	w.VM, err = tx.VM.Query().Where(vm.Path(e.Path)).Only(ctx)
	if err != nil {
		return Work{}, fmt.Errorf("read vm %s: %w", e.Subject, err)
	}
	if e.PullRequest > 0 {
		// Only the address: the row also holds its reports, which are large.
		pull, err := tx.PullRequest.Query().Where(pullrequest.ID(e.PullRequest)).Select(pullrequest.FieldURL).Only(ctx)
		if err == nil {
			w.PullURL = pull.URL
		} else if !ent.IsNotFound(err) {
			return Work{}, fmt.Errorf("read #%d: %w", e.PullRequest, err)
		}
	}
	return w, nil
}

// manifestsOf reads what a plan would apply; none for a deletion's.
func manifestsOf(p *ent.Plan) (out []render.Manifest, err error) {
	if len(p.Manifests) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(p.Manifests, &out); err != nil {
		return nil, domain.Problem{
			Code: domain.PlanInvalid, Severity: domain.Error, Path: p.Path,
			Message: fmt.Sprintf("the manifests of plan %s cannot be read", p.ID), Hint: "ask whoever runs Shepherd",
		}
	}
	return out, nil
}

// applyEffect is the unique key of an event's change to a cluster.
func applyEffect(id uuid.UUID) string { return "apply:" + id.String() }

// begin notes the intent before the deed; a second attempt finds it.
func (g *Gateway) begin(ctx context.Context, tx *store.Tx, w Work) error {
	key := applyEffect(w.Event.ID)
	exists, err := tx.Effect.Query().Where(effect.ID(key)).Exist(ctx)
	if err != nil {
		return fmt.Errorf("read effect %s: %w", key, err)
	}
	if exists {
		return nil
	}
	if err := tx.Effect.Create().SetID(key).Exec(ctx); err != nil {
		return fmt.Errorf("note effect %s: %w", key, err)
	}
	return audit.Append(ctx, tx, entry(w.Ticket, audit.ExecutionStarted, audit.Actor{}, map[string]any{
		"cluster": w.VM.Cluster, "plan": w.Plan.ID.String(), "sequence": w.Event.Sequence,
	}))
}

// supersede ends an event that came too late: a later one of the same VM has been applied.
func (g *Gateway) supersede(ctx context.Context, tx *store.Tx, w Work) error {
	const why = "a later change of this VM was applied"
	err := moveEvent(ctx, tx, w.Event.ID, domain.EventProcessing, domain.EventCancelled, func(u *ent.EventUpdate) {
		u.SetErrorCode(string(domain.Superseded)).SetErrorMessage(why).SetFinishedAt(g.now())
	})
	if err != nil {
		return err
	}
	if err := move(ctx, tx, w.Ticket, domain.TicketCancelled, nil); err != nil {
		return err
	}
	if err := g.free(ctx, tx, w.Event); err != nil {
		return err
	}
	err = audit.Append(ctx, tx, entry(w.Ticket, audit.RequestCancelled, audit.Actor{}, map[string]any{"code": string(domain.Superseded), "why": why}))
	if err != nil {
		return err
	}
	return g.tell(ctx, tx, w.Event.PullRequest)
}

// Applied is what the cluster answered.
type Applied struct {
	UID             string
	ResourceVersion string
	Summary         string // one line an object: created, configured, unchanged
	Namespace       string // set when it was created for this, or for an event that did not get to tell
	Note            string // what people should know although all went well
}

// Finish ends an event that the cluster accepted. What becomes of the guest is watched by a job of its
// own. Finishing twice changes nothing.
func (g *Gateway) Finish(ctx context.Context, w Work, a Applied) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := g.now()
		// The event is locked before the ticket, as load does: nobody waits for the other way round.
		e, err := tx.Event.Query().Where(event.ID(w.Event.ID)).WithTicket().ForUpdate().Only(ctx)
		if err != nil {
			return fmt.Errorf("read event %s: %w", w.Event.ID, err)
		}
		if domain.EventStatus(e.Status).Final() {
			return nil
		}
		t := e.Edges.Ticket
		if err := tx.Effect.UpdateOneID(applyEffect(w.Event.ID)).SetStatus(effect.StatusDone).SetResult(a.Summary).SetDoneAt(now).Exec(ctx); err != nil {
			return fmt.Errorf("note the result of event %s: %w", w.Event.ID, err)
		}
		if err := g.tellFormer(ctx, tx, w); err != nil {
			return err
		}
		if err := g.saveApplied(ctx, tx, w, a); err != nil {
			return err
		}
		if a.Namespace != "" {
			if err := g.namespaceMade(ctx, tx, w, t); err != nil {
				return err
			}
		}
		err = g.complete(ctx, tx, t, a.Note, map[string]any{"cluster": w.VM.Cluster, "uid": a.UID, "resourceVersion": a.ResourceVersion, "objects": a.Summary})
		if err != nil {
			return err
		}
		if err := g.queue.Add(ctx, tx.PGX, jobs.VerifyVM{EventID: w.Event.ID, Cluster: w.VM.Cluster}); err != nil {
			return err
		}
		return g.tell(ctx, tx, w.Event.PullRequest)
	})
}

func (g *Gateway) saveApplied(ctx context.Context, tx *store.Tx, w Work, a Applied) error {
	update := tx.VM.UpdateOneID(w.VM.ID).SetAppliedSequence(w.Event.Sequence).SetStatusMessage("") // nobody has looked since
	deleted := w.Event.Operation == string(domain.DeleteVM)
	if !deleted {
		update.SetUID(a.UID).SetAppliedPlan(w.Plan.ID)
	}
	row, err := update.Save(ctx)
	if err != nil {
		return fmt.Errorf("save what was applied to %s: %w", w.VM.Name, err)
	}
	was := domain.VMStatus(row.Status)
	if now := onItsWay(domain.Operation(w.Event.Operation), was); now != was {
		if err := g.observe(ctx, tx, row, now, ""); err != nil {
			return err
		}
	}
	if deleted {
		return nil
	}
	err = tx.VMRevision.Create().SetVMID(w.VM.ID).SetNumber(w.Event.Sequence).SetEventID(w.Event.ID).
		SetPlanID(w.Plan.ID).SetResourceVersion(a.ResourceVersion).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save the revision of %s: %w", w.VM.Name, err)
	}
	return nil
}

// Fail ends an event that could not be carried out, with the reason that people are told. Failing
// twice, or when the event is gone, changes nothing.
func (g *Gateway) Fail(ctx context.Context, id uuid.UUID, p domain.Problem) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := load(ctx, tx, id)
		if errors.Is(err, errGone) {
			return nil
		}
		if err != nil {
			return err
		}
		if w.Event.Status != event.StatusPROCESSING {
			return nil
		}
		message := p.Message
		if p.Hint != "" {
			message += " — " + p.Hint
		}
		err = moveEvent(ctx, tx, id, domain.EventProcessing, domain.EventFailed, func(u *ent.EventUpdate) {
			u.SetErrorCode(string(p.Code)).SetErrorMessage(message).SetFinishedAt(g.now())
		})
		if err != nil {
			return err
		}
		if err := move(ctx, tx, w.Ticket, domain.TicketFailed, nil); err != nil {
			return err
		}
		_, err = tx.Effect.Update().Where(effect.IDIn(applyEffect(id), restartEffect(id)), effect.StatusEQ(effect.StatusIntended)).SetStatus(effect.StatusFailed).SetResult(message).SetDoneAt(g.now()).Save(ctx)
		if err != nil {
			return fmt.Errorf("note the result of event %s: %w", id, err)
		}
		// A machine that was there before goes on as it was.
		if w.VM != nil && w.VM.UID == "" && !ending(domain.VMStatus(w.VM.Status)) {
			if err := g.observe(ctx, tx, w.VM, domain.VMFailed, p.Message); err != nil {
				return err
			}
		}
		if err := g.free(ctx, tx, w.Event); err != nil {
			return err
		}
		err = audit.Append(ctx, tx, entry(w.Ticket, audit.ExecutionFailed, audit.Actor{}, map[string]any{
			"code": string(p.Code), "message": message, "cluster": w.Ticket.SelectedCluster,
		}))
		if err != nil {
			return err
		}
		return g.tell(ctx, tx, w.Event.PullRequest)
	})
}

// Wait notes what an event that is under way waits for, so that people are told: a cluster that does not
// answer, or one that refuses for now. It is no transition; the next attempt goes on.
func (g *Gateway) Wait(ctx context.Context, id uuid.UUID, p domain.Problem) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Event.Update().Where(event.ID(id), event.StatusEQ(event.StatusPROCESSING),
			event.Or(event.ErrorCodeNEQ(string(p.Code)), event.ErrorMessageNEQ(p.Message))).
			SetErrorCode(string(p.Code)).SetErrorMessage(p.Message).Save(ctx)
		if err != nil {
			return fmt.Errorf("note what event %s waits for: %w", id, err)
		}
		if n == 0 {
			return nil
		}
		number, err := tx.Event.Query().Where(event.ID(id)).Select(event.FieldPullRequest).Int(ctx)
		if err != nil {
			return fmt.Errorf("read event %s: %w", id, err)
		}
		return g.tell(ctx, tx, number)
	})
}

// Observe notes what a cluster says of a VM after an event. Only a change is written down and told; once a
// later event was applied, what is seen of the VM is that one's. Whoever waits for room has it where a VM is gone.
func (g *Gateway) Observe(ctx context.Context, eventID uuid.UUID, status domain.VMStatus, message string) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var waits []int
		if status == domain.VMDeleted {
			var err error
			if waits, err = waiting(ctx, tx, 0); err != nil {
				return err
			}
		}
		w, err := load(ctx, tx, eventID)
		if err != nil {
			return err
		}
		// Locked, and read again: the event that was applied meanwhile has the last word.
		if w.VM, err = tx.VM.Query().Where(vm.ID(w.VM.ID)).ForUpdate().Only(ctx); err != nil {
			return fmt.Errorf("read vm %s: %w", w.Event.Subject, err)
		}
		if w.VM.AppliedSequence > w.Event.Sequence {
			return nil
		}
		if domain.VMStatus(w.VM.Status) == status && w.VM.StatusMessage == message {
			return nil
		}
		if err := g.observe(ctx, tx, w.VM, status, message); err != nil {
			return err
		}
		if err := wantAll(ctx, tx, g.queue, waits, false); err != nil {
			return err
		}
		err = audit.Append(ctx, tx, entry(w.Ticket, audit.VMObserved, audit.Actor{}, map[string]any{"status": string(status), "message": message}))
		if err != nil {
			return err
		}
		return g.tell(ctx, tx, w.Event.PullRequest)
	})
}

func (g *Gateway) observe(ctx context.Context, tx *store.Tx, row *ent.VM, status domain.VMStatus, message string) error {
	if err := domain.VMStatus(row.Status).To(status); err != nil {
		return fmt.Errorf("vm %s: %w", row.Name, err)
	}
	if err := tx.VM.UpdateOne(row).SetStatus(vm.Status(status)).SetStatusMessage(message).Exec(ctx); err != nil {
		return fmt.Errorf("note the state of %s: %w", row.Name, err)
	}
	return nil
}
