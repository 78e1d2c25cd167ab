package forgetest

import (
	"slices"
	"time"
)

// activity is one line of the repository's record of who moved which reference when.
type activity struct {
	id    int64
	kind  string // push, force_push, branch_creation, branch_deletion, pr_merge, merge_queue_merge
	up    refUpdate
	actor *account
	at    time.Time
}

// recordActivity notes a moved reference. kind is empty for a push, whose kind follows from the move.
func (s *Server) recordActivity(who *actor, r *repository, up refUpdate, kind string) {
	switch {
	case kind != "":
	case up.old == "":
		kind = "branch_creation"
	case up.new == "":
		kind = "branch_deletion"
	case up.forced:
		kind = "force_push"
	default:
		kind = "push"
	}
	r.activity = append(r.activity, activity{id: s.nextID(), kind: kind, up: up, actor: who.user, at: s.now()})
}

// listActivity goes from the newest back, filtered by reference, actor and kind.
func listActivity(c *call) (reply, error) {
	branch, login, kind := c.query("ref"), c.query("actor"), c.query("activity_type")
	out := slices.Clone(c.repo.activity)
	slices.Reverse(out)
	out = slices.DeleteFunc(out, func(a activity) bool {
		return branch != "" && a.up.ref != branch && a.up.ref != "refs/heads/"+branch ||
			login != "" && !equalFold(a.actor.login, login) || kind != "" && a.kind != kind
	})
	sha := func(s string) string {
		if s == "" {
			return zeroSHA
		}
		return s
	}
	return page(c, out, func(a activity) obj {
		return obj{
			"id": a.id, "node_id": nodeID("PushLog", a.id), "before": sha(a.up.old), "after": sha(a.up.new), "ref": a.up.ref,
			"timestamp": stamp(a.at), "activity_type": a.kind, "actor": c.s.userView(a.actor),
		}
	})
}

// ForgetActivity empties the record of who moved which reference.
func (r *Repository) ForgetActivity() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.r.activity = nil
}
