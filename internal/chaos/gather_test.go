package chaos

import (
	"fmt"
	"os/exec"
	"strings"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// history gathers what the checker may know.
func (w *world) history() History {
	w.t.Helper()
	h := History{
		Bot: "shepherd[bot]", Branch: "main", Baseline: w.baseline, People: people(), Git: repository{w.Repo},
		Writes: w.front.obeyed(w.namespace("test"), w.namespace("prod")), Objects: w.objects(),
	}
	seen := map[string]bool{}
	for _, d := range w.App.Deliveries() {
		if seen[d.GUID] || d.Redelivery {
			continue
		}
		seen[d.GUID] = true
		e, err := ParseEvent(len(h.Events)+1, d.Event, d.Payload)
		w.do(err)
		h.Events = append(h.Events, e)
	}
	for _, p := range w.Repo.Pulls() {
		h.Pulls = append(h.Pulls, final(p))
	}
	for _, d := range w.Repo.Deployments() {
		one := Deployment{Commit: d.SHA, Environment: d.Environment}
		for _, s := range d.Statuses {
			one.States = append(one.States, s.State)
		}
		h.Deployments = append(h.Deployments, one)
	}
	return h
}

func final(p *forgetest.Pull) Pull {
	out := Pull{Number: p.Number(), State: p.State(), Base: p.BaseRef(), Head: p.HeadSHA(), HeadRef: p.HeadRef(), Title: p.Title(), Checks: map[string]string{}}
	if p.Merged() {
		out.State = "merged"
	}
	for _, c := range p.Checks() {
		out.Checks[c.Name] = c.Conclusion
	}
	for _, c := range p.Comments() {
		out.Comments = append(out.Comments, Comment{Author: c.Author, Body: c.Body})
	}
	return out
}

// repository is the forge's git.
type repository struct{ *forgetest.Repository }

func (r repository) File(commit, path string) (string, bool) {
	b, ok := r.Repository.File(commit, path)
	return string(b), ok
}

func (r repository) Changed(from, to string) ([]string, error) {
	out, err := r.git("diff", "--name-only", "--no-renames", from, to)
	return strings.Fields(out), err
}

func (r repository) MergeBase(a, b string) (string, error) {
	out, err := r.git("merge-base", a, b)
	return strings.TrimSpace(out), err
}

func (r repository) git(args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", r.Dir()}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
