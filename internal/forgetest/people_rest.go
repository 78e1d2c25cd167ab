package forgetest

import (
	"net/http"
	"slices"
)

func getMe(c *call) (reply, error) {
	if c.actor.inst() != nil {
		return reply{}, refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return ok(c.s.fullUserView(c.actor.user))
}

func getUser(c *call) (reply, error) {
	u := c.s.account(c.path("login"))
	if u == nil {
		return reply{}, notFound()
	}
	return ok(c.s.fullUserView(u))
}

func getUserByID(c *call) (reply, error) {
	id, err := c.id("id")
	if err != nil {
		return reply{}, err
	}
	u := c.s.accounts[id]
	if u == nil {
		return reply{}, notFound()
	}
	return ok(c.s.fullUserView(u))
}

// org finds the organisation of a route, by login or by id. Only its members and installations on it see inside.
func (c *call) org() (*account, error) {
	var org *account
	if login := c.path("org"); login != "" {
		org = c.s.account(login)
	} else {
		id, err := c.id("org_id")
		if err != nil {
			return nil, err
		}
		org = c.s.accounts[id]
	}
	if org == nil || org.kind != "Organization" {
		return nil, notFound()
	}
	return org, nil
}

func (c *call) orgInside() (*account, error) {
	org, err := c.org()
	if err != nil {
		return nil, err
	}
	if i := c.actor.inst(); i != nil && i.account == org || org.members[c.actor.user.id] != "" {
		return org, nil
	}
	return nil, notFound()
}

func getOrg(c *call) (reply, error) {
	org, err := c.org()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.fullOrgView(org))
}

func (s *Server) orgMembershipView(org, u *account) obj {
	return with(s.smallMembershipView(org, u), obj{"organization": s.orgView(org)})
}

// smallMembershipView is the membership as webhooks have it.
func (s *Server) smallMembershipView(org, u *account) obj {
	return obj{
		"url": s.apiURL("/orgs/%s/memberships/%s", org.login, u.login), "state": "active", "role": org.members[u.id],
		"organization_url": s.apiURL("/orgs/%s", org.login), "user": s.userView(u),
	}
}

func getOrgMembership(c *call) (reply, error) {
	org, err := c.orgInside()
	if err != nil {
		return reply{}, err
	}
	u := c.s.account(c.path("login"))
	if u == nil || org.members[u.id] == "" {
		return reply{}, notFound()
	}
	return ok(c.s.orgMembershipView(org, u))
}

func isOrgMember(c *call) (reply, error) {
	org, err := c.orgInside()
	if err != nil {
		return reply{}, err
	}
	u := c.s.account(c.path("login"))
	if u == nil || org.members[u.id] == "" {
		return reply{}, notFound()
	}
	return noContent()
}

func listOrgMembers(c *call) (reply, error) {
	org, err := c.orgInside()
	if err != nil {
		return reply{}, err
	}
	var out []*account
	for id, role := range org.members {
		if want := c.query("role"); want == "" || want == "all" || want == role {
			out = append(out, c.s.accounts[id])
		}
	}
	slices.SortFunc(out, func(a, b *account) int { return int(a.id - b.id) })
	return page(c, out, c.s.userView)
}

func listTeams(c *call) (reply, error) {
	org, err := c.orgInside()
	if err != nil {
		return reply{}, err
	}
	return page(c, org.teams, c.s.teamView)
}

// team finds the team of a route, by slug or by id.
func (c *call) team() (*team, error) {
	org, err := c.orgInside()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(org.teams, func(t *team) bool {
		return c.path("slug") == t.slug || c.path("team_id") == itoa(t.id)
	})
	if i < 0 {
		return nil, notFound()
	}
	return org.teams[i], nil
}

func getTeam(c *call) (reply, error) {
	t, err := c.team()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.fullTeamView(t))
}

func getTeamMembership(c *call) (reply, error) {
	t, err := c.team()
	if err != nil {
		return reply{}, err
	}
	u := c.s.account(c.path("login"))
	if u == nil || t.members[u.id] == nil {
		return reply{}, notFound()
	}
	m := t.members[u.id]
	return ok(obj{
		"url":  c.s.apiURL("/organizations/%d/team/%d/memberships/%s", t.org.id, t.id, u.login),
		"role": m.role, "state": m.state,
	})
}

// listTeamMembers lists active members only, as GitHub does.
func listTeamMembers(c *call) (reply, error) {
	t, err := c.team()
	if err != nil {
		return reply{}, err
	}
	var out []*account
	for _, m := range t.members {
		role := c.query("role")
		if m.state == "active" && (role == "" || role == "all" || role == m.role) {
			out = append(out, m.user)
		}
	}
	slices.SortFunc(out, func(a, b *account) int { return int(a.id - b.id) })
	return page(c, out, c.s.userView)
}

func getPermission(c *call) (reply, error) {
	u := c.s.account(c.path("login"))
	if u == nil {
		return reply{}, refuse(http.StatusNotFound, "%s is not a user", c.path("login"))
	}
	role := c.repo.permission(u)
	// The older field knows only four words: maintain shows as write, triage as read.
	coarse := map[string]string{"maintain": "write", "triage": "read"}
	level := role
	if v, found := coarse[role]; found {
		level = v
	}
	user := c.s.userView(u)
	user["role_name"], user["permissions"] = role, obj{
		"admin": atLeast(role, "admin"), "maintain": atLeast(role, "maintain"), "push": atLeast(role, "write"),
		"triage": atLeast(role, "triage"), "pull": atLeast(role, "read"),
	}
	return ok(obj{"permission": level, "role_name": role, "user": user})
}

func isCollaborator(c *call) (reply, error) {
	u := c.s.account(c.path("login"))
	if u == nil || !isMemberOf(c.repo, u) {
		return reply{}, notFound()
	}
	return noContent()
}

func isMemberOf(r *repository, u *account) bool {
	return r.association(u) != "NONE" || atLeast(r.permission(u), "triage")
}

func listCollaborators(c *call) (reply, error) {
	var out []*account
	for _, u := range c.s.accounts {
		if u.kind == "User" && isMemberOf(c.repo, u) && atLeast(c.repo.permission(u), "read") {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b *account) int { return int(a.id - b.id) })
	return page(c, out, func(u *account) obj {
		v, role := c.s.userView(u), c.repo.permission(u)
		v["role_name"], v["permissions"] = role, obj{
			"admin": atLeast(role, "admin"), "maintain": atLeast(role, "maintain"), "push": atLeast(role, "write"),
			"triage": atLeast(role, "triage"), "pull": true,
		}
		return v
	})
}
