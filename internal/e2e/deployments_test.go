package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// deployments are those of a pull request's merge, by environment. There is one a cluster, and nothing was said of it
// twice in a row; each leads to the comment.
func (w *world) deployments(pr *forgetest.Pull) map[string]forgetest.Deployment {
	w.t.Helper()
	out := map[string]forgetest.Deployment{}
	for _, d := range w.Repo.Deployments() {
		if d.SHA != pr.MergeCommitSHA() {
			continue
		}
		if _, twice := out[d.Environment]; twice {
			w.t.Errorf("#%d: two deployments to %s", pr.Number(), d.Environment)
		}
		out[d.Environment] = d
		if d.Creator != "shepherd[bot]" || d.Production != strings.HasPrefix(d.Environment, "prod/") || !strings.Contains(d.Description, fmt.Sprintf("#%d: ", pr.Number())) {
			w.t.Errorf("#%d: %+v", pr.Number(), d)
		}
		link := fmt.Sprintf("%s#issuecomment-%d", pr.URL(), w.remarks(pr)[0].ID)
		for i, s := range d.Statuses {
			if i > 0 && s.State == d.Statuses[i-1].State && s.Description == d.Statuses[i-1].Description {
				w.t.Errorf("#%d: %s: %s was said twice", pr.Number(), d.Environment, s.State)
			}
			if s.LogURL != link || s.EnvironmentURL != "" {
				w.t.Errorf("#%d: %s: the links are %q and %q, want %q", pr.Number(), d.Environment, s.LogURL, s.EnvironmentURL, link)
			}
		}
	}
	return out
}

// deployed waits until the last words on a pull request's deployments are these, by environment.
func (w *world) deployed(pr *forgetest.Pull, want map[string]string) {
	w.t.Helper()
	var got map[string]string
	w.eventually(fmt.Sprintf("the deployments of #%d to be %v", pr.Number(), want), func() bool {
		got = map[string]string{}
		for env, d := range w.deployments(pr) {
			if n := len(d.Statuses); n > 0 {
				got[env] = d.Statuses[n-1].State + ": " + d.Statuses[n-1].Description
			}
		}
		return maps.Equal(got, want)
	})
	for env, d := range w.deployments(pr) {
		w.t.Logf("#%d %s (%s)", pr.Number(), env, d.Description)
		for _, s := range d.Statuses {
			w.t.Logf("    %s: %s", s.State, s.Description)
		}
	}
}

// settled holds that whatever was about to be said to the forge was said, or given up.
func (w *world) settled() {
	w.t.Helper()
	w.quiet()
	open := w.strings(`select id from effects where id like 'deployment%' and status = 'intended' order by 1`)
	if len(open) > 0 {
		w.t.Errorf("nobody knows what became of %v", open)
	}
}

// Two machines on two clusters are two deployments: one goes well, one fails and is carried out again. The webhooks
// about them, and doubled ones, change nothing.
func TestDeployments(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Duplicate: 1})
	const broken, well = "test-shop-shop-redis-01", "prod-shop-shop-redis-02"
	pr := w.approved("shop", twoVMs())
	w.foreign(broken) // nobody could have seen it before
	w.merge(pr, "merge")
	w.vm(well)
	w.deployed(pr, map[string]string{"prod/prod-1": "in_progress: create 1 VM", "test/test-1": "failure: 1 VM failed: FOREIGN_VM"})
	w.boots(well)
	w.deployed(pr, map[string]string{"prod/prod-1": "success: 1 VM created", "test/test-1": "failure: 1 VM failed: FOREIGN_VM"})
	w.settled()
	before := w.deployments(pr)

	vm := w.vm(broken)
	w.do(w.kube.Client().Delete(t.Context(), vm))
	w.obeys(w.Alice, pr, "/retry")
	w.eventually("the machine to be ours", func() bool { return w.vm(broken).UID != vm.UID })
	w.boots(broken)
	w.deployed(pr, map[string]string{"prod/prod-1": "success: 1 VM created", "test/test-1": "success: 1 VM created"})
	w.settled()
	after := w.deployments(pr)
	if after["test/test-1"].ID != before["test/test-1"].ID {
		t.Error("the retry is another deployment")
	}
	if diff := cmp.Diff(before["prod/prod-1"], after["prod/prod-1"]); diff != "" {
		t.Errorf("the retry is none of prod's business (-before +after):\n%s", diff)
	}
	w.forgets()

	path := vmPath("shop", "redis", "test-shop/01")
	pr = w.ask("delete", forgetest.Files{path: nil})
	w.approve(w.Bob, pr)
	w.obeys(w.Alice, pr, strings.Join(w.toConfirm(pr), "\n"))
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.deployed(pr, map[string]string{"test/test-1": "success: 1 VM deleted"})

	recorded := w.ask("system", machines("other", "thing"))
	w.check(recorded, "shepherd/approval", "success")
	w.merge(recorded, "merge")
	w.told(recorded, "Recorded")
	w.settled()
	if got := w.deployments(recorded); len(got) != 0 {
		t.Errorf("what is only recorded was deployed: %v", got)
	}
}

// forgets holds that webhooks about deployments were taken and ignored.
func (w *world) forgets() {
	w.t.Helper()
	sent := 0
	for _, d := range w.App.Deliveries() {
		if strings.HasPrefix(d.Event, "deployment") {
			sent++
			if d.StatusCode != http.StatusAccepted {
				w.t.Errorf("%s was answered %d", d.Event, d.StatusCode)
			}
		}
	}
	taken := w.count(`select count(*) from deliveries where event like 'deployment%'`)
	if ignored := w.count(`select count(*) from deliveries where event like 'deployment%' and status = 'ignored'`); sent == 0 || taken == 0 || ignored != taken {
		w.t.Errorf("%d webhooks about deployments, %d taken, %d ignored", sent, taken, ignored)
	}
}

// Without the permission everything else is told, and whoever runs the server hears of it once. With deployments switched
// off nothing is asked at all.
func TestDeploymentsNotGranted(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("on %v", on), func(t *testing.T) {
			t.Parallel()
			w := setup{config: func(c *config.Config) { c.GitHub.Deployments = on }}.world(t)
			if on {
				fewer := maps.Clone(forgetest.BotPermissions())
				delete(fewer, "deployments")
				w.App.Installations()[0].SetPermissions(fewer)
			}
			for i, name := range []string{"first", "second"} {
				pr := w.approved(name, machines(name, name, "test-shop/01"))
				w.merge(pr, "merge")
				vm := fmt.Sprintf("test-shop-%[1]s-%[1]s-01", name)
				w.vm(vm)
				w.do(kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key(vm), kubevirtv1.VirtualMachineStatusRunning))
				w.eventually("the closing remark", func() bool { return len(w.remarks(pr)) == 2 })
				w.quiet()
				warned := strings.Count(w.log.String(), "takes no deployments")
				if want := map[bool]int{true: 1}[on]; warned != want {
					t.Errorf("after %d pull requests: %d warnings, want %d", i+1, warned, want)
				}
			}
			calls := slices.DeleteFunc(w.Forge.Calls(), func(c forgetest.Call) bool { return !strings.Contains(c.Path, "/deployments") })
			if len(w.Repo.Deployments()) != 0 || len(calls) != 0 {
				t.Errorf("%d deployments, %v", len(w.Repo.Deployments()), calls)
			}
		})
	}
}

// An answer that gets lost, and a server that dies with the question on its lips: nothing is announced twice.
func TestDeploymentsKilled(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true}.world(t)
	w.baseline(w.Repo.Head("main"))
	kill := w.launch()
	const announce, status = "POST /repos/{owner}/{repo}/deployments", "POST /repos/{owner}/{repo}/deployments/{id}/statuses"
	prs := map[string]*forgetest.Pull{}
	for _, system := range []string{"lost", "dead", "late"} {
		prs[system] = w.approved(system, machines(system, system, "prod-shop/01"))
	}
	running := func(system string) {
		t.Helper()
		vm := fmt.Sprintf("prod-shop-%[1]s-%[1]s-01", system)
		w.vm(vm)
		w.do(kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key(vm), kubevirtv1.VirtualMachineStatusRunning))
		w.deployed(prs[system], map[string]string{"prod/prod-1": "success: 1 VM created"})
		w.settled()
	}

	w.Forge.Fail(forgetest.Fault{Route: status, Kind: forgetest.BadGateway, After: true})
	w.Forge.Fail(forgetest.Fault{Route: announce, Kind: forgetest.BadGateway, After: true})
	w.merge(prs["lost"], "merge")
	running("lost")

	// The forge is slow to carry out what the dead server asked for, and does it all the same.
	for _, c := range []struct{ system, route, effect string }{
		{"dead", announce, fmt.Sprintf("deployment:%d:", prs["dead"].Number())}, {"late", status, "deployment-status:"},
	} {
		w.Forge.Fail(forgetest.Fault{Route: c.route, Kind: forgetest.Slow, Latency: patience})
		w.merge(prs[c.system], "merge")
		w.eventually("the server to have asked", func() bool {
			return w.count(`select count(*) from effects where starts_with(id, $1) and status = 'intended'`, c.effect) > 0
		})
		time.Sleep(200 * time.Millisecond) // the question is on its way
		kill()
		kill = w.launch()
		running(c.system)
	}
}
