package forgetest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const maxComment = 65536

func checkBody(body string) error {
	switch {
	case strings.TrimSpace(body) == "":
		return invalid("IssueComment", "body", "missing_field", "body can't be blank")
	case utf8.RuneCountInString(body) > maxComment:
		return invalid("IssueComment", "body", "custom", "body is too long (maximum is 65536 characters)")
	}
	return nil
}

func (s *Server) createComment(who *actor, is *issue, body string) (*comment, error) {
	if err := checkBody(body); err != nil {
		return nil, err
	}
	now := s.now()
	c := &comment{id: s.nextID(), issue: is, user: who.user, app: who.app, body: body, createdAt: now, updatedAt: now}
	is.comments = append(is.comments, c)
	is.repo.comments[c.id] = c
	is.updatedAt = now
	s.emitComment(who, c, "created", nil)
	return c, nil
}

// mayChange lets the author of a comment and everybody who can write change it.
func (s *Server) mayChange(who *actor, c *comment) error {
	if who.user == c.user {
		return nil
	}
	return who.can(c.issue.repo, "write", "issues:write|pull_requests:write")
}

func (s *Server) editComment(who *actor, c *comment, body string) error {
	if err := s.mayChange(who, c); err != nil {
		return err
	}
	if err := checkBody(body); err != nil {
		return err
	}
	was := c.body
	c.body, c.updatedAt = body, s.now()
	c.edits++
	s.emitComment(who, c, "edited", obj{"changes": obj{"body": obj{"from": was}}})
	return nil
}

func (s *Server) deleteComment(who *actor, c *comment) error {
	if err := s.mayChange(who, c); err != nil {
		return err
	}
	c.issue.comments = slices.DeleteFunc(c.issue.comments, func(o *comment) bool { return o == c })
	delete(c.issue.repo.comments, c.id)
	s.emitComment(who, c, "deleted", nil)
	return nil
}

func (c *call) issue() (*issue, error) {
	n, err := c.id("number")
	if err != nil {
		return nil, err
	}
	if is := c.repo.issues[int(n)]; is != nil {
		return is, nil
	}
	return nil, notFound()
}

func (c *call) comment() (*comment, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	if cm := c.repo.comments[id]; cm != nil {
		return cm, nil
	}
	return nil, notFound()
}

func (c *call) bodyText() (string, error) {
	var in struct {
		Body string `json:"body"`
	}
	err := c.decode(&in)
	return in.Body, err
}

func listComments(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	return c.pageOfComments(is.comments)
}

// listCommentsOfRepository lists those of all issues and pull requests, the oldest first.
func listCommentsOfRepository(c *call) (reply, error) {
	var all []*comment
	for _, id := range slices.Sorted(maps.Keys(c.repo.comments)) {
		all = append(all, c.repo.comments[id])
	}
	return c.pageOfComments(all)
}

// pageOfComments is a page of those that were written or edited since a time, where one is asked for.
func (c *call) pageOfComments(all []*comment) (reply, error) {
	if since, err := time.Parse(time.RFC3339, c.query("since")); err == nil {
		all = slices.DeleteFunc(slices.Clone(all), func(cm *comment) bool { return cm.updatedAt.Before(since) })
	}
	return page(c, all, c.s.commentView)
}

func getComment(c *call) (reply, error) {
	cm, err := c.comment()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.commentView(cm))
}

func postComment(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	body, err := c.bodyText()
	if err != nil {
		return reply{}, err
	}
	cm, err := c.s.createComment(c.actor, is, body)
	if err != nil {
		return reply{}, err
	}
	return created(c.s.commentView(cm))
}

func patchComment(c *call) (reply, error) {
	cm, err := c.comment()
	if err != nil {
		return reply{}, err
	}
	body, err := c.bodyText()
	if err != nil {
		return reply{}, err
	}
	if err := c.s.editComment(c.actor, cm, body); err != nil {
		return reply{}, err
	}
	return ok(c.s.commentView(cm))
}

func removeComment(c *call) (reply, error) {
	cm, err := c.comment()
	if err != nil {
		return reply{}, err
	}
	if err := c.s.deleteComment(c.actor, cm); err != nil {
		return reply{}, err
	}
	return noContent()
}

// reactions finds what is reacted to: a comment or, on the issue's own route, the issue.
func (c *call) reactions() (*[]*reaction, error) {
	if c.path("number") != "" {
		is, err := c.issue()
		if err != nil {
			return nil, err
		}
		return &is.reactions, nil
	}
	cm, err := c.comment()
	if err != nil {
		return nil, err
	}
	return &cm.reactions, nil
}

func listReactions(c *call) (reply, error) {
	rs, err := c.reactions()
	if err != nil {
		return reply{}, err
	}
	return page(c, *rs, c.s.reactionView)
}

// postReaction adds a reaction, or answers 200 with the one that is already there.
func postReaction(c *call) (reply, error) {
	rs, err := c.reactions()
	if err != nil {
		return reply{}, err
	}
	var in struct {
		Content string `json:"content"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if !slices.Contains(reactionKinds, in.Content) {
		return reply{}, invalid("Reaction", "content", "invalid", "")
	}
	for _, old := range *rs {
		if old.user == c.actor.user && old.content == in.Content {
			return ok(c.s.reactionView(old))
		}
	}
	r := &reaction{id: c.s.nextID(), user: c.actor.user, content: in.Content, createdAt: c.s.now()}
	*rs = append(*rs, r)
	return created(c.s.reactionView(r))
}

func removeReaction(c *call) (reply, error) {
	rs, err := c.reactions()
	if err != nil {
		return reply{}, err
	}
	id, err := c.id("reaction")
	if err != nil {
		return reply{}, err
	}
	for _, r := range *rs {
		if r.id == id {
			if r.user != c.actor.user {
				return reply{}, refuse(http.StatusForbidden, "Must be the author of the reaction")
			}
			*rs = slices.DeleteFunc(*rs, func(o *reaction) bool { return o == r })
			return noContent()
		}
	}
	return reply{}, notFound()
}
