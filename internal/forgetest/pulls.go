package forgetest

import (
	"net/http"
	"strings"
	"time"
)

// newPull is what opening a pull request takes. head may name a fork's branch as owner:branch.
type newPull struct {
	Title      string `json:"title"`
	Head       string `json:"head"`
	HeadRepo   string `json:"head_repo"`
	Base       string `json:"base"`
	Body       string `json:"body"`
	Draft      bool   `json:"draft"`
	Maintainer *bool  `json:"maintainer_can_modify"`
}

func (s *Server) openPull(who *actor, r *repository, in newPull) (*pull, error) {
	headRepo, headRef := s.headOf(r, in)
	switch {
	case in.Title == "":
		return nil, invalid("PullRequest", "title", "missing_field", "")
	case r.branch(in.Base) == "":
		return nil, invalid("PullRequest", "base", "invalid", "")
	case headRepo == nil || headRepo.branch(headRef) == "":
		return nil, invalid("PullRequest", "head", "invalid", "")
	case !who.writes(headRepo):
		return nil, refuse(http.StatusForbidden, "must be a collaborator")
	}
	sha := headRepo.branch(headRef)
	for _, p := range r.pulls() {
		if p.state == "open" && p.headRepo == headRepo && p.headRef == headRef && p.baseRef == in.Base {
			return nil, invalid("PullRequest", "", "custom", "A pull request already exists for "+headRepo.owner.login+":"+headRef+".")
		}
	}
	p := &pull{
		issue: s.newIssue(who, r, in.Title, in.Body), pullID: s.nextID(), headRepo: headRepo, headRef: headRef,
		baseRef: in.Base, baseSHA: r.branch(in.Base), draft: in.Draft,
		maintainerEdits: headRepo != r && (in.Maintainer == nil || *in.Maintainer),
	}
	p.issue.pull = p
	if err := s.setHead(p, sha); err != nil {
		s.dropIssue(p.issue)
		return nil, err
	}
	if base, err := s.mergeBase(r, p.baseSHA, sha); err != nil || base == sha || base == "" {
		s.dropIssue(p.issue)
		return nil, invalid("PullRequest", "", "custom", "No commits between "+in.Base+" and "+headRef)
	}
	s.emitPull(who, p, "opened", nil)
	return p, nil
}

func (s *Server) headOf(r *repository, in newPull) (*repository, string) {
	owner, ref, isFork := strings.Cut(in.Head, ":")
	if !isFork {
		if in.HeadRepo != "" {
			return s.repository(r.owner.login, in.HeadRepo), in.Head
		}
		return r, in.Head
	}
	if equalFold(owner, r.owner.login) && in.HeadRepo == "" {
		return r, ref
	}
	for _, fork := range s.sortedRepos() {
		related := fork == r || fork.parent == r || r.parent == fork
		if equalFold(fork.owner.login, owner) && related && (in.HeadRepo == "" || equalFold(fork.name, in.HeadRepo)) {
			return fork, ref
		}
	}
	return nil, ref
}

func (s *Server) newIssue(who *actor, r *repository, title, body string) *issue {
	r.lastNumber++
	now := s.now()
	is := &issue{
		id: s.nextID(), number: r.lastNumber, repo: r, author: who.user, title: title, body: body, state: "open",
		createdAt: now, updatedAt: now,
	}
	r.issues[is.number] = is
	return is
}

// dropIssue takes back the number of an issue that was not made after all.
func (s *Server) dropIssue(is *issue) {
	delete(is.repo.issues, is.number)
	is.repo.lastNumber--
	name := "refs/pull/" + itoa(int64(is.number)) + "/head"
	if sha := is.repo.refs[name]; sha != "" {
		if err := s.git.updateRef(is.repo.dir, name, sha, ""); err != nil {
			s.log.Error("take back a pull request", "error", err)
		}
		delete(is.repo.refs, name)
	}
}

// pullEdit is a change of a pull request; nil leaves a field as it is.
type pullEdit struct {
	Title *string `json:"title"`
	Body  *string `json:"body"`
	State *string `json:"state"`
	Base  *string `json:"base"`
}

func (s *Server) editPull(who *actor, p *pull, in pullEdit) error {
	if err := s.mayEdit(who, p.issue); err != nil {
		return err
	}
	if in.State != nil && *in.State != "open" && *in.State != "closed" {
		return invalid("PullRequest", "state", "invalid", "")
	}
	mergeBase := s.pullBase(p)
	changes, err := s.applyPullEdit(who, p, in)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		p.updatedAt = s.now()
		s.emitPull(who, p, "edited", obj{"changes": changes})
	}
	if changes["base"] != nil && s.pullBase(p) != mergeBase {
		s.dismissStale(who, p)
	}
	switch {
	case in.State == nil || *in.State == p.state:
		return nil
	case *in.State == "closed":
		s.closePull(who, p)
		return nil
	}
	return s.reopenPull(who, p)
}

func (s *Server) applyPullEdit(who *actor, p *pull, in pullEdit) (obj, error) {
	changes := obj{}
	if in.Base != nil && *in.Base != p.baseRef {
		tip := p.repo.branch(*in.Base)
		if tip == "" || p.state != "open" {
			return nil, invalid("PullRequest", "base", "invalid", "Cannot change the base branch.")
		}
		s.leaveQueue(p)
		changes["base"] = obj{"ref": obj{"from": p.baseRef}, "sha": obj{"from": p.baseSHA}}
		s.recordEvent(who, p.issue, "base_ref_changed", nil)
		p.baseRef, p.baseSHA = *in.Base, tip
	}
	if in.Title != nil && *in.Title != p.title {
		changes["title"] = obj{"from": p.title}
		s.recordEvent(who, p.issue, "renamed", obj{"rename": obj{"from": p.title, "to": *in.Title}})
		p.title = *in.Title
	}
	if in.Body != nil && *in.Body != p.body {
		changes["body"] = obj{"from": p.body}
		p.body = *in.Body
	}
	return changes, nil
}

// mayEdit lets the author and people who can write edit an issue or pull request.
func (s *Server) mayEdit(who *actor, is *issue) error {
	if who.user == is.author {
		return nil
	}
	return who.can(is.repo, "triage", "pull_requests:write|issues:write")
}

func (s *Server) closePull(who *actor, p *pull) {
	s.leaveQueue(p)
	now := s.now()
	p.state, p.closedAt, p.closedBy, p.updatedAt = "closed", now, who.user, now
	s.recordEvent(who, p.issue, "closed", nil)
	s.emitPull(who, p, "closed", nil)
}

func (s *Server) reopenPull(who *actor, p *pull) error {
	branch := ""
	if p.headRepo != nil {
		branch = p.headRepo.branch(p.headRef)
	}
	switch {
	case p.merged:
		return invalid("PullRequest", "state", "custom", "state cannot be changed. The pull request is already merged.")
	case branch == "":
		return invalid("PullRequest", "state", "custom", "state cannot be changed. The "+p.headRef+" branch was deleted.")
	case branch != p.headSHA && !s.isAncestor(p.headRepo, p.headSHA, branch):
		return invalid("PullRequest", "state", "custom", "state cannot be changed. The "+p.headRef+" branch was force-pushed or recreated.")
	}
	if err := s.setHead(p, branch); err != nil {
		return err
	}
	p.state, p.updatedAt = "open", s.now()
	p.closedAt, p.closedBy = time.Time{}, nil
	s.recordEvent(who, p.issue, "reopened", nil)
	s.emitPull(who, p, "reopened", nil)
	return nil
}

func (s *Server) setDraft(who *actor, p *pull, draft bool) error {
	if err := s.mayEdit(who, p.issue); err != nil {
		return err
	}
	if p.draft == draft {
		return nil
	}
	if p.state != "open" {
		return invalid("PullRequest", "draft", "custom", "A closed pull request stays what it was.")
	}
	if draft {
		s.leaveQueue(p)
	}
	p.draft, p.updatedAt = draft, s.now()
	action := "ready_for_review"
	if draft {
		action = "converted_to_draft"
	}
	s.emitPull(who, p, action, nil)
	return nil
}

// markMerged records a merge that has happened in git.
func (s *Server) markMerged(who *actor, p *pull, sha string) {
	s.setMerged(who, p, sha)
	s.emitPull(who, p, "closed", nil)
}

func (s *Server) setMerged(who *actor, p *pull, sha string) {
	now := s.now()
	p.state, p.merged, p.mergeCommit, p.mergedBy, p.closedBy = "closed", true, sha, who.user, who.user
	p.mergedAt, p.closedAt, p.updatedAt = now, now, now
}
