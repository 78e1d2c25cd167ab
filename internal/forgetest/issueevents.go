package forgetest

import "time"

// issueEvent is an entry of what the forge remembers about an issue or pull request. Kept are review_dismissed,
// review_requested, review_request_removed, renamed, closed, reopened and base_ref_changed.
type issueEvent struct {
	id    int64
	kind  string
	actor *account
	app   *app
	at    time.Time
	extra obj
}

func (s *Server) recordEvent(who *actor, is *issue, kind string, extra obj) {
	is.events = append(is.events, &issueEvent{id: s.nextID(), kind: kind, actor: who.user, app: who.app, at: s.now(), extra: extra})
}

// recordDismissal remembers what a review said before it was dismissed, and the push that made it stale if no person
// dismissed it.
func (s *Server) recordDismissal(who *actor, rv *review, message, push string) {
	dismissed := obj{"state": reviewWords[rv.state], "review_id": rv.id, "dismissal_message": orNull(message)}
	if push != "" {
		dismissed["dismissal_commit_id"] = push
	}
	s.recordEvent(who, rv.pull.issue, "review_dismissed", obj{"dismissed_review": dismissed})
}

var reviewWords = map[string]string{"APPROVED": "approved", "CHANGES_REQUESTED": "changes_requested", "COMMENTED": "commented"}

func (s *Server) issueEventView(is *issue, e *issueEvent) obj {
	v := obj{
		"id": e.id, "node_id": nodeID("IssueEvent", e.id), "url": s.apiURL("/repos/%s/issues/events/%d", is.repo.fullName(), e.id),
		"actor": s.userView(e.actor), "event": e.kind, "commit_id": nil, "commit_url": nil, "created_at": stamp(e.at),
		"performed_via_github_app": nil,
	}
	if e.app != nil {
		v["performed_via_github_app"] = s.appView(e.app)
	}
	return with(v, e.extra)
}

func listIssueEvents(c *call) (reply, error) {
	is, err := c.issue()
	if err != nil {
		return reply{}, err
	}
	return page(c, is.events, func(e *issueEvent) obj { return c.s.issueEventView(is, e) })
}
