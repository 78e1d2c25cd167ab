package forgetest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// mergeQueueID is the id of the account in whose name GitHub's merge queues push.
const mergeQueueID = 118344674

// MergeGroup is an entry of a merge queue: pull requests merged one after the other on a temporary branch, on top of
// the group before it. The branch has no reviews of its own. When a group before it is given up, it is built anew:
// what its methods return changes then.
type MergeGroup struct {
	s       *Server
	r       *repository
	who     *actor // who queued it
	pulls   []*pull
	branch  string
	headRef string
	base    string
	head    string
	steps   []string // the last commit of each pull request
}

// Enqueue puts pull requests of one base branch at the end of its merge queue, as one group, and asks for checks on
// what they would become. Each must be ready to merge but for being behind. The merge method is the branch's
// [Protection.MergeQueue]. Pull requests leave the queue when they get a new head, are closed or retargeted.
func (u *User) Enqueue(pulls ...*Pull) (*MergeGroup, error) { return u.enqueue(pulls, false) }

// EnqueueBypassing is Enqueue with an administrator's right to pass the protection of the pull requests themselves. The
// group's own checks are still required.
func (u *User) EnqueueBypassing(pulls ...*Pull) (*MergeGroup, error) { return u.enqueue(pulls, true) }

func (u *User) enqueue(pulls []*Pull, bypass bool) (*MergeGroup, error) {
	if len(pulls) == 0 {
		return nil, errors.New("a merge group needs a pull request")
	}
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	first := pulls[0].p
	g := &MergeGroup{s: u.s, r: first.repo, who: u.actor(), branch: first.baseRef}
	for _, p := range pulls {
		if err := g.admit(p.p, bypass); err != nil {
			return nil, err
		}
		g.pulls = append(g.pulls, p.p)
	}
	queue := g.r.queues[g.branch]
	if err := g.build(g.s.queueEnd(g.r, g.branch)); err != nil {
		return nil, err
	}
	g.r.queues[g.branch] = append(queue, g)
	for _, p := range g.pulls {
		p.updatedAt = g.s.now()
		g.s.emitPull(g.who, p, "enqueued", nil)
	}
	return g, g.open()
}

// admit refuses a pull request that is not ready for the queue.
func (g *MergeGroup) admit(p *pull, bypass bool) error {
	if err := g.who.can(p.repo, "write", ""); err != nil {
		return err
	}
	switch {
	case p.state != "open" || p.draft || p.repo != g.r || p.baseRef != g.branch || slices.Contains(g.pulls, p):
		return refuse(http.StatusUnprocessableEntity, "Pull request #%d cannot be queued.", p.number)
	case g.s.groupOf(p) != nil:
		return refuse(http.StatusUnprocessableEntity, "Pull request #%d is already in the queue.", p.number)
	case bypass && g.who.bypasses(p.repo):
		return nil
	}
	if missing := g.s.unmetBy(p, false); len(missing) > 0 {
		return refuse(http.StatusUnprocessableEntity, "Pull request #%d is not ready: %s", p.number, missing[0])
	}
	return nil
}

func (s *Server) groupOf(p *pull) *MergeGroup {
	for _, g := range p.repo.queues[p.baseRef] {
		if slices.Contains(g.pulls, p) {
			return g
		}
	}
	return nil
}

// queueEnd is what a new group stands on: the last group's head, or the branch's tip.
func (s *Server) queueEnd(r *repository, branch string) string {
	if queue := r.queues[branch]; len(queue) > 0 {
		return queue[len(queue)-1].head
	}
	return r.branch(branch)
}

// build merges the group's pull requests on a base, by the queue's method.
func (g *MergeGroup) build(base string) error {
	g.base, g.head, g.steps = base, base, nil
	order := mergeOrder{method: g.r.protection[g.branch].MergeQueue}
	if order.method == "" {
		order.method = "merge"
	}
	for _, p := range g.pulls {
		tree, clean, err := g.s.mergeTrees(g.r, g.head, p.headSHA)
		if err != nil {
			return err
		}
		if !clean {
			return refuse(http.StatusUnprocessableEntity, "Pull request #%d conflicts with the group.", p.number)
		}
		if g.head, err = g.s.writeMerged(g.who, p, order, g.head, tree); err != nil {
			return err
		}
		g.steps = append(g.steps, g.head)
	}
	g.headRef = fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", g.branch, g.pulls[len(g.pulls)-1].number, g.base)
	return nil
}

// open makes the temporary branch and asks for checks.
func (g *MergeGroup) open() error {
	if err := g.s.writeRef(g.s.queueBot(), g.r, refUpdate{ref: g.headRef, new: g.head}); err != nil {
		return err
	}
	g.s.emitGroup(g, "checks_requested", "")
	return nil
}

// destroy deletes the temporary branch and tells why: merged, invalidated or dequeued.
func (g *MergeGroup) destroy(reason string) error {
	g.s.emitGroup(g, "destroyed", reason)
	return g.s.writeRef(g.s.queueBot(), g.r, refUpdate{ref: g.headRef, old: g.head})
}

func (s *Server) queueBot() *actor { return &actor{user: s.accounts[mergeQueueID]} }

func (s *Server) emitGroup(g *MergeGroup, action, reason string) {
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
	s.emit(s.queueBot(), g.r, "merge_group", action, payload)
}

// HeadSHA is the commit that checks are asked for.
func (g *MergeGroup) HeadSHA() string { return readGroup(g, func() string { return g.head }) }

// BaseSHA is the commit that the group stands on: the head of the group before it, or the branch's tip.
func (g *MergeGroup) BaseSHA() string { return readGroup(g, func() string { return g.base }) }

// HeadRef is the group's temporary branch, refs/heads/gh-readonly-queue/...
func (g *MergeGroup) HeadRef() string { return readGroup(g, func() string { return g.headRef }) }

// Queued tells whether the group is still in its queue: neither merged nor given up.
func (g *MergeGroup) Queued() bool {
	return readGroup(g, func() bool { return slices.Contains(g.r.queues[g.branch], g) })
}

// Pulls are the numbers of the group's pull requests in their order.
func (g *MergeGroup) Pulls() []int {
	return readGroup(g, func() []int {
		var out []int
		for _, p := range g.pulls {
			out = append(out, p.number)
		}
		return out
	})
}

// Unmet lists the required checks that have not succeeded on the group's head.
func (g *MergeGroup) Unmet() []string { return readGroup(g, g.unmet) }

func (g *MergeGroup) unmet() []string {
	var out []string
	for _, c := range g.r.protection[g.branch].Checks {
		if state := g.s.checkState(g.r, g.head, c); state != "success" {
			out = append(out, fmt.Sprintf("Required status check %q is %s.", c.Context, state))
		}
	}
	return out
}

// failed tells whether a required check on the group's head is more than missing.
func (g *MergeGroup) failed() bool {
	return slices.ContainsFunc(g.r.protection[g.branch].Checks, func(c RequiredCheck) bool {
		return g.s.checkState(g.r, g.head, c) == "failing"
	})
}

func readGroup[T any](g *MergeGroup, f func() T) T {
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	return f()
}
