package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// maxCommits is how many commits of a pull request GitHub lists.
const maxCommits = 250

// Repository is the governed repository as it is now. One call, by id.
func (c *Client) Repository(ctx context.Context) (forge.Repository, error) {
	const doing = "ask for the governed repository"
	r, err := c.locate(ctx)
	if err != nil {
		return forge.Repository{}, c.failure(doing, err)
	}
	return forge.Repository{
		ID: r.GetID(), Owner: r.GetOwner().GetLogin(), Name: r.GetName(),
		DefaultBranch: r.GetDefaultBranch(), CloneURL: c.CloneURL(), URL: r.GetHTMLURL(),
		Methods: methodsOf(r),
	}, nil
}

// PullRequest is one pull request as it is now. One call.
func (c *Client) PullRequest(ctx context.Context, number int) (forge.PullRequest, error) {
	var out forge.PullRequest
	err := c.inRepository(ctx, fmt.Sprintf("ask for pull request %d", number), func(owner, name string) error {
		p, _, err := c.gh.PullRequests.Get(ctx, owner, name, number)
		if err != nil {
			return err
		}
		out, err = c.pullRequest(p)
		if err == nil && out.Number != number {
			return errMisfit
		}
		return err
	})
	if err != nil {
		return forge.PullRequest{}, err
	}
	return out, nil
}

// OpenPullRequests lists the open pull requests, oldest first. One call a hundred. What opens or closes during the
// listing may be missed.
func (c *Client) OpenPullRequests(ctx context.Context) ([]forge.PullRequest, error) {
	opts := gh.PullRequestListOptions{State: "open", Sort: "created", Direction: "asc"}
	var out []forge.PullRequest
	err := c.inRepository(ctx, "list the open pull requests", func(owner, name string) error {
		var err error
		out, err = c.listPullRequests(ctx, owner, name, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Client) listPullRequests(ctx context.Context, owner, name string, opts gh.PullRequestListOptions) ([]forge.PullRequest, error) {
	list, err := pages(func(page gh.ListOptions) ([]*gh.PullRequest, *gh.Response, error) {
		opts.ListOptions = page
		return c.gh.PullRequests.List(ctx, owner, name, &opts)
	})
	if err != nil {
		return nil, err
	}
	var out []forge.PullRequest
	seen := map[int]bool{} // a page may repeat what moved back while it was read
	for _, p := range list {
		pr, err := c.pullRequest(p)
		if err != nil {
			return nil, err
		}
		if !seen[pr.Number] {
			seen[pr.Number] = true
			out = append(out, pr)
		}
	}
	return out, nil
}

// pullRequest translates, and refuses what is incomplete or about another repository.
func (c *Client) pullRequest(p *gh.PullRequest) (forge.PullRequest, error) {
	base, head := p.GetBase(), p.GetHead()
	if p.GetNumber() <= 0 || base.GetRef() == "" || !validSHA(head.GetSHA()) || base.GetRepo().GetID() == 0 {
		return forge.PullRequest{}, errMisfit
	}
	if base.GetRepo().GetID() != c.repoID {
		return forge.PullRequest{}, errElsewhere
	}
	out := forge.PullRequest{
		Number: p.GetNumber(), Title: p.GetTitle(), URL: p.GetHTMLURL(),
		Open:  p.GetState() == "open",
		Draft: p.GetDraft(), Author: person(p.GetUser()),
		Merged:  p.GetMerged() || p.MergedAt != nil, // lists have only the time
		HeadSHA: head.GetSHA(), HeadRef: head.GetRef(),
		Fork:    head.GetRepo().GetID() != c.repoID, // a fork that was deleted has no id
		BaseRef: base.GetRef(), BaseSHA: base.GetSHA(), UpdatedAt: p.GetUpdatedAt().UTC(),
	}
	if out.Merged {
		out.MergeCommit = p.GetMergeCommitSHA()
	}
	return out, nil
}

// Commits lists the commits of a pull request, oldest first, with the people to whom GitHub maps their addresses.
// GitHub lists no more than 250: complete is false when there are so many that some may be missing. At most 3 calls.
func (c *Client) Commits(ctx context.Context, number int) (commits []forge.Commit, complete bool, err error) {
	var list []*gh.RepositoryCommit
	err = c.inRepository(ctx, fmt.Sprintf("list the commits of pull request %d", number), func(owner, name string) error {
		list, err = pages(func(page gh.ListOptions) ([]*gh.RepositoryCommit, *gh.Response, error) {
			return c.gh.PullRequests.ListCommits(ctx, owner, name, number, &page)
		})
		return err
	})
	if err != nil {
		return nil, false, err
	}
	for _, r := range list {
		commit := forge.Commit{SHA: r.GetSHA(), Author: person(r.GetAuthor()), Committer: person(r.GetCommitter())}
		for _, parent := range r.Parents {
			commit.Parents = append(commit.Parents, parent.GetSHA())
		}
		commits = append(commits, commit)
	}
	return commits, len(list) < maxCommits, nil
}

// MergedPullRequest finds the pull request whose merge brought the commit into the branch; 0 is a direct push. When
// several name the commit, the one that it ended counts, else the one that was merged first. One call a hundred.
func (c *Client) MergedPullRequest(ctx context.Context, sha, branch string) (int, error) {
	doing := "ask which pull request brought a commit"
	if !validSHA(sha) || branch == "" {
		return 0, fmt.Errorf("%s: %w: no commit or no branch", doing, forge.ErrRefused)
	}
	var list []*gh.PullRequest
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		var err error
		list, err = pages(func(page gh.ListOptions) ([]*gh.PullRequest, *gh.Response, error) {
			return c.gh.PullRequests.ListPullRequestsWithCommit(ctx, owner, name, sha, &page)
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	number, first := 0, time.Time{}
	for _, p := range list {
		pr, err := c.pullRequest(p)
		switch {
		case errors.Is(err, errElsewhere): // the same commit in a fork's own pull request
			continue
		case err != nil:
			return 0, c.failure(doing, err)
		case !pr.Merged || pr.BaseRef != branch:
			continue
		case pr.MergeCommit == sha:
			return pr.Number, nil
		}
		if at := p.GetMergedAt().Time; number == 0 || at.Before(first) {
			number, first = pr.Number, at
		}
	}
	return number, nil
}

// OpenPullRequest opens a pull request, or returns the open one from the same head into the same base. Two calls, or
// one; a third after a lost race.
func (c *Client) OpenPullRequest(ctx context.Context, n forge.NewPullRequest) (forge.PullRequest, error) {
	doing := "open a pull request from " + n.Head
	if n.Head == "" || n.Base == "" || n.Title == "" || strings.Contains(n.Head, ":") {
		return forge.PullRequest{}, fmt.Errorf("%s: %w: head, base and title are needed, and no fork", doing, forge.ErrRefused)
	}
	var out forge.PullRequest
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		found, err := c.openFrom(ctx, owner, name, n)
		if err != nil || found.Number != 0 {
			out = found
			return err
		}
		p, _, err := c.gh.PullRequests.Create(ctx, owner, name, &gh.NewPullRequest{
			Title: &n.Title, Body: &n.Body, Head: &n.Head, Base: &n.Base,
		})
		if status(err) == http.StatusUnprocessableEntity {
			if found, lookup := c.openFrom(ctx, owner, name, n); lookup == nil && found.Number != 0 {
				out = found
				return nil
			}
		}
		if err != nil {
			return err
		}
		out, err = c.pullRequest(p)
		return err
	})
	if err != nil {
		return forge.PullRequest{}, err
	}
	return out, nil
}

// openFrom finds the open pull request of a head and a base. GitHub ignores a filter that it does not understand, so
// the answer is filtered again.
func (c *Client) openFrom(ctx context.Context, owner, name string, n forge.NewPullRequest) (forge.PullRequest, error) {
	opts := gh.PullRequestListOptions{State: "open", Head: owner + ":" + n.Head, Base: n.Base}
	list, err := c.listPullRequests(ctx, owner, name, opts)
	if err != nil {
		return forge.PullRequest{}, err
	}
	for _, pr := range list {
		if pr.Open && !pr.Fork && pr.HeadRef == n.Head && pr.BaseRef == n.Base {
			return pr, nil
		}
	}
	return forge.PullRequest{}, nil
}
