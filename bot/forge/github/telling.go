package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// maxDescription is how many characters a commit status may say.
const maxDescription = 140

// errNoDate is an answer without the forge's clock. What was posted has no time that could be trusted.
var errNoDate = errors.New("the answer has no Date")

// CreateCheck writes a new completed check run: annotations of a run cannot be taken back, so a run is never
// updated. Only Apps can write check runs; with a token it is a commit status of the same name, whose description is
// the title. One call.
func (c *Client) CreateCheck(ctx context.Context, check forge.Check) (forge.Posted, error) {
	doing := "create check " + check.Name
	switch {
	case check.Name == "" || !validSHA(check.HeadSHA):
		return forge.Posted{}, fmt.Errorf("%s: %w: no name or no commit", doing, forge.ErrRefused)
	case len(check.Annotations) > forge.MaxAnnotations:
		return forge.Posted{}, fmt.Errorf("%s: %w: %d annotations, at most %d", doing, forge.ErrRefused, len(check.Annotations), forge.MaxAnnotations)
	}
	if c.minter == nil {
		return c.createStatus(ctx, doing, check)
	}
	opts := c.checkRun(check)
	return c.post(ctx, doing, func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.gh.Checks.CreateCheckRun(ctx, owner, name, opts))
	})
}

func (c *Client) checkRun(check forge.Check) gh.CreateCheckRunOptions {
	output := &gh.CheckRunOutput{Title: &check.Title, Summary: &check.Summary}
	for _, a := range check.Annotations {
		line := max(a.Line, 1)
		output.Annotations = append(output.Annotations, &gh.CheckRunAnnotation{
			Path: &a.Path, StartLine: &line, EndLine: &line, AnnotationLevel: gh.String(string(a.Level)),
			Message: &a.Message, Title: optional(a.Title),
		})
	}
	return gh.CreateCheckRunOptions{
		Name: check.Name, HeadSHA: check.HeadSHA, Status: gh.String("completed"),
		Conclusion: gh.String(string(check.Conclusion)), CompletedAt: &gh.Timestamp{Time: c.now().UTC()},
		ExternalID: optional(check.ExternalID), DetailsURL: optional(check.DetailsURL), Output: output,
	}
}

// createStatus says with a commit status what a check run would say. Waiting for people is pending there.
func (c *Client) createStatus(ctx context.Context, doing string, check forge.Check) (forge.Posted, error) {
	states := map[forge.Conclusion]string{forge.Success: "success", forge.Failure: "failure", forge.ActionRequired: "pending"}
	state, known := states[check.Conclusion]
	if !known {
		return forge.Posted{}, fmt.Errorf("%s: %w: conclusion %q", doing, forge.ErrRefused, check.Conclusion)
	}
	s := &gh.RepoStatus{
		State: &state, Context: &check.Name, Description: gh.String(clip(check.Title, maxDescription)),
		TargetURL: optional(check.DetailsURL),
	}
	return c.post(ctx, doing, func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.gh.Repositories.CreateStatus(ctx, owner, name, check.HeadSHA, s))
	})
}

// Comments lists what was said in comments on pull requests since a time and is still there, the oldest first, the bot's
// own among them. What was said before and edited since is listed too. One call a hundred comments on pull requests and
// issues.
func (c *Client) Comments(ctx context.Context, since time.Time) ([]forge.PullComment, error) {
	const doing = "list what was said in comments"
	var list []*gh.IssueComment
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		var err error
		list, err = pages(func(page gh.ListOptions) ([]*gh.IssueComment, *gh.Response, error) {
			const all = 0 // of the repository
			return c.gh.Issues.ListComments(ctx, owner, name, all, &gh.IssueListCommentsOptions{Since: &since, ListOptions: page})
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []forge.PullComment
	for _, said := range list {
		page, err := url.Parse(said.GetHTMLURL())
		if err != nil || said.GetID() <= 0 || said.CreatedAt == nil || said.UpdatedAt == nil {
			return nil, c.failure(doing, errMisfit)
		}
		if path.Base(path.Dir(page.Path)) != "pull" {
			continue // an issue's
		}
		number, err := strconv.Atoi(path.Base(page.Path))
		if err != nil {
			return nil, c.failure(doing, errMisfit)
		}
		out = append(out, forge.PullComment{PullRequest: number, Comment: forge.Comment{
			ID: said.GetID(), Author: person(said.GetUser()), Body: said.GetBody(), CreatedAt: said.GetCreatedAt().UTC(), URL: said.GetHTMLURL(),
			Edited: said.GetUpdatedAt().After(said.GetCreatedAt().Time),
		}})
	}
	return out, nil
}

// CreateComment writes a comment on a pull request. One call.
func (c *Client) CreateComment(ctx context.Context, number int, body string) (forge.Posted, error) {
	return c.post(ctx, fmt.Sprintf("comment on pull request %d", number), func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.gh.Issues.CreateComment(ctx, owner, name, number, &gh.IssueComment{Body: &body}))
	})
}

// EditComment replaces a comment's body. It returns forge.ErrNotFound when somebody has deleted the comment. One call.
func (c *Client) EditComment(ctx context.Context, id int64, body string) (forge.Posted, error) {
	return c.post(ctx, fmt.Sprintf("edit comment %d", id), func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.gh.Issues.EditComment(ctx, owner, name, id, &gh.IssueComment{Body: &body}))
	})
}

// FindComment finds the oldest comment on a pull request that the bot itself wrote and that holds the marker. It
// returns forge.ErrNotFound when there is none. One call a hundred comments, and those of [Client.Self] once.
func (c *Client) FindComment(ctx context.Context, number int, marker string) (id int64, body string, err error) {
	doing := fmt.Sprintf("look for the bot's comment on pull request %d", number)
	if marker == "" {
		return 0, "", fmt.Errorf("%s: %w: no marker", doing, forge.ErrRefused)
	}
	self, err := c.Self(ctx)
	if err != nil {
		return 0, "", err
	}
	var list []*gh.IssueComment
	err = c.inRepository(ctx, doing, func(owner, name string) error {
		list, err = pages(func(page gh.ListOptions) ([]*gh.IssueComment, *gh.Response, error) {
			return c.gh.Issues.ListComments(ctx, owner, name, number, &gh.IssueListCommentsOptions{ListOptions: page})
		})
		return err
	})
	if err != nil {
		return 0, "", err
	}
	for _, comment := range list {
		if comment.GetUser().GetID() == self.ID && strings.Contains(comment.GetBody(), marker) {
			return comment.GetID(), comment.GetBody(), nil
		}
	}
	return 0, "", fmt.Errorf("%s: %w", doing, forge.ErrNotFound)
}

// reactions are the ones that GitHub knows.
var reactions = map[string]bool{
	"+1": true, "-1": true, "laugh": true, "confused": true, "heart": true, "hooray": true, "rocket": true, "eyes": true,
}

// React adds a reaction to a comment on a pull request; a second time changes nothing. A review's own text is no such
// comment: GitHub's REST interface has no reactions for it, and the call ends in forge.ErrNotFound. One call.
func (c *Client) React(ctx context.Context, commentID int64, reaction string) error {
	doing := fmt.Sprintf("react to comment %d", commentID)
	if !reactions[reaction] {
		return fmt.Errorf("%s: %w: no reaction %q", doing, forge.ErrRefused, reaction)
	}
	return c.inRepository(ctx, doing, func(owner, name string) error {
		_, _, err := c.gh.Reactions.CreateIssueCommentReaction(ctx, owner, name, commentID, reaction)
		return err
	})
}

// Suggest comments on lines of a file, as headSHA has it, with a body that usually holds a [forge.Suggestion]. The lines
// must be part of the pull request's diff, all in one hunk; else, and when headSHA is no commit of the pull request, it
// is forge.ErrRefused. A second run comments a second time. One call.
func (c *Client) Suggest(ctx context.Context, number int, headSHA, path string, startLine, endLine int, body string) (forge.Posted, error) {
	doing := fmt.Sprintf("suggest a change of pull request %d", number)
	if !validSHA(headSHA) || path == "" || body == "" || startLine < 1 || endLine < startLine {
		return forge.Posted{}, fmt.Errorf("%s: %w: commit, path, lines and body are needed", doing, forge.ErrRefused)
	}
	comment := &gh.PullRequestComment{
		Body: &body, CommitID: &headSHA, Path: &path, Line: &endLine, Side: gh.String("RIGHT"),
	}
	if startLine < endLine {
		comment.StartLine, comment.StartSide = &startLine, gh.String("RIGHT")
	}
	return c.post(ctx, doing, func(owner, name string) (posted, *gh.Response, error) {
		return wrap(c.gh.PullRequests.CreateComment(ctx, owner, name, number, comment))
	})
}

// posted is what the answers to a post have in common.
type posted interface {
	GetID() int64
}

// wrap turns a typed answer into a posted one.
func wrap[T posted](v T, resp *gh.Response, err error) (posted, *gh.Response, error) {
	return v, resp, err
}

// post runs one creating or editing request and makes the receipt: the id that the forge gave, and its own clock.
func (c *Client) post(ctx context.Context, doing string, do func(owner, name string) (posted, *gh.Response, error)) (forge.Posted, error) {
	var receipt forge.Posted
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		got, resp, err := do(owner, name)
		if err != nil {
			return err
		}
		at, err := http.ParseTime(resp.Header.Get("Date"))
		switch {
		case got.GetID() == 0:
			return errMisfit
		case err != nil:
			return errNoDate
		}
		receipt = forge.Posted{ID: got.GetID(), At: at.UTC().Truncate(time.Second), URL: pageOf(got)}
		return nil
	})
	return receipt, err
}

// pageOf is where people see what was posted. A commit status has no page but the one it links to.
func pageOf(got posted) string {
	switch v := got.(type) {
	case interface{ GetHTMLURL() string }:
		return v.GetHTMLURL()
	case interface{ GetTargetURL() string }:
		return v.GetTargetURL()
	}
	return ""
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// clip cuts a text to n characters, the last of which says that it was cut.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
