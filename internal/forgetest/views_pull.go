package forgetest

import "strings"

// issueView is a pull request or an issue as the issues endpoints and issue_comment payloads show it.
func (s *Server) issueView(is *issue) obj {
	u := s.apiURL("/repos/%s/issues/%d", is.repo.fullName(), is.number)
	page := s.issueURL(is)
	v := obj{
		"id": is.id, "node_id": nodeID("Issue", is.id), "url": u, "repository_url": s.apiURL("/repos/%s", is.repo.fullName()),
		"labels_url": u + "/labels{/name}", "comments_url": u + "/comments", "events_url": u + "/events",
		"timeline_url": u + "/timeline", "html_url": page, "number": is.number, "state": is.state, "state_reason": nil,
		"title": is.title, "body": orNull(is.body), "user": s.userView(is.author),
		"labels":   views(is.labels, func(l *label) obj { return s.labelView(is.repo, l) }),
		"assignee": nil, "assignees": views(is.assignees, s.userView), "milestone": nil, "locked": false,
		"active_lock_reason": nil, "comments": len(is.comments), "created_at": stamp(is.createdAt),
		"updated_at": stamp(is.updatedAt), "closed_at": stamp(is.closedAt),
		"author_association": is.repo.association(is.author), "reactions": reactionsView(u+"/reactions", is.reactions),
		"performed_via_github_app": nil,
	}
	if p := is.pull; p != nil {
		api := s.apiURL("/repos/%s/pulls/%d", is.repo.fullName(), is.number)
		v["draft"] = p.draft
		v["pull_request"] = obj{
			"url": api, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "merged_at": stamp(p.mergedAt),
		}
	}
	return v
}

func (s *Server) issueURL(is *issue) string {
	kind := "/issues/"
	if is.pull != nil {
		kind = "/pull/"
	}
	return s.base + "/" + is.repo.fullName() + kind + itoa(int64(is.number))
}

// pullView is a pull request as lists show it.
func (s *Server) pullView(p *pull) obj {
	u := s.apiURL("/repos/%s/pulls/%d", p.repo.fullName(), p.number)
	page, iu := s.issueURL(p.issue), s.apiURL("/repos/%s/issues/%d", p.repo.fullName(), p.number)
	links := func(pairs ...string) obj {
		out := obj{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = obj{"href": pairs[i+1]}
		}
		return out
	}
	statuses := s.apiURL("/repos/%s/statuses/%s", p.repo.fullName(), p.headSHA)
	return obj{
		"id": p.pullID, "node_id": nodeID("PullRequest", p.pullID), "url": u, "html_url": page, "diff_url": page + ".diff",
		"patch_url": page + ".patch", "issue_url": iu, "commits_url": u + "/commits", "review_comments_url": u + "/comments",
		"review_comment_url": s.apiURL("/repos/%s/pulls/comments{/number}", p.repo.fullName()), "comments_url": iu + "/comments",
		"statuses_url": statuses, "number": p.number, "state": p.state, "locked": false, "title": p.title, "body": orNull(p.body),
		"user": s.userView(p.author), "labels": views(p.labels, func(l *label) obj { return s.labelView(p.repo, l) }),
		"milestone": nil, "active_lock_reason": nil, "created_at": stamp(p.createdAt), "updated_at": stamp(p.updatedAt),
		"closed_at": stamp(p.closedAt), "merged_at": stamp(p.mergedAt), "merge_commit_sha": orNull(p.mergeCommit),
		"assignee": nil, "assignees": views(p.assignees, s.userView), "requested_reviewers": views(p.requested, s.userView),
		"requested_teams": views(p.requestedTeams, s.teamView), "head": s.sideView(p.headRepo, p.headRef, p.headSHA),
		"base": s.sideView(p.repo, p.baseRef, p.baseSHA), "draft": p.draft, "auto_merge": nil,
		"author_association": p.repo.association(p.author),
		"_links": links("self", u, "html", page, "issue", iu, "comments", iu+"/comments", "review_comments", u+"/comments",
			"review_comment", s.apiURL("/repos/%s/pulls/comments{/number}", p.repo.fullName()),
			"commits", u+"/commits", "statuses", statuses),
	}
}

func (s *Server) sideView(r *repository, ref, sha string) obj {
	v := obj{"label": "unknown:" + ref, "ref": ref, "sha": sha, "user": nil, "repo": nil}
	if r != nil {
		v["label"], v["user"], v["repo"] = r.owner.login+":"+ref, s.userView(r.owner), s.repoView(r)
	}
	return v
}

// fullPullView adds what only a single pull request shows. In payloads mergeable is not yet known, as with GitHub.
func (s *Server) fullPullView(p *pull, judged bool) obj {
	v := s.pullView(p)
	v["requested_teams"] = views(p.requestedTeams, s.smallTeamView)
	stat := s.pullStat(p)
	v["merged"], v["merged_by"] = p.merged, s.userView(p.mergedBy)
	v["comments"], v["review_comments"] = len(p.comments), len(p.reviewComments)
	v["maintainer_can_modify"] = p.maintainerEdits
	v["commits"], v["additions"], v["deletions"], v["changed_files"] = stat.commits, stat.adds, stat.dels, stat.files
	v["mergeable"], v["mergeable_state"], v["rebaseable"] = nil, "unknown", nil
	if judged && p.state == "open" {
		state, ok := s.mergeableState(p)
		v["mergeable"], v["mergeable_state"], v["rebaseable"] = ok, state, ok
	}
	return v
}

type pullStat struct{ commits, adds, dels, files int }

// pullStat counts what the pull request changes. Damaged history counts as nothing.
func (s *Server) pullStat(p *pull) pullStat {
	base := s.pullBase(p)
	st, err := remember(p.repo, "stat "+base+" "+p.headSHA, func() (pullStat, error) {
		var st pullStat
		files, err := s.diffFiles(p.repo, base, p.headSHA)
		if err != nil {
			return st, err
		}
		commits, err := s.commitsBetween(p.repo, base, p.headSHA)
		st.commits, st.files = len(commits), len(files)
		for _, f := range files {
			st.adds, st.dels = st.adds+f.adds, st.dels+f.dels
		}
		return st, err
	})
	if err != nil {
		s.log.Error("count a pull request's changes", "pull", p.number, "error", err)
	}
	return st
}

// pullBase is the merge base against which a pull request's changes are shown.
func (s *Server) pullBase(p *pull) string {
	tip := p.repo.branch(p.baseRef)
	if p.merged || tip == "" {
		tip = p.baseSHA
	}
	base, err := s.mergeBase(p.repo, tip, p.headSHA)
	if err != nil {
		s.log.Error("find a pull request's merge base", "pull", p.number, "error", err)
	}
	return base
}

func (s *Server) reviewView(rv *review) obj {
	p := rv.pull
	page := s.issueURL(p.issue) + "#pullrequestreview-" + itoa(rv.id)
	api := s.apiURL("/repos/%s/pulls/%d", p.repo.fullName(), p.number)
	v := obj{
		"id": rv.id, "node_id": nodeID("PullRequestReview", rv.id), "user": s.userView(rv.user), "body": rv.body, "state": rv.state,
		"html_url": page, "pull_request_url": api, "author_association": p.repo.association(rv.user), "commit_id": rv.commitID,
		"_links": obj{"html": obj{"href": page}, "pull_request": obj{"href": api}},
	}
	if rv.state != "PENDING" {
		v["submitted_at"] = stamp(rv.submittedAt)
	}
	return v
}

// reviewPayload is the review as webhooks carry it: the state in lower case, an empty body as null.
func (s *Server) reviewPayload(rv *review) obj {
	v := s.reviewView(rv)
	v["state"], v["body"] = strings.ToLower(rv.state), orNull(rv.body)
	return v
}

func (s *Server) reviewCommentView(c *reviewComment) obj {
	p := c.pull
	u := s.apiURL("/repos/%s/pulls/comments/%d", p.repo.fullName(), c.id)
	page := s.issueURL(p.issue) + "#discussion_r" + itoa(c.id)
	pr := s.apiURL("/repos/%s/pulls/%d", p.repo.fullName(), p.number)
	v := obj{
		"id": c.id, "node_id": nodeID("PullRequestReviewComment", c.id), "url": u, "pull_request_review_id": c.review.id,
		"diff_hunk": "", "path": c.path, "position": c.line, "original_position": c.line, "commit_id": c.commitID,
		"original_commit_id": c.commitID, "user": s.userView(c.user), "body": c.body, "created_at": stamp(c.createdAt),
		"updated_at": stamp(c.updatedAt), "html_url": page, "pull_request_url": pr, "start_line": nil, "original_start_line": nil,
		"start_side": nil, "line": c.line, "original_line": c.line, "side": c.side, "subject_type": "line",
		"author_association": p.repo.association(c.user), "reactions": reactionsView(u+"/reactions", nil),
		"_links": obj{"self": obj{"href": u}, "html": obj{"href": page}, "pull_request": obj{"href": pr}},
	}
	if c.startLine != 0 {
		v["start_line"], v["original_start_line"], v["start_side"] = c.startLine, c.startLine, c.side
	}
	if c.inReplyTo != 0 {
		v["in_reply_to_id"] = c.inReplyTo
	}
	return v
}

func (s *Server) commentView(c *comment) obj {
	u := s.apiURL("/repos/%s/issues/comments/%d", c.issue.repo.fullName(), c.id)
	v := obj{
		"id": c.id, "node_id": nodeID("IssueComment", c.id), "url": u,
		"html_url":  s.issueURL(c.issue) + "#issuecomment-" + itoa(c.id),
		"issue_url": s.apiURL("/repos/%s/issues/%d", c.issue.repo.fullName(), c.issue.number),
		"user":      s.userView(c.user), "body": c.body, "created_at": stamp(c.createdAt), "updated_at": stamp(c.updatedAt),
		"author_association": c.issue.repo.association(c.user), "reactions": reactionsView(u+"/reactions", c.reactions),
		"performed_via_github_app": nil,
	}
	if c.app != nil {
		v["performed_via_github_app"] = s.appView(c.app)
	}
	return v
}

var reactionKinds = []string{"+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket"}

func reactionsView(url string, rs []*reaction) obj {
	v := obj{"url": url, "total_count": len(rs)}
	for _, k := range reactionKinds {
		v[k] = 0
	}
	for _, r := range rs {
		if n, ok := v[r.content].(int); ok {
			v[r.content] = n + 1
		}
	}
	return v
}

func (s *Server) reactionView(r *reaction) obj {
	return obj{
		"id": r.id, "node_id": nodeID("Reaction", r.id), "user": s.userView(r.user), "content": r.content,
		"created_at": stamp(r.createdAt),
	}
}
