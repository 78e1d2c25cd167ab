package forgetest

import (
	"errors"
	"fmt"
	"net/http"
)

// MergeGroup is what a merge queue is about to put on a branch: the pull requests merged one after the other, on a
// temporary branch that has no reviews of its own.
type MergeGroup struct {
	s       *Server
	r       *repository
	pulls   []*pull
	branch  string
	headRef string
	base    string
	head    string
	steps   []string // the commit of each pull request
}

// QueueMerge makes a merge group of pull requests of one base branch, and asks for checks on it.
func (u *User) QueueMerge(pulls ...*Pull) (*MergeGroup, error) {
	if len(pulls) == 0 {
		return nil, errors.New("a merge group needs a pull request")
	}
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	first := pulls[0].p
	g := &MergeGroup{s: u.s, r: first.repo, branch: first.baseRef, base: first.repo.branch(first.baseRef)}
	who := u.actor()
	g.head = g.base
	for _, p := range pulls {
		if err := g.add(who, p.p); err != nil {
			return nil, err
		}
	}
	g.headRef = fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", g.branch, g.pulls[len(g.pulls)-1].number, g.base)
	if err := u.s.writeRef(who, g.r, refUpdate{ref: g.headRef, new: g.head}); err != nil {
		return nil, err
	}
	u.s.emitGroup(who, g, "checks_requested", "")
	return g, nil
}

func (g *MergeGroup) add(who *actor, p *pull) error {
	if err := who.can(g.r, "write", ""); err != nil {
		return err
	}
	if p.state != "open" || p.draft || p.repo != g.r || p.baseRef != g.branch {
		return refuse(http.StatusUnprocessableEntity, "Pull request #%d cannot be queued.", p.number)
	}
	tree, clean, err := g.s.mergeTrees(g.r, g.head, p.headSHA)
	if err != nil {
		return err
	}
	if !clean {
		return refuse(http.StatusUnprocessableEntity, "Pull request #%d conflicts with the group.", p.number)
	}
	sha, err := g.s.writeMerge(who, p, mergeOrder{}, g.head, tree)
	if err != nil {
		return err
	}
	g.pulls, g.steps, g.head = append(g.pulls, p), append(g.steps, sha), sha
	return nil
}

// HeadSHA is the commit that checks are asked for.
func (g *MergeGroup) HeadSHA() string { return g.head }

// BaseSHA is the commit that the group stands on.
func (g *MergeGroup) BaseSHA() string { return g.base }

// HeadRef is the group's temporary branch, refs/heads/gh-readonly-queue/...
func (g *MergeGroup) HeadRef() string { return g.headRef }

// Unmet lists the required checks that have not succeeded on the group's head.
func (g *MergeGroup) Unmet() []string {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	return g.unmet()
}

func (g *MergeGroup) unmet() []string {
	var out []string
	for _, c := range g.r.protection[g.branch].Checks {
		if state := g.s.checkState(g.r, g.head, c); state != "success" {
			out = append(out, fmt.Sprintf("Required status check %q is %s.", c.Context, state))
		}
	}
	return out
}

// Merge puts the group on its branch as one push, if the required checks succeeded and the branch has not moved.
func (g *MergeGroup) Merge() error {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	if missing := g.unmet(); len(missing) > 0 {
		return refuse(http.StatusMethodNotAllowed, "%s", missing[0])
	}
	if g.r.branch(g.branch) != g.base {
		return refuse(http.StatusConflict, "The base branch has moved.")
	}
	queue := &actor{user: g.s.accounts[webFlowID]}
	if err := g.s.git.updateRef(g.r.dir, "refs/heads/"+g.branch, g.base, g.head); err != nil {
		return err
	}
	for i, p := range g.pulls {
		p.baseSHA = g.base
		if i > 0 {
			p.baseSHA = g.steps[i-1]
		}
		g.s.setMerged(queue, p, g.steps[i])
	}
	g.s.refMoved(queue, g.r, refUpdate{ref: "refs/heads/" + g.branch, old: g.base, new: g.head}, "merge_queue_merge")
	for _, p := range g.pulls {
		g.s.emitPull(queue, p, "closed", nil)
	}
	return g.destroy(queue, "merged")
}

// Destroy gives the group up; the reason is told, for example "dequeued" or "invalidated".
func (g *MergeGroup) Destroy(reason string) error {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	return g.destroy(&actor{user: g.s.accounts[webFlowID]}, reason)
}

func (g *MergeGroup) destroy(who *actor, reason string) error {
	g.s.emitGroup(who, g, "destroyed", reason)
	return g.s.writeRef(who, g.r, refUpdate{ref: g.headRef, old: g.head})
}

func (s *Server) emitGroup(who *actor, g *MergeGroup, action, reason string) {
	head, err := g.r.store.commit(g.head)
	if err != nil {
		s.log.Error("read a merge group's head", "error", err)
		return
	}
	payload := obj{"merge_group": obj{
		"head_sha": g.head, "head_ref": g.headRef, "base_sha": g.base, "base_ref": "refs/heads/" + g.branch,
		"head_commit": s.smallCommitView(head),
	}}
	if reason != "" {
		payload["reason"] = reason
	}
	s.emit(who, g.r, "merge_group", action, payload)
}
