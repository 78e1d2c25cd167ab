package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/store"
)

// automatic reports whether the bot may merge a pull request by itself: it starts, stops or restarts
// machines and does nothing else, in any file; nobody has to approve that; its author and all who pushed
// are known people, and nobody objects.
func (j *Judge) automatic(ctx context.Context, pull forge.PullRequest, h heads, in judge.Input, report judge.Report, c *council) (bool, error) {
	if !report.Submittable() || in.Author.Bot {
		return false, nil
	}
	for _, change := range report.Changes {
		if !change.Operation.Power() || change.Requirement.Approvals > 0 || change.Unconfirmed() || c.objected(change) {
			return false, nil
		}
		if slices.ContainsFunc(in.Pushers[change.Path], func(p policy.Person) bool { return p.Bot || p.ID == 0 }) {
			return false, nil
		}
	}
	moves, err := j.movements(ctx, pull)
	if err != nil {
		return false, err
	}
	if len(moves) == 0 || moves[len(moves)-1].after != h.head {
		return false, nil // who pushed this was not seen
	}
	all, err := j.mirror.Diff(ctx, h.base, h.head)
	if err != nil {
		return false, fmt.Errorf("read all changed files: %w", err)
	}
	for _, f := range all {
		if _, governed, problems := spec.ParsePath(f.Path); !governed || problems.Blocking() {
			return false, nil
		}
	}
	return true, nil
}

// objected reports whether somebody who could approve the change has asked for it to be changed.
func (c *council) objected(change judge.Change) bool {
	change.Requirement.Approvals = max(change.Requirement.Approvals, 1)
	return c.veto(change) != nil
}

// mergeKey is the unique key of a merge by the bot.
func mergeKey(number int, head string) string { return fmt.Sprintf("merge:%d:%s", number, head) }

// letMerge has the bot merge what it may, once the checks have been posted. What the forge refused is
// tried again only with another head.
func (t *Teller) letMerge(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	if !v.AutoMerge || v.Held != nil || len(v.SameHead) > 0 || comment.Approval(v).Conclusion != forge.Success {
		return nil
	}
	return t.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		key := mergeKey(row.ID, v.Report.Head)
		asked, err := tx.Effect.Query().Where(effect.ID(key)).Exist(ctx)
		if err != nil || asked {
			return err
		}
		if err := tx.Effect.Create().SetID(key).Exec(ctx); err != nil {
			return fmt.Errorf("note effect %s: %w", key, err)
		}
		return t.queue.Add(ctx, tx.PGX, jobs.MergePullRequest{Number: row.ID, Head: v.Report.Head})
	})
}

// mergerForge merges.
type mergerForge interface {
	Merge(ctx context.Context, number int, headSHA, method string) (string, error)
	FindMerge(ctx context.Context, number int, headSHA string) (commit string, err error)
}

// Merger merges pull requests that nobody has to decide on.
type Merger struct {
	judge  *Judge
	teller *Teller
	forge  mergerForge
	log    *slog.Logger
}

// NewMerger gives a merger.
func NewMerger(j *Judge, t *Teller, f mergerForge, log *slog.Logger) *Merger {
	return &Merger{judge: j, teller: t, forge: f, log: log}
}

// Run merges one pull request if it is still as it was judged. The forge holds the merge to that head; what
// comes of it the walker sees, as of any merge.
func (m *Merger) Run(ctx context.Context, args jobs.MergePullRequest) error {
	return locked(ctx, m.judge.pool, pullLock(args.Number), func(ctx context.Context) error {
		if err := m.run(ctx, args); err != nil {
			return fmt.Errorf("merge #%d: %w", args.Number, err)
		}
		return nil
	})
}

func (m *Merger) run(ctx context.Context, args jobs.MergePullRequest) error {
	e, err := m.judge.db.Effect.Get(ctx, mergeKey(args.Number, args.Head))
	if ent.IsNotFound(err) || err == nil && e.Status != effect.StatusIntended {
		return nil // an attempt before this one has told how it went
	}
	if err != nil {
		return fmt.Errorf("look for the merge: %w", err)
	}
	ready, err := m.ready(ctx, args)
	if err != nil {
		return err
	}
	merge := func() (string, error) { return m.forge.Merge(ctx, args.Number, args.Head, "") }
	if !ready { // perhaps because it was merged by an attempt whose answer was lost
		merge = func() (string, error) { return m.forge.FindMerge(ctx, args.Number, args.Head) }
	}
	sha, err := merge()
	switch {
	case errors.Is(err, forge.ErrNotFound) && !ready:
		return m.teller.record.forget(ctx, e.ID) // let go of a hold, the bot merges after all
	case errors.Is(err, forge.ErrConflict), errors.Is(err, forge.ErrRefused):
		return m.refused(ctx, args, err)
	case err != nil:
		return err
	}
	m.log.InfoContext(ctx, "pull request merged", "pr", args.Number, "commit", sha)
	return m.merged(ctx, args, sha)
}

// ready looks once more, for a hold or a push may have come in meanwhile.
func (m *Merger) ready(ctx context.Context, args jobs.MergePullRequest) (bool, error) {
	row, err := m.judge.db.PullRequest.Get(ctx, args.Number)
	if err != nil {
		return false, err
	}
	if row.State != pullrequest.StateOpen || row.HeadSha != args.Head {
		return false, nil
	}
	if row.Wanted > row.Judged {
		return false, jobs.Later(busy, errors.New("it is being judged again"))
	}
	v, err := m.teller.view(ctx, row)
	if err != nil {
		return false, err
	}
	return v.AutoMerge && v.Held == nil && comment.Approval(v).Conclusion == forge.Success, nil
}

func (m *Merger) merged(ctx context.Context, args jobs.MergePullRequest, commit string) error {
	return m.teller.record.end(ctx, mergeKey(args.Number, args.Head), effect.StatusDone, commit, func(ctx context.Context, tx *store.Tx, commit string) error {
		return audit.Append(ctx, tx, audit.Entry{
			Action: audit.MergedByShepherd, PullRequest: args.Number, Params: map[string]any{"head": args.Head, "commit": commit},
		})
	})
}

// refused lets people know why the forge did not merge. Where its state moved, that is looked at.
func (m *Merger) refused(ctx context.Context, args jobs.MergePullRequest, why error) error {
	return m.teller.record.end(ctx, mergeKey(args.Number, args.Head), effect.StatusFailed, words(why), func(ctx context.Context, tx *store.Tx, _ string) error {
		if errors.Is(why, forge.ErrConflict) {
			if err := approval.Want(ctx, tx, m.judge.queue, args.Number); err != nil {
				return err
			}
		}
		return approval.Tell(ctx, tx, m.judge.queue, args.Number)
	})
}

// words is what the forge said, without what we were doing and the protocol's number.
func words(err error) string {
	said := err.Error()
	for _, kind := range []error{forge.ErrRefused, forge.ErrConflict} {
		if _, after, ok := strings.Cut(said, kind.Error()+": "); ok && errors.Is(err, kind) {
			said = after
		}
	}
	return status.ReplaceAllString(said, "")
}

// status is how a driver's error begins that quotes an answer.
var status = regexp.MustCompile(`^HTTP \d{3}: `)
