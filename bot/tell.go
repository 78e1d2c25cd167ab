package bot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// tellForge is what telling writes to.
type tellForge interface {
	checkForge
	CreateComment(ctx context.Context, number int, body string) (forge.Posted, error)
	EditComment(ctx context.Context, id int64, body string) (forge.Posted, error)
	FindComment(ctx context.Context, number int, marker string) (id int64, body string, err error)
	RequestReviewers(ctx context.Context, number int, logins, teamSlugs []string) (dropped []string, err error)
}

// Teller says on pull requests what the database holds.
type Teller struct {
	pool     *pgxpool.Pool
	db       *store.DB
	gateway  *approval.Gateway
	forge    tellForge
	grace    time.Duration
	interval time.Duration
	remind   time.Duration
	merges   bool
	queue    *jobs.Queue
	now      func() time.Time
	deploys  *deployments
	record   record
}

// TellerDeps is what a Teller is made of.
type TellerDeps struct {
	Pool    *pgxpool.Pool
	DB      *store.DB
	Gateway *approval.Gateway
	Forge   tellForge
	Grace   time.Duration
	// Interval is the least time between two edits of a comment.
	Interval time.Duration
	// RemindAfter is how long an approval is waited for before people are reminded, once; 0 never.
	RemindAfter time.Duration
	// AutoMerge lets the bot merge what needs nobody's approval and only starts or stops machines.
	AutoMerge bool
	// Deployments is where they are announced; nil: nowhere.
	Deployments deployForge
	Queue       *jobs.Queue
	Now         func() time.Time
	Log         *slog.Logger
}

// NewTeller gives a teller.
func NewTeller(d TellerDeps) *Teller {
	return &Teller{pool: d.Pool, db: d.DB, gateway: d.Gateway, forge: d.Forge, grace: d.Grace,
		interval: d.Interval, remind: d.RemindAfter, merges: d.AutoMerge, queue: d.Queue, now: d.Now,
		deploys: &deployments{forge: d.Deployments, log: d.Log}, record: record{d.DB, d.Now}}
}

// Run tells of one pull request. What is said already is not said again.
func (t *Teller) Run(ctx context.Context, args jobs.TellPullRequest) error {
	return locked(ctx, t.pool, pullLock(args.Number), func(ctx context.Context) error {
		// Cleared first: what happens from now on asks for another telling.
		if err := t.waiting(ctx, args.Number, false); err != nil {
			return err
		}
		err := t.run(ctx, args.Number)
		if jobs.IsLater(err) {
			// This job comes back, and stands for all until then.
			err = errors.Join(err, t.waiting(ctx, args.Number, true))
		}
		if err != nil {
			return fmt.Errorf("tell #%d: %w", args.Number, err)
		}
		return nil
	})
}

// waiting marks whether a tell job waits.
func (t *Teller) waiting(ctx context.Context, number int, waits bool) error {
	err := t.db.PullRequest.Update().Where(pullrequest.ID(number)).SetTelling(waits).Exec(ctx)
	if err != nil {
		return fmt.Errorf("tell #%d: %w", number, err)
	}
	return nil
}

func (t *Teller) run(ctx context.Context, number int) error {
	row, err := t.db.PullRequest.Get(ctx, number)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if row.State != pullrequest.StateOpen {
		if wait := t.tooSoon(row); wait > 0 { // there is nothing to say before, and many machines report at once
			return jobs.Later(wait, errTooSoon)
		}
	}
	v, err := t.view(ctx, row)
	if err != nil {
		return err
	}
	if v.State != comment.Open {
		ctx = forge.News(ctx)
		if err := t.comment(ctx, row, v); err != nil {
			return err
		}
		return errors.Join(t.close(ctx, row, v), t.deploy(ctx, row, v))
	}
	if v.Report.Head != "" {
		if err := t.checks(ctx, row, v); err != nil {
			return err
		}
		if v, err = t.view(ctx, row); err != nil { // the checks have published the plans
			return err
		}
	}
	said := ctx
	if row.CommentID != 0 { // the first comment is how people learn what they can decide; its edits are news
		said = forge.News(ctx)
	}
	err = t.comment(said, row, v)
	if err != nil && !jobs.IsLater(err) {
		return err
	}
	return errors.Join(err, t.after(ctx, row, v)) // what follows does not wait for the next edit
}

// errTooSoon asks to wait with an edit.
var errTooSoon = errors.New("the comment was changed a moment ago")

// after does what follows once people can see where an open pull request stands: those who can decide are
// asked, the author hears of a decision, and what nobody has to decide is merged.
func (t *Teller) after(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	err := t.news(forge.News(ctx), row, v)
	if err != nil && !jobs.IsLater(err) {
		return err
	}
	return errors.Join(err, t.letMerge(ctx, row, v)) // a merge does not wait until there is room for news
}

// news are what people are told of besides the checks and the comment.
func (t *Teller) news(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	if err := t.invite(ctx, row, v); err != nil {
		return err
	}
	if err := t.decided(ctx, row, v); err != nil {
		return err
	}
	return t.reminded(ctx, row, v)
}

// checks posts those that have something new to say. The approval check carries the plans: once the
// forge has accepted it, by the forge's own clock, they are published.
func (t *Teller) checks(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	validate := comment.Validate(v)
	other, err := t.worse(ctx, row, validate, comment.Validate)
	if err != nil {
		return err
	}
	if other != nil {
		validate = comment.Identified(*other)
	}
	if hash := hashOf(validate); hash != row.ValidateHash {
		err := t.record.post(ctx, t.forge, posting{
			key: checkKey(strconv.Itoa(row.ID), validate.Name), check: validate,
			noted: func(ctx context.Context, tx *store.Tx, _ string) error {
				return tx.PullRequest.UpdateOneID(row.ID).SetValidateHash(hash).Exec(ctx)
			},
		})
		if err != nil {
			return err
		}
	}
	check := comment.Approval(v)
	if other, err = t.worse(ctx, row, check, comment.Approval); err != nil {
		return err
	}
	if other != nil { // what is approved here has to stand in it all the same
		check.Conclusion, check.Title, check.Summary = other.Conclusion, other.Title, sameHead(check.Summary)
		check = comment.Identified(check)
	}
	plans, err := t.unpublished(ctx, row.ID, v.Report)
	if err != nil {
		return err
	}
	// A plan that no check has carried needs one, also where it says the same: a pull request that was
	// closed and reopened has new plans.
	hash := hashOf(check)
	if hash == row.ApprovalHash && len(plans) == 0 {
		return nil
	}
	return t.record.post(ctx, t.forge, posting{
		key: checkKey(strconv.Itoa(row.ID), check.Name), check: check,
		then: func(ctx context.Context, posted forge.Posted) error {
			if err := t.gateway.Publish(ctx, row.ID, plans, posted.At); err != nil {
				return err
			}
			if err := t.regroup(ctx, row.ID, check); err != nil {
				return fmt.Errorf("look for groups to check again: %w", err)
			}
			return nil
		},
		noted: func(ctx context.Context, tx *store.Tx, _ string) error {
			return tx.PullRequest.UpdateOneID(row.ID).SetApprovalHash(hash).Exec(ctx)
		},
	})
}

// severity orders conclusions: a commit's check is the worst of the pull requests that have it as head,
// for checks belong to commits.
var severity = map[forge.Conclusion]int{forge.Success: 0, forge.ActionRequired: 1, forge.Failure: 2}

// worse is the check of another pull request with the same head, where it is worse than this one; nil where
// there is none.
func (t *Teller) worse(ctx context.Context, row *ent.PullRequest, check forge.Check, of func(comment.View) forge.Check) (worst *forge.Check, err error) {
	others, err := t.db.PullRequest.Query().Where(pullrequest.HeadSha(row.HeadSha), pullrequest.IDNEQ(row.ID),
		pullrequest.StateEQ(pullrequest.StateOpen), pullrequest.ReportNotNil()).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the pull requests of %s: %w", row.HeadSha, err)
	}
	for _, other := range others {
		v, err := t.view(ctx, other)
		if err != nil {
			return nil, err
		}
		if c := of(v); severity[c.Conclusion] > severity[check.Conclusion] {
			check = c
			c.Title, c.Summary = fmt.Sprintf("#%d has the same head: %s", other.ID, c.Title), sameHead(c.Summary)
			worst = &c
		}
	}
	return worst, nil
}

// sameHead says before a summary why it is not only about one pull request.
func sameHead(summary string) string {
	return "**Two pull requests have the same head, and a commit has one check.** Close one of them, or push a commit to one.\n\n" + summary
}

// comment writes or renews the one comment. A pull request that governs nothing gets none.
func (t *Teller) comment(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	if row.CommentID == 0 && (!v.Report.Governed || v.State == comment.Closed) {
		return nil
	}
	if v.State == comment.Open {
		v.Report.Head = "" // the checks name the commit; the comment stays as it is while its meaning does
	}
	body := comment.Comment(v)
	hash := hashOf(body)
	if hash == row.CommentHash {
		return nil
	}
	if wait := t.tooSoon(row); wait > 0 {
		return jobs.Later(wait, errTooSoon)
	}
	id, err := t.post(ctx, row, body)
	if err != nil {
		return err
	}
	return t.db.PullRequest.UpdateOne(row).SetCommentID(id).SetCommentHash(hash).SetToldAt(t.now()).Exec(ctx)
}

func (t *Teller) tooSoon(row *ent.PullRequest) time.Duration {
	if row.ToldAt == nil || row.CommentHash == "" {
		return 0
	}
	return t.interval - t.now().Sub(*row.ToldAt)
}

// post edits the comment that there is, finds one that a crash made us forget, or writes the first.
func (t *Teller) post(ctx context.Context, row *ent.PullRequest, body string) (int64, error) {
	id := row.CommentID
	if id == 0 {
		found, _, err := t.forge.FindComment(ctx, row.ID, comment.Marker)
		if err != nil && !errors.Is(err, forge.ErrNotFound) {
			return 0, fmt.Errorf("look for our comment: %w", err)
		}
		id = found
	}
	if id != 0 {
		_, err := t.forge.EditComment(ctx, id, body)
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, forge.ErrNotFound) {
			return 0, fmt.Errorf("edit the comment: %w", err)
		}
	}
	posted, err := t.forge.CreateComment(ctx, row.ID, body)
	if err != nil {
		return 0, fmt.Errorf("write the comment: %w", err)
	}
	return posted.ID, nil
}

// close says the last word, once: edits notify nobody.
func (t *Teller) close(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	body, due := comment.Closing(v)
	if !due {
		return nil
	}
	key := fmt.Sprintf("closing:%d", row.ID)
	if v.Retries > 0 {
		key += fmt.Sprintf(":%d", v.Retries) // what was carried out again ends anew
	}
	return t.notice(ctx, key, row.ID, comment.ClosingMark(v), body)
}

// decided lets the author know that a decision is there, once for each.
func (t *Teller) decided(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	body, due := comment.Decided(v)
	if !due {
		return nil
	}
	mark := comment.MarkOf(body)
	return t.notice(ctx, fmt.Sprintf("decided:%d:%s", row.ID, hashOf(mark)), row.ID, mark, body)
}

// notice writes a comment of its own, once, that is found again by its first line.
func (t *Teller) notice(ctx context.Context, key string, number int, mark, body string) error {
	_, err := t.record.once(ctx, deed{
		key: key,
		do: func(ctx context.Context) (string, error) {
			posted, err := t.forge.CreateComment(ctx, number, body)
			return posted.URL, err
		},
		look: func(ctx context.Context) (string, error) {
			_, _, err := t.forge.FindComment(ctx, number, mark)
			return "", err
		},
		wakes: true,
	})
	return err
}

func hashOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return uuid.NewString() // never equal: say it again rather than not at all
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
