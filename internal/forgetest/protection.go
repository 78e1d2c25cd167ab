package forgetest

import (
	"fmt"
	"slices"
)

// Protection is the rule for one branch.
type Protection struct {
	// Checks must have succeeded on the head.
	Checks []RequiredCheck
	// Strict asks for a head that contains the base branch's tip.
	Strict bool
	// Approvals is the number of approving reviews by people with write access. More than 0 also lets a request for
	// changes block.
	Approvals int
	// DismissStale dismisses approvals when the pull request's changes or its merge base change.
	DismissStale bool
	// LastPushApproval asks for an approval by somebody other than the last pusher.
	LastPushApproval bool
	// EnforceAdmins binds administrators too.
	EnforceAdmins bool
	// MergeQueue is the method (merge, squash, rebase) by which the branch's merge queue merges; pull requests are then
	// merged by the queue alone. Empty: everybody merges.
	MergeQueue       string
	AllowForcePushes bool
	AllowDeletions   bool
	// Ruleset makes it a ruleset that nobody may bypass: it holds alike, and is read by another route.
	Ruleset bool
}

// RequiredCheck names a check and, with AppID other than 0, the only App from which it counts.
type RequiredCheck struct {
	Context string
	AppID   int64
}

func (p Protection) contexts() []string {
	out := make([]string, 0, len(p.Checks))
	for _, c := range p.Checks {
		out = append(out, c.Context)
	}
	return out
}

func (p Protection) checksView() []obj {
	return views(p.Checks, func(c RequiredCheck) obj {
		v := obj{"context": c.Context, "app_id": nil}
		if c.AppID != 0 {
			v["app_id"] = c.AppID
		}
		return v
	})
}

// latestOpinions is each reviewer's last approval or request for changes, of people with write access.
func (p *pull) latestOpinions() map[*account]*review {
	out := map[*account]*review{}
	for _, rv := range p.reviews {
		if rv.state == "COMMENTED" || rv.state == "PENDING" || !atLeast(p.repo.permission(rv.user), "write") {
			continue
		}
		out[rv.user] = rv
	}
	return out
}

// unmet lists what branch protection still asks for before a pull request may be merged.
func (s *Server) unmet(p *pull) []string {
	return s.unmetBy(p, true)
}

// unmetBy lists what a pull request itself lacks. A merge queue brings it up to date, so being behind need not count.
func (s *Server) unmetBy(p *pull, upToDate bool) []string {
	rule, protected := p.repo.protection[p.baseRef]
	if !protected {
		return nil
	}
	var out []string
	for _, c := range rule.Checks {
		if state := s.checkState(p.repo, p.headSHA, c); state != "success" {
			out = append(out, fmt.Sprintf("Required status check %q is %s.", c.Context, state))
		}
	}
	approvals, against := 0, false
	for _, rv := range p.latestOpinions() {
		switch rv.state {
		case "APPROVED":
			approvals++
		case "CHANGES_REQUESTED":
			against = true
		}
	}
	if rule.Approvals > 0 && against {
		out = append(out, "Changes must be addressed: a reviewer requested changes.")
	}
	if approvals < rule.Approvals {
		out = append(out, fmt.Sprintf("At least %d approving review is required by reviewers with write access.", rule.Approvals))
	}
	if upToDate && rule.Strict && !s.isAncestor(p.repo, p.repo.branch(p.baseRef), p.headSHA) {
		out = append(out, "This branch must not be behind the base branch.")
	}
	return out
}

// checkState tells how a required check stands on a commit: expected, pending, failing or success. Check runs that
// are neutral or skipped count as success.
func (s *Server) checkState(r *repository, sha string, want RequiredCheck) string {
	state := "expected"
	for _, run := range latestRuns(r.runsBySHA[sha]) {
		if run.name != want.Context || want.AppID != 0 && run.suite.app.id != want.AppID {
			continue
		}
		switch {
		case run.status != "completed":
			return "pending"
		case !slices.Contains([]string{"success", "neutral", "skipped"}, run.conclusion):
			return "failing"
		}
		state = "success"
	}
	for _, st := range latestStatuses(r.statuses[sha]) {
		if st.context != want.Context || want.AppID != 0 && !s.isBotOf(st.user, want.AppID) {
			continue
		}
		switch st.state {
		case "pending":
			return "pending"
		case "success":
			state = "success"
		default:
			return "failing"
		}
	}
	return state
}

func (s *Server) isBotOf(u *account, appID int64) bool {
	return slices.ContainsFunc(s.apps, func(a *app) bool { return a.id == appID && a.bot == u })
}

// mergeableState computes GitHub's mergeable_state and mergeable.
func (s *Server) mergeableState(p *pull) (state string, mergeable bool) {
	tip := p.repo.branch(p.baseRef)
	_, clean, err := s.mergeTrees(p.repo, tip, p.headSHA)
	switch {
	case err != nil:
		s.log.Error("try a merge", "pull", p.number, "error", err)
		return "unknown", false
	case !clean:
		return "dirty", false
	case p.draft:
		return "draft", true
	}
	unmet := s.unmet(p)
	rule := p.repo.protection[p.baseRef]
	behind := rule.Strict && !s.isAncestor(p.repo, tip, p.headSHA)
	switch {
	case len(unmet) == 1 && behind:
		return "behind", true
	case len(unmet) > 0:
		return "blocked", true
	case s.combinedState(p.repo, p.headSHA) != "success" && len(p.repo.statuses[p.headSHA])+len(p.repo.runsBySHA[p.headSHA]) > 0:
		return "unstable", true
	}
	return "clean", true
}

func getProtection(c *call) (reply, error) {
	name := c.path("branch")
	if c.repo.branch(name) == "" {
		return reply{}, refuse(404, "Branch not found")
	}
	p, protected := c.repo.protection[name]
	if !protected || p.Ruleset {
		return reply{}, refuse(404, "Branch not protected")
	}
	u := c.s.apiURL("/repos/%s/branches/%s/protection", c.repo.fullName(), name)
	v := obj{
		"url":                     u,
		"enforce_admins":          obj{"url": u + "/enforce_admins", "enabled": p.EnforceAdmins},
		"required_linear_history": obj{"enabled": false}, "allow_force_pushes": obj{"enabled": p.AllowForcePushes},
		"allow_deletions": obj{"enabled": p.AllowDeletions}, "block_creations": obj{"enabled": false},
		"required_conversation_resolution": obj{"enabled": false}, "lock_branch": obj{"enabled": false},
		"allow_fork_syncing": obj{"enabled": false}, "required_signatures": obj{"url": u + "/required_signatures", "enabled": false},
	}
	if len(p.Checks) > 0 || p.Strict {
		v["required_status_checks"] = obj{
			"url": u + "/required_status_checks", "strict": p.Strict, "contexts": p.contexts(),
			"contexts_url": u + "/required_status_checks/contexts", "checks": p.checksView(),
		}
	}
	if p.Approvals > 0 || p.DismissStale || p.LastPushApproval {
		v["required_pull_request_reviews"] = obj{
			"url": u + "/required_pull_request_reviews", "dismiss_stale_reviews": p.DismissStale,
			"require_code_owner_reviews": false, "required_approving_review_count": p.Approvals,
			"require_last_push_approval": p.LastPushApproval,
		}
	}
	return ok(v)
}

// rulesetID is that of the one ruleset of a branch.
const rulesetID = 77

// listRules are the rules of rulesets that hold a branch; none for a branch that there is not.
func listRules(c *call) (reply, error) {
	p, held := c.repo.protection[c.path("branch")]
	if !held || !p.Ruleset {
		return ok([]obj{})
	}
	out := []obj{}
	add := func(kind string, parameters obj) {
		v := obj{"type": kind, "ruleset_id": rulesetID, "ruleset_source": c.repo.fullName(), "ruleset_source_type": "Repository"}
		if parameters != nil {
			v["parameters"] = parameters
		}
		out = append(out, v)
	}
	if !p.AllowDeletions {
		add("deletion", nil)
	}
	if !p.AllowForcePushes {
		add("non_fast_forward", nil)
	}
	if p.Approvals > 0 || p.DismissStale || p.LastPushApproval {
		add("pull_request", obj{
			"dismiss_stale_reviews_on_push": p.DismissStale, "require_code_owner_review": false, "require_last_push_approval": p.LastPushApproval,
			"required_approving_review_count": p.Approvals, "required_review_thread_resolution": false,
		})
	}
	if len(p.Checks) > 0 {
		add("required_status_checks", obj{"strict_required_status_checks_policy": p.Strict, "required_status_checks": p.ruleChecks()})
	}
	return ok(out)
}

// ruleChecks leaves out the App of a check that may come from anybody.
func (p Protection) ruleChecks() []obj {
	return views(p.Checks, func(c RequiredCheck) obj {
		v := obj{"context": c.Context}
		if c.AppID != 0 {
			v["integration_id"] = c.AppID
		}
		return v
	})
}
