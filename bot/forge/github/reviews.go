package github

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Reviews lists the submitted reviews of a pull request in order, as they are now: an edited body or a moved commit
// shows no mark of it. One call a hundred.
func (c *Client) Reviews(ctx context.Context, number int) ([]forge.Review, error) {
	var list []*gh.PullRequestReview
	err := c.inRepository(ctx, fmt.Sprintf("list the reviews of pull request %d", number), func(owner, name string) error {
		var err error
		list, err = pages(func(page gh.ListOptions) ([]*gh.PullRequestReview, *gh.Response, error) {
			return c.gh.PullRequests.ListReviews(ctx, owner, name, number, &page)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]forge.Review, 0, len(list))
	for _, r := range list {
		if !strings.EqualFold(r.GetState(), "pending") { // the bot's own draft: nobody has said anything yet
			out = append(out, review(r))
		}
	}
	return out, nil
}

func review(r *gh.PullRequestReview) forge.Review {
	return forge.Review{
		ID: r.GetID(), Author: person(r.GetUser()), State: forge.ReviewState(strings.ToLower(r.GetState())),
		CommitSHA: r.GetCommitID(), Body: r.GetBody(), SubmittedAt: r.GetSubmittedAt().UTC(), URL: r.GetHTMLURL(),
	}
}

// happened lists what GitHub remembers of a pull request, oldest first. It is for what no webhook told.
func (c *Client) happened(ctx context.Context, number int, doing string) (list []*gh.IssueEvent, err error) {
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		list, err = pages(func(page gh.ListOptions) ([]*gh.IssueEvent, *gh.Response, error) {
			return c.gh.Issues.ListIssueEvents(ctx, owner, name, number, &page)
		})
		return err
	})
	return list, err
}

// restarts are the events after which a pull request asks anew: what was said before was said of something else.
var restarts = []string{"reopened", "base_ref_changed", "automatic_base_change_succeeded"}

// Restarted returns when a pull request was last reopened or aimed at another branch, by GitHub's clock; zero if it
// never was. One call a hundred of the pull request's events.
func (c *Client) Restarted(ctx context.Context, number int) (at time.Time, err error) {
	doing := fmt.Sprintf("ask whether pull request %d was reopened", number)
	list, err := c.happened(ctx, number, doing)
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range list {
		if !slices.Contains(restarts, e.GetEvent()) {
			continue
		}
		if e.CreatedAt == nil {
			return time.Time{}, c.failure(doing, errMisfit)
		}
		if then := e.GetCreatedAt().UTC(); then.After(at) {
			at = then
		}
	}
	return at, nil
}

// Dismissals lists what was dismissed of a pull request's reviews, oldest first: only there is written who dismissed,
// and what the review had said. One call a hundred of the pull request's events.
func (c *Client) Dismissals(ctx context.Context, number int) ([]forge.Dismissal, error) {
	doing := fmt.Sprintf("list the dismissals of pull request %d", number)
	list, err := c.happened(ctx, number, doing)
	if err != nil {
		return nil, err
	}
	var out []forge.Dismissal
	for _, e := range list {
		if e.GetEvent() != "review_dismissed" {
			continue
		}
		of := e.GetDismissedReview()
		if of.GetReviewID() <= 0 {
			return nil, c.failure(doing, errMisfit)
		}
		out = append(out, forge.Dismissal{
			ReviewID: of.GetReviewID(), By: person(e.GetActor()), State: forge.ReviewState(strings.ToLower(of.GetState())),
			At: e.GetCreatedAt().UTC(), ByCommit: of.GetDismissalCommitID(), Message: of.GetDismissalMessage(),
		})
	}
	return out, nil
}

// RequestReviewers asks people and teams for a review. Who is asked already stays asked; whom GitHub does not let ask
// (the author, a bot, somebody who is unknown or no collaborator, a team without access to the repository, a sixteenth
// person) is left out and returned.
//
// One call; none when there is nobody to ask. GitHub refuses all of them for the sake of one, without saying which:
// then it is one more call for each.
func (c *Client) RequestReviewers(ctx context.Context, number int, logins, teamSlugs []string) (refused []string, err error) {
	if len(logins) == 0 && len(teamSlugs) == 0 {
		return nil, nil
	}
	doing := fmt.Sprintf("request reviews of pull request %d", number)
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		refused = nil
		ask := func(r gh.ReviewersRequest) (bool, error) {
			_, _, err := c.gh.PullRequests.RequestReviewers(ctx, owner, name, number, r)
			if status(err) == http.StatusUnprocessableEntity {
				return false, nil
			}
			return err == nil, err
		}
		all := gh.ReviewersRequest{Reviewers: logins, TeamReviewers: teamSlugs}
		if done, err := ask(all); done || err != nil {
			return err
		}
		if len(logins)+len(teamSlugs) == 1 {
			refused = append(logins[:len(logins):len(logins)], teamSlugs...)
			return nil
		}
		for _, one := range oneByOne(all) {
			done, err := ask(one)
			if err != nil {
				return err
			}
			if !done {
				refused = append(append(refused, one.Reviewers...), one.TeamReviewers...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

func oneByOne(all gh.ReviewersRequest) []gh.ReviewersRequest {
	var out []gh.ReviewersRequest
	for _, login := range all.Reviewers {
		out = append(out, gh.ReviewersRequest{Reviewers: []string{login}})
	}
	for _, slug := range all.TeamReviewers {
		out = append(out, gh.ReviewersRequest{TeamReviewers: []string{slug}})
	}
	return out
}
