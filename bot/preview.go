package bot

import (
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

// How long an answer stands while the plan is the same: a review or a push elsewhere asks no cluster again.
const (
	answerKept  = 10 * time.Minute
	silenceKept = 30 * time.Second
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
		of       []int
	)
	for i, c := range report.Changes {
		if !c.Operation.OnCluster() || c.Plan == nil {
			continue
		}
		if kept := before[c.Path]; j.stands(kept, c.Plan) {
			c.Plan.Preview = kept
			continue
		}
		requests, of = append(requests, rehearsal(c, in.World.Machines[c.Subject])), append(of, i)
	}
	for n, p := range j.previews.Preview(ctx, requests) {
		report.Changes[of[n]].Plan.Preview = &p
	}
	for i := range report.Changes {
		refuse(&report.Changes[i])
	}
	return report, nil
}

// previewed are the previews that the last judging of a pull request left, by path.
func (j *Judge) previewed(ctx context.Context, number int) (map[string]*render.Preview, error) {
	row, err := j.db.PullRequest.Query().Where(pullrequest.ID(number)).Select(pullrequest.FieldReport).Only(ctx)
	if ent.IsNotFound(err) || err == nil && len(row.Report) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last report on #%d: %w", number, err)
	}
	var last struct {
		Changes []struct {
			Path string
			Plan *struct{ Preview *render.Preview }
		}
	}
	if err := json.Unmarshal(row.Report, &last); err != nil {
		return nil, fmt.Errorf("read the last report on #%d: %w", number, err)
	}
	out := map[string]*render.Preview{}
	for _, c := range last.Changes {
		if c.Plan != nil {
			out[c.Path] = c.Plan.Preview
		}
	}
	return out, nil
}

func (j *Judge) stands(p *render.Preview, plan *judge.Plan) bool {
	if p == nil || p.For != plan.EffectiveDigest || p.Cluster != plan.Cluster {
		return false
	}
	kept := answerKept
	if p.Unanswered != "" {
		kept = silenceKept
	}
	return j.now().Sub(p.At) < kept
}

func rehearsal(c judge.Change, m judge.Machine) render.PreviewRequest {
	r := render.PreviewRequest{
		Cluster: c.Plan.Cluster, Ref: c.Ref, Environment: c.Environment, Namespace: c.Plan.KubernetesNamespace, Operation: c.Operation,
		Manifests: c.Plan.Manifests, EffectiveDigest: c.Plan.EffectiveDigest, UID: m.UID, Running: m.Status == domain.VMRunning,
		DeletionPolicy: c.Plan.DeletionPolicy,
	}
	if m.UID != "" && m.Plan != nil {
		r.Previous = m.Plan.Manifests
	}
	return r
}

// refuse makes what the cluster does not let pass a problem of the change.
func refuse(c *judge.Change) {
	if c.Plan == nil || c.Plan.Preview == nil || c.Plan.Preview.Refused == nil {
		return
	}
	p := *c.Plan.Preview.Refused
	p.Path, p.Severity = c.Path, domain.Error
	c.Problems = append(c.Problems, p)
}
