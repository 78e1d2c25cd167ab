package published

import "strings"

// known are the points in which a description is behind GitHub or contradicts itself. A violation is one of them when
// all that is set fits: edition and where as they are, the end of the pointer, a part of what is wrong.
type known struct {
	edition, where, pointer, wrong string
	why                            string
}

var knownDifferences = []known{
	{where: "POST /repos/{owner}/{repo}/issues/{number}/labels ←", pointer: "/", wrong: "got array, want object",
		why: "GitHub has always taken a plain list of names, as go-github sends it; the description had it until lately"},
	{where: "GET /app/installations → 200", pointer: "/account", wrong: "missing properties 'name', 'slug'",
		why: "says that an account is a user and an enterprise at once; GET /app/installations/{installation_id} has it right"},
	{where: "DELETE /repos/{owner}/{repo}/contents/{path...} ←", pointer: "/content", wrong: "no property",
		why: "go-github sends an empty one, which GitHub ignores"},
	{pointer: "/permissions/merge_queues", wrong: "no field",
		why: "GitHub's list of an App's permissions has it, the schema of them does not"},
	{edition: octokit, wrong: "'client_id'", why: "younger than the schema; described by GitHub"},
	{edition: octokit, pointer: "/verification", wrong: "'verified_at'", why: "younger than the schema; described by GitHub"},
	{edition: octokit, pointer: "/team", wrong: "'type'", why: "younger than the schema; described by GitHub"},
	{edition: octokit, pointer: "/requested_team", wrong: "'type'", why: "as /team"},
	{edition: octokit, pointer: "/requested_teams/*", wrong: "'type'", why: "as /team"},
	{edition: octokit, where: "webhook member added", pointer: "/changes/permission/to", wrong: "must be one of",
		why: "knows two permissions of five; GitHub describes any text"},
	{pointer: "/events/*", wrong: "must be one of", why: "the lists of what an App may subscribe to end before merge queues"},
	{edition: octokit, where: "webhook check_suite rerequested", pointer: "/check_suite", wrong: "'rerequestable'",
		why: "the schemas of the other actions have it, and so has GitHub's"},
	{edition: octokit, where: "webhook deployment_status created", wrong: "got null, want object",
		why: "null without a workflow, as GitHub describes it"},
	{where: "webhook deployment_status created", pointer: "_url", wrong: "'' is not valid uri",
		why: "empty when nothing was given: GitHub's default"},
	{edition: octokit, where: "webhook installation created", pointer: "/requester", wrong: "got null, want object",
		why: "null when nobody asked for it, as GitHub describes it"},
	{edition: octokit, where: "webhook ping", pointer: "/hook", wrong: "missing properties 'url', 'ping_url'",
		why: "an App's hook has no addresses of its own, as GitHub describes it"},
}

const octokit = "octokit"

// explained reports whether a violation is a known difference.
func (v Violation) explained() bool {
	for _, k := range knownDifferences {
		if (k.edition == "" || k.edition == v.Edition) && (k.where == "" || k.where == v.Where) &&
			strings.HasSuffix(v.Pointer, k.pointer) && strings.Contains(v.Wrong, k.wrong) {
			return true
		}
	}
	return false
}
