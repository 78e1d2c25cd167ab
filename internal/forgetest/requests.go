package forgetest

import "slices"

const maxReviewers = 15

// requestReviewers asks people and teams for a review, all of them or none. Whoever is asked already stays asked.
func (s *Server) requestReviewers(who *actor, p *pull, logins, slugs []string) error {
	people, err := s.reviewersNamed(p, logins)
	if err != nil {
		return err
	}
	teams, err := teamsNamed(p, slugs)
	if err != nil {
		return err
	}
	people = slices.DeleteFunc(people, func(u *account) bool { return slices.Contains(p.requested, u) })
	if len(p.requested)+len(people) > maxReviewers {
		return unprocessable("A pull request can only have up to 15 reviewers requested.")
	}
	for _, t := range teams {
		if !slices.Contains(p.requestedTeams, t) {
			p.requestedTeams = append(p.requestedTeams, t)
			s.reviewRequest(who, p, "review_requested", obj{"requested_team": s.teamView(t)})
		}
	}
	for _, u := range people {
		p.requested = append(p.requested, u)
		s.reviewRequest(who, p, "review_requested", obj{"requested_reviewer": s.userView(u)})
	}
	return nil
}

// reviewersNamed finds those whom the repository knows as people of its own; that everybody may read it is not enough.
func (s *Server) reviewersNamed(p *pull, logins []string) ([]*account, error) {
	var out []*account
	for _, login := range logins {
		u := s.account(login)
		if u == p.author {
			return nil, unprocessable("Review cannot be requested from pull request author.")
		}
		if u == nil || u.kind != "User" || !isMemberOf(p.repo, u) || !atLeast(p.repo.permission(u), "read") {
			return nil, notCollaborators("users", p.repo)
		}
		if !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out, nil
}

func teamsNamed(p *pull, slugs []string) ([]*team, error) {
	var out []*team
	for _, slug := range slugs {
		i := slices.IndexFunc(p.repo.owner.teams, func(t *team) bool { return t.slug == slug })
		if i < 0 {
			return nil, unprocessable("Could not resolve to a node with the global id of '" + slug + "'.")
		}
		t := p.repo.owner.teams[i]
		if !atLeast(t.repos[p.repo.id], "read") {
			return nil, notCollaborators("teams", p.repo)
		}
		out = append(out, t)
	}
	return out, nil
}

func notCollaborators(what string, r *repository) error {
	return unprocessable("Reviews may only be requested from collaborators. One or more of the " + what +
		" you specified is not a collaborator of the " + r.fullName() + " repository.")
}

// reviewRequest tells of a request made or taken back, and remembers it.
func (s *Server) reviewRequest(who *actor, p *pull, kind string, of obj) {
	s.recordEvent(who, p.issue, kind, with(obj{"review_requester": s.userView(who.user)}, of))
	p.updatedAt = s.now()
	s.emitPull(who, p, kind, of)
}

func listRequestedReviewers(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"users": views(p.requested, c.s.userView), "teams": views(p.requestedTeams, c.s.teamView)})
}

type reviewersInput struct {
	Reviewers []string `json:"reviewers"`
	Teams     []string `json:"team_reviewers"`
}

func postRequestedReviewers(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in reviewersInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := c.s.requestReviewers(c.actor, p, in.Reviewers, in.Teams); err != nil {
		return reply{}, err
	}
	return created(c.s.pullView(p))
}

func removeRequestedReviewers(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in reviewersInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	for _, u := range slices.Clone(p.requested) {
		if slices.ContainsFunc(in.Reviewers, func(l string) bool { return equalFold(l, u.login) }) {
			p.requested = slices.DeleteFunc(p.requested, func(o *account) bool { return o == u })
			c.s.reviewRequest(c.actor, p, "review_request_removed", obj{"requested_reviewer": c.s.userView(u)})
		}
	}
	for _, t := range slices.Clone(p.requestedTeams) {
		if slices.Contains(in.Teams, t.slug) {
			p.requestedTeams = slices.DeleteFunc(p.requestedTeams, func(o *team) bool { return o == t })
			c.s.reviewRequest(c.actor, p, "review_request_removed", obj{"requested_team": c.s.teamView(t)})
		}
	}
	return ok(c.s.pullView(p))
}
