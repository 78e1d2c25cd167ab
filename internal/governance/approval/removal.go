package approval

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// shownLeft is how many of the machines that keep a service or system from going are named.
const shownLeft = 5

// Remove ends the removal of a service or system: after everything below it that is under way, and only
// when all machines of it are deleted, or at least on their way out with nothing but a finalizer to wait for:
// their names are never used again. Its own name is free then. It returns ErrDone for an event that is
// finished, an error that asks to wait, and a terminal DELETE_RESTRICTED where machines are left.
func (g *Gateway) Remove(ctx context.Context, id uuid.UUID) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w, err := load(ctx, tx, id)
		if err != nil {
			return err
		}
		if w.Event.Status != event.StatusPROCESSING {
			return fmt.Errorf("event %s is %s: %w", id, w.Event.Status, ErrDone)
		}
		below := strings.TrimSuffix(strings.TrimSuffix(w.Event.Path, "service.yaml"), "system.yaml")
		busy, err := tx.Event.Query().Where(event.PathHasPrefix(below), event.IDNEQ(id), event.StatusEQ(event.StatusPROCESSING)).Exist(ctx)
		if err != nil {
			return fmt.Errorf("read what is under way below %s: %w", w.Event.Subject, err)
		}
		if busy {
			return jobs.Later(waitForEarlier, fmt.Errorf("what belongs to %s is still being carried out", w.Event.Subject))
		}
		left, err := tx.VM.Query().Where(vm.PathHasPrefix(below), vm.StatusNotIn(vm.StatusDELETING, vm.StatusDELETED)).Select(vm.FieldName).Strings(ctx)
		if err != nil {
			return fmt.Errorf("read the machines of %s: %w", w.Event.Subject, err)
		}
		if len(left) > 0 {
			return jobs.Never(restricted(w.Event.Path, w.Event.Subject, left))
		}
		if err := g.complete(ctx, tx, w.Ticket, "", nil); err != nil {
			return err
		}
		return g.tell(ctx, tx, w.Event.PullRequest)
	})
}

func restricted(path, subject string, left []string) domain.Problem {
	names := strings.Join(left[:min(len(left), shownLeft)], ", ")
	if len(left) > shownLeft {
		names += ", ..."
	}
	return domain.Problem{
		Code: domain.DeleteRestricted, Severity: domain.Error, Path: path,
		Message: fmt.Sprintf("%d of its virtual machines are still there: %s", len(left), names),
		Hint:    "see why " + subject + "'s machines could not be deleted",
	}
}
