package github

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Self is the bot's own account: the App's bot user, or the token's user. It is asked for once (an App: two calls).
func (c *Client) Self(ctx context.Context) (forge.Person, error) {
	c.mu.Lock()
	known := c.self
	c.mu.Unlock()
	if known.Known() {
		return known, nil
	}
	login := "" // the token's user
	if c.apps != nil {
		app, _, err := c.apps.Apps.Get(ctx, "")
		if err != nil {
			return forge.Person{}, c.failure("ask for the App", err)
		}
		login = app.GetSlug() + "[bot]"
		if !validLogin(login) {
			return forge.Person{}, c.failure("ask for the App", errMisfit)
		}
	}
	u, _, err := c.gh.Users.Get(ctx, url.PathEscape(login))
	if err != nil {
		return forge.Person{}, c.failure("ask for the bot's own account", err)
	}
	self := person(u)
	if !self.Known() || login != "" && !strings.EqualFold(self.Login, login) {
		return forge.Person{}, c.failure("ask for the bot's own account", errMisfit)
	}
	c.mu.Lock()
	c.self = self
	c.mu.Unlock()
	return self, nil
}

// User finds a person by id, under the login they have now. One call.
func (c *Client) User(ctx context.Context, id int64) (forge.Person, error) {
	doing := fmt.Sprintf("ask for user %d", id)
	if id <= 0 {
		return forge.Person{}, fmt.Errorf("%s: %w", doing, forge.ErrNotFound)
	}
	u, _, err := c.gh.Users.GetByID(ctx, id)
	if err != nil {
		return forge.Person{}, c.failure(doing, err)
	}
	if u.GetID() != id {
		return forge.Person{}, c.failure(doing, errMisfit)
	}
	return person(u), nil
}

// TeamMember reports whether the login is an active member of the team; somebody who is invited, or whom the bot may
// not see, is none. A login can change hands: callers who know a person by id ask [Client.User] for the login first.
// One call.
func (c *Client) TeamMember(ctx context.Context, orgID, teamID int64, login string) (bool, error) {
	if orgID <= 0 || teamID <= 0 || !validLogin(login) {
		return false, nil
	}
	doing := fmt.Sprintf("ask whether %s is in team %d", login, teamID)
	m, _, err := c.gh.Teams.GetTeamMembershipByID(ctx, orgID, teamID, login)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, c.failure(doing, err)
	}
	if !membershipOf(m.GetURL(), orgID, teamID, login) {
		return false, c.failure(doing, errMisfit)
	}
	return m.GetState() == "active", nil
}

// membershipOf reads the only thing by which a membership says whose it is: its own address, which ends in
// organizations/1/team/2/memberships/login or in teams/2/memberships/login.
func membershipOf(address string, orgID, teamID int64, login string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	parts := strings.Split(u.Path, "/")
	n := len(parts)
	if n < 4 || parts[n-2] != "memberships" || !strings.EqualFold(parts[n-1], login) {
		return false
	}
	team, org := strconv.FormatInt(teamID, 10), strconv.FormatInt(orgID, 10)
	if slices.Equal(parts[n-4:n-2], []string{"teams", team}) {
		return true
	}
	return n >= 6 && slices.Equal(parts[n-6:n-2], []string{"organizations", org, "team", team})
}

// person drops everybody whom GitHub does not name by id. Whoever is no user (an App, an organisation, a placeholder
// of an import) is no human being and counts as a bot.
func person(u *gh.User) forge.Person {
	if u.GetID() <= 0 {
		return forge.Person{}
	}
	bot := u.GetType() != "User" || strings.HasSuffix(u.GetLogin(), "[bot]")
	return forge.Person{ID: u.GetID(), Login: u.GetLogin(), Bot: bot}
}
