package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/accepted"
	"kv-shepherd.io/shepherd/ent/confirmation"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/repository"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// Span is a stretch of the governed branch that was compared with what was approved: all commits of
// one merged pull request, or of one push without one.
type Span struct {
	Repository  int64
	From, To    string // the cursor before and after
	Pull        Pull   // Number 0: a push without a pull request
	Merged      []Merged
	Quarantined []Quarantined
	// Redo is set when the span is a merged undo: what it took back can be asked for again.
	Redo *jobs.PrepareRedo
}

// Merged is a change that passed the gate, in the order in which changes build on each other.
type Merged struct {
	Change judge.Change
	Ticket uuid.UUID // Nil: policy asks for no approval
}

// Quarantined is a change of the span that did not pass: nothing of it is applied.
type Quarantined struct {
	Path, Subject string
	Environment   domain.Environment
	Operation     domain.Operation
	Digest        string
	Code          domain.Code
	Message       string
}

// Merge takes one span over: the cursor moves, what passed becomes the accepted state and is queued,
// what did not is written down as quarantined and an undo is queued. All of it or nothing; a span
// that was taken over already is ErrMoved.
func (g *Gateway) Merge(ctx context.Context, s Span) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := moveCursor(ctx, tx, s); err != nil {
			return err
		}
		if _, err := waiting(ctx, tx, s.Pull.Number); err != nil {
			return err
		}
		var queued []river.JobArgs
		for _, m := range s.Merged {
			job, err := g.mergeOne(ctx, tx, s, m)
			if err != nil {
				return fmt.Errorf("merge %s: %w", m.Change.Path, err)
			}
			if job != nil {
				queued = append(queued, job)
			}
		}
		if err := g.quarantine(ctx, tx, s); err != nil {
			return err
		}
		if len(s.Quarantined) > 0 {
			queued = append(queued, jobs.OfferUndo{From: s.From, To: s.To})
		}
		if s.Redo != nil {
			queued = append(queued, *s.Redo)
		}
		if s.Pull.Number > 0 {
			if err := g.endPull(ctx, tx, s); err != nil {
				return err
			}
		}
		if err := movePlatform(ctx, tx, s, g.queue); err != nil { // the others are judged again, not this one
			return err
		}
		if err := wake(ctx, tx, g.queue, s.Pull.Number); err != nil {
			return err
		}
		if err := wakeNear(ctx, tx, g.queue, s); err != nil {
			return err
		}
		return g.queue.AddMany(ctx, tx.PGX, queued)
	})
}

// Absorb closes the books on a pull request whose commits came into the branch with another one's: what
// it brought was settled there, at or before commit. One whose own merge is written down is left alone.
func (g *Gateway) Absorb(ctx context.Context, pull Pull, commit string) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := waiting(ctx, tx, pull.Number); err != nil {
			return err
		}
		if merged, err := lockPull(ctx, tx, pull.Number); err != nil || merged {
			return err
		}
		if err := g.endPull(ctx, tx, Span{To: commit, Pull: pull}); err != nil {
			return err
		}
		return wake(ctx, tx, g.queue, pull.Number)
	})
}

// movePlatform makes the rules of the span's last commit those in force, where the span changes any. That
// commit holds nothing else that is not accepted: the caller has seen to it.
func movePlatform(ctx context.Context, tx *store.Tx, s Span, queue *jobs.Queue) error {
	if !slices.ContainsFunc(s.Merged, func(m Merged) bool { return m.Change.Operation == domain.ChangePlatform }) {
		return nil
	}
	for _, q := range s.Quarantined {
		if q.Operation == domain.ChangePlatform {
			return fmt.Errorf("%s did not pass: a platform moves as a whole", q.Path)
		}
	}
	err := tx.Repository.UpdateOneID(s.Repository).SetPlatformCommit(s.To).Exec(ctx)
	if err != nil {
		return fmt.Errorf("move the platform to %.8s: %w", s.To, err)
	}
	err = audit.Append(ctx, tx, audit.Entry{
		Action: audit.PlatformMoved, Actor: s.Pull.Author, Subject: "platform", PullRequest: s.Pull.Number, Params: map[string]any{"commit": s.To},
	})
	if err != nil {
		return err
	}
	return wakeAll(ctx, tx, queue)
}

func moveCursor(ctx context.Context, tx *store.Tx, s Span) error {
	n, err := tx.Repository.Update().Where(repository.ID(s.Repository), repository.Cursor(s.From)).SetCursor(s.To).Save(ctx)
	if err != nil {
		return fmt.Errorf("move the cursor: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("move the cursor from %.8s: %w", s.From, ErrMoved)
	}
	return nil
}

// mergeOne accepts one change and returns the job that carries it out, nil where recording is all.
func (g *Gateway) mergeOne(ctx context.Context, tx *store.Tx, s Span, m Merged) (river.JobArgs, error) {
	if err := confirmed(ctx, tx, s, m.Change); err != nil {
		return nil, err
	}
	t, err := g.approvedTicket(ctx, tx, s, m)
	if err != nil {
		return nil, err
	}
	if err := accept(ctx, tx, s, m.Change); err != nil {
		return nil, err
	}
	params := map[string]any{"commit": s.To, "digest": m.Change.Digest, "operation": string(m.Change.Operation)}
	if m.Ticket == uuid.Nil {
		params["rule"] = m.Change.Requirement.Rule // what let it through without anybody's approval
	}
	if m.Change.Confirmed != "" {
		params["confirmedBy"] = m.Change.Confirmed
	}
	if err := audit.Append(ctx, tx, entry(t, audit.ChangeAccepted, audit.Actor{}, params)); err != nil {
		return nil, err
	}
	switch op := m.Change.Operation; {
	case op == domain.VNCAccess:
		if err := g.grant(ctx, tx, s, m.Change, t); err != nil {
			return nil, err
		}
		return nil, g.complete(ctx, tx, t, "", nil)
	case op.RecordOnly():
		return nil, g.complete(ctx, tx, t, "", nil)
	case !op.OnCluster():
		return jobs.EventJob{EventID: t.EventID}, nil
	}
	row, err := g.acceptVM(ctx, tx, s, m.Change, t)
	if err != nil {
		return nil, err
	}
	return jobs.EventJob{EventID: t.EventID, Cluster: row.Cluster}, nil
}

// approvedTicket returns the ticket that lets the change through, its event PROCESSING. Where policy
// asks for no approval, event and ticket are written here.
func (g *Gateway) approvedTicket(ctx context.Context, tx *store.Tx, s Span, m Merged) (*ent.Ticket, error) {
	now := g.now()
	begin := func(u *ent.EventUpdate) { u.SetProcessedAt(now).SetMergeCommit(s.To) }
	if m.Ticket == uuid.Nil {
		e, err := writeEvent(ctx, tx, s.Pull, m.Change, domain.EventPending)
		if err != nil {
			return nil, err
		}
		planID, err := writePlan(ctx, tx, Submission{Pull: s.Pull, Report: judge.Report{Head: s.To}}, m.Change)
		if err != nil {
			return nil, err
		}
		t, err := writeTicket(ctx, tx, s.Pull, m.Change, e.ID, planID, domain.TicketApproved)
		if err != nil {
			return nil, err
		}
		return t, moveEvent(ctx, tx, e.ID, domain.EventPending, domain.EventProcessing, begin)
	}
	t, err := tx.Ticket.Query().Where(ticket.ID(m.Ticket)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, fmt.Errorf("read ticket %s: %w", m.Ticket, err)
	}
	agreed := t.ChangeDigest
	if t.PlannedDigest != "" {
		agreed = t.PlannedDigest // git has to say what the plan says
	}
	same := t.PullRequest == s.Pull.Number && t.Path == m.Change.Path && agreed == m.Change.Digest
	if !same || t.Status != ticket.StatusAPPROVED {
		return nil, fmt.Errorf("ticket %s does not approve this: %w", t.ID, ErrMoved)
	}
	return t, moveEvent(ctx, tx, t.EventID, domain.EventPending, domain.EventProcessing, begin)
}

// confirmed looks once more that somebody has confirmed what asks for it, just this.
func confirmed(ctx context.Context, tx *store.Tx, s Span, c judge.Change) error {
	if !c.Requirement.Confirm.Needed() {
		return nil
	}
	yes, err := tx.Confirmation.Query().Where(confirmation.PullRequest(s.Pull.Number), confirmation.Path(c.Path),
		confirmation.ChangeDigest(c.Digest)).Exist(ctx)
	if err != nil {
		return fmt.Errorf("read the confirmations of %s: %w", c.Subject, err)
	}
	if !yes {
		return fmt.Errorf("nobody confirmed the deletion of %s: %w", c.Subject, ErrMoved)
	}
	return nil
}

// accept makes the wanted spec the accepted one, and what is removed is accepted no more. The platform is
// accepted as a commit.
func accept(ctx context.Context, tx *store.Tx, s Span, c judge.Change) error {
	if c.Ref.Platform() {
		return nil
	}
	if c.Wanted == nil {
		if _, err := tx.Accepted.Delete().Where(accepted.ID(c.Path)).Exec(ctx); err != nil {
			return fmt.Errorf("accept the removal of %s: %w", c.Path, err)
		}
		return nil
	}
	name := c.Ref.String()
	switch c.Ref.Kind {
	case spec.KindService:
		name = c.Ref.Service // service names are unique in the fleet
	case spec.KindConsoleAccess:
		name = c.Ref.Name + "/" + c.Ref.Login
	}
	err := tx.Accepted.Create().SetID(c.Path).SetKind(string(c.Ref.Kind)).SetName(name).
		SetSystem(c.Ref.System).SetService(c.Ref.Service).SetNamespace(c.Ref.Namespace).
		SetSpec(c.Wanted).SetDocument(c.Document).SetCommit(s.To).SetPullRequest(s.Pull.Number).
		SetCreatedBy(s.Pull.Author.ID).SetCreatedByLogin(s.Pull.Author.Login).
		OnConflictColumns(accepted.FieldID).Update(func(u *ent.AcceptedUpsert) {
		u.UpdateSpec().UpdateDocument().UpdateCommit().UpdatePullRequest().UpdateAcceptedAt()
	}).Exec(ctx)
	if err != nil {
		return fmt.Errorf("accept %s: %w", c.Path, err)
	}
	return nil
}

// acceptVM makes or renews the VM's row, gives the event its place in the VM's order, and enters the
// index of a new one in the ledger.
func (g *Gateway) acceptVM(ctx context.Context, tx *store.Tx, s Span, c judge.Change, t *ent.Ticket) (*ent.VM, error) {
	row, err := tx.VM.Query().Where(vm.Path(c.Path)).ForUpdate().Only(ctx)
	switch {
	case ent.IsNotFound(err) && c.Operation == domain.CreateVM:
		row, err = createVM(ctx, tx, s, c, t)
		if err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("read the vm: %w", err)
	default:
		update := tx.VM.UpdateOne(row).AddSequence(1)
		if c.Operation != domain.DeleteVM {
			update.SetAcceptedPlan(t.PlanID)
		}
		if row, err = update.Save(ctx); err != nil {
			return nil, fmt.Errorf("renew the vm: %w", err)
		}
	}
	if err := tx.Event.UpdateOneID(t.EventID).SetSequence(row.Sequence).Exec(ctx); err != nil {
		return nil, fmt.Errorf("order event %s: %w", t.EventID, err)
	}
	return row, nil
}

func createVM(ctx context.Context, tx *store.Tx, s Span, c judge.Change, t *ent.Ticket) (*ent.VM, error) {
	if err := holdCluster(ctx, tx, t.SelectedCluster); err != nil {
		return nil, err
	}
	row, err := tx.VM.Create().SetName(c.Ref.VMName()).SetPath(c.Path).
		SetSystem(c.Ref.System).SetService(c.Ref.Service).SetNamespace(c.Ref.Namespace).SetInstance(c.Ref.Instance()).
		SetEnvironment(string(c.Environment)).SetKubernetesNamespace(c.Plan.KubernetesNamespace).
		SetCluster(t.SelectedCluster).SetAcceptedPlan(t.PlanID).SetSequence(1).
		SetCreatedBy(s.Pull.Author.ID).SetCreatedByLogin(s.Pull.Author.Login).Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("write the vm: %w", err)
	}
	if err := tx.InstanceIndex.Create().SetService(c.Ref.Service).SetNumber(c.Ref.Index).SetVM(row.Name).Exec(ctx); err != nil {
		return nil, fmt.Errorf("enter index %d of %s: %w", c.Ref.Index, c.Ref.Service, err)
	}
	return row, nil
}

// holdCluster keeps a cluster from being removed until the VM is there that keeps it. One that was removed since
// the span was judged makes for another judging.
func holdCluster(ctx context.Context, tx *store.Tx, name string) error {
	tag, err := tx.PGX.Exec(ctx, "select from clusters where id = $1 for key share", name)
	if err != nil {
		return fmt.Errorf("hold cluster %s: %w", name, err)
	}
	if tag.RowsAffected() == 0 {
		return jobs.Later(time.Second, fmt.Errorf("cluster %s was removed meanwhile", name))
	}
	return nil
}

// quarantine writes down what was merged without passing the gate.
func (g *Gateway) quarantine(ctx context.Context, tx *store.Tx, s Span) error {
	var entries []audit.Entry
	for _, q := range s.Quarantined {
		action := audit.ChangeQuarantined
		if q.Code == domain.ApprovalBypassed {
			action = audit.ApprovalBypassed
		}
		entries = append(entries, audit.Entry{
			Action: action, Actor: s.Pull.Author, Subject: q.Subject, Environment: string(q.Environment), PullRequest: s.Pull.Number,
			Params: map[string]any{
				"path": q.Path, "code": string(q.Code), "message": q.Message, "commit": s.To, "operation": string(q.Operation), "digest": q.Digest,
			},
		})
	}
	if len(entries) == 0 {
		return nil
	}
	return audit.Append(ctx, tx, entries...)
}

// endPull closes the books on a merged pull request: tickets that did not go through are cancelled, and
// only what is still to be carried out keeps its claims.
func (g *Gateway) endPull(ctx context.Context, tx *store.Tx, s Span) error {
	open, err := openTickets(ctx, tx, s.Pull.Number)
	if err != nil {
		return err
	}
	why := map[string]Quarantined{}
	for _, q := range s.Quarantined {
		why[q.Path] = q
	}
	for _, t := range open {
		q := why[t.Path]
		message := "merged without it: " + q.Message
		if q.Path == "" {
			message = "the pull request was merged without this change"
		}
		if err := g.end(ctx, tx, t, domain.TicketCancelled, q.Code, message, audit.Actor{}); err != nil {
			return err
		}
	}
	if _, err := releaseAllBut(ctx, tx, s.Pull.Number, running(s)); err != nil {
		return err
	}
	outcome, err := json.Marshal(judge.Report{Head: s.To, Governed: len(s.Merged)+len(s.Quarantined) > 0, Changes: changesOf(s), Problems: problemsOf(s)})
	if err != nil {
		return fmt.Errorf("write the report on #%d: %w", s.Pull.Number, err)
	}
	// The row may be missing where no webhook ever told of the pull request.
	err = tx.PullRequest.Create().SetID(s.Pull.Number).SetTitle(s.Pull.Title).SetURL(s.Pull.URL).
		SetAuthorID(s.Pull.Author.ID).SetAuthorLogin(s.Pull.Author.Login).SetHeadSha(s.Pull.HeadSHA).SetBaseRef(s.Pull.BaseRef).
		SetState(pullrequest.StateMerged).SetMergeReport(outcome).
		OnConflictColumns(pullrequest.FieldID).Update(func(u *ent.PullRequestUpsert) {
		u.UpdateTitle().UpdateURL().UpdateAuthorID().UpdateAuthorLogin().UpdateState().UpdateMergeReport()
	}).Exec(ctx)
	if err != nil {
		return fmt.Errorf("close #%d: %w", s.Pull.Number, err)
	}
	return g.tell(ctx, tx, s.Pull.Number)
}

// running are the paths of the changes whose events have a job now.
func running(s Span) (paths []string) {
	for _, m := range s.Merged {
		if !m.Change.Operation.RecordOnly() {
			paths = append(paths, m.Change.Path)
		}
	}
	return paths
}

func changesOf(s Span) []judge.Change {
	out := make([]judge.Change, len(s.Merged))
	for i, m := range s.Merged {
		out[i] = m.Change
	}
	return out
}

func problemsOf(s Span) (out domain.Problems) {
	for _, q := range s.Quarantined {
		out = append(out, domain.Problem{Code: q.Code, Severity: domain.Error, Path: q.Path, Message: q.Message})
	}
	return out
}

// complete ends event and ticket well.
func (g *Gateway) complete(ctx context.Context, tx *store.Tx, t *ent.Ticket, note string, params map[string]any) error {
	err := moveEvent(ctx, tx, t.EventID, domain.EventProcessing, domain.EventCompleted, func(u *ent.EventUpdate) {
		u.SetFinishedAt(g.now()).SetErrorCode("").SetErrorMessage(note)
	})
	if err != nil {
		return err
	}
	if err := move(ctx, tx, t, domain.TicketCompleted, nil); err != nil {
		return err
	}
	if err := g.free(ctx, tx, &ent.Event{PullRequest: t.PullRequest, Path: t.Path}); err != nil {
		return err
	}
	return audit.Append(ctx, tx, entry(t, audit.ExecutionCompleted, audit.Actor{}, params))
}
