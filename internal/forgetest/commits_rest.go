package forgetest

import (
	"net/http"
	"slices"
	"strings"
)

func (c *call) commitAt(ref string) (*commit, error) {
	sha, found := c.repo.resolve(ref)
	if !found {
		return nil, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", ref)
	}
	return c.repo.store.commit(sha)
}

// getCommit shows a commit with its files, or only its id when that is all the caller accepts.
func getCommit(c *call) (reply, error) {
	cm, err := c.commitAt(c.path("ref"))
	if err != nil {
		return reply{}, err
	}
	from := ""
	if len(cm.parents) > 0 {
		from = cm.parents[0]
	}
	files, err := c.s.diffFiles(c.repo, from, cm.sha)
	if err != nil {
		return reply{}, err
	}
	v := c.s.commitView(c.repo, cm)
	adds, dels := 0, 0
	for _, f := range files {
		adds, dels = adds+f.adds, dels+f.dels
	}
	v["stats"] = obj{"additions": adds, "deletions": dels, "total": adds + dels}
	v["files"] = views(files, func(f fileChange) obj { return c.s.fileView(c.repo, cm.sha, f) })
	return ok(v)
}

func listCommits(c *call) (reply, error) {
	ref := c.query("sha")
	if ref == "" {
		ref = c.repo.defaultBranch
	}
	sha, found := c.repo.resolve(ref)
	if !found {
		return reply{}, notFound()
	}
	shas, err := c.s.commitsBetween(c.repo, "", sha)
	if err != nil {
		return reply{}, err
	}
	shas = slices.Clone(shas)
	slices.Reverse(shas)
	return c.pageCommits(shas)
}

func (c *call) pageCommits(shas []string) (reply, error) {
	part, link := cut(c, shas)
	out := []obj{}
	for _, sha := range part {
		cm, err := c.repo.store.commit(sha)
		if err != nil {
			return reply{}, err
		}
		out = append(out, c.s.commitView(c.repo, cm))
	}
	return reply{body: out, link: link}, nil
}

// listCommitPulls finds the pull requests that have a commit: open ones that contain it, merged ones that brought it.
func listCommitPulls(c *call) (reply, error) {
	sha, found := c.repo.resolve(c.path("ref"))
	if !found {
		return reply{}, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", c.path("ref"))
	}
	var out []*pull
	for _, p := range c.repo.pulls() {
		in, err := c.s.commitsBetween(c.repo, c.s.pullBase(p), p.headSHA)
		if err != nil {
			return reply{}, err
		}
		if p.mergeCommit == sha || p.headSHA == sha || slices.Contains(in, sha) || c.s.broughtByRebase(p, sha) {
			out = append(out, p)
		}
	}
	return page(c, out, c.s.pullView)
}

// broughtByRebase tells whether a commit is one of those that a rebase merge put before its last one.
func (s *Server) broughtByRebase(p *pull, sha string) bool {
	if !p.merged || p.mergeCommit == "" {
		return false
	}
	between, err := s.commitsBetween(p.repo, p.baseSHA, p.mergeCommit)
	return err == nil && slices.Contains(between, sha)
}

func compareCommits(c *call) (reply, error) {
	baseName, headName, found := strings.Cut(c.path("basehead"), "...")
	if !found {
		return reply{}, notFound()
	}
	base, okBase := c.repo.resolve(c.compareRef(baseName))
	head, okHead := c.repo.resolve(c.compareRef(headName))
	if !okBase || !okHead {
		return reply{}, notFound()
	}
	mergeBase, err := c.s.mergeBase(c.repo, base, head)
	if err != nil {
		return reply{}, err
	}
	if mergeBase == "" {
		return reply{}, refuse(http.StatusNotFound, "No common ancestor between %s and %s.", baseName, headName)
	}
	return c.comparison(base, head, mergeBase)
}

// compareRef drops the owner from owner:branch when it is the repository's own.
func (c *call) compareRef(name string) string {
	if owner, ref, qualified := strings.Cut(name, ":"); qualified && equalFold(owner, c.repo.owner.login) {
		return ref
	}
	return name
}

func (c *call) comparison(base, head, mergeBase string) (reply, error) {
	ahead, err := c.s.commitsBetween(c.repo, base, head)
	if err != nil {
		return reply{}, err
	}
	behind, err := c.s.commitsBetween(c.repo, head, base)
	if err != nil {
		return reply{}, err
	}
	files, err := c.s.diffFiles(c.repo, mergeBase, head)
	if err != nil {
		return reply{}, err
	}
	status := "identical"
	switch {
	case len(ahead) > 0 && len(behind) > 0:
		status = "diverged"
	case len(ahead) > 0:
		status = "ahead"
	case len(behind) > 0:
		status = "behind"
	}
	rep, err := c.pageCommits(ahead)
	if err != nil {
		return reply{}, err
	}
	baseCommit, err := c.repo.store.commit(base)
	if err != nil {
		return reply{}, err
	}
	mergeCommit, err := c.repo.store.commit(mergeBase)
	if err != nil {
		return reply{}, err
	}
	page := c.s.base + "/" + c.repo.fullName() + "/compare/" + base + "..." + head
	rep.body = obj{
		"url":      c.s.apiURL("/repos/%s/compare/%s...%s", c.repo.fullName(), base, head),
		"html_url": page, "permalink_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch",
		"base_commit": c.s.commitView(c.repo, baseCommit), "merge_base_commit": c.s.commitView(c.repo, mergeCommit),
		"status": status, "ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead), "commits": rep.body,
		"files": views(files[:min(len(files), 300)], func(f fileChange) obj { return c.s.fileView(c.repo, head, f) }),
	}
	return rep, nil
}

func listBranches(c *call) (reply, error) {
	var names []string
	for ref := range c.repo.refs {
		if name, isBranch := cutBranch(ref); isBranch {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return page(c, names, func(name string) obj {
		sha := c.repo.branch(name)
		_, protected := c.repo.protection[name]
		return obj{"name": name, "protected": protected,
			"commit": obj{"sha": sha, "url": c.s.apiURL("/repos/%s/commits/%s", c.repo.fullName(), sha)}}
	})
}

func getBranch(c *call) (reply, error) {
	sha := c.repo.branch(c.path("branch"))
	if sha == "" {
		return reply{}, refuse(http.StatusNotFound, "Branch not found")
	}
	cm, err := c.repo.store.commit(sha)
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.branchView(c.repo, c.path("branch"), cm))
}
