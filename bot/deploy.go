package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
)

// deployForge is where deployments are announced. Forges that have none have no such driver.
type deployForge interface {
	CreateDeployment(ctx context.Context, d forge.Deployment) (forge.Posted, error)
	FindDeployment(ctx context.Context, sha, environment string) (int64, error)
	CreateDeploymentStatus(ctx context.Context, id int64, s forge.DeploymentStatus) (forge.Posted, error)
	DeploymentStatuses(ctx context.Context, id int64) ([]forge.DeploymentStatus, error)
}

// deployments is how a Teller announces them. They are a courtesy: a forge that refuses them keeps nothing else
// from being told, and is left alone for a while.
type deployments struct {
	forge deployForge // nil: none are announced
	log   *slog.Logger

	mu     sync.Mutex
	warned bool
	until  time.Time
}

// refusedFor is how long nothing is asked of a forge that refused a deployment.
const refusedFor = 10 * time.Minute

// maxStatuses is how often at most something is said of one deployment.
const maxStatuses = 50

// deploy announces what a merged pull request brings to each cluster, and how far it has come.
func (t *Teller) deploy(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	if t.deploys.forge == nil || t.deploys.refused(t.now()) {
		return nil
	}
	link := forge.CommentURL(row.URL, row.CommentID)
	for _, d := range comment.Deployments(v) {
		d.Status.LogURL = link
		err := t.deployOne(ctx, d)
		if errors.Is(err, forge.ErrRefused) || errors.Is(err, forge.ErrNotFound) {
			t.deploys.refuse(ctx, t.now(), err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("announce the deployment to %s: %w", d.Environment, err)
		}
		t.deploys.accepted()
	}
	return nil
}

func (d *deployments) refused(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Before(d.until)
}

// refuse leaves the forge alone, and says so to whoever runs the server: once, until it is well again.
func (d *deployments) refuse(ctx context.Context, now time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = now.Add(refusedFor)
	if d.warned {
		return
	}
	d.warned = true
	d.log.WarnContext(ctx, "the forge takes no deployments from us, everything else is told", "error", err,
		"todo", "give the App the permission deployments: read and write, or set github.deployments: false")
}

func (d *deployments) accepted() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.warned = false
}

// deployOne announces a deployment, once, and what there is new to say of it.
func (t *Teller) deployOne(ctx context.Context, d comment.Deployment) error {
	key := fmt.Sprintf("deployment:%d:%s", d.PullRequest, d.Environment)
	result, err := t.record.once(ctx, deed{
		key: key,
		do: func(ctx context.Context) (string, error) {
			posted, err := t.deploys.forge.CreateDeployment(ctx, d.Deployment)
			return strconv.FormatInt(posted.ID, 10), err
		},
		look: func(ctx context.Context) (string, error) {
			id, err := t.deploys.forge.FindDeployment(ctx, d.SHA, d.Environment)
			return strconv.FormatInt(id, 10), err
		},
	})
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(result, 10, 64)
	if err != nil {
		return fmt.Errorf("read the result of %s: %w", key, err)
	}
	return t.deployStatus(ctx, id, d.Status)
}

// deployStatus says where a deployment stands, unless the forge has that from us already. What is said is numbered, for
// the same may be true again: after a retry. Of a deployment that is under way only its state is news; the comment has
// the rest.
func (t *Teller) deployStatus(ctx context.Context, id int64, s forge.DeploymentStatus) error {
	said, err := t.said(ctx, id)
	if err != nil {
		return err
	}
	note, last := string(s.State)+": "+s.Description, ""
	var open *ent.Effect
	for _, e := range said {
		if open, err = t.settle(ctx, id, e, last, note); err != nil {
			return err
		}
		if e.Status == effect.StatusDone {
			last = e.Note
		}
	}
	state, _, _ := strings.Cut(last, ": ")
	switch {
	case last == note, state == string(s.State) && !s.State.Final(), open == nil && len(said) == maxStatuses:
		return nil
	case open == nil:
		if open, _, err = t.record.intend(ctx, statusKey(id, len(said)+1), note); err != nil {
			return err
		}
	}
	posted, err := t.deploys.forge.CreateDeploymentStatus(ctx, id, s)
	result := strconv.FormatInt(posted.ID, 10)
	if errors.Is(err, forge.ErrNotFound) { // somebody has deleted the deployment: nobody waits for news of it
		result, err = "the deployment is gone", nil
	}
	if err != nil {
		return err
	}
	return t.endStatus(ctx, open, effect.StatusDone, result)
}

func statusKey(id int64, n int) string { return fmt.Sprintf("deployment-status:%d:%d", id, n) }

// said is what was said of a deployment, or was about to be, in order.
func (t *Teller) said(ctx context.Context, id int64) ([]*ent.Effect, error) {
	keys := make([]string, maxStatuses)
	for i := range keys {
		keys[i] = statusKey(id, i+1)
	}
	rows, err := t.db.Effect.Query().Where(effect.IDIn(keys...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what was said of deployment %d: %w", id, err)
	}
	slices.SortFunc(rows, func(a, b *ent.Effect) int { return slices.Index(keys, a.ID) - slices.Index(keys, b.ID) })
	return rows, nil
}

// settle looks for what became of a status whose answer nobody has noted. It returns the effect when it is still
// to be carried out: the forge has not got it, and it is what is to be said now.
func (t *Teller) settle(ctx context.Context, id int64, e *ent.Effect, last, note string) (*ent.Effect, error) {
	if e.Status != effect.StatusIntended {
		return nil, nil
	}
	there, err := t.deploys.forge.DeploymentStatuses(ctx, id)
	if err != nil && !errors.Is(err, forge.ErrNotFound) {
		return nil, err
	}
	for _, s := range there { // newest first; what was said before it ends the search
		if found := string(s.State) + ": " + s.Description; found == e.Note {
			return nil, t.endStatus(ctx, e, effect.StatusDone, strconv.FormatInt(s.ID, 10))
		} else if found == last {
			break
		}
	}
	if e.Note == note {
		return e, nil
	}
	return nil, t.endStatus(ctx, e, effect.StatusFailed, "the forge did not get it, and more has happened since")
}

func (t *Teller) endStatus(ctx context.Context, e *ent.Effect, status effect.Status, result string) error {
	if err := t.record.end(ctx, e.ID, status, result, nil); err != nil {
		return err
	}
	e.Status = status
	return nil
}
