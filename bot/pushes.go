package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/push"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/store"
)

// movement is a head moving and who moved it.
type movement struct {
	before, after gitops.SHA   // before is empty for a new branch
	who           forge.Person // not Known where nobody tells
	at            time.Time
}

// same reports whether two are of one push: the forge tells of it as a push and as a change of the pull request.
func (m movement) same(n movement) bool {
	return m.before == n.before && m.after == n.after && m.who.ID == n.who.ID
}

// movements are the pushes that made a pull request's head, oldest first, each once. Where they do not lead to the head
// without a gap a webhook was lost, and the forge's own record is asked. What that does not tell either somebody has
// pushed who is not known.
func (j *Judge) movements(ctx context.Context, pull forge.PullRequest) ([]movement, error) {
	moves, err := j.pushed(ctx, pull)
	if err != nil || pull.Fork {
		return moves, err // what is pushed to a fork is nobody's concern before it is pushed here
	}
	gap, err := j.gap(ctx, moves, pull)
	if err != nil || gap == "" {
		return moves, err
	}
	if err := j.catchUp(ctx, pull, moves); err != nil {
		return nil, err
	}
	if moves, err = j.pushed(ctx, pull); err != nil {
		return nil, err
	}
	if gap, err = j.gap(ctx, moves, pull); err != nil || gap == "" {
		return moves, err
	}
	return slices.Insert(moves, 0, movement{after: gap}), nil
}

// pushed are the movements that are written down.
func (j *Judge) pushed(ctx context.Context, pull forge.PullRequest) ([]movement, error) {
	mine := push.PullRequest(pull.Number)
	if !pull.Fork {
		mine = push.Or(mine, push.And(push.PullRequest(0), push.Ref(gitops.BranchRef(pull.HeadRef))))
	}
	rows, err := j.db.Push.Query().Where(mine).Order(ent.Asc(push.FieldAt, push.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the pushes to #%d: %w", pull.Number, err)
	}
	var out []movement
	for _, row := range rows {
		m := movement{before: commitOf(row.Before), after: commitOf(row.After), who: forge.Person{ID: row.PusherID, Login: row.PusherLogin}, at: row.At}
		if m.after != "" && !slices.ContainsFunc(out, m.same) {
			out = append(out, m)
		}
	}
	return out, nil
}

// commitOf is empty for the name of no commit.
func commitOf(sha string) gitops.SHA {
	if strings.Trim(sha, "0") == "" {
		return ""
	}
	return gitops.SHA(sha)
}

// gap goes back from the head, push by push, and returns the first commit of which no push is known that made it the
// head; empty when they lead back to a new branch, or to what is on the governed one.
func (j *Judge) gap(ctx context.Context, moves []movement, pull forge.PullRequest) (gitops.SHA, error) {
	left := slices.Clone(moves)
	for at := gitops.SHA(pull.HeadSHA); at != ""; {
		i := lastTo(left, at)
		if i >= 0 {
			at = left[i].before
			left = slices.Delete(left, i, i+1)
			continue
		}
		accepted, err := j.onBranch(ctx, at)
		if err != nil || accepted {
			return "", err
		}
		return at, nil
	}
	return "", nil
}

// lastTo is the last movement to a commit by somebody known; -1 where there is none.
func lastTo(moves []movement, at gitops.SHA) int {
	for i, m := range slices.Backward(moves) {
		if m.after == at && m.who.Known() {
			return i
		}
	}
	return -1
}

// onBranch reports whether the governed branch has a commit.
func (j *Judge) onBranch(ctx context.Context, sha gitops.SHA) (bool, error) {
	tip, err := j.mirror.Branch(j.repo.Branch)
	if err != nil || !j.mirror.Has(sha) {
		return false, err
	}
	return j.mirror.IsAncestor(ctx, sha, tip)
}

// catchUp writes down what the forge remembers of the pushes to a pull request and no webhook told. Where it does not
// say, nothing is.
func (j *Judge) catchUp(ctx context.Context, pull forge.PullRequest, moves []movement) error {
	told, err := j.forge.Movements(ctx, pull.HeadRef)
	if errors.Is(err, forge.ErrNotFound) || errors.Is(err, forge.ErrRefused) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask who pushed to #%d: %w", pull.Number, err)
	}
	return j.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, t := range told {
			m := movement{before: commitOf(t.Before), after: commitOf(t.After), who: t.By}
			if m.after == "" || !t.By.Known() || slices.ContainsFunc(moves, m.same) {
				continue
			}
			const insert = `insert into pushes (id, delivery_id, ref, pull_request, before, after, forced, pusher_id, pusher_login, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (delivery_id) do nothing`
			_, err := tx.PGX.Exec(ctx, insert, uuid.Must(uuid.NewV7()), fmt.Sprintf("activity:%d:%d", t.ID, pull.Number), t.Ref, pull.Number,
				t.Before, t.After, t.Forced, t.By.ID, t.By.Login, t.At)
			if err != nil {
				return fmt.Errorf("log the push of %s: %w", t.Ref, err)
			}
		}
		return nil
	})
}
