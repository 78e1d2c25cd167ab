package forgetest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func cutBranch(ref string) (string, bool) { return strings.CutPrefix(ref, "refs/heads/") }

func (s *Server) runView(r *repository, run *checkRun) obj {
	u := s.apiURL("/repos/%s/check-runs/%d", r.fullName(), run.id)
	details := run.detailsURL
	if details == "" {
		details = s.base
	}
	return obj{
		"id": run.id, "node_id": nodeID("CheckRun", run.id), "head_sha": run.suite.headSHA, "external_id": run.externalID,
		"url": u, "html_url": s.base + "/" + r.fullName() + "/runs/" + itoa(run.id), "details_url": details,
		"status": run.status, "conclusion": orNull(run.conclusion), "started_at": stamp(run.startedAt),
		"completed_at": stamp(run.completedAt), "name": run.name, "app": s.appView(run.suite.app),
		"check_suite": obj{"id": run.suite.id}, "pull_requests": s.suitePulls(r, run.suite),
		"output": obj{
			"title": run.title, "summary": run.summary, "text": run.text, "annotations_count": len(run.annotations),
			"annotations_url": u + "/annotations",
		},
	}
}

// suitePulls lists the open pull requests with the suite's head, as check payloads do. Those of forks are left out.
func (s *Server) suitePulls(r *repository, su *checkSuite) []obj {
	out := []obj{}
	for _, p := range r.pulls() {
		if p.state != "open" || p.headSHA != su.headSHA || p.headRepo != r {
			continue
		}
		small := obj{"id": r.id, "url": s.apiURL("/repos/%s", r.fullName()), "name": r.name}
		out = append(out, obj{
			"id": p.pullID, "number": p.number, "url": s.apiURL("/repos/%s/pulls/%d", r.fullName(), p.number),
			"head": obj{"ref": p.headRef, "sha": p.headSHA, "repo": small},
			"base": obj{"ref": p.baseRef, "sha": p.baseSHA, "repo": small},
		})
	}
	return out
}

func (s *Server) suiteView(r *repository, su *checkSuite) obj {
	status, conclusion := r.suiteState(su)
	u := s.apiURL("/repos/%s/check-suites/%d", r.fullName(), su.id)
	runs := 0
	for _, run := range r.runsBySHA[su.headSHA] {
		if run.suite == su {
			runs++
		}
	}
	v := obj{
		"id": su.id, "node_id": nodeID("CheckSuite", su.id), "head_branch": orNull(su.branch), "head_sha": su.headSHA,
		"status": status, "conclusion": orNull(conclusion), "url": u, "before": nil, "after": su.headSHA,
		"pull_requests": s.suitePulls(r, su), "app": s.appView(su.app), "created_at": stamp(su.createdAt),
		"updated_at": stamp(su.updatedAt), "repository": s.repoView(r), "latest_check_runs_count": runs,
		"check_runs_url": u + "/check-runs", "rerequestable": true, "runs_rerequestable": true, "head_commit": nil,
	}
	if c, err := r.store.commit(su.headSHA); err == nil {
		v["head_commit"] = s.smallCommitView(c)
	}
	return v
}

func (s *Server) smallCommitView(c *commit) obj {
	return obj{
		"id": c.sha, "tree_id": c.tree, "message": strings.TrimSuffix(c.message, "\n"), "timestamp": stamp(c.author.when),
		"author":    obj{"name": c.author.name, "email": c.author.email},
		"committer": obj{"name": c.committer.name, "email": c.committer.email},
	}
}

func getCheckRun(c *call) (reply, error) {
	run, err := c.checkRun()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.runView(c.repo, run))
}

func listAnnotations(c *call) (reply, error) {
	run, err := c.checkRun()
	if err != nil {
		return reply{}, err
	}
	return page(c, run.annotations, func(a Annotation) obj {
		return obj{
			"path": a.Path, "start_line": a.StartLine, "end_line": a.EndLine, "start_column": a.StartColumn,
			"end_column": a.EndColumn, "annotation_level": a.Level, "message": a.Message, "title": orNull(a.Title),
			"raw_details": orNull(a.RawDetails), "blob_href": c.s.base + "/" + c.repo.fullName() + "/blob/" + run.suite.headSHA + "/" + a.Path,
		}
	})
}

func listCheckRuns(c *call) (reply, error) {
	sha, found := c.repo.resolve(c.path("ref"))
	if !found {
		return reply{}, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", c.path("ref"))
	}
	return listRunsOf(c, c.repo.runsBySHA[sha])
}

func listSuiteRuns(c *call) (reply, error) {
	su, err := c.suite()
	if err != nil {
		return reply{}, err
	}
	runs := slices.DeleteFunc(slices.Clone(c.repo.runsBySHA[su.headSHA]), func(r *checkRun) bool { return r.suite != su })
	return listRunsOf(c, runs)
}

func listRunsOf(c *call, runs []*checkRun) (reply, error) {
	if c.query("filter") == "all" {
		runs = slices.Clone(runs)
		slices.Reverse(runs)
	} else {
		runs = latestRuns(runs)
	}
	name, status, appID := c.query("check_name"), c.query("status"), c.query("app_id")
	runs = slices.DeleteFunc(runs, func(r *checkRun) bool {
		return name != "" && r.name != name || status != "" && r.status != status ||
			appID != "" && strconv.FormatInt(r.suite.app.id, 10) != appID
	})
	return pageOf(c, "check_runs", runs, func(r *checkRun) obj { return c.s.runView(c.repo, r) })
}

func (c *call) suite() (*checkSuite, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	for _, su := range c.repo.suites {
		if su.id == id {
			return su, nil
		}
	}
	return nil, notFound()
}

func getSuite(c *call) (reply, error) {
	su, err := c.suite()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.suiteView(c.repo, su))
}

func listSuites(c *call) (reply, error) {
	sha, found := c.repo.resolve(c.path("ref"))
	if !found {
		return reply{}, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", c.path("ref"))
	}
	mine := slices.DeleteFunc(slices.Clone(c.repo.suites), func(su *checkSuite) bool { return su.headSHA != sha })
	return pageOf(c, "check_suites", mine, func(su *checkSuite) obj { return c.s.suiteView(c.repo, su) })
}

// rerequest tells the App that somebody wants a run again. The run stays as it is; its suite waits for the App.
func (s *Server) rerequest(who *actor, r *repository, run *checkRun) {
	s.emitRun(who, r, run, "rerequested", nil)
	run.suite.reset, run.suite.updatedAt = true, s.now()
}

// rerequestRun is the "Re-run" link.
func rerequestRun(c *call) (reply, error) {
	run, err := c.checkRun()
	if err != nil {
		return reply{}, err
	}
	c.s.rerequest(c.actor, c.repo, run)
	return created(obj{})
}

func rerequestSuite(c *call) (reply, error) {
	su, err := c.suite()
	if err != nil {
		return reply{}, err
	}
	c.s.emitSuite(c.actor, c.repo, su, "rerequested")
	su.reset, su.updatedAt = true, c.s.now()
	return created(obj{})
}
