package forgetest

import (
	"net/http"
	"slices"
)

// newReview is what a review takes. An empty event makes a pending review.
type newReview struct {
	CommitID string             `json:"commit_id"`
	Body     string             `json:"body"`
	Event    string             `json:"event"`
	Comments []newReviewComment `json:"comments"`
}

var reviewStates = map[string]string{"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED", "": "PENDING"}

func (s *Server) createReview(who *actor, p *pull, in newReview) (*review, error) {
	if in.CommitID == "" {
		in.CommitID = p.headSHA
	}
	if _, err := p.repo.store.commit(in.CommitID); err != nil {
		return nil, unprocessable("The commit is not part of the pull request")
	}
	for _, old := range p.reviews {
		if old.user == who.user && old.state == "PENDING" {
			return nil, unprocessable("User can only have one pending review per pull request")
		}
	}
	rv := &review{id: s.nextID(), pull: p, user: who.user, body: in.Body, commitID: in.CommitID, state: "PENDING"}
	if err := s.checkReview(rv, in.Event, len(in.Comments) > 0); err != nil {
		return nil, err
	}
	for i := range in.Comments {
		if err := s.checkLines(p, in.CommitID, &in.Comments[i]); err != nil {
			return nil, err
		}
	}
	p.reviews = append(p.reviews, rv)
	for _, c := range in.Comments {
		s.addReviewComment(who, rv, c)
	}
	if in.Event != "" {
		s.submitReview(who, rv, in.Event)
	}
	return rv, nil
}

// checkReview refuses what GitHub refuses: an unknown event, judging one's own work, saying nothing.
func (s *Server) checkReview(rv *review, event string, hasComments bool) error {
	state, known := reviewStates[event]
	own := rv.user == rv.pull.author
	switch {
	case !known:
		return unprocessable("Variable $event of type PullRequestReviewEvent was provided invalid value")
	case own && state == "APPROVED":
		return unprocessable("Can not approve your own pull request")
	case own && state == "CHANGES_REQUESTED":
		return unprocessable("Can not request changes on your own pull request")
	case state == "CHANGES_REQUESTED" && rv.body == "", state == "COMMENTED" && rv.body == "" && !hasComments:
		return unprocessable("Body is required")
	}
	return nil
}

func (s *Server) submitReview(who *actor, rv *review, event string) {
	p := rv.pull
	rv.state, rv.submittedAt = reviewStates[event], s.now()
	p.updatedAt = rv.submittedAt
	p.requested = slices.DeleteFunc(p.requested, func(u *account) bool { return u == rv.user })
	s.emitReview(who, rv, "submitted", nil)
	for _, c := range p.reviewComments {
		if c.review == rv {
			s.emitReviewComment(who, c, "created")
		}
	}
}

func (s *Server) editReview(who *actor, rv *review, body string) error {
	if who.user != rv.user {
		return refuse(http.StatusForbidden, "Must be the author of the review")
	}
	was := rv.body
	rv.body = body
	s.emitReview(who, rv, "edited", obj{"changes": obj{"body": obj{"from": was}}})
	return nil
}

func (s *Server) dismissReview(who *actor, rv *review, message string) error {
	if err := who.can(rv.pull.repo, "write", "pull_requests:write"); err != nil {
		return err
	}
	switch {
	case message == "":
		return unprocessable("Message can't be blank")
	case rv.state != "APPROVED" && rv.state != "CHANGES_REQUESTED":
		return unprocessable("Can not dismiss a " + rv.state + " pull request review")
	}
	s.dismiss(who, rv, message, "")
	return nil
}

func (s *Server) dismiss(who *actor, rv *review, message, push string) {
	s.recordDismissal(who, rv, message, push)
	rv.state, rv.pull.updatedAt = "DISMISSED", s.now()
	s.emitReview(who, rv, "dismissed", nil)
}

// dismissStale is the forge's own dismissal: the event looks as if the pusher had done it. Only approvals go stale.
func (s *Server) dismissStale(who *actor, p *pull) {
	if !p.repo.protection[p.baseRef].DismissStale {
		return
	}
	for _, rv := range p.reviews {
		if rv.state == "APPROVED" {
			s.dismiss(who, rv, "", p.headSHA)
		}
	}
}

func (c *call) pull() (*pull, error) {
	n, err := c.id("number")
	if err != nil {
		return nil, err
	}
	if p := c.repo.pull(int(n)); p != nil {
		return p, nil
	}
	return nil, notFound()
}

func (c *call) review() (*review, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	for _, rv := range p.reviews {
		if rv.id == id && (rv.state != "PENDING" || rv.user == c.actor.user) {
			return rv, nil
		}
	}
	return nil, notFound()
}

func listReviews(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	visible := slices.DeleteFunc(slices.Clone(p.reviews), func(rv *review) bool {
		return rv.state == "PENDING" && rv.user != c.actor.user
	})
	return page(c, visible, c.s.reviewView)
}

func getReview(c *call) (reply, error) {
	rv, err := c.review()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.reviewView(rv))
}

func postReview(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in newReview
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	rv, err := c.s.createReview(c.actor, p, in)
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.reviewView(rv))
}

func putReview(c *call) (reply, error) {
	rv, err := c.review()
	if err != nil {
		return reply{}, err
	}
	var in newReview
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := c.s.editReview(c.actor, rv, in.Body); err != nil {
		return reply{}, err
	}
	return ok(c.s.reviewView(rv))
}

func submitPendingReview(c *call) (reply, error) {
	rv, err := c.review()
	if err != nil {
		return reply{}, err
	}
	var in newReview
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Body != "" {
		rv.body = in.Body
	}
	if rv.state != "PENDING" || in.Event == "" {
		return reply{}, unprocessable("Could not submit the review")
	}
	if err := c.s.checkReview(rv, in.Event, false); err != nil {
		return reply{}, err
	}
	c.s.submitReview(c.actor, rv, in.Event)
	return ok(c.s.reviewView(rv))
}

func putDismissal(c *call) (reply, error) {
	rv, err := c.review()
	if err != nil {
		return reply{}, err
	}
	var in struct {
		Message string `json:"message"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := c.s.dismissReview(c.actor, rv, in.Message); err != nil {
		return reply{}, err
	}
	return ok(c.s.reviewView(rv))
}
