package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// methodsOf reads which merges the repository allows. Without write access GitHub leaves that out.
func methodsOf(r *gh.Repository) forge.MergeMethods {
	return forge.MergeMethods{Merge: r.GetAllowMergeCommit(), Squash: r.GetAllowSquashMerge(), Rebase: r.GetAllowRebaseMerge()}
}

// Merge merges a pull request if its head is still headSHA, and returns the merge's last commit; one that the bot has
// already merged with that head is a success too. The method is merge, squash or rebase; empty is the first one that
// the repository allows.
//
// It is forge.ErrConflict when the head has moved, somebody else has merged it, the branch cannot be merged into or the
// pull request is closed, and forge.ErrRefused, with GitHub's words, when permission is missing, protection asks for
// more, the branch has a merge queue, or the method is not allowed.
//
// One call, one more for an empty method, and up to two more, with those of
// [Client.Self] once, to look why it was refused.
func (c *Client) Merge(ctx context.Context, number int, headSHA, method string) (string, error) {
	doing := fmt.Sprintf("merge pull request %d", number)
	if !validSHA(headSHA) {
		return "", fmt.Errorf("%s: %w: no head to guard with", doing, forge.ErrRefused)
	}
	if method == "" {
		repo, err := c.Repository(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", doing, err)
		}
		method = repo.Methods.First()
	}
	var sha string
	var refusal *gh.ErrorResponse
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		refusal = nil
		r, _, err := c.gh.PullRequests.Merge(ctx, owner, name, number, "",
			&gh.PullRequestOptions{SHA: headSHA, MergeMethod: method})
		switch {
		case status(err) == http.StatusMethodNotAllowed || status(err) == http.StatusConflict:
			errors.As(err, &refusal)
			return nil
		case err != nil:
			return err
		}
		if sha = r.GetSHA(); !r.GetMerged() || !validSHA(sha) {
			return errMisfit
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case refusal != nil:
		return c.notMerged(ctx, doing, number, headSHA, refusal)
	}
	return sha, nil
}

// hindered are the refusals of a merge that another moment or another head may lift. GitHub has no code for them.
var hindered = regexp.MustCompile(`(?i)not mergeable|was modified|merge conflict|be rebased|in progress`)

// notMerged finds out why: GitHub answers 405 to what is merged already, to a conflict and to an unmet protection alike.
func (c *Client) notMerged(ctx context.Context, doing string, number int, headSHA string, refusal *gh.ErrorResponse) (string, error) {
	pr, err := c.PullRequest(ctx, number)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	text := c.redactor.line(describe(refusal))
	switch {
	case pr.HeadSHA != headSHA:
		return "", fmt.Errorf("%s: %w: the head is %s: %s", doing, forge.ErrConflict, pr.HeadSHA, text)
	case pr.Merged:
		commit, err := c.FindMerge(ctx, number, headSHA)
		if errors.Is(err, forge.ErrNotFound) {
			return "", fmt.Errorf("%s: %w: somebody else merged it", doing, forge.ErrConflict)
		}
		return commit, err
	case !pr.Open || refusal.Response.StatusCode == http.StatusConflict || hindered.MatchString(text):
		return "", fmt.Errorf("%s: %w: %s", doing, forge.ErrConflict, text)
	}
	return "", fmt.Errorf("%s: %w: %s", doing, forge.ErrRefused, text)
}
