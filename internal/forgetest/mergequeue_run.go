package forgetest

import "slices"

// QueueResult is what a run of a merge queue did, by the numbers of pull requests.
type QueueResult struct {
	Merged  []int
	Kicked  []int    // out of the queue, because a required check failed or they conflict
	Waiting []string // what the first group still waits for
}

// MergeQueue lists the groups of a branch's merge queue, the next one first.
func (r *Repository) MergeQueue(branch string) []*MergeGroup {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.r.queues[branch])
}

// RunMergeQueue does what a branch's merge queue would do at this moment: groups with a failing check are kicked out and
// those behind them are built anew; then, from the front, groups whose required checks all succeeded are merged, each
// as one push of the branch.
func (r *Repository) RunMergeQueue(branch string) (QueueResult, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out QueueResult
	for _, g := range slices.Clone(r.r.queues[branch]) {
		if slices.Contains(r.r.queues[branch], g) && g.failed() {
			kicked, err := g.remove("CI_FAILURE")
			out.Kicked = append(out.Kicked, kicked...)
			if err != nil {
				return out, err
			}
		}
	}
	for len(r.r.queues[branch]) > 0 {
		g := r.r.queues[branch][0]
		if g.base != r.r.branch(branch) { // somebody pushed past the queue
			kicked, err := r.s.rebuild(r.r, branch, 0)
			out.Kicked = append(out.Kicked, kicked...)
			if err != nil {
				return out, err
			}
			continue
		}
		if out.Waiting = g.unmet(); len(out.Waiting) > 0 {
			return out, nil
		}
		if err := g.merge(); err != nil {
			return out, err
		}
		for _, p := range g.pulls {
			out.Merged = append(out.Merged, p.number)
		}
	}
	return out, nil
}

// Dequeue takes a pull request, with its whole group, out of the merge queue.
func (u *User) Dequeue(p *Pull) error {
	return u.on(p, func(who *actor) error {
		if err := who.can(p.p.repo, "write", ""); err != nil && who.user != p.p.author {
			return err
		}
		g := u.s.groupOf(p.p)
		if g == nil {
			return notFound()
		}
		_, err := g.remove("MANUAL")
		return err
	})
}

// merge moves the branch to the group's head.
func (g *MergeGroup) merge() error {
	s, ref := g.s, "refs/heads/"+g.branch
	if err := s.git.updateRef(g.r.dir, ref, g.base, g.head); err != nil {
		return err
	}
	g.r.queues[g.branch] = g.r.queues[g.branch][1:]
	before := g.base
	for i, p := range g.pulls {
		p.baseSHA, before = before, g.steps[i]
		s.setMerged(s.queueBot(), p, g.steps[i])
	}
	s.refMoved(s.queueBot(), g.r, refUpdate{ref: ref, old: g.base, new: g.head}, "merge_queue_merge")
	for _, p := range g.pulls {
		s.emitPull(s.queueBot(), p, "closed", nil)
		s.emitPull(s.queueBot(), p, "dequeued", obj{"reason": "MERGE"})
	}
	return g.destroy("merged")
}

// remove takes the group out of the queue and builds those behind it anew. It returns the numbers of its pull requests
// and of those that then conflict.
func (g *MergeGroup) remove(reason string) (kicked []int, err error) {
	at := slices.Index(g.r.queues[g.branch], g)
	g.r.queues[g.branch] = slices.Delete(slices.Clone(g.r.queues[g.branch]), at, at+1)
	if err := g.destroy("dequeued"); err != nil {
		return nil, err
	}
	for _, p := range g.pulls {
		p.updatedAt = g.s.now()
		g.s.emitPull(g.s.queueBot(), p, "dequeued", obj{"reason": reason})
		kicked = append(kicked, p.number)
	}
	more, err := g.s.rebuild(g.r, g.branch, at)
	return append(kicked, more...), err
}

// rebuild builds the groups from a place in the queue anew. One that conflicts now is kicked out.
func (s *Server) rebuild(r *repository, branch string, from int) (kicked []int, err error) {
	queue := r.queues[branch]
	r.queues[branch] = slices.Clone(queue[:from])
	for _, g := range queue[from:] {
		if err := g.destroy("invalidated"); err != nil {
			return kicked, err
		}
		if err := g.build(s.queueEnd(r, branch)); err != nil {
			for _, p := range g.pulls {
				p.updatedAt = s.now()
				s.emitPull(s.queueBot(), p, "dequeued", obj{"reason": "MERGE_CONFLICT"})
				kicked = append(kicked, p.number)
			}
			continue
		}
		r.queues[branch] = append(r.queues[branch], g)
		if err := g.open(); err != nil {
			return kicked, err
		}
	}
	return kicked, nil
}

// leaveQueue takes a pull request that is no longer what was queued out of the queue.
func (s *Server) leaveQueue(p *pull) {
	if g := s.groupOf(p); g != nil {
		if _, err := g.remove("UNKNOWN_REMOVAL_REASON"); err != nil {
			s.log.Error("take a pull request out of the merge queue", "pull", p.number, "error", err)
		}
	}
}
