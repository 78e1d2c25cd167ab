package forgetest

import (
	"fmt"
	"time"
)

// obj is a JSON object under construction. The views build answers and payloads from maps, not from go-github's
// structs, because GitHub sends null and false where those structs send nothing.
type obj = map[string]any

// stamp writes a time as GitHub does, nil for the zero time.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// with adds fields to an object.
func with(v, extra obj) obj {
	for k, val := range extra {
		v[k] = val
	}
	return v
}

func views[T any](items []T, view func(T) obj) []obj {
	out := make([]obj, 0, len(items))
	for _, it := range items {
		out = append(out, view(it))
	}
	return out
}

func (s *Server) apiURL(format string, args ...any) string {
	return s.base + "/api/v3" + fmt.Sprintf(format, args...)
}

func (s *Server) userView(a *account) obj {
	if a == nil {
		return nil
	}
	u := s.apiURL("/users/%s", a.login)
	return obj{
		"login": a.login, "id": a.id, "node_id": nodeID("User", a.id), "type": a.kind, "site_admin": false,
		"avatar_url": s.base + "/avatars/u/" + itoa(a.id), "gravatar_id": "", "url": u, "html_url": s.base + "/" + a.login,
		"followers_url": u + "/followers", "following_url": u + "/following{/other_user}",
		"gists_url": u + "/gists{/gist_id}", "starred_url": u + "/starred{/owner}{/repo}",
		"subscriptions_url": u + "/subscriptions", "organizations_url": u + "/orgs", "repos_url": u + "/repos",
		"events_url": u + "/events{/privacy}", "received_events_url": u + "/received_events",
	}
}

func (s *Server) fullUserView(a *account) obj {
	return with(s.userView(a), obj{
		"name": orNull(a.name), "company": nil, "blog": "", "location": nil, "email": orNull(a.email), "hireable": nil,
		"bio": nil, "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": stamp(a.createdAt), "updated_at": stamp(a.createdAt),
	})
}

func (s *Server) orgView(a *account) obj {
	u := s.apiURL("/orgs/%s", a.login)
	return obj{
		"login": a.login, "id": a.id, "node_id": nodeID("Organization", a.id), "url": u, "repos_url": u + "/repos",
		"events_url": u + "/events", "hooks_url": u + "/hooks", "issues_url": u + "/issues",
		"members_url": u + "/members{/member}", "public_members_url": u + "/public_members{/member}",
		"avatar_url": s.base + "/avatars/u/" + itoa(a.id), "description": "",
	}
}

// repoLinks are the URL fields of a repository, with the path that follows the repository's own URL.
var repoLinks = map[string]string{
	"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
	"branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}",
	"comments_url": "/comments{/number}", "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
	"contents_url": "/contents/{+path}", "contributors_url": "/contributors", "deployments_url": "/deployments",
	"downloads_url": "/downloads", "events_url": "/events", "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}",
	"git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks",
	"issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
	"issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
	"languages_url": "/languages", "merges_url": "/merges", "milestones_url": "/milestones{/number}",
	"notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
	"releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
	"subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags", "teams_url": "/teams",
	"trees_url": "/git/trees{/sha}",
}

func (s *Server) repoView(r *repository) obj {
	u := s.apiURL("/repos/%s", r.fullName())
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	open := 0
	for _, is := range r.issues {
		if is.state == "open" {
			open++
		}
	}
	v := obj{
		"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private,
		"visibility": visibility, "owner": s.userView(r.owner), "html_url": s.base + "/" + r.fullName(),
		"description": nil, "fork": r.parent != nil, "url": u, "default_branch": r.defaultBranch,
		"created_at": stamp(r.createdAt), "updated_at": stamp(r.createdAt), "pushed_at": stamp(r.pushedAt),
		"git_url": s.base + "/" + r.fullName() + ".git", "ssh_url": "git@forge:" + r.fullName() + ".git",
		"clone_url": s.base + "/" + r.fullName() + ".git", "svn_url": s.base + "/" + r.fullName(), "mirror_url": nil,
		"homepage": nil, "size": 1, "stargazers_count": 0, "watchers_count": 0, "language": nil, "has_issues": true,
		"has_projects": true, "has_downloads": true, "has_wiki": false, "has_pages": false, "has_discussions": false,
		"forks_count": 0, "archived": false, "disabled": false, "open_issues_count": open, "license": nil,
		"allow_forking": true, "is_template": false, "web_commit_signoff_required": false, "topics": []string{},
		"forks": 0, "open_issues": open, "watchers": 0,
	}
	for field, path := range repoLinks {
		v[field] = u + path
	}
	return v
}

// fullRepoView is what the repository endpoints add to what payloads carry.
func (s *Server) fullRepoView(r *repository, viewer *account) obj {
	v := s.repoView(r)
	p := r.permission(viewer)
	v["permissions"] = obj{
		"admin": atLeast(p, "admin"), "maintain": atLeast(p, "maintain"), "push": atLeast(p, "write"),
		"triage": atLeast(p, "triage"), "pull": atLeast(p, "read"),
	}
	v["allow_merge_commit"], v["allow_squash_merge"], v["allow_rebase_merge"] = !r.noMerging["merge"], !r.noMerging["squash"], !r.noMerging["rebase"]
	v["allow_auto_merge"], v["delete_branch_on_merge"], v["allow_update_branch"] = false, false, true
	v["subscribers_count"], v["network_count"], v["custom_properties"] = 0, 0, obj{}
	if r.owner.kind == "Organization" {
		v["organization"] = s.userView(r.owner)
	}
	if r.parent != nil {
		v["parent"], v["source"] = s.repoView(r.parent), s.repoView(r.parent)
	}
	return v
}

func (s *Server) labelView(r *repository, l *label) obj {
	return obj{
		"id": l.id, "node_id": nodeID("Label", l.id), "url": s.apiURL("/repos/%s/labels/%s", r.fullName(), l.name),
		"name": l.name, "color": l.color, "default": false, "description": "",
	}
}

func (s *Server) teamView(t *team) obj {
	u := s.apiURL("/organizations/%d/team/%d", t.org.id, t.id)
	return obj{
		"id": t.id, "node_id": nodeID("Team", t.id), "name": t.name, "slug": t.slug, "description": "",
		"privacy": "closed", "notification_setting": "notifications_enabled", "permission": "pull", "url": u,
		"html_url":    s.base + "/orgs/" + t.org.login + "/teams/" + t.slug,
		"members_url": u + "/members{/member}", "repositories_url": u + "/repos", "parent": nil, "type": "organization",
	}
}

// smallTeamView is a team as a pull request that was asked for by itself has it.
func (s *Server) smallTeamView(t *team) obj {
	v := s.teamView(t)
	delete(v, "parent")
	return v
}

func (s *Server) fullTeamView(t *team) obj {
	v := s.teamView(t)
	v["members_count"], v["repos_count"] = len(t.members), len(t.repos)
	v["created_at"], v["updated_at"] = stamp(t.org.createdAt), stamp(t.org.createdAt)
	v["organization"] = s.fullOrgView(t.org)
	return v
}

func (s *Server) fullOrgView(a *account) obj {
	return with(s.orgView(a), obj{
		"name": orNull(a.name), "html_url": s.base + "/" + a.login, "type": "Organization", "has_organization_projects": true,
		"has_repository_projects": true, "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": stamp(a.createdAt), "updated_at": stamp(a.createdAt), "archived_at": nil,
	})
}

func (s *Server) appView(a *app) obj {
	return obj{
		"id": a.id, "slug": a.slug, "node_id": nodeID("App", a.id), "owner": s.userView(a.owner), "name": a.name,
		"client_id": "Iv1." + itoa(a.id), "description": nil, "external_url": s.base, "html_url": s.base + "/github-apps/" + a.slug,
		"created_at": stamp(a.createdAt), "updated_at": stamp(a.createdAt), "permissions": a.permissions, "events": a.events,
	}
}

func (s *Server) installationView(i *installation) obj {
	selection := "all"
	if i.repos != nil {
		selection = "selected"
	}
	v := obj{
		"id": i.id, "account": s.userView(i.account), "repository_selection": selection,
		"access_tokens_url": s.apiURL("/app/installations/%d/access_tokens", i.id),
		"repositories_url":  s.apiURL("/installation/repositories"),
		"html_url":          s.base + "/organizations/" + i.account.login + "/settings/installations/" + itoa(i.id),
		"app_id":            i.app.id, "app_slug": i.app.slug, "target_id": i.account.id, "target_type": i.account.kind,
		"permissions": i.permissions, "events": i.app.events, "created_at": stamp(i.createdAt), "updated_at": stamp(i.createdAt),
		"single_file_name": nil, "suspended_at": stamp(i.suspendedAt), "suspended_by": nil,
	}
	if !i.suspendedAt.IsZero() {
		v["suspended_by"] = s.userView(i.account)
	}
	return v
}
