package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// manyDropped is from how many dropped top-level fields on a planned spec leaves a warning in the trail.
const manyDropped = 5

// Choice is what an approver chose for one ticket.
type Choice struct {
	Ticket  uuid.UUID
	Planned judge.Planned
	Dropped []string // top-level fields of the request that the planned spec leaves out
}

// Choose keeps what an approver chose for tickets of a pull request, all of it or nothing. The events'
// payloads stay as they were submitted. An approval is lost: nobody has seen the new plan yet. The next
// judging makes it.
func (g *Gateway) Choose(ctx context.Context, number int, choices []Choice, by audit.Actor) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if merged, err := lockPull(ctx, tx, number); err != nil {
			return err
		} else if merged {
			return fmt.Errorf("#%d was merged: %w", number, ErrMoved)
		}
		for _, c := range choices {
			if err := g.choose(ctx, tx, number, c, by); err != nil {
				return err
			}
		}
		return Want(ctx, tx, g.queue, number)
	})
}

func (g *Gateway) choose(ctx context.Context, tx *store.Tx, number int, c Choice, by audit.Actor) error {
	t, err := tx.Ticket.Query().Where(ticket.ID(c.Ticket), ticket.PullRequest(number), ticket.ChangeDigest(c.Planned.For),
		ticket.HasEventWith(event.StatusEQ(event.StatusPENDING))).ForUpdate().Only(ctx)
	if ent.IsNotFound(err) || err == nil && !domain.TicketStatus(t.Status).Open() {
		return fmt.Errorf("ticket %s waits no more: %w", c.Ticket, ErrMoved)
	}
	if err != nil {
		return fmt.Errorf("read ticket %s: %w", c.Ticket, err)
	}
	planned, err := json.Marshal(c.Planned)
	if err != nil {
		return fmt.Errorf("write the plan for %s: %w", t.Subject, err)
	}
	if same(t.Planned, planned) {
		return nil // the command was carried out before, and its end got lost
	}
	var modified map[string]any
	if len(c.Planned.ModifiedSpec) > 0 {
		if err := json.Unmarshal(c.Planned.ModifiedSpec, &modified); err != nil {
			return fmt.Errorf("write the planned spec of %s: %w", t.Subject, err)
		}
	}
	err = g.wait(ctx, tx, t, by.Login+" changed the plan", func(u *ent.TicketUpdate) {
		u.SetPlanned(planned).SetModificationReason(c.Planned.Reason)
		if modified != nil {
			u.SetModifiedSpec(modified)
		} else {
			u.ClearModifiedSpec()
		}
	})
	if err != nil {
		return err
	}
	params := map[string]any{"cluster": c.Planned.Cluster, "storageClass": c.Planned.StorageClass, "templateVersion": c.Planned.TemplateVersion, "reason": c.Planned.Reason}
	if modified != nil {
		params["modifiedSpec"] = modified
	}
	if len(c.Dropped) >= manyDropped {
		params["warning"] = fmt.Sprintf("%d fields of the request are left out", len(c.Dropped))
		params["dropped"] = c.Dropped
	}
	return audit.Append(ctx, tx, entry(t, audit.PlanChanged, by, params))
}

// same reports whether two texts are the same choice: the database keeps JSON by meaning.
func same(kept, wanted json.RawMessage) bool {
	var a, b judge.Planned
	if len(kept) == 0 || json.Unmarshal(kept, &a) != nil || json.Unmarshal(wanted, &b) != nil {
		return false
	}
	left, errA := json.Marshal(a)
	right, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(left, right)
}
