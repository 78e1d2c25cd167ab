package bot

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/render"
)

// previewer asks clusters, by dry-runs alone, what plans would do. What cannot be asked is an answer too: the
// previews come back in the order of the requests, one for each.
type previewer interface {
	Preview(ctx context.Context, requests []render.PreviewRequest) []render.Preview
}

// How long an answer stands while the plan is the same: a review or a push elsewhere asks no cluster again. One
// that somebody has to mend stands for a burst of webhooks: whoever has mended it on the cluster asks again at once.
const (
	answerKept    = 10 * time.Minute
	unsettledKept = 30 * time.Second
)

// preview tries what is asked for on the clusters, before anybody has to decide on it. What a cluster refuses
// stops the pull request like any other problem; a cluster that does not answer stops nothing. Only what may
// become tickets is tried: no cluster is called for an author without permission.
func (j *Judge) preview(ctx context.Context, number int, in judge.Input, report judge.Report) (judge.Report, error) {
	if j.previews == nil || !report.Submittable() {
		return report, nil
	}
	before, err := j.previewed(ctx, number)
	if err != nil {
		return report, err
	}
	var (
		requests []render.PreviewRequest
		answers  []**render.Preview // where those go
	)
	ask := func(r render.PreviewRequest, path string, to **render.Preview) {
		if *to = before[answerOf{path, r.EffectiveDigest, r.Cluster}]; !j.stands(*to) {
			requests, answers = append(requests, r), append(answers, to)
		}
	}
	for i := range report.Changes {
		c := &report.Changes[i]
		if c.Operation.OnCluster() && c.Plan != nil {
			ask(rehearsal(*c, in.World.Machines[c.Subject]), c.Path, &c.Plan.Preview)
		}
		for n := range c.Trials {
			if t := &c.Trials[n]; t.Untried == "" {
				ask(trial(*t), c.Path, &t.Preview)
			}
		}
	}
	for n, p := range j.previews.Preview(ctx, requests) {
		*answers[n] = &p
	}
	for i := range report.Changes {
		refuse(&report.Changes[i])
		refuseTrials(&report.Changes[i])
	}
	return report, nil
}

// answerOf names a preview: the path, the effective digest and the cluster.
type answerOf struct{ path, digest, cluster string }

// previewed are the previews that the last judging of a pull request left.
func (j *Judge) previewed(ctx context.Context, number int) (map[answerOf]*render.Preview, error) {
	row, err := j.db.PullRequest.Query().Where(pullrequest.ID(number)).Select(pullrequest.FieldReport).Only(ctx)
	if ent.IsNotFound(err) || err == nil && len(row.Report) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last report on #%d: %w", number, err)
	}
	type previewed struct{ Preview *render.Preview }
	var last struct {
		Changes []struct {
			Path   string
			Plan   previewed
			Trials []previewed
		}
	}
	if err := json.Unmarshal(row.Report, &last); err != nil {
		return nil, fmt.Errorf("read the last report on #%d: %w", number, err)
	}
	out := map[answerOf]*render.Preview{}
	for _, c := range last.Changes {
		for _, one := range append(c.Trials, c.Plan) {
			if p := one.Preview; p != nil {
				out[answerOf{c.Path, p.For, p.Cluster}] = p
			}
		}
	}
	return out, nil
}

// stands reports whether an answer is young enough to be given again.
func (j *Judge) stands(p *render.Preview) bool {
	switch {
	case p == nil:
		return false
	case p.Unanswered != "", p.Refused != nil:
		return j.now().Sub(p.At) < unsettledKept
	}
	return j.now().Sub(p.At) < answerKept
}

func rehearsal(c judge.Change, m judge.Machine) render.PreviewRequest {
	r := render.PreviewRequest{
		Cluster: c.Plan.Cluster, Ref: c.Ref, Environment: c.Environment, Namespace: c.Plan.KubernetesNamespace, Operation: c.Operation,
		Manifests: c.Plan.Manifests, EffectiveDigest: c.Plan.EffectiveDigest, UID: m.UID, Running: m.Status == domain.VMRunning,
		DeletionPolicy: c.Plan.DeletionPolicy, Promise: render.PromiseOf(c.Plan.Size, c.Plan.SizeSnapshot),
	}
	if m.UID != "" && m.Plan != nil {
		r.Previous = m.Plan.Manifests
	}
	return r
}

// trial asks for the creation of what a document of the platform makes.
func trial(t judge.Trial) render.PreviewRequest {
	return render.PreviewRequest{
		Cluster: t.Cluster, Ref: t.Ref, Environment: t.Environment, Namespace: render.PreviewNamespace, Operation: domain.CreateVM,
		Manifests: t.Manifests, EffectiveDigest: t.EffectiveDigest, Promise: t.Promise,
	}
}

// refuse makes what the cluster does not let pass a problem of the change.
func refuse(c *judge.Change) {
	if c.Plan == nil || c.Plan.Preview == nil || c.Plan.Preview.Refused == nil {
		return
	}
	p := *c.Plan.Preview.Refused
	p.Path, p.Severity = c.Path, domain.Error
	p.Hint = cmp.Or(p.Hint, "ask for what the cluster accepts, or ask whoever keeps the platform's documents")
	c.Problems = append(c.Problems, p)
}

// refuseTrials tells what clusters say to what a document of the platform makes: it is an error where none of
// those that were asked takes it, and a warning else, for nobody has to use it there.
func refuseTrials(c *judge.Change) {
	var refused []*render.Preview
	taken := false
	for _, t := range c.Trials {
		switch {
		case t.Preview == nil || t.Preview.Unanswered != "":
		case t.Preview.Refused != nil:
			refused = append(refused, t.Preview)
		default:
			taken = true
		}
	}
	for _, r := range refused {
		p := *r.Refused
		p.Path, p.Severity = c.Path, domain.Error
		if taken {
			p.Severity = domain.Warning
		}
		p.Message = "tried on cluster " + r.Cluster + ": " + p.Message
		c.Problems = append(c.Problems, p)
	}
}
