package bot

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	entcommand "kv-shepherd.io/shepherd/ent/command"
	"kv-shepherd.io/shepherd/ent/delivery"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/push"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// Repository says which branch of which repository is governed.
type Repository struct {
	ID     int64
	Branch string
}

// Router turns stored webhooks into observations and wishes.
type Router struct {
	db    *store.DB
	queue *jobs.Queue
	parse func(event string, body []byte) (forge.Event, error)
	repo  Repository
	self  forge.Person
	now   func() time.Time
}

// NewRouter gives the router; self is the bot's own account, whose comments are its own business.
func NewRouter(db *store.DB, queue *jobs.Queue, parse func(string, []byte) (forge.Event, error), repo Repository, self forge.Person, now func() time.Time) *Router {
	return &Router{db: db, queue: queue, parse: parse, repo: repo, self: self, now: now}
}

// Route handles one stored delivery. A second time changes nothing.
func (r *Router) Route(ctx context.Context, args jobs.RouteDelivery) error {
	return r.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.Delivery.Query().Where(delivery.ID(args.DeliveryID)).ForUpdate().Only(ctx)
		if ent.IsNotFound(err) {
			return jobs.Never(fmt.Errorf("delivery %s is gone", args.DeliveryID))
		}
		if err != nil {
			return fmt.Errorf("read delivery %s: %w", args.DeliveryID, err)
		}
		if d.Status != delivery.StatusReceived {
			return nil
		}
		status, outcome, err := r.act(ctx, tx, d)
		if err != nil {
			return err
		}
		if err := tx.Delivery.UpdateOne(d).SetStatus(status).SetOutcome(outcome).Exec(ctx); err != nil {
			return fmt.Errorf("close delivery %s: %w", d.ID, err)
		}
		return nil
	})
}

// act does what a delivery asks for. What it says counts for nothing but where to look; only what the
// forge may rewrite later is kept.
func (r *Router) act(ctx context.Context, tx *store.Tx, d *ent.Delivery) (delivery.Status, string, error) {
	ignored := func(why string) (delivery.Status, string, error) { return delivery.StatusIgnored, why, nil }
	e, err := r.parse(d.Event, d.Body)
	if err != nil {
		return ignored("unreadable: " + err.Error())
	}
	if e.Kind == forge.Ignored {
		return ignored("nothing that is acted on")
	}
	if e.Kind == forge.MembershipChanged { // it may be an organisation's, and of no repository
		return delivery.StatusRouted, string(e.Kind) + " " + e.Action, r.joinedOrLeft(ctx, tx, *e.Membership)
	}
	if e.RepositoryID != r.repo.ID {
		return ignored("another repository")
	}
	switch e.Kind {
	case forge.BranchPushed:
		err = r.pushed(ctx, tx, d, e)
	case forge.PullRequestChanged:
		if unmoving[e.Action] {
			return ignored("nothing that is judged")
		}
		err = r.changed(ctx, tx, d, e)
	case forge.ReviewChanged:
		err = r.reviewed(ctx, tx, d, e)
	case forge.CommentChanged:
		return r.commented(ctx, tx, d, e)
	case forge.MergeGroupRequested:
		if e.Group.BaseRef != gitops.BranchRef(r.repo.Branch) {
			return ignored("a group for another branch")
		}
		err = r.queue.Add(ctx, tx.PGX, jobs.CheckMergeGroup{Head: e.Group.HeadSHA, Base: e.Group.BaseSHA})
	case forge.CheckRerequested:
		err = r.askedAgain(ctx, tx, e)
	}
	return delivery.StatusRouted, string(e.Kind) + " " + e.Action, err
}

// joinedOrLeft forgets what was known of memberships, and has those pull requests judged again that were
// judged by it. Where nobody asked about them, nothing depends on them.
func (r *Router) joinedOrLeft(ctx context.Context, tx *store.Tx, m forge.Membership) error {
	known, err := forget(ctx, tx, m)
	if err != nil || !known {
		return err
	}
	return approval.WakeAbout(ctx, tx, r.queue, m.PersonID)
}

// unmoving are the actions on a pull request that change nothing of what is judged: whom somebody asked for
// a review, labels, who works on it. What is not listed is looked at.
var unmoving = map[string]bool{
	"assigned": true, "unassigned": true, "labeled": true, "unlabeled": true, "milestoned": true, "demilestoned": true,
	"review_requested": true, "review_request_removed": true, "locked": true, "unlocked": true, "enqueued": true,
	"auto_merge_enabled": true, "auto_merge_disabled": true,
}

func (r *Router) pushed(ctx context.Context, tx *store.Tx, d *ent.Delivery, e forge.Event) error {
	if err := r.log(ctx, tx, d, *e.Push, 0); err != nil {
		return err
	}
	if e.Push.Ref != gitops.BranchRef(r.repo.Branch) {
		return nil
	}
	return r.queue.Add(ctx, tx.PGX, jobs.WalkBranch{RepositoryID: r.repo.ID})
}

func (r *Router) changed(ctx context.Context, tx *store.Tx, d *ent.Delivery, e forge.Event) error {
	if e.Push != nil {
		if err := r.log(ctx, tx, d, *e.Push, e.PullRequest); err != nil {
			return err
		}
	}
	if e.Merged {
		if err := r.queue.Add(ctx, tx.PGX, jobs.WalkBranch{RepositoryID: r.repo.ID}); err != nil {
			return err
		}
	}
	// The judging may never see it closed, or aiming elsewhere.
	if e.Action == "reopened" || e.Retargeted {
		if err := approval.StartAfresh(ctx, tx, e.PullRequest, cmp.Or(e.At, happened(d))); err != nil {
			return err
		}
	}
	return approval.Want(ctx, tx, r.queue, e.PullRequest)
}

// happened is when the forge had something to tell: a delivery that was lost comes in long after that.
func happened(d *ent.Delivery) time.Time {
	if d.SentAt != nil {
		return *d.SentAt
	}
	return d.ReceivedAt
}

// log keeps who moved a head and when: no forge tells that later. A delivery that comes in once more after it
// was pruned adds nothing.
func (r *Router) log(ctx context.Context, tx *store.Tx, d *ent.Delivery, p forge.Push, number int) error {
	const insert = `insert into pushes (id, delivery_id, ref, pull_request, before, after, forced, pusher_id, pusher_login, at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (delivery_id) do nothing`
	_, err := tx.PGX.Exec(ctx, insert, uuid.Must(uuid.NewV7()), d.ID, p.Ref, number, p.Before, p.After, p.Forced, p.Pusher.ID, p.Pusher.Login, happened(d))
	if err != nil {
		return fmt.Errorf("log the push of %s: %w", p.Ref, err)
	}
	return nil
}

func (r *Router) reviewed(ctx context.Context, tx *store.Tx, d *ent.Delivery, e forge.Event) error {
	v := e.Review
	if v.State == forge.Dismissed {
		if e.Action == "dismissed" { // an edit of a dismissed review is nobody's dismissal
			if err := r.dismissed(ctx, tx, d, e); err != nil {
				return err
			}
		}
		return approval.Want(ctx, tx, r.queue, e.PullRequest)
	}
	const insert = `insert into reviews (id, pull_request, reviewer_id, reviewer_login, reviewer_bot, state, commit_sha, body, submitted_at, delivery_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (id) do nothing`
	_, err := tx.PGX.Exec(ctx, insert, v.ID, e.PullRequest, v.Author.ID, v.Author.Login, v.Author.Bot,
		string(v.State), v.CommitSHA, v.Body, v.SubmittedAt, d.ID)
	if err != nil {
		return fmt.Errorf("keep review %d: %w", v.ID, err)
	}
	said := statement{source: entcommand.SourceReview, id: v.ID, number: e.PullRequest, author: v.Author, body: v.Body, at: v.SubmittedAt, delivery: d.ID}
	if e.Action == "submitted" {
		if _, err := r.heard(ctx, tx, said); err != nil {
			return err
		}
	} else if _, err := noteEdit(ctx, tx, said, e); err != nil {
		return err
	}
	return approval.Want(ctx, tx, r.queue, e.PullRequest)
}

// pushWindow is how close to a push a dismissal by the same person is taken for the forge's own: with
// "dismiss stale approvals" GitHub dismisses in the pusher's name.
const pushWindow = time.Minute

func (r *Router) dismissed(ctx context.Context, tx *store.Tx, d *ent.Delivery, e forge.Event) error {
	if err := r.pushesRouted(ctx, tx, d); err != nil {
		return err
	}
	at := happened(d)
	byForge, err := tx.Push.Query().Where(push.PullRequest(e.PullRequest), push.PusherID(e.Sender.ID),
		push.AtGT(at.Add(-pushWindow)), push.AtLT(at.Add(pushWindow))).Exist(ctx)
	if err != nil {
		return fmt.Errorf("read the pushes to #%d: %w", e.PullRequest, err)
	}
	const update = `update reviews set dismissed_by = $2, dismissed_by_forge = $3, dismissed_by_login = $4 where id = $1 and dismissed_by = 0`
	if _, err := tx.PGX.Exec(ctx, update, e.Review.ID, e.Sender.ID, byForge, e.Sender.Login); err != nil {
		return fmt.Errorf("keep the dismissal of review %d: %w", e.Review.ID, err)
	}
	return nil
}

// pushesRouted asks to wait while a push that came in with a dismissal is not routed yet: jobs run side by
// side, and who dismissed is written down only once.
func (r *Router) pushesRouted(ctx context.Context, tx *store.Tx, d *ent.Delivery) error {
	if r.now().Sub(d.ReceivedAt) > pushWindow {
		return nil // long enough: that push will not be routed any more
	}
	waiting, err := tx.Delivery.Query().Where(delivery.StatusEQ(delivery.StatusReceived), delivery.Event("pull_request"),
		delivery.ReceivedAtGT(d.ReceivedAt.Add(-pushWindow)), delivery.ReceivedAtLTE(d.ReceivedAt.Add(time.Second))).Exist(ctx)
	if err != nil {
		return fmt.Errorf("look for pushes that are not routed yet: %w", err)
	}
	if waiting {
		return jobs.Later(busy, fmt.Errorf("dismissal %s waits for the push that it may come from", d.ID))
	}
	return nil
}

// commented takes what people ask for in comments, and watches over the bot's own: edited or deleted by
// others, it is put right.
func (r *Router) commented(ctx context.Context, tx *store.Tx, d *ent.Delivery, e forge.Event) (delivery.Status, string, error) {
	ours := e.Comment.Author.ID == r.self.ID
	switch {
	case ours && e.Sender.ID != r.self.ID && e.Action != "created":
		return r.restore(ctx, tx, e)
	case ours:
		return delivery.StatusIgnored, "a comment", nil
	}
	said := statement{
		source: entcommand.SourceComment, id: e.Comment.ID, number: e.PullRequest, author: e.Comment.Author,
		body: e.Comment.Body, at: e.Comment.CreatedAt, delivery: d.ID,
	}
	if e.Action != "created" {
		if noted, err := noteEdit(ctx, tx, said, e); noted || err != nil {
			return delivery.StatusRouted, "commands were " + e.Action, err
		}
		return delivery.StatusIgnored, "a comment", nil
	}
	n, err := r.heard(ctx, tx, said)
	if n == 0 {
		return delivery.StatusIgnored, "a comment", err
	}
	return delivery.StatusRouted, fmt.Sprintf("%d commands", n), err
}

func (r *Router) restore(ctx context.Context, tx *store.Tx, e forge.Event) (delivery.Status, string, error) {
	update := tx.PullRequest.Update().Where(pullrequest.ID(e.PullRequest), pullrequest.CommentID(e.Comment.ID)).SetCommentHash("")
	if e.Action == "deleted" {
		update.SetCommentID(0)
	}
	n, err := update.Save(ctx)
	if err != nil {
		return "", "", fmt.Errorf("mark the comment of #%d as changed: %w", e.PullRequest, err)
	}
	if n == 0 {
		return delivery.StatusIgnored, "another comment of ours", nil
	}
	err = audit.Append(ctx, tx, audit.Entry{
		Action: audit.CommentRestored, Actor: audit.Actor{ID: e.Sender.ID, Login: e.Sender.Login}, PullRequest: e.PullRequest,
		Params: map[string]any{"comment": e.Comment.ID, "action": e.Action},
	})
	if err != nil {
		return "", "", err
	}
	return delivery.StatusRouted, "our comment was " + e.Action, approval.Tell(ctx, tx, r.queue, e.PullRequest)
}

// askedAgain forgets what the checks said, so that they are posted anew.
func (r *Router) askedAgain(ctx context.Context, tx *store.Tx, e forge.Event) error {
	rows, err := tx.PullRequest.Query().Where(pullrequest.StateEQ(pullrequest.StateOpen), // nobody waits for the checks of others
		pullrequest.Or(pullrequest.IDIn(e.PullRequests...), pullrequest.HeadSha(e.HeadSHA))).All(ctx)
	if err != nil {
		return fmt.Errorf("read the pull requests of %s: %w", e.HeadSHA, err)
	}
	for _, p := range rows {
		if err := tx.PullRequest.UpdateOne(p).SetValidateHash("").SetApprovalHash("").Exec(ctx); err != nil {
			return fmt.Errorf("forget the checks of #%d: %w", p.ID, err)
		}
		if err := approval.Want(ctx, tx, r.queue, p.ID); err != nil {
			return err
		}
	}
	return nil
}
