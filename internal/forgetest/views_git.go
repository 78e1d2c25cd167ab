package forgetest

import "strings"

func (g signature) view() obj {
	return obj{"name": g.name, "email": g.email, "date": stamp(g.when)}
}

var unsigned = obj{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}

// gitCommitView is a commit of the git data endpoints.
func (s *Server) gitCommitView(r *repository, c *commit) obj {
	base := s.apiURL("/repos/%s/git", r.fullName())
	page := s.base + "/" + r.fullName() + "/commit/"
	return obj{
		"sha": c.sha, "node_id": nodeID("Commit", r.id) + c.sha[:8], "url": base + "/commits/" + c.sha, "html_url": page + c.sha,
		"author": c.author.view(), "committer": c.committer.view(), "message": strings.TrimSuffix(c.message, "\n"),
		"tree": obj{"sha": c.tree, "url": base + "/trees/" + c.tree},
		"parents": views(c.parents, func(p string) obj {
			return obj{"sha": p, "url": base + "/commits/" + p, "html_url": page + p}
		}),
		"verification": unsigned,
	}
}

// commitView is a commit of the repository's commits, with the accounts to which the addresses belong.
func (s *Server) commitView(r *repository, c *commit) obj {
	u := s.apiURL("/repos/%s/commits/", r.fullName())
	page := s.base + "/" + r.fullName() + "/commit/"
	return obj{
		"sha": c.sha, "node_id": nodeID("Commit", r.id) + c.sha[:8], "url": u + c.sha, "html_url": page + c.sha,
		"comments_url": u + c.sha + "/comments",
		"commit": obj{
			"url":    s.apiURL("/repos/%s/git/commits/%s", r.fullName(), c.sha),
			"author": c.author.view(), "committer": c.committer.view(), "message": strings.TrimSuffix(c.message, "\n"),
			"tree":          obj{"sha": c.tree, "url": s.apiURL("/repos/%s/git/trees/%s", r.fullName(), c.tree)},
			"comment_count": 0, "verification": unsigned,
		},
		"author":    s.userView(s.accountByEmail(c.author.email)),
		"committer": s.userView(s.accountByEmail(c.committer.email)),
		"parents": views(c.parents, func(p string) obj {
			return obj{"sha": p, "url": u + p, "html_url": page + p}
		}),
	}
}

func (s *Server) fileView(r *repository, ref string, f fileChange) obj {
	v := obj{
		"sha": f.sha, "filename": f.path, "status": f.status, "additions": f.adds, "deletions": f.dels, "changes": f.adds + f.dels,
		"blob_url":     s.base + "/" + r.fullName() + "/blob/" + ref + "/" + f.path,
		"raw_url":      s.base + "/" + r.fullName() + "/raw/" + ref + "/" + f.path,
		"contents_url": s.apiURL("/repos/%s/contents/%s?ref=%s", r.fullName(), f.path, ref),
	}
	if f.patch != "" {
		v["patch"] = f.patch
	}
	if f.previous != "" {
		v["previous_filename"] = f.previous
	}
	return v
}

func (s *Server) refView(r *repository, name, sha string) obj {
	kind := "commit"
	if k, _, err := r.store.read(sha); err == nil {
		kind = k
	}
	return obj{
		"ref": name, "node_id": nodeID("Ref", r.id) + name, "url": s.apiURL("/repos/%s/git/%s", r.fullName(), name),
		"object": obj{"type": kind, "sha": sha, "url": s.apiURL("/repos/%s/git/%ss/%s", r.fullName(), kind, sha)},
	}
}

func (s *Server) branchView(r *repository, name string, c *commit) obj {
	p, protected := r.protection[name]
	if p.Ruleset {
		p = Protection{} // only branch protection is summed up here
	}
	level := "off"
	if p.EnforceAdmins {
		level = "everyone"
	} else if protected {
		level = "non_admins"
	}
	u := s.apiURL("/repos/%s/branches/%s", r.fullName(), name)
	return obj{
		"name": name, "commit": s.commitView(r, c), "protected": protected, "protection_url": u + "/protection",
		"protection": obj{
			"enabled":                protected,
			"required_status_checks": obj{"enforcement_level": level, "contexts": p.contexts(), "checks": p.checksView()},
		},
		"_links": obj{"self": u, "html": s.base + "/" + r.fullName() + "/tree/" + name},
	}
}

// pushCommitView is a commit in a push payload.
func (s *Server) pushCommitView(r *repository, c *commit) obj {
	person := func(g signature) obj {
		v := obj{"name": g.name, "email": g.email, "date": stamp(g.when)}
		if a := s.accountByEmail(g.email); a != nil {
			v["username"] = a.login
		}
		return v
	}
	added, removed, modified := []string{}, []string{}, []string{}
	parentTree := ""
	if len(c.parents) > 0 {
		if p, err := r.store.commit(c.parents[0]); err == nil {
			parentTree = p.tree
		}
	}
	changes, err := r.store.changedPaths(parentTree, c.tree, "")
	if err != nil {
		s.log.Error("list a commit's changes", "commit", c.sha, "error", err)
	}
	for _, ch := range changes {
		switch ch.status {
		case "added":
			added = append(added, ch.path)
		case "removed":
			removed = append(removed, ch.path)
		default:
			modified = append(modified, ch.path)
		}
	}
	return obj{
		"id": c.sha, "tree_id": c.tree, "distinct": true, "message": strings.TrimSuffix(c.message, "\n"),
		"timestamp": stamp(c.author.when), "url": s.base + "/" + r.fullName() + "/commit/" + c.sha,
		"author": person(c.author), "committer": person(c.committer), "added": added, "removed": removed, "modified": modified,
	}
}
