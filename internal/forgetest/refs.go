package forgetest

import (
	"net/http"
	"strings"
)

// refUpdate is a reference that moved. An empty side means that it was created or deleted.
type refUpdate struct {
	ref    string
	old    string
	new    string
	forced bool
}

// moveRef moves a branch or tag for an actor, on disk and with all that follows from a push.
func (s *Server) moveRef(who *actor, r *repository, up refUpdate, force bool) error {
	if up.old == up.new {
		return nil
	}
	if up.old != "" && up.new != "" && strings.HasPrefix(up.ref, "refs/heads/") {
		up.forced = !s.isAncestor(r, up.old, up.new)
		if up.forced && !force {
			return refuse(http.StatusUnprocessableEntity, "Update is not a fast forward")
		}
	}
	if err := s.checkPush(who, r, up); err != nil {
		return err
	}
	return s.writeRef(who, r, up)
}

// writeRef moves a reference without asking anybody.
func (s *Server) writeRef(who *actor, r *repository, up refUpdate) error {
	if err := s.git.updateRef(r.dir, up.ref, up.old, up.new); err != nil {
		return err
	}
	s.refMoved(who, r, up, "")
	return nil
}

// checkPush refuses what branch protection forbids.
func (s *Server) checkPush(who *actor, r *repository, up refUpdate) error {
	name, isBranch := strings.CutPrefix(up.ref, "refs/heads/")
	p, protected := r.protection[name]
	if !isBranch || !protected {
		return nil
	}
	switch {
	case up.new == "" && !p.AllowDeletions:
		return refuse(http.StatusUnprocessableEntity, "Cannot delete a protected branch")
	case up.forced && !p.AllowForcePushes && (p.EnforceAdmins || !who.bypasses(r)):
		return refuse(http.StatusUnprocessableEntity, "Cannot force-push to a protected branch")
	case up.old == "" || who.bypasses(r) && !p.EnforceAdmins:
		return nil
	}
	return refuse(http.StatusUnprocessableEntity, "Protected branch update failed for %s. Changes must be made through a pull request.", up.ref)
}

// refMoved follows a push: the state, the push event, the pull requests from and to the branch. kind says what the
// push was if it was not a plain one.
func (s *Server) refMoved(who *actor, r *repository, up refUpdate, kind string) {
	if up.new == "" {
		delete(r.refs, up.ref)
	} else {
		r.refs[up.ref] = up.new
	}
	r.pushedAt = s.now()
	s.recordActivity(who, r, up, kind)
	s.emitPush(who, r, up)
	branch, isBranch := strings.CutPrefix(up.ref, "refs/heads/")
	if !isBranch {
		return
	}
	if up.new != "" {
		s.requestSuites(r, branch, up.new)
	}
	for _, base := range s.sortedRepos() {
		for _, p := range base.pulls() {
			if p.state == "open" && p.headRepo == r && p.headRef == branch {
				s.headMoved(who, p, up)
			}
		}
	}
	s.baseMoved(who, r, branch, up, kind == "")
}

// headMoved brings a pull request's head up to date with its branch.
func (s *Server) headMoved(who *actor, p *pull, up refUpdate) {
	if up.new == "" {
		s.closePull(who, p)
		return
	}
	s.leaveQueue(p)
	before, oldBase := p.headSHA, s.pullBase(p)
	if err := s.setHead(p, up.new); err != nil {
		s.log.Error("move a pull request's head", "pull", p.number, "error", err)
		return
	}
	p.updatedAt = s.now()
	s.emitPull(who, p, "synchronize", obj{"before": before, "after": up.new})
	same := s.sameDiff(p.repo, oldBase, before, s.pullBase(p), up.new)
	if same && s.repoint {
		for _, rv := range p.reviews {
			rv.commitID = up.new
		}
	}
	if !same || oldBase != s.pullBase(p) {
		s.dismissStale(who, p)
	}
}

// setHead records the head on the pull request and as refs/pull/N/head, fetching it from a fork when needed.
func (s *Server) setHead(p *pull, sha string) error {
	if p.headRepo != nil && p.headRepo != p.repo {
		if _, err := s.git.run(p.repo.dir, nil, "fetch", "-q", "--no-tags", p.headRepo.dir, sha); err != nil {
			return err
		}
	}
	name := "refs/pull/" + itoa(int64(p.number)) + "/head"
	if p.repo.refs[name] == sha {
		return nil
	}
	if err := s.git.updateRef(p.repo.dir, name, p.repo.refs[name], sha); err != nil {
		return err
	}
	p.repo.refs[name] = sha
	p.headSHA = sha
	if tip := p.repo.branch(p.baseRef); tip != "" {
		p.baseSHA = tip
	}
	return nil
}

// sameDiff tells whether two heads change the same in the same way, each against its own base.
func (s *Server) sameDiff(r *repository, baseA, a, baseB, b string) bool {
	left, errA := s.diffFiles(r, baseA, a)
	right, errB := s.diffFiles(r, baseB, b)
	if errA != nil || errB != nil || len(left) != len(right) {
		return false
	}
	for i := range left {
		if left[i].path != right[i].path || left[i].status != right[i].status || left[i].patch != right[i].patch {
			return false
		}
	}
	return true
}

// baseMoved finds the pull requests whose head has just arrived on their base by another way than the merge button:
// GitHub marks them as merged. When the base is deleted they are closed.
func (s *Server) baseMoved(who *actor, r *repository, branch string, up refUpdate, pushed bool) {
	var fresh map[string]bool
	for _, p := range r.pulls() {
		if p.state != "open" || p.baseRef != branch {
			continue
		}
		if up.new == "" {
			s.closePull(who, p)
			continue
		}
		if fresh == nil {
			fresh = map[string]bool{}
			shas, err := s.commitsBetween(r, up.old, up.new)
			if err != nil {
				s.log.Error("list pushed commits", "ref", up.ref, "error", err)
				return
			}
			for _, sha := range shas {
				fresh[sha] = true
			}
		}
		if fresh[p.headSHA] {
			p.baseSHA = up.old
			commit := p.headSHA
			if pushed {
				commit = s.broughtBy(r, p.headSHA, up)
			}
			s.markMerged(who, p, commit)
		}
	}
}

// broughtBy is the commit on the branch by which a push brought a head into it: the head itself, or a merge commit that
// somebody made by hand.
func (s *Server) broughtBy(r *repository, head string, up refUpdate) string {
	commit := up.new
	for {
		c, err := r.store.commit(commit)
		if err != nil || len(c.parents) == 0 || c.parents[0] == up.old || !s.isAncestor(r, head, c.parents[0]) {
			return commit
		}
		commit = c.parents[0]
	}
}

// requestSuites tells the installed Apps about a new head, as GitHub does with automatic check suites.
func (s *Server) requestSuites(r *repository, branch, sha string) {
	for _, a := range s.apps {
		for _, inst := range a.installations {
			if inst.covers(r) && atLeast(inst.permissions["checks"], "write") {
				suite := s.suiteFor(r, a, sha, branch)
				s.emitSuite(&actor{user: a.bot}, r, suite, "requested")
			}
		}
	}
}
