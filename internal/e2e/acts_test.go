package e2e

import (
	"strings"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// What people do.

// machines are the files of a new system with a service and VMs, each written namespace/NN.
func machines(system, service string, vms ...string) forgetest.Files {
	files := forgetest.Files{
		"systems/" + system + "/system.yaml":                  stage.System("system " + system),
		"systems/" + system + "/" + service + "/service.yaml": stage.Service("service " + service),
	}
	for _, vm := range vms {
		files[vmPath(system, service, vm)] = stage.VM("small", "a machine of "+service)
	}
	return files
}

func vmPath(system, service, vm string) string {
	return "systems/" + system + "/" + service + "/" + vm + ".yaml"
}

// twoVMs is what most journeys are about.
func twoVMs() forgetest.Files {
	return forgetest.Files{
		"systems/shop/system.yaml":             stage.System("the web shop"),
		"systems/shop/redis/service.yaml":      stage.Service("the cache"),
		"systems/shop/redis/test-shop/01.yaml": stage.VM("small", "a cache to try things on"),
		"systems/shop/redis/prod-shop/02.yaml": stage.VM("medium", "the cache of the winter sale"),
	}
}

// ask opens a pull request with files, as Alice.
func (w *world) ask(branch string, files forgetest.Files) *forgetest.Pull {
	w.t.Helper()
	w.push(branch, files)
	return w.open(branch, false)
}

func (w *world) open(branch string, draft bool) *forgetest.Pull {
	w.t.Helper()
	pr, err := w.Alice.OpenPull(w.Repo, "Machines: "+branch, branch, "main", "", draft)
	if err != nil {
		w.t.Fatal(err)
	}
	return pr
}

// push commits to a branch, as Alice; a new branch starts at main.
func (w *world) push(branch string, files forgetest.Files, opts ...forgetest.CommitOption) string {
	w.t.Helper()
	sha, err := w.Alice.Commit(w.Repo, branch, "main", files, "ask for machines", opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	return sha
}

// approve waits until the plans are on show for as long as they have to be, and approves.
func (w *world) approve(u *forgetest.User, pr *forgetest.Pull) forgetest.Review {
	w.t.Helper()
	w.published(pr)
	if grace := time.Duration(w.cfg.Approval.Grace); grace > 0 {
		time.Sleep(grace + time.Second) // the forge's clock has seconds
	}
	review, err := u.Approve(pr)
	if err != nil {
		w.t.Fatal(err)
	}
	return review
}

// published waits until the plans for the head are on show.
func (w *world) published(pr *forgetest.Pull) {
	w.t.Helper()
	w.check(pr, "shepherd/approval", "action_required")
	w.eventually("the plans to be published", func() bool {
		return w.count(`select count(*) from plans p join tickets t on t.plan_id = p.id join plan_heads h on h.plan_id = p.id
where t.pull_request = $1 and h.sha = $2 and p.published_at is null`, pr.Number(), pr.HeadSHA()) == 0
	})
}

// approved brings a pull request to where it can be merged.
func (w *world) approved(branch string, files forgetest.Files) *forgetest.Pull {
	w.t.Helper()
	pr := w.ask(branch, files)
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	return pr
}

func (w *world) merge(pr *forgetest.Pull, method string) string {
	w.t.Helper()
	w.eventually("the branch protection to allow the merge", func() bool { return len(pr.Blockers()) == 0 })
	return must(w.Bob.Merge(pr, method))(w)
}

// bypass merges with an administrator's right.
func (w *world) bypass(pr *forgetest.Pull) string {
	w.t.Helper()
	return must(w.Dave.MergeBypassing(pr, "merge"))(w)
}

// must ends the test where an act was refused.
func must[T any](v T, err error) func(*world) T {
	return func(w *world) T {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
		return v
	}
}

func (w *world) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// replace is content with a part of it replaced, which has to be there.
func (w *world) replace(content []byte, old, with string) []byte {
	w.t.Helper()
	if !strings.Contains(string(content), old) {
		w.t.Fatalf("%q has no %q", content, old)
	}
	return []byte(strings.ReplaceAll(string(content), old, with))
}
