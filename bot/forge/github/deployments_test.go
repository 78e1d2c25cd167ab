package github

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

// What GitHub would do by itself is asked for nowhere: no merge into the commit, no wait for checks, no end of others.
func TestDeploymentRequests(t *testing.T) {
	t.Parallel()
	made := answer(201, fields{"id": 60}, "Date", forgeDate)
	w := newWire(t, routes{"POST /repos/acme/vms/deployments": made, "POST /repos/acme/vms/deployments/60/statuses": made})
	c := w.client(t)
	long := strings.Repeat("ä", 200)
	d := forge.Deployment{SHA: headSHA, Environment: "test/test-1", Description: long, PullRequest: 7}
	if got, err := c.CreateDeployment(t.Context(), d); err != nil || got.ID != 60 || !got.At.Equal(forgeTime) {
		t.Errorf("posted %+v, %v", got, err)
	}
	s := forge.DeploymentStatus{State: forge.DeploymentFailure, Description: long, LogURL: "https://forge.test/pull/7"}
	if got, err := c.CreateDeploymentStatus(t.Context(), 60, s); err != nil || got.ID != 60 {
		t.Errorf("posted %+v, %v", got, err)
	}
	cut := strings.Repeat("ä", 139) + "…"
	want := []fields{{
		"ref": headSHA, "auto_merge": false, "required_contexts": []any{}, "environment": "test/test-1", "description": cut,
		"transient_environment": false, "production_environment": false, "payload": fields{"pull_request": 7.0},
	}, {
		"state": "failure", "description": cut, "log_url": "https://forge.test/pull/7", "auto_inactive": false,
	}}
	if diff := cmp.Diff(want, []fields{w.body(t, 0), w.body(t, 1)}); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	for _, d := range []forge.Deployment{{SHA: "main", Environment: "x"}, {SHA: headSHA}} {
		if _, err := c.CreateDeployment(t.Context(), d); !errors.Is(err, forge.ErrRefused) {
			t.Errorf("%+v: %v", d, err)
		}
		if _, err := c.FindDeployment(t.Context(), d.SHA, d.Environment); !errors.Is(err, forge.ErrRefused) {
			t.Errorf("find %+v: %v", d, err)
		}
	}
	if n := len(w.seen()); n != 2 {
		t.Errorf("%d calls", n)
	}
}

// What others announced is theirs.
func TestDeploymentsOfOthers(t *testing.T) {
	t.Parallel()
	me, other := fields{"id": 900, "login": "shepherd"}, fields{"id": 7, "login": "alice"}
	w := newWire(t, routes{
		"GET /user": answer(200, me),
		"GET /repos/acme/vms/deployments": answer(200, []fields{
			{"id": 63, "sha": headSHA, "environment": "prod/prod-1", "creator": other},
			{"id": 62, "sha": headSHA, "environment": "prod/prod-1", "creator": me},
			{"id": 61, "sha": baseSHA, "environment": "prod/prod-1", "creator": me},
			{"id": 60, "sha": headSHA, "environment": "prod/prod-1", "creator": other},
		}),
		"GET /repos/acme/vms/deployments/62/statuses": answer(200, []fields{
			{"id": 71, "state": "inactive", "creator": other},
			{"id": 70, "state": "success", "description": "d", "log_url": "https://forge.test/pull/7", "creator": me},
		}),
	})
	c := w.client(t)
	if id, err := c.FindDeployment(t.Context(), headSHA, "prod/prod-1"); id != 62 || err != nil {
		t.Errorf("found %d, %v", id, err)
	}
	got, err := c.DeploymentStatuses(t.Context(), 62)
	want := []forge.DeploymentStatus{{ID: 70, State: forge.DeploymentSuccess, Description: "d", LogURL: "https://forge.test/pull/7"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
