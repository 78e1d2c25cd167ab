package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// alike finds, for each change, the commits among those that were reviewed on which it was what it is now. A head
// that was pushed over before anybody judged it, or that was judged while there was nothing to decide, is noted at no plan.
func (j *Judge) alike(ctx context.Context, reviews []approval.Review, report judge.Report, head gitops.SHA) (map[string][]string, error) {
	out, seen := map[string][]string{}, map[gitops.SHA]bool{"": true, head: true}
	var paths []string
	for _, c := range report.Changes {
		paths = append(paths, c.Path)
	}
	for _, r := range reviews {
		sha := gitops.SHA(r.CommitSHA)
		if seen[sha] || r.State == approval.State(forge.Commented) {
			continue
		}
		seen[sha] = true
		differ, err := j.differ(ctx, sha, head, paths)
		if errors.Is(err, gitops.ErrNoCommit) {
			continue // nobody has it any more
		}
		if err != nil {
			return nil, fmt.Errorf("compare the head with what was reviewed: %w", err)
		}
		for _, path := range paths {
			if !slices.Contains(differ, path) {
				out[path] = append(out[path], r.CommitSHA)
			}
		}
	}
	return out, nil
}

// differ lists the paths of which two commits do not say the same.
func (j *Judge) differ(ctx context.Context, a, b gitops.SHA, paths []string) ([]string, error) {
	if err := j.mirror.FetchCommits(ctx, a, b); err != nil {
		return nil, err
	}
	changes, err := j.mirror.Diff(ctx, a, b, paths...)
	if err != nil {
		return nil, err
	}
	return j.meant(ctx, changes, a, b)
}
