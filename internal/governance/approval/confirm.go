package approval

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/confirmation"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/store"
)

// Confirmed is somebody's word that a deletion is meant, as it stands in a command.
type Confirmed struct {
	PullRequest   int
	Path, Subject string
	Environment   domain.Environment
	Digest        string // of the change, whole
	By            audit.Actor
	Command       uuid.UUID
	At            time.Time // the forge's clock
}

// Confirm keeps a confirmation. The same command confirms once.
func (g *Gateway) Confirm(ctx context.Context, c Confirmed) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		merged, err := lockPull(ctx, tx, c.PullRequest)
		if err != nil || merged {
			return err
		}
		seen, err := tx.Confirmation.Query().Where(confirmation.CommandID(c.Command), confirmation.Path(c.Path)).Exist(ctx)
		if err != nil || seen {
			return err
		}
		err = tx.Confirmation.Create().SetPullRequest(c.PullRequest).SetPath(c.Path).SetSubject(c.Subject).SetChangeDigest(c.Digest).
			SetPersonID(c.By.ID).SetPersonLogin(c.By.Login).SetCommandID(c.Command).SetAt(c.At).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep the confirmation of %s: %w", c.Subject, err)
		}
		return audit.Append(ctx, tx, audit.Entry{
			Action: audit.DeletionConfirmed, Actor: c.By, Subject: c.Subject, Environment: string(c.Environment), PullRequest: c.PullRequest,
			Params: map[string]any{"path": c.Path, "digest": c.Digest},
		})
	})
}

// Hold keeps the bot from merging a pull request by itself, or lets it again.
func (g *Gateway) Hold(ctx context.Context, number int, by audit.Actor, hold bool) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if merged, err := lockPull(ctx, tx, number); err != nil || merged {
			return err
		}
		update, action := tx.PullRequest.UpdateOneID(number), audit.HoldPlaced
		if hold {
			update.SetHeldBy(by.ID).SetHeldByLogin(by.Login).SetHeldAt(g.now())
		} else {
			update.SetHeldBy(0).SetHeldByLogin("").ClearHeldAt()
			action = audit.HoldReleased
		}
		if err := update.Exec(ctx); err != nil {
			return fmt.Errorf("hold #%d: %w", number, err)
		}
		if err := audit.Append(ctx, tx, audit.Entry{Action: action, Actor: by, PullRequest: number}); err != nil {
			return err
		}
		return g.tell(ctx, tx, number)
	})
}
