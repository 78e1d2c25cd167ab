package bot

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// cancel ends what the pull request asked for, and lets others ask for the names that it held.
func (j *Judge) cancel(ctx context.Context, pull forge.PullRequest, wanted int64, why string) error {
	p := pullOf(pull)
	if pull.Merged {
		p.State = "closed" // what was merged into another branch is closed to this one
	}
	if err := j.gateway.Cancel(ctx, p, wanted, why); err != nil {
		return fmt.Errorf("cancel #%d: %w", pull.Number, err)
	}
	return nil
}

// absorbed closes the books on a pull request whose commits came into the branch with another one's, as
// those of stacked pull requests do. All others are the walker's, which is waited for.
func (j *Judge) absorbed(ctx context.Context, pull forge.PullRequest) error {
	repo, err := j.db.Repository.Get(ctx, j.repo.ID)
	if ent.IsNotFound(err) || err == nil && (repo.Cursor == "" || repo.Blocked != "") {
		return nil // the walker stands still
	}
	if err != nil {
		return fmt.Errorf("read the repository: %w", err)
	}
	for _, sha := range []string{pull.MergeCommit, pull.HeadSHA} {
		if sha == "" || !j.mirror.Has(gitops.SHA(sha)) || !j.mirror.Has(gitops.SHA(repo.Cursor)) {
			continue
		}
		walked, err := j.mirror.IsAncestor(ctx, gitops.SHA(sha), gitops.SHA(repo.Cursor))
		if err != nil {
			return fmt.Errorf("look for #%d on the branch: %w", pull.Number, err)
		}
		if walked {
			return j.gateway.Absorb(ctx, pullOf(pull), repo.Cursor)
		}
	}
	return jobs.Later(walking, fmt.Errorf("the merge of #%d has not been walked to", pull.Number))
}
