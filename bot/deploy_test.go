package bot

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
	"kv-shepherd.io/shepherd/internal/judge"
)

// herald is a teller of deployments and the forge that it tells.
type herald struct {
	*database
	server *forgetest.Server
	repo   *forgetest.Repository
	app    *forgetest.App
	teller *Teller
	log    bytes.Buffer
	at     time.Time
}

func newHerald(t *testing.T) *herald {
	t.Helper()
	h := &herald{database: newDatabase(t), server: published.Start(t), at: clock}
	h.repo = h.server.Repository("acme", "vms")
	var err error
	h.app, err = h.server.CreateApp("shepherd", forgetest.AppOptions{})
	h.ok(err)
	h.app.Install(h.repo)
	creds := h.server.AppCredentials()
	client, err := github.New(t.Context(), github.Config{BaseURL: h.server.URL(), RepositoryID: h.repo.ID(), App: &github.AppConfig{
		ID: creds.AppID, InstallationID: creds.InstallationID, PrivateKeyPEM: creds.PrivateKey,
	}})
	h.ok(err)
	h.teller = NewTeller(TellerDeps{
		Pool: h.pool, DB: h.db, Forge: client, Deployments: client, Queue: h.queue, Now: func() time.Time { return h.at },
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	return h
}

func queued(text string) forge.DeploymentStatus {
	return forge.DeploymentStatus{State: forge.DeploymentQueued, Description: text}
}

func begun(text string) forge.DeploymentStatus {
	return forge.DeploymentStatus{State: forge.DeploymentInProgress, Description: text}
}

func failed(text string) forge.DeploymentStatus {
	return forge.DeploymentStatus{State: forge.DeploymentFailure, Description: text}
}

// say says where the deployment stands.
func (h *herald) say(s forge.DeploymentStatus) {
	h.Helper()
	h.ok(h.teller.deployOne(h.Context(), comment.Deployment{
		Deployment: forge.Deployment{SHA: h.repo.Head("main"), Environment: "prod/prod-1", Description: "#7: create 1 VM", PullRequest: 7}, Status: s,
	}))
}

// heard is what the forge has been told of the one deployment that there is.
func (h *herald) heard() (out []string) {
	h.Helper()
	all := h.repo.Deployments()
	if len(all) != 1 {
		h.Fatalf("%d deployments", len(all))
	}
	for _, s := range all[0].Statuses {
		out = append(out, s.State+": "+s.Description)
	}
	return out
}

func (h *herald) want(want ...string) {
	h.Helper()
	if diff := cmp.Diff(want, h.heard()); diff != "" {
		h.Errorf("the forge has heard (-want +got):\n%s", diff)
	}
}

// forget plays a server that died before it could write down what the forge answered.
func (h *herald) forget(like string) {
	h.Helper()
	h.exec(`update effects set status = 'intended', result = '', done_at = null where id like $1`, like)
}

func TestDeploymentStatuses(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	h.say(queued("create 1 VM"))
	h.say(queued("create 1 VM; waiting: CLUSTER_UNREACHABLE")) // the comment says that
	h.say(begun("create 1 VM"))
	h.say(begun("create 1 VM"))
	h.say(failed("1 VM failed: FOREIGN_VM"))
	h.say(failed("1 VM failed: FOREIGN_VM"))
	h.say(queued("create 1 VM")) // a retry
	h.say(failed("1 VM failed: FOREIGN_VM"))
	h.say(failed("1 VM failed: CLUSTER_REFUSED")) // the next retry was over before anything was told
	h.want("queued: create 1 VM", "in_progress: create 1 VM", "failure: 1 VM failed: FOREIGN_VM", "queued: create 1 VM",
		"failure: 1 VM failed: FOREIGN_VM", "failure: 1 VM failed: CLUSTER_REFUSED")
	h.forget("deployment:%") // the deployment itself is found again
	h.say(failed("1 VM failed: CLUSTER_REFUSED"))
	if n := len(h.heard()); n != 6 {
		t.Errorf("%d statuses after looking", n)
	}
	for i := range 2 * maxStatuses { // a state that flutters does not use up what the forge allows
		h.say([]forge.DeploymentStatus{queued("a"), begun("b")}[i%2])
	}
	if n := len(h.heard()); n != maxStatuses {
		t.Errorf("%d statuses", n)
	}
}

// Whatever a server leaves behind that dies between an effect and its record, the next one finds out what the forge
// has, and says only what it has not.
func TestDeploymentStatusesAfterADeath(t *testing.T) {
	t.Parallel()
	intend := func(h *herald, n int, note string) {
		h.Helper()
		h.exec(`insert into effects (id, note, result, created_at) values ($1, $2, '', now())`, statusKey(h.repo.Deployments()[0].ID, n), note)
	}
	for name, tc := range map[string]struct {
		left func(*herald)
		next forge.DeploymentStatus
		want []string // after queued, in_progress
		done string
	}{
		"it arrived":                          {func(h *herald) { h.forget("%:2") }, begun("b"), nil, "done done"},
		"it arrived, and more has happened":   {func(h *herald) { h.forget("%:2") }, failed("f"), []string{"failure: f"}, "done done done"},
		"it did not arrive":                   {func(h *herald) { intend(h, 3, "failure: f") }, failed("f"), []string{"failure: f"}, "done done done"},
		"it did not arrive, and more came":    {func(h *herald) { intend(h, 3, "failure: f") }, failed("g"), []string{"failure: g"}, "done done failed done"},
		"it did not arrive, and is not so":    {func(h *herald) { intend(h, 3, "failure: f") }, begun("b"), nil, "done done failed"},
		"an older one says the same":          {func(h *herald) { intend(h, 3, "queued: a") }, queued("a"), []string{"queued: a"}, "done done done"},
		"the announcement and all that it is": {func(h *herald) { h.forget("%") }, begun("b"), nil, "done done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHerald(t)
			h.say(queued("a"))
			h.say(begun("b"))
			tc.left(h)
			for range 2 {
				h.say(tc.next)
				h.want(append([]string{"queued: a", "in_progress: b"}, tc.want...)...)
			}
			got := h.lines(`select status from effects where id like 'deployment-status:%' order by id`)
			if s := strings.Join(got, " "); s != tc.done {
				t.Errorf("the effects are %s, want %s", s, tc.done)
			}
			if n := len(h.lines(`select id from effects where id like 'deployment:7:%' and status = 'done'`)); n != 1 {
				t.Errorf("%d announcements are written down", n)
			}
		})
	}
}

// A deployment that somebody has deleted gets no news, and holds nothing up.
func TestDeploymentIsGone(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	h.say(queued("a"))
	h.exec(`update effects set result = '4711' where id like 'deployment:%'`)
	h.say(begun("b"))
	h.say(begun("b"))
	h.want("queued: a")
	if diff := cmp.Diff([]string{"the deployment is gone"}, h.lines(`select result from effects where id like 'deployment-status:4711:%'`)); diff != "" {
		t.Error(diff)
	}
}

// A forge that refuses deployments is left alone for a while; the warning comes once, and the deployments when it
// takes them again.
func TestDeploymentsRefused(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	fewer := maps.Clone(forgetest.BotPermissions())
	delete(fewer, "deployments")
	h.app.Installations()[0].SetPermissions(fewer)
	row := &ent.PullRequest{ID: 7, URL: "https://forge.test/pull/7", CommentID: 50}
	deploy := func(calls int) {
		t.Helper()
		h.server.ResetCalls()
		h.ok(h.teller.deploy(t.Context(), row, mergedView(h.repo.Head("main"))))
		if n := len(h.server.Calls()); n != calls {
			t.Errorf("%d calls, want %d: %v", n, calls, h.server.CallCounts())
		}
	}
	deploy(1) // for the token
	deploy(0)
	h.at = h.at.Add(refusedFor)
	deploy(3) // who we are, and the token
	if n := strings.Count(h.log.String(), "github.deployments: false"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, h.log.String())
	}
	h.app.Installations()[0].SetPermissions(forgetest.BotPermissions())
	deploy(0)
	h.at = h.at.Add(refusedFor)
	h.ok(h.teller.deploy(t.Context(), row, mergedView(h.repo.Head("main"))))
	h.want("success: 1 VM created")
	d := h.repo.Deployments()[0]
	if d.Description != "#7: create 1 VM" || d.Environment != "prod/prod-1" || !d.Production || d.Statuses[0].LogURL != "https://forge.test/pull/7#issuecomment-50" {
		t.Errorf("%+v", d)
	}
	h.teller.deploys.forge = nil // a forge without deployments
	deploy(0)
}

// mergedView is a pull request whose one VM runs.
func mergedView(commit string) comment.View {
	return comment.View{Number: 7, State: comment.Merged, Report: judge.Report{Head: commit}, Rows: []comment.Row{{
		Change: judge.Change{
			Path: vmPath, Subject: "prod-shop-shop-redis-01", Operation: domain.CreateVM, Environment: domain.Prod,
			Ref: spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 1},
		},
		Ticket: &comment.Ticket{Status: domain.TicketCompleted}, Event: &comment.Event{Status: domain.EventCompleted},
		VM: &comment.VM{Status: domain.VMRunning, Cluster: "prod-1", Name: "prod-shop-shop-redis-01"},
	}}}
}

// A limit is waited for, and an error tried again: neither switches deployments off.
func TestDeploymentsLater(t *testing.T) {
	t.Parallel()
	h := newHerald(t)
	row := &ent.PullRequest{ID: 7, URL: "https://forge.test/pull/7"}
	for i, kind := range []forgetest.FaultKind{forgetest.TooMany, forgetest.BadGateway, forgetest.Reset} {
		h.server.Fail(forgetest.Fault{Route: "POST /repos/{owner}/{repo}/deployments", Kind: kind})
		err := h.teller.deploy(t.Context(), row, mergedView(h.repo.Head("main")))
		if err == nil || !strings.Contains(err.Error(), "announce the deployment to prod/prod-1") {
			t.Errorf("%d: %v", i, err)
		}
	}
	h.ok(h.teller.deploy(t.Context(), row, mergedView(h.repo.Head("main"))))
	h.want("success: 1 VM created")
	if h.log.Len() > 0 {
		t.Errorf("the log says\n%s", fmt.Sprint(h.log.String()))
	}
}
