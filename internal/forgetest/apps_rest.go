package forgetest

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

func getApp(c *call) (reply, error) {
	v := c.s.appView(c.actor.app)
	v["installations_count"] = len(c.actor.app.installations)
	return ok(v)
}

func listInstallations(c *call) (reply, error) {
	return page(c, c.actor.app.installations, c.s.installationView)
}

func (c *call) installation() (*installation, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.actor.app.installations, func(i *installation) bool { return i.id == id })
	if i < 0 {
		return nil, notFound()
	}
	return c.actor.app.installations[i], nil
}

func getInstallation(c *call) (reply, error) {
	i, err := c.installation()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.installationView(i))
}

// findInstallation answers for a repository, an organisation or a user.
func findInstallation(c *call) (reply, error) {
	for _, i := range c.actor.app.installations {
		if name := c.path("repo"); name != "" {
			if r := c.s.repository(c.path("repo_owner"), name); r != nil && i.covers(r) {
				return ok(c.s.installationView(i))
			}
			continue
		}
		if equalFold(i.account.login, c.path("login")) {
			return ok(c.s.installationView(i))
		}
	}
	return reply{}, notFound()
}

// tokenLife is how long an installation token lasts.
const tokenLife = time.Hour

type tokenInput struct {
	Repositories  []string          `json:"repositories"`
	RepositoryIDs []int64           `json:"repository_ids"`
	Permissions   map[string]string `json:"permissions"`
}

// postAccessToken mints an installation token, for fewer repositories and permissions when asked for.
func postAccessToken(c *call) (reply, error) {
	inst, err := c.installation()
	if err != nil {
		return reply{}, err
	}
	if !inst.suspendedAt.IsZero() {
		return reply{}, refuse(http.StatusForbidden, "This installation has been suspended")
	}
	var in tokenInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	perms, err := inst.narrow(in.Permissions)
	if err != nil {
		return reply{}, err
	}
	repos, err := c.narrowRepos(inst, in)
	if err != nil {
		return reply{}, err
	}
	t := &token{inst: inst, permissions: perms, expiresAt: c.s.clock().Add(tokenLife)}
	v := obj{"expires_at": stamp(t.expiresAt), "permissions": perms, "repository_selection": "all"}
	if inst.repos != nil {
		v["repository_selection"] = "selected"
	}
	if repos != nil {
		t.repos = map[int64]bool{}
		for _, r := range repos {
			t.repos[r.id] = true
		}
		v["repositories"], v["repository_selection"] = views(repos, c.s.repoView), "selected"
	}
	v["token"] = c.s.installationToken(t)
	return created(v)
}

func (i *installation) narrow(want map[string]string) (map[string]string, error) {
	if len(want) == 0 {
		return maps.Clone(i.permissions), nil
	}
	for name, level := range want {
		if !atLeast(i.permissions[name], level) {
			return nil, refuse(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
	}
	out := maps.Clone(want)
	if out["metadata"] == "" {
		out["metadata"] = "read"
	}
	return out, nil
}

func (c *call) narrowRepos(inst *installation, in tokenInput) ([]*repository, error) {
	var out []*repository
	for _, name := range in.Repositories {
		out = append(out, c.s.repository(inst.account.login, name))
	}
	for _, id := range in.RepositoryIDs {
		out = append(out, c.s.repos[id])
	}
	for _, r := range out {
		if r == nil || !inst.covers(r) {
			return nil, refuse(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
		}
	}
	return out, nil
}

func listInstallationRepos(c *call) (reply, error) {
	if c.actor.inst() == nil {
		return reply{}, refuse(http.StatusForbidden, "You must authenticate with an installation access token in order to list repositories for an installation.")
	}
	repos := slices.DeleteFunc(c.s.sortedRepos(), func(r *repository) bool { return !c.actor.token.covers(r) })
	return pageOf(c, "repositories", repos, func(r *repository) obj {
		v := c.s.fullRepoView(r, c.actor.user)
		for _, field := range []string{"subscribers_count", "network_count", "organization", "parent", "source"} {
			delete(v, field) // only a repository asked for by itself has them
		}
		return v
	})
}

func revokeToken(c *call) (reply, error) {
	for secret, t := range c.s.tokens {
		if t == c.actor.token && t.inst != nil {
			delete(c.s.tokens, secret)
			return noContent()
		}
	}
	return reply{}, refuse(http.StatusForbidden, "Resource not accessible")
}

func getMeta(*call) (reply, error) {
	return ok(obj{"verifiable_password_authentication": true, "installed_version": enterpriseVersion, "hooks": []string{"127.0.0.1/32"}})
}
