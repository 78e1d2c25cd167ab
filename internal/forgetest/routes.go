package forgetest

// Access by the kinds of resource: what a person and what an installation needs.
var (
	anyone        = access{}
	appJWT        = access{app: true}
	orgMembers    = access{perm: "members:read"}
	metadata      = access{level: "read", perm: "metadata:read"}
	readCode      = access{level: "read", perm: "contents:read"}
	writeCode     = access{level: "write", perm: "contents:write"}
	readPulls     = access{level: "read", perm: "pull_requests:read"}
	writePulls    = access{level: "read", perm: "pull_requests:write"} // the operations ask for more where it is needed
	managePulls   = access{level: "triage", perm: "pull_requests:write"}
	mergePulls    = access{level: "write", perm: "contents:write"}
	readIssues    = access{level: "read", perm: "issues:read|pull_requests:read"}
	writeIssues   = access{level: "read", perm: "issues:write|pull_requests:write"}
	manageIssues  = access{level: "triage", perm: "issues:write|pull_requests:write"}
	readChecks    = access{level: "read", perm: "checks:read"}
	writeChecks   = access{level: "read", perm: "checks:write"} // only Apps get further
	readStatuses  = access{level: "read", perm: "statuses:read"}
	writeStatuses = access{level: "write", perm: "statuses:write"}
	readDeploys   = access{level: "read", perm: "deployments:read"}
	writeDeploys  = access{level: "write", perm: "deployments:write"}
	administer    = access{level: "admin", perm: "administration:read"}
	manageHooks   = access{level: "admin", perm: "repository_hooks:read"}
	writeHooks    = access{level: "admin", perm: "repository_hooks:write"}
)

func (s *Server) routes() []route {
	var all []route
	for _, group := range [][]route{accountRoutes(), appRoutes(), codeRoutes(), pullRoutes(), issueRoutes(), checkRoutes(), hookRoutes()} {
		all = append(all, group...)
	}
	return all
}

func getRepo(c *call) (reply, error) { return ok(c.s.fullRepoView(c.repo, c.actor.user)) }

func accountRoutes() []route {
	return []route{
		{"GET /user", anyone, getMe},
		{"GET /user/{id}", anyone, getUserByID},
		{"GET /users/{login}", anyone, getUser},
		{"GET /orgs/{org}", anyone, getOrg},
		{"GET /organizations/{org_id}", anyone, getOrg},
		{"GET /orgs/{org}/members", orgMembers, listOrgMembers},
		{"GET /orgs/{org}/members/{login}", orgMembers, isOrgMember},
		{"GET /orgs/{org}/memberships/{login}", orgMembers, getOrgMembership},
		{"GET /orgs/{org}/teams", orgMembers, listTeams},
		{"GET /orgs/{org}/teams/{slug}", orgMembers, getTeam},
		{"GET /orgs/{org}/teams/{slug}/members", orgMembers, listTeamMembers},
		{"GET /orgs/{org}/teams/{slug}/memberships/{login}", orgMembers, getTeamMembership},
		{"GET /organizations/{org_id}/team/{team_id}", orgMembers, getTeam},
		{"GET /organizations/{org_id}/team/{team_id}/members", orgMembers, listTeamMembers},
		{"GET /organizations/{org_id}/team/{team_id}/memberships/{login}", orgMembers, getTeamMembership},
		{"GET /rate_limit", anyone, getRateLimit},
		{"GET /meta", anyone, getMeta},
	}
}

func appRoutes() []route {
	return []route{
		{"GET /app", appJWT, getApp},
		{"GET /app/installations", appJWT, listInstallations},
		{"GET /app/installations/{id}", appJWT, getInstallation},
		{"POST /app/installations/{id}/access_tokens", appJWT, postAccessToken},
		{"GET /repos/{repo_owner}/{repo}/installation", appJWT, findInstallation},
		{"GET /orgs/{login}/installation", appJWT, findInstallation},
		{"GET /users/{login}/installation", appJWT, findInstallation},
		{"GET /app/hook/config", appJWT, getHookConfig},
		{"PATCH /app/hook/config", appJWT, patchHookConfig},
		{"GET /app/hook/deliveries", appJWT, listDeliveries},
		{"GET /app/hook/deliveries/{delivery}", appJWT, getDelivery},
		{"POST /app/hook/deliveries/{delivery}/attempts", appJWT, postRedelivery},
		{"GET /installation/repositories", anyone, listInstallationRepos},
		{"DELETE /installation/token", anyone, revokeToken},
	}
}

func codeRoutes() []route {
	const repo = "/repos/{owner}/{repo}"
	return []route{
		{"GET " + repo, metadata, getRepo},
		{"GET /repositories/{id}", metadata, getRepo},
		{"GET " + repo + "/activity", readCode, listActivity},
		{"GET " + repo + "/branches", readCode, listBranches},
		{"GET " + repo + "/branches/{branch}", readCode, getBranch},
		{"GET " + repo + "/branches/{branch}/protection", administer, getProtection},
		{"GET " + repo + "/rules/branches/{branch}", metadata, listRules},
		{"GET " + repo + "/commits", readCode, listCommits},
		{"GET " + repo + "/commits/{ref}", readCode, getCommit},
		{"GET " + repo + "/commits/{ref}/pulls", readPulls, listCommitPulls},
		{"GET " + repo + "/commits/{ref}/status", readStatuses, getCombinedStatus},
		{"GET " + repo + "/commits/{ref}/statuses", readStatuses, listStatuses},
		{"POST " + repo + "/statuses/{sha}", writeStatuses, postStatus},
		{"GET " + repo + "/compare/{basehead}", readCode, compareCommits},
		{"GET " + repo + "/contents/{path...}", readCode, getContents},
		{"PUT " + repo + "/contents/{path...}", writeCode, putContents},
		{"DELETE " + repo + "/contents/{path...}", writeCode, removeContents},
		{"POST " + repo + "/git/blobs", writeCode, postBlob},
		{"GET " + repo + "/git/blobs/{sha}", readCode, getBlob},
		{"POST " + repo + "/git/trees", writeCode, postTree},
		{"GET " + repo + "/git/trees/{sha}", readCode, getTree},
		{"POST " + repo + "/git/commits", writeCode, postGitCommit},
		{"GET " + repo + "/git/commits/{sha}", readCode, getGitCommit},
		{"POST " + repo + "/git/refs", writeCode, postRef},
		{"GET " + repo + "/git/ref/{ref...}", readCode, getRef},
		{"GET " + repo + "/git/matching-refs/{ref...}", readCode, listMatchingRefs},
		{"PATCH " + repo + "/git/refs/{ref...}", writeCode, patchRef},
		{"DELETE " + repo + "/git/refs/{ref...}", writeCode, removeRef},
		{"GET " + repo + "/collaborators", access{level: "write", perm: "metadata:read"}, listCollaborators},
		{"GET " + repo + "/collaborators/{login}", metadata, isCollaborator},
		{"GET " + repo + "/collaborators/{login}/permission", metadata, getPermission},
		{"POST " + repo + "/deployments", writeDeploys, postDeployment},
		{"GET " + repo + "/deployments", readDeploys, listDeployments},
		{"GET " + repo + "/deployments/{id}", readDeploys, getDeployment},
		{"GET " + repo + "/deployments/{id}/statuses", readDeploys, listDeploymentStatuses},
		{"POST " + repo + "/deployments/{id}/statuses", writeDeploys, postDeploymentStatus},
	}
}

func pullRoutes() []route {
	const pulls = "/repos/{owner}/{repo}/pulls"
	const one = pulls + "/{number}"
	return []route{
		{"GET " + pulls, readPulls, listPulls},
		{"POST " + pulls, writePulls, postPull},
		{"GET " + one, readPulls, getPull},
		{"PATCH " + one, writePulls, patchPull},
		{"GET " + one + "/commits", readPulls, listPullCommits},
		{"GET " + one + "/files", readPulls, listPullFiles},
		{"GET " + one + "/merge", readPulls, isMerged},
		{"PUT " + one + "/merge", mergePulls, putMerge},
		{"PUT " + one + "/update-branch", writePulls, putUpdateBranch},
		{"GET " + one + "/requested_reviewers", readPulls, listRequestedReviewers},
		{"POST " + one + "/requested_reviewers", managePulls, postRequestedReviewers},
		{"DELETE " + one + "/requested_reviewers", managePulls, removeRequestedReviewers},
		{"GET " + one + "/reviews", readPulls, listReviews},
		{"POST " + one + "/reviews", writePulls, postReview},
		{"GET " + one + "/reviews/{id}", readPulls, getReview},
		{"PUT " + one + "/reviews/{id}", writePulls, putReview},
		{"GET " + one + "/reviews/{id}/comments", readPulls, listCommentsOfReview},
		{"POST " + one + "/reviews/{id}/events", writePulls, submitPendingReview},
		{"PUT " + one + "/reviews/{id}/dismissals", writePulls, putDismissal},
		{"GET " + one + "/comments", readPulls, listReviewComments},
		{"POST " + one + "/comments", writePulls, postReviewComment},
	}
}

func issueRoutes() []route {
	const issues = "/repos/{owner}/{repo}/issues"
	const one, comments = issues + "/{number}", issues + "/comments/{id}"
	return []route{
		{"GET " + issues, readIssues, listIssues},
		{"POST " + issues, writeIssues, postIssue},
		{"GET " + one, readIssues, getIssue},
		{"PATCH " + one, writeIssues, patchIssue},
		{"GET " + one + "/events", readIssues, listIssueEvents},
		{"GET " + one + "/labels", readIssues, listLabels},
		{"POST " + one + "/labels", manageIssues, postLabels},
		{"DELETE " + one + "/labels/{name}", manageIssues, removeLabel},
		{"GET " + one + "/comments", readIssues, listComments},
		{"POST " + one + "/comments", writeIssues, postComment},
		{"GET " + one + "/reactions", readIssues, listReactions},
		{"POST " + one + "/reactions", writeIssues, postReaction},
		{"DELETE " + one + "/reactions/{reaction}", writeIssues, removeReaction},
		{"GET " + issues + "/comments", readIssues, listCommentsOfRepository},
		{"GET " + comments, readIssues, getComment},
		{"PATCH " + comments, writeIssues, patchComment},
		{"DELETE " + comments, writeIssues, removeComment},
		{"GET " + comments + "/reactions", readIssues, listReactions},
		{"POST " + comments + "/reactions", writeIssues, postReaction},
		{"DELETE " + comments + "/reactions/{reaction}", writeIssues, removeReaction},
	}
}

func checkRoutes() []route {
	const repo = "/repos/{owner}/{repo}"
	return []route{
		{"POST " + repo + "/check-runs", writeChecks, postCheckRun},
		{"GET " + repo + "/check-runs/{id}", readChecks, getCheckRun},
		{"PATCH " + repo + "/check-runs/{id}", writeChecks, patchCheckRun},
		{"GET " + repo + "/check-runs/{id}/annotations", readChecks, listAnnotations},
		{"POST " + repo + "/check-runs/{id}/rerequest", access{level: "write", perm: "checks:write"}, rerequestRun},
		{"GET " + repo + "/commits/{ref}/check-runs", readChecks, listCheckRuns},
		{"GET " + repo + "/commits/{ref}/check-suites", readChecks, listSuites},
		{"GET " + repo + "/check-suites/{id}", readChecks, getSuite},
		{"GET " + repo + "/check-suites/{id}/check-runs", readChecks, listSuiteRuns},
		{"POST " + repo + "/check-suites/{id}/rerequest", access{level: "write", perm: "checks:write"}, rerequestSuite},
	}
}

func hookRoutes() []route {
	const hooks = "/repos/{owner}/{repo}/hooks"
	return []route{
		{"GET " + hooks, manageHooks, listHooks},
		{"GET " + hooks + "/{hook}", manageHooks, getHook},
		{"GET " + hooks + "/{hook}/config", manageHooks, getHookConfig},
		{"PATCH " + hooks + "/{hook}/config", writeHooks, patchHookConfig},
		{"POST " + hooks + "/{hook}/pings", writeHooks, pingHook},
		{"GET " + hooks + "/{hook}/deliveries", manageHooks, listDeliveries},
		{"GET " + hooks + "/{hook}/deliveries/{delivery}", manageHooks, getDelivery},
		{"POST " + hooks + "/{hook}/deliveries/{delivery}/attempts", writeHooks, postRedelivery},
	}
}

// Routes returns the patterns of all routes of the REST interface, for example "GET /repos/{owner}/{repo}".
func Routes() []string {
	var patterns []string
	for _, rt := range (*Server)(nil).routes() {
		patterns = append(patterns, rt.pattern)
	}
	return patterns
}
