package forgetest

import (
	"net/http"
	"slices"
)

var statusStates = []string{"error", "failure", "pending", "success"}

// latestStatuses keeps the newest status of each context, newest first.
func latestStatuses(all []*commitStatus) []*commitStatus {
	seen := map[string]bool{}
	var out []*commitStatus
	for _, st := range slices.Backward(all) {
		if !seen[st.context] {
			seen[st.context] = true
			out = append(out, st)
		}
	}
	return out
}

// combinedState sums up statuses and check runs: failure, pending or success.
func (s *Server) combinedState(r *repository, sha string) string {
	state := "success"
	worse := func(to string) {
		if state != "failure" {
			state = to
		}
	}
	for _, st := range latestStatuses(r.statuses[sha]) {
		switch st.state {
		case "pending":
			worse("pending")
		case "error", "failure":
			worse("failure")
		}
	}
	for _, run := range latestRuns(r.runsBySHA[sha]) {
		switch {
		case run.status != "completed":
			worse("pending")
		case !slices.Contains([]string{"success", "neutral", "skipped"}, run.conclusion):
			worse("failure")
		}
	}
	return state
}

func (s *Server) statusView(r *repository, sha string, st *commitStatus) obj {
	return obj{
		"id": st.id, "node_id": nodeID("StatusContext", st.id), "url": s.apiURL("/repos/%s/statuses/%s", r.fullName(), sha),
		"state": st.state, "context": st.context, "description": orNull(st.description), "target_url": orNull(st.targetURL),
		"avatar_url": s.base + "/avatars/u/" + itoa(st.user.id), "creator": s.userView(st.user),
		"created_at": stamp(st.createdAt), "updated_at": stamp(st.createdAt),
	}
}

func postStatus(c *call) (reply, error) {
	var in struct {
		State       string `json:"state"`
		Context     string `json:"context"`
		Description string `json:"description"`
		TargetURL   string `json:"target_url"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	sha := c.path("sha")
	if _, err := c.repo.store.commit(sha); err != nil {
		return reply{}, unprocessable("No commit found for SHA: " + sha)
	}
	if !slices.Contains(statusStates, in.State) {
		return reply{}, invalid("Status", "state", "invalid", "state is not included in the list")
	}
	if len([]rune(in.Description)) > 140 {
		return reply{}, invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
	}
	if in.Context == "" {
		in.Context = "default"
	}
	st := &commitStatus{
		id: c.s.nextID(), user: c.actor.user, context: in.Context, state: in.State, description: in.Description,
		targetURL: in.TargetURL, createdAt: c.s.now(),
	}
	c.repo.statuses[sha] = append(c.repo.statuses[sha], st)
	c.s.emitStatus(c.actor, c.repo, sha, st)
	return created(c.s.statusView(c.repo, sha, st))
}

func listStatuses(c *call) (reply, error) {
	sha, found := c.repo.resolve(c.path("ref"))
	if !found {
		return reply{}, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", c.path("ref"))
	}
	all := slices.Clone(c.repo.statuses[sha])
	slices.Reverse(all)
	return page(c, all, func(st *commitStatus) obj { return c.s.statusView(c.repo, sha, st) })
}

// getCombinedStatus sums up commit statuses only: check runs are not part of it.
func getCombinedStatus(c *call) (reply, error) {
	sha, found := c.repo.resolve(c.path("ref"))
	if !found {
		return reply{}, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", c.path("ref"))
	}
	latest := latestStatuses(c.repo.statuses[sha])
	state := "success"
	for _, st := range latest {
		switch {
		case st.state == "error" || st.state == "failure":
			state = "failure"
		case st.state == "pending" && state != "failure":
			state = "pending"
		}
	}
	if len(latest) == 0 {
		state = "pending"
	}
	part, link := cut(c, latest)
	return reply{link: link, body: obj{
		"state": state, "sha": sha, "total_count": len(latest), "repository": c.s.repoView(c.repo),
		"statuses": views(part, func(st *commitStatus) obj {
			v := c.s.statusView(c.repo, sha, st)
			delete(v, "creator") // only the list of statuses has it
			return v
		}),
		"commit_url": c.s.apiURL("/repos/%s/commits/%s", c.repo.fullName(), sha),
		"url":        c.s.apiURL("/repos/%s/commits/%s/status", c.repo.fullName(), sha),
	}}, nil
}
