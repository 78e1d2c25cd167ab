package approval

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/claim"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// Retried is what became of one failed change that somebody asked to carry out again.
type Retried struct {
	Subject string
	Why     string // why it is not; empty when it is
}

// Retry carries out again what failed of a merged pull request: a new event and ticket with the plan that
// was approved, for the latest event of a VM only. may says which failed tickets the person may retry.
func (g *Gateway) Retry(ctx context.Context, number int, by audit.Actor, may func(*ent.Ticket) string) (out []Retried, err error) {
	err = g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out = nil
		if _, err := lockPull(ctx, tx, number); err != nil {
			return err
		}
		failed, err := tx.Ticket.Query().Where(ticket.PullRequest(number), ticket.StatusEQ(ticket.StatusFAILED)).
			WithEvent().Order(ent.Asc(ticket.FieldCreatedAt)).ForUpdate().All(ctx)
		if err != nil {
			return fmt.Errorf("read what failed of #%d: %w", number, err)
		}
		for _, t := range failed {
			again, err := tx.Event.Query().Where(event.RetryOf(t.EventID)).Exist(ctx)
			if err != nil {
				return fmt.Errorf("look for the retry of %s: %w", t.Subject, err)
			}
			if again {
				continue
			}
			why := may(t)
			if why == "" {
				if why, err = g.retryOne(ctx, tx, t, by); err != nil {
					return err
				}
			}
			out = append(out, Retried{t.Subject, why})
		}
		return g.tell(ctx, tx, number)
	})
	return out, err
}

// retryOne writes the new event. It says why not where the failed one is not the last word on its VM.
func (g *Gateway) retryOne(ctx context.Context, tx *store.Tx, t *ent.Ticket, by audit.Actor) (why string, err error) {
	keys, why, err := claimable(ctx, tx, t)
	if err != nil || why != "" {
		return why, err
	}
	old, cluster, sequence := t.Edges.Event, "", int64(0)
	if domain.Operation(t.Operation).OnCluster() {
		row, err := tx.VM.Query().Where(vm.Path(t.Path)).ForUpdate().Only(ctx)
		if err != nil {
			return "", fmt.Errorf("read vm %s: %w", t.Subject, err)
		}
		if row.Sequence != old.Sequence {
			return "a later change of this VM was merged", nil
		}
		if row, err = tx.VM.UpdateOne(row).AddSequence(1).Save(ctx); err != nil {
			return "", fmt.Errorf("renew vm %s: %w", t.Subject, err)
		}
		cluster, sequence = row.Cluster, row.Sequence
	}
	e, err := tx.Event.Create().SetType(old.Type).SetOperation(old.Operation).SetSubject(old.Subject).SetPath(old.Path).SetPayload(old.Payload).
		SetRequestedBy(old.RequestedBy).SetRequestedByLogin(old.RequestedByLogin).SetPullRequest(old.PullRequest).
		SetStatus(event.StatusPROCESSING).SetSequence(sequence).SetMergeCommit(old.MergeCommit).SetRetryOf(old.ID).SetProcessedAt(g.now()).Save(ctx)
	if err != nil {
		return "", fmt.Errorf("write the event that retries %s: %w", t.Subject, err)
	}
	again, err := retryTicket(ctx, tx, t, e)
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		if err := claimOne(ctx, tx, t.PullRequest, t.Path, key, again.ID); err != nil {
			return "", err
		}
	}
	err = audit.Append(ctx, tx, entry(again, audit.ExecutionRetried, by, map[string]any{"of": old.ID.String()}))
	if err != nil {
		return "", err
	}
	return "", g.queue.Add(ctx, tx.PGX, jobs.EventJob{EventID: e.ID, Cluster: cluster})
}

// claimable are the names that the retry holds again while it runs; another pull request may want them
// by now.
func claimable(ctx context.Context, tx *store.Tx, t *ent.Ticket) (keys []string, why string, err error) {
	ref, _, problems := spec.ParsePath(t.Path)
	if problems.Blocking() {
		return nil, "its path is not valid any more", nil
	}
	keys = judge.ClaimKeys(ref, nil)
	held, err := tx.Claim.Query().Where(claim.IDIn(keys...), claim.PullRequestNEQ(t.PullRequest)).All(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("read the claims on %s: %w", t.Subject, err)
	}
	if len(held) > 0 {
		why = fmt.Sprintf("#%d asks for it by now", held[0].PullRequest)
	}
	return keys, why, nil
}

// retryTicket carries the approval over: the plan is the one that was approved.
func retryTicket(ctx context.Context, tx *store.Tx, t *ent.Ticket, e *ent.Event) (*ent.Ticket, error) {
	create := tx.Ticket.Create().SetEventID(e.ID).SetPlanID(t.PlanID).SetPullRequest(t.PullRequest).
		SetOperation(t.Operation).SetEnvironment(t.Environment).SetPath(t.Path).SetSubject(t.Subject).
		SetSystem(t.System).SetService(t.Service).SetNamespace(t.Namespace).SetInstance(t.Instance).
		SetRequesterID(t.RequesterID).SetRequesterLogin(t.RequesterLogin).SetReason(t.Reason).
		SetChangeDigest(t.ChangeDigest).SetPlannedDigest(t.PlannedDigest).SetStatus(ticket.StatusAPPROVED).
		SetApprovalsRequired(t.ApprovalsRequired).SetSelectedCluster(t.SelectedCluster).SetSelectedStorageClass(t.SelectedStorageClass).
		SetSelectedTemplateVersion(t.SelectedTemplateVersion).SetModificationReason(t.ModificationReason).
		SetDecision("carried out again").SetDecidedBy(t.DecidedBy).SetDecidedByLogin(t.DecidedByLogin).SetNillableDecidedAt(t.DecidedAt)
	if len(t.Verdict) > 0 {
		create.SetVerdict(t.Verdict)
	}
	if len(t.Planned) > 0 {
		create.SetPlanned(t.Planned)
	}
	if t.ModifiedSpec != nil {
		create.SetModifiedSpec(t.ModifiedSpec)
	}
	again, err := create.Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("write the ticket that retries %s: %w", t.Subject, err)
	}
	return again, nil
}
