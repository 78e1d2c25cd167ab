package github

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
)

// What a body may hold at most. GitHub's own limit for a text is 65,536 characters.
const (
	maxBodyText = 512 << 10
	maxRef      = 1024
	maxPulls    = 100
)

// What makes a body unusable.
var (
	errNoNumber = errors.New("no pull request's number")
	errNoCommit = errors.New("no commit")
	errNoID     = errors.New("no id")
	errNoBranch = errors.New("no branch")
	errTooLong  = errors.New("a text is too long")
)

// pullPart is what is read of a pull request.
type pullPart struct {
	Number    int    `json:"number"`
	Merged    bool   `json:"merged"`
	UpdatedAt moment `json:"updated_at"`
	Base      struct {
		Repo numbered `json:"repo"`
	} `json:"base"`
}

func parsePullRequest(p parts, out *forge.Event) error {
	var (
		number        int
		pull          pullPart
		before, after string
		changes       struct {
			Base *struct{} `json:"base"`
		}
	)
	err := p.read(map[string]any{"number": &number, "pull_request": &pull, "before": &before, "after": &after, "changes": &changes})
	if err != nil {
		return err
	}
	if number <= 0 || pull.Number != number {
		return errNoNumber
	}
	out.Kind, out.PullRequest, out.Merged = forge.PullRequestChanged, number, pull.Merged
	out.At = pull.UpdatedAt.UTC()
	out.Retargeted = out.Action == "edited" && changes.Base != nil
	if out.Action != "synchronize" {
		return nil
	}
	if !validSHA(before) || !validSHA(after) {
		return errNoCommit
	}
	out.Push = &forge.Push{
		Ref:    fmt.Sprintf("refs/pull/%d/head", out.PullRequest),
		Before: before, After: after, Pusher: out.Sender,
		At: out.At, // the push is what updated it
	}
	return nil
}

// reviewPart is what is read of a review.
type reviewPart struct {
	ID          int64   `json:"id"`
	User        account `json:"user"`
	State       string  `json:"state"`
	CommitID    string  `json:"commit_id"`
	Body        string  `json:"body"`
	SubmittedAt moment  `json:"submitted_at"`
	HTMLURL     string  `json:"html_url"`
}

func parseReview(p parts, out *forge.Event) error {
	var (
		pull pullPart
		r    reviewPart
	)
	if err := p.read(map[string]any{"pull_request": &pull, "review": &r}); err != nil {
		return err
	}
	switch {
	case pull.Number <= 0:
		return errNoNumber
	case r.ID <= 0:
		return errNoID
	case r.CommitID != "" && !validSHA(r.CommitID):
		return errNoCommit
	case len(r.Body) > maxBodyText:
		return errTooLong
	}
	out.PullRequest = pull.Number
	if !slices.Contains([]string{"submitted", "edited", "dismissed"}, out.Action) {
		return nil
	}
	said := forge.Review{
		ID: r.ID, Author: r.User.person(), State: forge.ReviewState(strings.ToLower(r.State)),
		CommitSHA: r.CommitID, Body: r.Body, SubmittedAt: r.SubmittedAt.UTC(), URL: r.HTMLURL,
	}
	out.Kind, out.Review, out.At = forge.ReviewChanged, &said, said.SubmittedAt
	if out.Action != "submitted" {
		out.At = pull.UpdatedAt.UTC() // the review has no time but that of its submission
	}
	return nil
}

// commentPart is what is read of a comment.
type commentPart struct {
	ID        int64   `json:"id"`
	User      account `json:"user"`
	Body      string  `json:"body"`
	CreatedAt moment  `json:"created_at"`
	UpdatedAt moment  `json:"updated_at"`
	HTMLURL   string  `json:"html_url"`
}

func parseComment(p parts, out *forge.Event) error {
	var (
		c     commentPart
		issue struct {
			Number      int       `json:"number"`
			PullRequest *struct{} `json:"pull_request"`
		}
		changes struct {
			Body struct {
				From string `json:"from"`
			} `json:"body"`
		}
	)
	if err := p.read(map[string]any{"comment": &c, "issue": &issue, "changes": &changes}); err != nil {
		return err
	}
	switch {
	case issue.PullRequest == nil:
		return nil // an issue
	case issue.Number <= 0:
		return errNoNumber
	case c.ID <= 0:
		return errNoID
	case len(c.Body) > maxBodyText || len(changes.Body.From) > maxBodyText:
		return errTooLong
	}
	out.PullRequest = issue.Number
	if !slices.Contains([]string{"created", "edited", "deleted"}, out.Action) {
		return nil
	}
	out.Kind = forge.CommentChanged
	out.Comment = &forge.Comment{ID: c.ID, Author: c.User.person(), Body: c.Body, CreatedAt: c.CreatedAt.UTC(), URL: c.HTMLURL}
	switch out.Action {
	case "created":
		out.At = out.Comment.CreatedAt
	case "edited":
		out.At = c.UpdatedAt.UTC()
		out.Comment.Edited, out.Comment.Before = true, changes.Body.From
	case "deleted":
		out.Comment.Edited = c.UpdatedAt.After(c.CreatedAt.Time)
	}
	return nil
}

func parsePush(p parts, out *forge.Event) error {
	var (
		ref, before, after string
		forced             bool
		repo               struct {
			PushedAt moment `json:"pushed_at"`
		}
	)
	err := p.read(map[string]any{"ref": &ref, "before": &before, "after": &after, "forced": &forced, "repository": &repo})
	switch {
	case err != nil:
		return err
	case len(ref) > maxRef:
		return errTooLong
	case !validSHA(before) || !validSHA(after):
		return errNoCommit
	case !strings.HasPrefix(ref, "refs/heads/"):
		return nil // a tag
	}
	out.Kind = forge.BranchPushed
	out.Push = &forge.Push{
		Ref: ref, Before: before, After: after, Forced: forced, Pusher: out.Sender,
		At: repo.PushedAt.UTC(), // a commit's own time is its author's word
	}
	out.At = out.Push.At
	return nil
}

// checkPart is what is read of a check run or suite.
type checkPart struct {
	HeadSHA      string     `json:"head_sha"`
	PullRequests []pullPart `json:"pull_requests"`
}

func parseCheckRun(p parts, out *forge.Event) error { return checkRerequested(p, "check_run", out) }

func parseCheckSuite(p parts, out *forge.Event) error { return checkRerequested(p, "check_suite", out) }

// checkRerequested keeps the commit and those of its pull requests that are ours: GitHub lists those of forks that
// hold the same commit too.
func checkRerequested(p parts, key string, out *forge.Event) error {
	var check *checkPart
	if err := p.read(map[string]any{key: &check}); err != nil {
		return err
	}
	switch {
	case check == nil:
		return errNoCommit
	case out.Action != "rerequested":
		return nil
	case !validSHA(check.HeadSHA):
		return errNoCommit
	}
	out.Kind, out.HeadSHA = forge.CheckRerequested, check.HeadSHA
	for _, pull := range check.PullRequests {
		if pull.Number > 0 && pull.Base.Repo.ID == out.RepositoryID && len(out.PullRequests) < maxPulls {
			out.PullRequests = append(out.PullRequests, pull.Number)
		}
	}
	if len(out.PullRequests) > 0 {
		out.PullRequest = out.PullRequests[0]
	}
	return nil
}
