package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/repository"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// DeliveryForge is a forge that keeps what it sent. Not every one does.
type DeliveryForge interface {
	Deliveries(ctx context.Context, since time.Time) ([]forge.SentDelivery, error)
	DeliveryBody(ctx context.Context, sent forge.SentDelivery) ([]byte, error)
	Comments(ctx context.Context, since time.Time) ([]forge.PullComment, error)
}

// What a sweep looks at: how long forges keep deliveries, how far before the end of the last sweep it begins, for
// deliveries that were on their way then and clocks that differ, and how many bodies it fetches.
const (
	deliveriesKept  = 72 * time.Hour
	deliveryOverlap = 15 * time.Minute
	fetchesPerSweep = 200
)

// Redeliverer fetches the webhooks that the forge sent and that never came: what was said in them, a
// command, the commit of a review, who pushed, is told by nothing else.
type Redeliverer struct {
	intake  *Intake
	router  *Router
	forge   DeliveryForge
	repo    Repository
	fetches int
	warned  atomic.Bool
}

// NewRedeliverer gives a redeliverer that stores as the intake does, and has the router hear what no delivery tells any
// more; without a forge that keeps deliveries, nil, it does nothing.
func NewRedeliverer(intake *Intake, router *Router, f DeliveryForge, repo Repository) *Redeliverer {
	return &Redeliverer{intake: intake, router: router, forge: f, repo: repo, fetches: fetchesPerSweep}
}

// Run stores every delivery since the last sweep, and at most of the last three days, that is not there: the oldest
// first, as far as one sweep's share of calls goes. Where the forge does not let us see deliveries it says so once.
//
// That the newest are known says nothing of those before: after an outage they came, and the lost ones did not. So it
// is the time up to which nothing is missing that ends the list.
func (r *Redeliverer) Run(ctx context.Context, _ jobs.SweepDeliveries) error {
	if r.forge == nil {
		return nil
	}
	began := r.intake.now()
	since, forgotten, err := r.since(ctx, began)
	if err != nil {
		return err
	}
	if !forgotten.IsZero() {
		if err := r.overhear(ctx, forgotten); err != nil {
			return err
		}
	}
	listed, err := r.forge.Deliveries(ctx, since)
	if errors.Is(err, forge.ErrNotFound) || errors.Is(err, forge.ErrRefused) {
		r.warn(ctx, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep the deliveries: %w", err)
	}
	r.warned.Store(false)
	missing, err := r.missing(ctx, listed)
	if err != nil {
		return err
	}
	left, failed := r.recover(ctx, missing)
	to := began
	if len(left) > 0 {
		to = left[0].SentAt
	}
	err = r.intake.db.Repository.Update().Where(repository.ID(r.repo.ID)).SetDeliveriesSweptTo(to).Exec(ctx)
	if err != nil {
		err = fmt.Errorf("note how far the deliveries were swept: %w", err)
	}
	return errors.Join(failed, err)
}

func (r *Redeliverer) warn(ctx context.Context, err error) {
	if r.warned.Swap(true) {
		return
	}
	r.intake.log.WarnContext(ctx, "the forge does not show which webhooks it sent: one that gets lost stays lost, and the command in it has to be given again",
		"error", err, "fix", "an App: set its webhook's URL and check its private key; a token: let it read the repository's webhooks (classic: admin:repo_hook)")
}

// since is when the list of deliveries has to begin, and, where the forge keeps none any more that far back, from when on
// nothing was heard; zero otherwise.
func (r *Redeliverer) since(ctx context.Context, now time.Time) (since, forgotten time.Time, err error) {
	oldest := now.Add(-deliveriesKept)
	repo, err := r.intake.db.Repository.Get(ctx, r.repo.ID)
	switch {
	case ent.IsNotFound(err): // before the baseline
		return oldest, time.Time{}, nil
	case err != nil:
		return time.Time{}, time.Time{}, fmt.Errorf("read how far the deliveries were swept: %w", err)
	case repo.DeliveriesSweptTo == nil:
		return oldest, time.Time{}, nil
	}
	since = repo.DeliveriesSweptTo.Add(-deliveryOverlap)
	if since.After(oldest) {
		return since, time.Time{}, nil
	}
	return oldest, since, nil
}

// overhear has the router hear the commands in comments since a time. Whose comment was edited is not heard: what it said
// at first nobody knows.
func (r *Redeliverer) overhear(ctx context.Context, since time.Time) error {
	said, err := r.forge.Comments(ctx, since)
	if errors.Is(err, forge.ErrNotFound) || errors.Is(err, forge.ErrRefused) { // what deliveries there are is worth as much without
		r.intake.log.WarnContext(ctx, "webhooks from longer ago than the forge keeps them are lost, and comments cannot be read: commands have to be given again",
			"since", since, "error", err, "fix", "let the App or the token read issues")
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask what was said while nobody listened: %w", err)
	}
	said = slices.DeleteFunc(said, func(c forge.PullComment) bool { return c.Edited || c.CreatedAt.Before(since) })
	commands, err := r.router.Overhear(ctx, said)
	if err != nil {
		return err
	}
	r.intake.log.WarnContext(ctx, "webhooks from longer ago than the forge keeps them are lost; comments were read instead",
		"since", since, "comments", len(said), "commands", commands)
	return nil
}

// missing are those of the listed ones that are not stored, oldest first, each once. What is about another repository
// would be ignored, and is not worth a call.
func (r *Redeliverer) missing(ctx context.Context, listed []forge.SentDelivery) ([]forge.SentDelivery, error) {
	var ids []string
	for _, d := range listed {
		ids = append(ids, d.GUID)
	}
	known := map[string]bool{}
	err := r.intake.db.Rows(ctx, `select id from deliveries where id = any($1)`, []any{ids}, func(rows pgx.Rows) error {
		var id string
		err := rows.Scan(&id)
		known[id] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for deliveries that are known: %w", err)
	}
	slices.SortStableFunc(listed, func(a, b forge.SentDelivery) int {
		return cmp.Or(a.SentAt.Compare(b.SentAt), cmp.Compare(a.ID, b.ID))
	})
	var out []forge.SentDelivery
	for _, d := range listed {
		if known[d.GUID] || d.RepositoryID != 0 && d.RepositoryID != r.repo.ID {
			continue
		}
		known[d.GUID] = true
		out = append(out, d)
	}
	return out, nil
}

// recover fetches and stores, until the share of calls is used up or something fails that may pass. It returns those
// that are left. What the forge will never hand out is passed over.
func (r *Redeliverer) recover(ctx context.Context, missing []forge.SentDelivery) (left []forge.SentDelivery, err error) {
	stored := 0
	defer func() {
		if stored > 0 {
			r.intake.log.WarnContext(ctx, "webhooks that never came were fetched", "deliveries", stored, "left", len(left))
		}
	}()
	for i, d := range missing {
		if i == r.fetches {
			return missing[i:], nil
		}
		// It came over an API call that authenticated the forge to us and us to the forge, so there is no
		// signature to be checked: those are for what anybody could have sent.
		body, err := r.forge.DeliveryBody(ctx, d)
		if errors.Is(err, forge.ErrNotFound) || errors.Is(err, forge.ErrRefused) {
			r.intake.log.WarnContext(ctx, "a webhook that never came cannot be fetched", "delivery", d.GUID, "event", d.Event, "error", err)
			continue
		}
		if err != nil {
			return missing[i:], fmt.Errorf("sweep the deliveries: %w", err)
		}
		fresh, err := r.intake.store(ctx, parcel{id: d.GUID, event: d.Event, body: body, sentAt: &d.SentAt})
		if err != nil {
			return missing[i:], fmt.Errorf("store delivery %s: %w", d.GUID, err)
		}
		if fresh {
			stored++
			r.intake.count("recovered")
		}
	}
	return nil, nil
}
