package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// mergeForge tells which pull request brought a commit into the branch.
type mergeForge interface {
	MergedPullRequest(ctx context.Context, sha, branch string) (number int, err error)
}

// Walker follows the governed branch from the cursor, span by span.
type Walker struct {
	judge *Judge
	forge mergeForge
	log   *slog.Logger
}

// NewWalker gives a walker that judges merges as judge judges pull requests.
func NewWalker(j *Judge, f mergeForge, log *slog.Logger) *Walker {
	return &Walker{judge: j, forge: f, log: log}
}

// stride is how many commits are looked at together.
const stride = 200

// Run follows the branch to its tip. One walker walks at a time.
func (w *Walker) Run(ctx context.Context, args jobs.WalkBranch) error {
	return locked(ctx, w.judge.pool, fmt.Sprintf("walk/%d", args.RepositoryID), w.walk)
}

func (w *Walker) walk(ctx context.Context) error {
	j := w.judge
	repo, err := j.db.Repository.Get(ctx, j.repo.ID)
	if ent.IsNotFound(err) || err == nil && (repo.Cursor == "" || repo.Blocked != "") {
		return nil // no baseline yet, or an administrator has to look first
	}
	if err != nil {
		return fmt.Errorf("read the repository: %w", err)
	}
	if err := j.mirror.Fetch(ctx, gitops.BranchRef(j.repo.Branch)); err != nil {
		return fmt.Errorf("walk: fetch: %w", err)
	}
	tip, err := j.mirror.Branch(j.repo.Branch)
	if err != nil {
		return fmt.Errorf("walk: %w", err)
	}
	for cursor := gitops.SHA(repo.Cursor); cursor != tip; {
		commits, err := j.mirror.FirstParents(ctx, cursor, tip, stride)
		if errors.Is(err, gitops.ErrRewritten) || errors.Is(err, gitops.ErrNoCommit) {
			return w.rewritten(ctx, cursor, tip)
		}
		if err != nil {
			return fmt.Errorf("walk from %s: %w", cursor.Short(), err)
		}
		if cursor, err = w.next(ctx, cursor, commits); err != nil {
			return err
		}
	}
	return nil
}

// rewritten stops the walker until an administrator sets a new baseline.
func (w *Walker) rewritten(ctx context.Context, cursor, tip gitops.SHA) error {
	j := w.judge
	return j.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Repository.UpdateOneID(j.repo.ID).SetBlocked(string(domain.HistoryRewritten)).Exec(ctx); err != nil {
			return fmt.Errorf("stop the walker: %w", err)
		}
		w.log.ErrorContext(ctx, "the governed branch was rewritten; set a new baseline", "cursor", string(cursor), "tip", string(tip))
		return audit.Append(ctx, tx, audit.Entry{
			Action: audit.HistoryRewritten, Subject: j.repo.Branch, Params: map[string]any{"cursor": string(cursor), "tip": string(tip)},
		})
	})
}

// next takes one span off the commits and settles it.
func (w *Walker) next(ctx context.Context, cursor gitops.SHA, commits []gitops.Commit) (gitops.SHA, error) {
	number, err := w.forge.MergedPullRequest(ctx, string(commits[0].SHA), w.judge.repo.Branch)
	if err != nil {
		return "", fmt.Errorf("ask who merged %s: %w", commits[0].SHA.Short(), err)
	}
	if number == 0 {
		return w.pushed(ctx, cursor, commits)
	}
	pull, err := w.judge.forge.PullRequest(ctx, number)
	if err != nil {
		return "", fmt.Errorf("walk #%d: %w", number, err)
	}
	to := spanOf(commits, pull.MergeCommit)
	if err := w.settle(ctx, cursor, to, pull); err != nil {
		return "", fmt.Errorf("walk #%d, %s to %s: %w", number, cursor.Short(), to.Short(), err)
	}
	return to, nil
}

// spanOf is the last commit of a pull request's span: a rebase brings several, the last of which the
// forge names; a merge and a squash bring one.
func spanOf(commits []gitops.Commit, last string) gitops.SHA {
	for _, c := range commits {
		if string(c.SHA) == last {
			return c.SHA
		}
	}
	return commits[0].SHA
}

// pushed settles commits that no pull request brought: all up to the next that one did.
func (w *Walker) pushed(ctx context.Context, cursor gitops.SHA, commits []gitops.Commit) (gitops.SHA, error) {
	to := commits[0].SHA
	for _, c := range commits[1:] {
		number, err := w.forge.MergedPullRequest(ctx, string(c.SHA), w.judge.repo.Branch)
		if err != nil {
			return "", fmt.Errorf("ask who merged %s: %w", c.SHA.Short(), err)
		}
		if number != 0 {
			break
		}
		to = c.SHA
	}
	if err := w.settle(ctx, cursor, to, forge.PullRequest{}); err != nil {
		return "", fmt.Errorf("walk a push, %s to %s: %w", cursor.Short(), to.Short(), err)
	}
	return to, nil
}

// settle holds one span to what was approved: one diff, tree before to tree after.
func (w *Walker) settle(ctx context.Context, from, to gitops.SHA, pull forge.PullRequest) error {
	span := approval.Span{Repository: w.judge.repo.ID, From: string(from), To: string(to), Pull: pullOf(pull)}
	report, err := w.report(ctx, from, to, pull)
	if err != nil {
		return err
	}
	if report.Governed {
		tickets, err := w.tickets(ctx, pull.Number)
		if err != nil {
			return err
		}
		sortOut(&span, report, tickets)
	}
	if span.Redo, err = w.redo(ctx, pull, to); err != nil {
		return err
	}
	if err = w.judge.gateway.Merge(ctx, span); err == nil {
		w.log.InfoContext(ctx, "span settled", "to", string(to), "pr", pull.Number, "merged", len(span.Merged), "quarantined", len(span.Quarantined))
	}
	return err
}

// report judges the span's tree as a pull request is judged, and weighs the reviews that came in before
// the merge once more: their webhooks may still be on their way.
func (w *Walker) report(ctx context.Context, from, to gitops.SHA, pull forge.PullRequest) (judge.Report, error) {
	j := w.judge
	h := heads{base: from, tip: from, head: to}
	files, err := j.files(ctx, h)
	if err != nil || len(files) == 0 {
		return judge.Report{Head: string(to)}, err
	}
	in, err := j.base(ctx, pull.Number, files)
	if err != nil {
		return judge.Report{}, err
	}
	in.Head, in.Fork = string(to), pull.Fork
	for name, facts := range in.World.Clusters {
		facts.Healthy = true // a cluster that is ill for the moment is waited for, not a reason to refuse
		in.World.Clusters[name] = facts
	}
	if err := j.nextPlatform(ctx, &in, h); err != nil {
		return judge.Report{}, err
	}
	if pull.Number == 0 {
		return judge.Judge(in), nil
	}
	if h, err = w.before(ctx, from, pull); err != nil {
		return judge.Report{}, err
	}
	if err := j.request(ctx, &in, pull, h); err != nil {
		return judge.Report{}, err
	}
	in.Rate = judge.Rate{} // what is merged was asked for before
	report := judge.Judge(in)
	if err := w.unasked(ctx, &report, h.head, to); err != nil {
		return judge.Report{}, err
	}
	c, err := j.convene(ctx, pull, h, report, in)
	if err != nil {
		return judge.Report{}, err
	}
	_, err = j.decide(ctx, pull.Number, c)
	return report, err
}

// unasked finds what the merge has otherwise than the pull request: whoever made a merge commit by hand could
// have put anything into it, also what needs no approval. Nobody has asked for that.
func (w *Walker) unasked(ctx context.Context, report *judge.Report, head, to gitops.SHA) error {
	for i := range report.Changes {
		c := &report.Changes[i]
		if c.Problems.Blocking() {
			continue
		}
		asked, err := content(ctx, w.judge.mirror, head, c.Path)
		if err != nil {
			return err
		}
		same := asked == nil && c.Wanted == nil
		if asked != nil && c.Wanted != nil {
			if same, err = w.judge.sameMeaning(ctx, c.Path, head, to); err != nil {
				return err
			}
		}
		if !same {
			c.Problems = append(c.Problems, domain.Problem{
				Code: domain.DigestMismatch, Severity: domain.Error, Path: c.Path, Message: "the merge has something else here than the pull request",
			})
		}
	}
	return nil
}

// before are the commits of the pull request as it was when it was merged.
func (w *Walker) before(ctx context.Context, from gitops.SHA, pull forge.PullRequest) (heads, error) {
	j := w.judge
	head := gitops.SHA(pull.HeadSHA)
	err := j.mirror.Fetch(ctx, gitops.PullRef(pull.Number))
	if err != nil && !errors.Is(err, gitops.ErrNoRef) {
		return heads{}, fmt.Errorf("fetch #%d: %w", pull.Number, err)
	}
	if err := j.mirror.FetchCommits(ctx, head); err != nil {
		return heads{}, fmt.Errorf("fetch head %s: %w", head.Short(), err)
	}
	base, err := j.mirror.MergeBase(ctx, from, head)
	if err != nil {
		return heads{}, fmt.Errorf("find the merge base: %w", err)
	}
	return heads{base: base, tip: from, head: head}, nil
}

// tickets are the open ones of a pull request, by path.
func (w *Walker) tickets(ctx context.Context, number int) (map[string]*ent.Ticket, error) {
	if number == 0 {
		return nil, nil
	}
	rows, err := w.judge.db.Ticket.Query().Where(ticket.PullRequest(number),
		ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).WithPlan().All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tickets of #%d: %w", number, err)
	}
	out := map[string]*ent.Ticket{}
	for _, row := range rows {
		out[row.Path] = row
	}
	return out, nil
}

// redo recognises the merge of an undo of ours.
func (w *Walker) redo(ctx context.Context, pull forge.PullRequest, to gitops.SHA) (*jobs.PrepareRedo, error) {
	if pull.Number == 0 || pull.Author.ID != w.judge.self.ID {
		return nil, nil
	}
	e, err := w.judge.db.Effect.Query().Where(effect.IDGT(undoPrefix), effect.IDLT(undoPrefix+"g"), effect.Result(pull.URL)).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the undo of #%d: %w", pull.Number, err)
	}
	return &jobs.PrepareRedo{From: e.Note, To: strings.TrimPrefix(e.ID, undoPrefix), Base: string(to), Undo: pull.Number}, nil
}
