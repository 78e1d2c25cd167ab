package forgetest

import (
	"net/url"
	"slices"
	"time"
)

func getIssue(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.issueView(is))
}

func postIssue(c *call) (reply, error) {
	var in struct {
		Title  string   `json:"title"`
		Body   string   `json:"body"`
		Labels []string `json:"labels"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Title == "" {
		return reply{}, invalid("Issue", "title", "missing_field", "")
	}
	is := c.s.newIssue(c.actor, c.repo, in.Title, in.Body)
	for _, name := range in.Labels {
		is.labels = append(is.labels, c.s.labelNamed(c.repo, name))
	}
	c.s.emitIssue(c.actor, is, "opened", nil)
	return created(c.s.issueView(is))
}

// patchIssue edits an issue; for a pull request it is another way to its title, body and state.
func patchIssue(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	var in pullEdit
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	in.Base = nil
	if is.pull != nil {
		err = c.s.editPull(c.actor, is.pull, in)
	} else {
		err = c.s.editIssue(c.actor, is, in)
	}
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.issueView(is))
}

func (s *Server) editIssue(who *actor, is *issue, in pullEdit) error {
	if err := s.mayEdit(who, is); err != nil {
		return err
	}
	now := s.now()
	changes := obj{}
	if in.Title != nil && *in.Title != is.title {
		changes["title"] = obj{"from": is.title}
		is.title = *in.Title
	}
	if in.Body != nil && *in.Body != is.body {
		changes["body"] = obj{"from": is.body}
		is.body = *in.Body
	}
	is.updatedAt = now
	if len(changes) > 0 {
		s.emitIssue(who, is, "edited", obj{"changes": changes})
	}
	if in.State == nil || *in.State == is.state {
		return nil
	}
	is.state = *in.State
	if is.state == "closed" {
		is.closedAt, is.closedBy = now, who.user
		s.emitIssue(who, is, "closed", nil)
		return nil
	}
	is.closedBy, is.closedAt = nil, time.Time{}
	s.emitIssue(who, is, "reopened", nil)
	return nil
}

func listIssues(c *call) (reply, error) {
	state := c.query("state")
	if state == "" {
		state = "open"
	}
	var out []*issue
	for n := c.repo.lastNumber; n > 0; n-- {
		if is := c.repo.issues[n]; is != nil && (state == "all" || is.state == state) {
			out = append(out, is)
		}
	}
	return page(c, out, c.s.issueView)
}

func (s *Server) labelNamed(r *repository, name string) *label {
	for _, l := range r.labels {
		if equalFold(l.name, name) {
			return l
		}
	}
	l := &label{id: s.nextID(), name: name, color: "ededed"}
	r.labels = append(r.labels, l)
	return l
}

func listLabels(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	return page(c, is.labels, func(l *label) obj { return c.s.labelView(c.repo, l) })
}

func postLabels(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	names, err := c.labelNames()
	if err != nil {
		return reply{}, err
	}
	for _, name := range names {
		l := c.s.labelNamed(c.repo, name)
		if !slices.Contains(is.labels, l) {
			is.labels = append(is.labels, l)
			c.s.emitLabel(c.actor, is, l, "labeled")
		}
	}
	return ok(views(is.labels, func(l *label) obj { return c.s.labelView(c.repo, l) }))
}

// labelNames reads the two bodies that GitHub takes: a list of names, or an object with one.
func (c *call) labelNames() ([]string, error) {
	var names []string
	if err := c.decode(&names); err == nil {
		return names, nil
	}
	var in struct {
		Labels []string `json:"labels"`
	}
	err := c.decode(&in)
	return in.Labels, err
}

func removeLabel(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	name, err := url.PathUnescape(c.path("name"))
	if err != nil {
		return reply{}, notFound()
	}
	i := slices.IndexFunc(is.labels, func(l *label) bool { return equalFold(l.name, name) })
	if i < 0 {
		return reply{}, refuse(404, "Label does not exist")
	}
	l := is.labels[i]
	is.labels = slices.Delete(slices.Clone(is.labels), i, i+1)
	c.s.emitLabel(c.actor, is, l, "unlabeled")
	return ok(views(is.labels, func(l *label) obj { return c.s.labelView(c.repo, l) }))
}
