package github_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestForgeDeployments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	d := forge.Deployment{SHA: w.repo.Head("main"), Environment: "prod/prod-1", Production: true, Description: "#7, 1 VM: create 1", PullRequest: 7}
	if _, err := w.client.FindDeployment(ctx, d.SHA, d.Environment); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("before there is one: %v", err)
	}
	w.srv.ResetCalls()
	posted, err := w.client.CreateDeployment(ctx, d)
	if err != nil || posted.ID == 0 {
		t.Fatalf("posted %+v, %v", posted, err)
	}
	said := []forge.DeploymentStatus{
		{State: forge.DeploymentQueued, Description: "1 VM: create 1", LogURL: "https://forge.test/pull/7"},
		{State: forge.DeploymentSuccess, Description: "1 VM: 1 created"},
	}
	for i := range said {
		p, err := w.client.CreateDeploymentStatus(ctx, posted.ID, said[i])
		if err != nil {
			t.Fatal(err)
		}
		said[i].ID = p.ID
	}
	w.wantCalls(t, "POST /deployments", "POST /deployments/{id}/statuses", "POST /deployments/{id}/statuses")
	later, err := w.client.CreateDeployment(ctx, d)
	if err != nil || later.ID == posted.ID {
		t.Errorf("a second one: %+v, %v", later, err)
	}
	if id, err := w.client.FindDeployment(ctx, d.SHA, d.Environment); id != posted.ID || err != nil {
		t.Errorf("found %d, %v, want the first, %d", id, err, posted.ID)
	}
	got, err := w.client.DeploymentStatuses(ctx, posted.ID)
	if diff := cmp.Diff([]forge.DeploymentStatus{said[1], said[0]}, got); diff != "" || err != nil {
		t.Errorf("statuses, newest first (-want +got), %v:\n%s", err, diff)
	}
	first := w.repo.Deployments()[0]
	want := forgetest.Deployment{
		ID: posted.ID, SHA: d.SHA, Environment: d.Environment, Production: true, Description: d.Description, Creator: "shepherd[bot]",
	}
	if diff := cmp.Diff(want, first, cmpopts.IgnoreFields(forgetest.Deployment{}, "Statuses")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whoever does not want deployments need not grant them: all else goes on.
func TestForgeDeploymentsNotGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fewer := maps.Clone(forgetest.BotPermissions())
	delete(fewer, "deployments")
	w.app.Installations()[0].SetPermissions(fewer)
	d := forge.Deployment{SHA: w.repo.Head("main"), Environment: "test/test-1"}
	if _, err := w.client.CreateDeployment(t.Context(), d); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("create: %v", err)
	}
	if _, err := w.client.FindDeployment(t.Context(), d.SHA, d.Environment); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("find: %v", err)
	}
	if _, err := w.client.CreateComment(t.Context(), w.pull(t, "add").Number(), "hello"); err != nil {
		t.Errorf("a comment: %v", err)
	}
}
