package github

import (
	"context"
	"fmt"
	"net/http"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// FindCheck finds the check run that [Client.CreateCheck] made of a check whose answer was lost, by its external id: the
// latest of that name on the commit, if the bot itself wrote it. It returns forge.ErrNotFound when another one stands
// there, or none. The receipt's time is that of this answer: from then on the check can be seen for sure. A commit
// status has no external id, and is never found; writing it again changes nothing.
//
// One call, and those of [Client.Self] once; none with a token.
func (c *Client) FindCheck(ctx context.Context, check forge.Check) (forge.Posted, error) {
	doing := "look for check " + check.Name
	if check.Name == "" || !validSHA(check.HeadSHA) || check.ExternalID == "" {
		return forge.Posted{}, fmt.Errorf("%s: %w: no name, commit or id", doing, forge.ErrRefused)
	}
	if c.minter == nil {
		return forge.Posted{}, fmt.Errorf("%s: %w: a commit status has no id", doing, forge.ErrNotFound)
	}
	self, err := c.Self(ctx)
	if err != nil {
		return forge.Posted{}, err
	}
	var found *gh.CheckRun
	var at time.Time
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		opts := &gh.ListCheckRunsOptions{CheckName: &check.Name, Filter: gh.String("latest"), ListOptions: gh.ListOptions{PerPage: perPage}}
		list, resp, err := c.gh.Checks.ListCheckRunsForRef(ctx, owner, name, check.HeadSHA, opts)
		if err != nil {
			return err
		}
		if at, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
			return errNoDate
		}
		for _, run := range list.CheckRuns {
			ours := run.GetApp().GetSlug()+"[bot]" == self.Login
			if ours && run.GetName() == check.Name && run.GetHeadSHA() == check.HeadSHA && (found == nil || run.GetID() > found.GetID()) {
				found = run
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return forge.Posted{}, err
	case found.GetExternalID() != check.ExternalID:
		return forge.Posted{}, fmt.Errorf("%s: %w", doing, forge.ErrNotFound)
	}
	return forge.Posted{ID: found.GetID(), At: at.UTC().Truncate(time.Second), URL: found.GetHTMLURL()}, nil
}

// FindSuggestion finds the oldest comment on lines of a file that the bot itself wrote with this very body. It returns
// forge.ErrNotFound when there is none. One call a hundred comments, and those of [Client.Self] once.
func (c *Client) FindSuggestion(ctx context.Context, number int, path, body string) (int64, error) {
	doing := fmt.Sprintf("look for a suggestion on pull request %d", number)
	self, err := c.Self(ctx)
	if err != nil {
		return 0, err
	}
	var list []*gh.PullRequestComment
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		list, err = pages(func(page gh.ListOptions) ([]*gh.PullRequestComment, *gh.Response, error) {
			return c.gh.PullRequests.ListComments(ctx, owner, name, number, &gh.PullRequestListCommentsOptions{ListOptions: page})
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, comment := range list {
		if comment.GetUser().GetID() == self.ID && comment.GetPath() == path && comment.GetBody() == body {
			return comment.GetID(), nil
		}
	}
	return 0, fmt.Errorf("%s: %w", doing, forge.ErrNotFound)
}

// FindPullRequest finds the newest pull request that the bot itself opened from a head into a base, whatever has become
// of it. It returns forge.ErrNotFound when there is none. One call a hundred pull requests, and those of [Client.Self]
// once.
func (c *Client) FindPullRequest(ctx context.Context, head, base string) (forge.PullRequest, error) {
	doing := "look for a pull request from " + head
	self, err := c.Self(ctx)
	if err != nil {
		return forge.PullRequest{}, err
	}
	var list []forge.PullRequest
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		list, err = c.listPullRequests(ctx, owner, name, gh.PullRequestListOptions{State: "all", Head: owner + ":" + head, Base: base})
		return err
	})
	if err != nil {
		return forge.PullRequest{}, err
	}
	for _, pr := range list { // newest first
		if !pr.Fork && pr.HeadRef == head && pr.BaseRef == base && pr.Author.ID == self.ID {
			return pr, nil
		}
	}
	return forge.PullRequest{}, fmt.Errorf("%s: %w", doing, forge.ErrNotFound)
}

// FindMerge finds the last commit of a merge that the bot itself made of a pull request with this head. It returns
// forge.ErrNotFound when it is not merged, or was by somebody else. One call, and those of [Client.Self] once.
func (c *Client) FindMerge(ctx context.Context, number int, headSHA string) (string, error) {
	doing := fmt.Sprintf("look who merged pull request %d", number)
	self, err := c.Self(ctx)
	if err != nil {
		return "", err
	}
	commit := ""
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		p, _, err := c.gh.PullRequests.Get(ctx, owner, name, number)
		if err != nil {
			return err
		}
		pr, err := c.pullRequest(p)
		if err == nil && pr.Merged && pr.HeadSHA == headSHA && p.GetMergedBy().GetID() == self.ID && validSHA(pr.MergeCommit) {
			commit = pr.MergeCommit
		}
		return err
	})
	switch {
	case err != nil:
		return "", err
	case commit == "":
		return "", fmt.Errorf("%s: %w: the bot did not", doing, forge.ErrNotFound)
	}
	return commit, nil
}
