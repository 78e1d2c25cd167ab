package forgetest

import "strings"

// emit queues an event for every hook that is subscribed to it. payload is the event's own part; the rest is added.
func (s *Server) emit(who *actor, r *repository, event, action string, payload obj) {
	body := obj{"sender": s.userView(who.user)}
	for k, v := range payload {
		body[k] = v
	}
	if action != "" {
		body["action"] = action
	}
	if _, given := body["repository"]; !given {
		body["repository"] = s.repoView(r)
	}
	if r.owner.kind == "Organization" {
		body["organization"] = s.orgView(r.owner)
	}
	addProperties(body)
	for _, h := range r.hooks {
		s.deliver(h, nil, r.id, event, action, body)
	}
	for _, a := range s.apps {
		for _, inst := range a.installations {
			if inst.covers(r) {
				s.deliver(a.hook, inst, r.id, event, action, body)
			}
		}
	}
}

// addProperties gives the repositories of a payload their custom properties, of which there are none. The same
// repositories in answers have none either, but for one asked for by itself.
func addProperties(payload obj) {
	add := func(in obj, key string) {
		if r, isObject := in[key].(obj); isObject && r != nil {
			r["custom_properties"] = obj{}
		}
	}
	add(payload, "repository")
	add(payload, "forkee")
	if p, isPull := payload["pull_request"].(obj); isPull {
		for _, end := range []string{"head", "base"} {
			if part, isObject := p[end].(obj); isObject {
				add(part, "repo")
			}
		}
	}
}

// emitOrg queues an event that belongs to an organisation and no repository.
func (s *Server) emitOrg(who *actor, org *account, event, action string, payload obj) {
	payload["action"], payload["sender"], payload["organization"] = action, s.userView(who.user), s.orgView(org)
	for _, a := range s.apps {
		for _, inst := range a.installations {
			if inst.account == org && inst.suspendedAt.IsZero() {
				s.deliver(a.hook, inst, 0, event, action, payload)
			}
		}
	}
}

const maxPushCommits = 2048

func (s *Server) emitPush(who *actor, r *repository, up refUpdate) {
	commits := s.pushedCommits(r, up)
	before, after := up.old, up.new
	if before == "" {
		before = zeroSHA
	}
	if after == "" {
		after = zeroSHA
	}
	small := func(sha string) string { return sha[:12] }
	payload := obj{
		"ref": up.ref, "before": before, "after": after, "created": up.old == "", "deleted": up.new == "",
		"forced": up.forced, "base_ref": s.baseRefOf(r, up), "compare": s.base + "/" + r.fullName() + "/compare/" + small(before) + "..." + small(after),
		"commits": views(commits, func(c *commit) obj { return s.pushCommitView(r, c) }), "head_commit": nil,
		"pusher":     obj{"name": who.user.login, "email": orNull(who.user.email)},
		"repository": s.pushRepoView(r),
	}
	if c, err := r.store.commit(up.new); err == nil {
		payload["head_commit"] = s.pushCommitView(r, c)
	}
	if up.old == "" || up.new == "" {
		kind := "branch"
		if strings.HasPrefix(up.ref, "refs/tags/") {
			kind = "tag"
		}
		s.emitRefChange(who, r, up, kind)
	}
	s.emit(who, r, "push", "", payload)
}

// emitRefChange sends the create or delete event that goes with a push.
func (s *Server) emitRefChange(who *actor, r *repository, up refUpdate, kind string) {
	name := strings.SplitN(up.ref, "/", 3)[2]
	payload := obj{"ref": name, "ref_type": kind, "pusher_type": "user"}
	if up.new == "" {
		s.emit(who, r, "delete", "", payload)
		return
	}
	payload["master_branch"], payload["description"] = r.defaultBranch, nil
	s.emit(who, r, "create", "", payload)
}

// pushedCommits lists what a push brought, oldest first; for a new branch what the default branch does not have.
func (s *Server) pushedCommits(r *repository, up refUpdate) []*commit {
	if up.new == "" || !strings.HasPrefix(up.ref, "refs/heads/") {
		return nil
	}
	base := up.old
	if base == "" {
		if base = r.branch(r.defaultBranch); base == up.new {
			base = ""
		}
	}
	shas, err := s.commitsBetween(r, base, up.new)
	if err != nil {
		s.log.Error("list pushed commits", "ref", up.ref, "error", err)
		return nil
	}
	if len(shas) > maxPushCommits {
		shas = shas[len(shas)-maxPushCommits:]
	}
	var out []*commit
	for _, sha := range shas {
		if c, err := r.store.commit(sha); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// baseRefOf names the branch from which a new branch was made, as far as it still points to the same commit.
func (s *Server) baseRefOf(r *repository, up refUpdate) any {
	if up.old != "" || up.new == "" {
		return nil
	}
	if ref := "refs/heads/" + r.defaultBranch; ref != up.ref && r.refs[ref] == up.new {
		return ref
	}
	return nil
}

// pushRepoView is the repository as push events have it: with times as numbers.
func (s *Server) pushRepoView(r *repository) obj {
	v := s.repoView(r)
	v["created_at"], v["pushed_at"] = r.createdAt.Unix(), r.pushedAt.Unix()
	v["master_branch"], v["stargazers"] = r.defaultBranch, 0
	if r.owner.kind == "Organization" {
		v["organization"] = r.owner.login
	}
	owner := s.userView(r.owner)
	owner["name"], owner["email"] = r.owner.login, orNull(r.owner.email)
	v["owner"] = owner
	return v
}

func (s *Server) emitPull(who *actor, p *pull, action string, extra obj) {
	s.emit(who, p.repo, "pull_request", action, with(obj{"number": p.number, "pull_request": s.fullPullView(p, false)}, extra))
}

func (s *Server) emitReview(who *actor, rv *review, action string, extra obj) {
	s.emit(who, rv.pull.repo, "pull_request_review", action, with(obj{"review": s.reviewPayload(rv), "pull_request": s.pullView(rv.pull)}, extra))
}

func (s *Server) emitReviewComment(who *actor, c *reviewComment, action string) {
	s.emit(who, c.pull.repo, "pull_request_review_comment", action,
		obj{"comment": s.reviewCommentView(c), "pull_request": s.pullView(c.pull)})
}

func (s *Server) emitComment(who *actor, c *comment, action string, extra obj) {
	s.emit(who, c.issue.repo, "issue_comment", action, with(obj{"issue": s.issueView(c.issue), "comment": s.commentView(c)}, extra))
}

func (s *Server) emitIssue(who *actor, is *issue, action string, extra obj) {
	s.emit(who, is.repo, "issues", action, with(obj{"issue": s.issueView(is)}, extra))
}

func (s *Server) emitLabel(who *actor, is *issue, l *label, action string) {
	extra := obj{"label": s.labelView(is.repo, l)}
	if is.pull != nil {
		s.emitPull(who, is.pull, action, extra)
		return
	}
	s.emitIssue(who, is, action, extra)
}

func (s *Server) emitRun(who *actor, r *repository, run *checkRun, action string, extra obj) {
	view := s.runView(r, run)
	suite := s.smallSuiteView(r, run.suite)
	for _, field := range []string{"latest_check_runs_count", "check_runs_url", "rerequestable", "runs_rerequestable", "head_commit"} {
		delete(suite, field) // only the suite's own events have them
	}
	view["check_suite"] = suite
	s.emit(who, r, "check_run", action, with(obj{"check_run": view}, extra))
}

func (s *Server) smallSuiteView(r *repository, su *checkSuite) obj {
	v := s.suiteView(r, su)
	delete(v, "repository")
	return v
}

func (s *Server) emitSuite(who *actor, r *repository, su *checkSuite, action string) {
	s.emit(who, r, "check_suite", action, obj{"check_suite": s.smallSuiteView(r, su)})
}

func (s *Server) emitStatus(who *actor, r *repository, sha string, st *commitStatus) {
	c, err := r.store.commit(sha)
	if err != nil {
		s.log.Error("read a status's commit", "error", err)
		return
	}
	branches := []obj{}
	for ref, tip := range r.refs {
		if name, isBranch := cutBranch(ref); isBranch && tip == sha {
			branches = append(branches, obj{"name": name, "protected": false,
				"commit": obj{"sha": sha, "url": s.apiURL("/repos/%s/commits/%s", r.fullName(), sha)}})
		}
	}
	s.emit(who, r, "status", "", obj{
		"id": st.id, "sha": sha, "name": r.fullName(), "target_url": orNull(st.targetURL), "avatar_url": nil,
		"context": st.context, "description": orNull(st.description), "state": st.state, "commit": s.commitView(r, c),
		"branches": branches, "created_at": stamp(st.createdAt), "updated_at": stamp(st.createdAt),
	})
}
