package github

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	gh "github.com/google/go-github/v60/github"

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

func parsePullRequest(payload any, out *forge.Event) error {
	e := payload.(*gh.PullRequestEvent)
	p := e.GetPullRequest()
	if e.GetNumber() <= 0 || p.GetNumber() != e.GetNumber() {
		return errNoNumber
	}
	out.Kind, out.PullRequest, out.Merged = forge.PullRequestChanged, e.GetNumber(), p.GetMerged()
	out.At = p.GetUpdatedAt().UTC()
	out.Retargeted = out.Action == "edited" && e.GetChanges().GetBase() != nil
	if out.Action != "synchronize" {
		return nil
	}
	if !validSHA(e.GetBefore()) || !validSHA(e.GetAfter()) {
		return errNoCommit
	}
	out.Push = &forge.Push{
		Ref:    fmt.Sprintf("refs/pull/%d/head", out.PullRequest),
		Before: e.GetBefore(), After: e.GetAfter(), Pusher: out.Sender,
		At: out.At, // the push is what updated it
	}
	return nil
}

func parseReview(payload any, out *forge.Event) error {
	e := payload.(*gh.PullRequestReviewEvent)
	r := e.GetReview()
	switch {
	case e.GetPullRequest().GetNumber() <= 0:
		return errNoNumber
	case r.GetID() <= 0:
		return errNoID
	case r.GetCommitID() != "" && !validSHA(r.GetCommitID()):
		return errNoCommit
	case len(r.GetBody()) > maxBodyText:
		return errTooLong
	}
	out.PullRequest = e.GetPullRequest().GetNumber()
	if !slices.Contains([]string{"submitted", "edited", "dismissed"}, out.Action) {
		return nil
	}
	said := review(r)
	out.Kind, out.Review, out.At = forge.ReviewChanged, &said, said.SubmittedAt
	if out.Action != "submitted" {
		out.At = e.GetPullRequest().GetUpdatedAt().UTC() // the review has no time but that of its submission
	}
	return nil
}

func parseComment(payload any, out *forge.Event) error {
	e := payload.(*gh.IssueCommentEvent)
	c := e.GetComment()
	switch {
	case e.GetIssue().GetPullRequestLinks() == nil:
		return nil // an issue
	case e.GetIssue().GetNumber() <= 0:
		return errNoNumber
	case c.GetID() <= 0:
		return errNoID
	case len(c.GetBody()) > maxBodyText || len(e.GetChanges().GetBody().GetFrom()) > maxBodyText:
		return errTooLong
	}
	out.PullRequest = e.GetIssue().GetNumber()
	if !slices.Contains([]string{"created", "edited", "deleted"}, out.Action) {
		return nil
	}
	out.Kind = forge.CommentChanged
	out.Comment = &forge.Comment{
		ID: c.GetID(), Author: person(c.GetUser()), Body: c.GetBody(), CreatedAt: c.GetCreatedAt().UTC(), URL: c.GetHTMLURL(),
	}
	switch out.Action {
	case "created":
		out.At = out.Comment.CreatedAt
	case "edited":
		out.At = c.GetUpdatedAt().UTC()
		out.Comment.Edited, out.Comment.Before = true, e.GetChanges().GetBody().GetFrom()
	case "deleted":
		out.Comment.Edited = c.GetUpdatedAt().After(c.GetCreatedAt().Time)
	}
	return nil
}

func parsePush(payload any, out *forge.Event) error {
	e := payload.(*gh.PushEvent)
	switch {
	case len(e.GetRef()) > maxRef:
		return errTooLong
	case !validSHA(e.GetBefore()) || !validSHA(e.GetAfter()):
		return errNoCommit
	case !strings.HasPrefix(e.GetRef(), "refs/heads/"):
		return nil // a tag
	}
	out.Kind = forge.BranchPushed
	out.Push = &forge.Push{
		Ref: e.GetRef(), Before: e.GetBefore(), After: e.GetAfter(), Forced: e.GetForced(), Pusher: out.Sender,
		At: e.GetRepo().GetPushedAt().UTC(), // a commit's own time is its author's word
	}
	out.At = out.Push.At
	return nil
}

func parseCheckRun(payload any, out *forge.Event) error {
	run := payload.(*gh.CheckRunEvent).GetCheckRun()
	if run == nil {
		return errNoCommit
	}
	return checkRerequested(run.GetHeadSHA(), run.PullRequests, out)
}

func parseCheckSuite(payload any, out *forge.Event) error {
	suite := payload.(*gh.CheckSuiteEvent).GetCheckSuite()
	if suite == nil {
		return errNoCommit
	}
	return checkRerequested(suite.GetHeadSHA(), suite.PullRequests, out)
}

// checkRerequested keeps the commit and those of its pull requests that are ours: GitHub lists those of forks that
// hold the same commit too.
func checkRerequested(head string, pulls []*gh.PullRequest, out *forge.Event) error {
	if out.Action != "rerequested" {
		return nil
	}
	if !validSHA(head) {
		return errNoCommit
	}
	out.Kind, out.HeadSHA = forge.CheckRerequested, head
	for _, p := range pulls {
		if p.GetNumber() > 0 && p.GetBase().GetRepo().GetID() == out.RepositoryID && len(out.PullRequests) < maxPulls {
			out.PullRequests = append(out.PullRequests, p.GetNumber())
		}
	}
	if len(out.PullRequests) > 0 {
		out.PullRequest = out.PullRequests[0]
	}
	return nil
}
