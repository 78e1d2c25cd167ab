package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/plan"
	"kv-shepherd.io/shepherd/ent/planhead"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// replan gives the ticket the plan that the change has now, which nobody has approved.
func (g *Gateway) replan(ctx context.Context, tx *store.Tx, s Submission, t *ent.Ticket, c judge.Change) error {
	id, err := writePlan(ctx, tx, s, c)
	if err != nil {
		return err
	}
	if err := g.wait(ctx, tx, t, "the plan changed", func(u *ent.TicketUpdate) { setPlan(u, id, c) }); err != nil {
		return err
	}
	was := t.Edges.Plan
	if c.Plan != nil && (was.Size != c.Plan.Size || was.Disk != c.Plan.Disk || t.PlannedDigest != c.PlannedDigest) {
		return wake(ctx, tx, g.queue, t.PullRequest) // it may take less
	}
	return nil
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
			SetTemplate(p.Template).SetTemplateVersion(p.TemplateVersion).SetSize(p.Size).SetDisk(p.Disk).SetKubernetesNamespace(p.KubernetesNamespace).
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
