package forgetest

import (
	"net/http"
	"slices"
	"time"
)

// Annotation is a check's remark on lines of a file.
type Annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn *int   `json:"start_column"`
	EndColumn   *int   `json:"end_column"`
	Level       string `json:"annotation_level"`
	Message     string `json:"message"`
	Title       string `json:"title"`
	RawDetails  string `json:"raw_details"`
}

// CheckAction is a button on a check.
type CheckAction struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

// runInput is the body that creates or updates a check run; nil leaves a field as it is.
type runInput struct {
	Name        *string    `json:"name"`
	HeadSHA     string     `json:"head_sha"`
	DetailsURL  *string    `json:"details_url"`
	ExternalID  *string    `json:"external_id"`
	Status      *string    `json:"status"`
	Conclusion  *string    `json:"conclusion"`
	StartedAt   *time.Time `json:"started_at"`
	CompletedAt *time.Time `json:"completed_at"`
	Output      *struct {
		Title       *string      `json:"title"`
		Summary     *string      `json:"summary"`
		Text        *string      `json:"text"`
		Annotations []Annotation `json:"annotations"`
	} `json:"output"`
	Actions *[]CheckAction `json:"actions"`
}

var conclusions = []string{"action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out"}

const (
	maxAnnotations = 50
	maxCheckText   = 65535
)

func (in *runInput) check() error {
	if in.Status != nil && !slices.Contains([]string{"queued", "in_progress", "completed"}, *in.Status) {
		return invalid("CheckRun", "status", "invalid", "")
	}
	if in.Conclusion != nil && !slices.Contains(conclusions, *in.Conclusion) {
		return invalid("CheckRun", "conclusion", "invalid", "")
	}
	if in.Status != nil && *in.Status == "completed" && in.Conclusion == nil {
		return invalid("CheckRun", "conclusion", "missing_field", "")
	}
	if in.Actions != nil && len(*in.Actions) > 3 {
		return invalid("CheckRun", "actions", "invalid", "No more than 3 actions are allowed")
	}
	return in.checkOutput()
}

func (in *runInput) checkOutput() error {
	out := in.Output
	switch {
	case out == nil:
		return nil
	case out.Summary == nil || out.Title == nil:
		return invalid("CheckRun", "output", "missing_field", "title and summary are required")
	case len(*out.Summary) > maxCheckText || out.Text != nil && len(*out.Text) > maxCheckText:
		return invalid("CheckRun", "output", "custom", "Only 65535 characters are allowed")
	case len(out.Annotations) > maxAnnotations:
		return invalid("CheckRun", "annotations", "invalid", "Only 50 annotations are allowed in a request")
	}
	for _, a := range out.Annotations {
		if a.Path == "" || a.Message == "" || a.StartLine < 1 || a.EndLine < a.StartLine ||
			!slices.Contains([]string{"notice", "warning", "failure"}, a.Level) {
			return invalid("CheckRun", "annotations", "invalid", "an annotation needs path, lines, message and level")
		}
		if (a.StartColumn != nil || a.EndColumn != nil) && a.StartLine != a.EndLine {
			return invalid("CheckRun", "annotations", "invalid", "columns need start_line and end_line to be equal")
		}
	}
	return nil
}

func (run *checkRun) apply(in *runInput, now time.Time) {
	set := func(into *string, v *string) {
		if v != nil {
			*into = *v
		}
	}
	set(&run.name, in.Name)
	set(&run.detailsURL, in.DetailsURL)
	set(&run.externalID, in.ExternalID)
	set(&run.status, in.Status)
	if in.StartedAt != nil {
		run.startedAt = *in.StartedAt
	}
	if in.Conclusion != nil {
		run.status, run.conclusion, run.completedAt = "completed", *in.Conclusion, now
		if in.CompletedAt != nil {
			run.completedAt = *in.CompletedAt
		}
	} else if run.status != "completed" {
		run.conclusion, run.completedAt = "", time.Time{}
	}
	if in.Output != nil {
		run.title, run.summary, run.text = in.Output.Title, in.Output.Summary, in.Output.Text
		run.annotations = append(slices.Clone(run.annotations), in.Output.Annotations...)
	}
	if in.Actions != nil {
		run.actions = *in.Actions
	}
}

func (s *Server) suiteFor(r *repository, a *app, sha, branch string) *checkSuite {
	for _, su := range r.suites {
		if su.app == a && su.headSHA == sha {
			return su
		}
	}
	now := s.now()
	su := &checkSuite{id: s.nextID(), app: a, headSHA: sha, branch: branch, createdAt: now, updatedAt: now}
	r.suites = append(r.suites, su)
	return su
}

// branchOf names a branch whose tip is a commit, "" if there is none.
func (r *repository) branchOf(sha string) string {
	for ref, tip := range r.refs {
		if name, isBranch := cutBranch(ref); isBranch && tip == sha {
			return name
		}
	}
	return ""
}

func (c *call) needApp() error {
	if c.actor.app == nil {
		return refuse(http.StatusForbidden, "You must authenticate via a GitHub App.")
	}
	return nil
}

func postCheckRun(c *call) (reply, error) {
	if err := c.needApp(); err != nil {
		return reply{}, err
	}
	var in runInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Name == nil || *in.Name == "" {
		return reply{}, invalid("CheckRun", "name", "missing_field", "")
	}
	if _, err := c.repo.store.commit(in.HeadSHA); err != nil {
		return reply{}, unprocessable("No commit found for SHA: " + in.HeadSHA)
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	now := c.s.now()
	run := &checkRun{
		id: c.s.nextID(), suite: c.s.suiteFor(c.repo, c.actor.app, in.HeadSHA, c.repo.branchOf(in.HeadSHA)),
		status: "queued", startedAt: now,
	}
	run.apply(&in, now)
	run.suite.reset = false
	c.repo.runs = append(c.repo.runs, run)
	c.repo.runsBySHA[in.HeadSHA] = append(c.repo.runsBySHA[in.HeadSHA], run)
	c.s.emitRun(c.actor, c.repo, run, "created", nil)
	if run.status == "completed" {
		c.s.emitRun(c.actor, c.repo, run, "completed", nil)
		c.s.finishSuite(c.actor, c.repo, run.suite)
	}
	return created(c.s.runView(c.repo, run))
}

func patchCheckRun(c *call) (reply, error) {
	if err := c.needApp(); err != nil {
		return reply{}, err
	}
	run, err := c.checkRun()
	if err != nil {
		return reply{}, err
	}
	if run.suite.app != c.actor.app {
		return reply{}, refuse(http.StatusForbidden, "Invalid app_id `%d` - check run can only be modified by the GitHub App that created it.", c.actor.app.id)
	}
	var in runInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	was := run.status
	run.apply(&in, c.s.now())
	run.suite.reset = false
	if run.status == "completed" && was != "completed" {
		c.s.emitRun(c.actor, c.repo, run, "completed", nil)
		c.s.finishSuite(c.actor, c.repo, run.suite)
	}
	return ok(c.s.runView(c.repo, run))
}

func (s *Server) finishSuite(who *actor, r *repository, su *checkSuite) {
	su.updatedAt = s.now()
	if status, _ := r.suiteState(su); status == "completed" {
		s.emitSuite(who, r, su, "completed")
	}
}

// suiteState sums up a suite's runs: completed when all are, with the worst conclusion.
func (r *repository) suiteState(su *checkSuite) (status, conclusion string) {
	var mine []*checkRun
	for _, run := range r.runsBySHA[su.headSHA] {
		if run.suite == su {
			mine = append(mine, run)
		}
	}
	if len(mine) == 0 || su.reset {
		return "queued", ""
	}
	conclusion = "success"
	for _, run := range latestRuns(mine) {
		if run.status != "completed" {
			return "in_progress", ""
		}
		if run.conclusion != "success" && run.conclusion != "neutral" && run.conclusion != "skipped" {
			conclusion = run.conclusion
		}
	}
	return "completed", conclusion
}

func (c *call) checkRun() (*checkRun, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	for _, run := range c.repo.runs {
		if run.id == id {
			return run, nil
		}
	}
	return nil, notFound()
}

// latestRuns keeps the newest run of each name within each suite, newest first.
func latestRuns(runs []*checkRun) []*checkRun {
	type key struct {
		suite *checkSuite
		name  string
	}
	seen := map[key]bool{}
	var out []*checkRun
	for _, run := range slices.Backward(runs) {
		if k := (key{run.suite, run.name}); !seen[k] {
			seen[k] = true
			out = append(out, run)
		}
	}
	return out
}
