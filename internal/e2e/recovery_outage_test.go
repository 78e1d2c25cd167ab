package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// town is a court in which much is under way when nobody serves for a while.
type town struct {
	*court
	pulls map[string]*forgetest.Pull
}

// townMachine is the machine that a pull request of the town is about, by its name.
func townMachine(name string) string { return "test-shop-shop-" + name + "-01" }

func fileOf(name, size string) forgetest.Files {
	return forgetest.Files{vmPath("shop", name, "test-shop/01"): stage.VM(size, "for "+name)}
}

// request opens a pull request for a machine in a service of its own.
func (w *town) request(name string) *forgetest.Pull {
	w.t.Helper()
	w.pulls[name] = w.ask(name, w.wanted(name))
	return w.pulls[name]
}

func (w *town) wanted(name string) forgetest.Files {
	files := fileOf(name, "small")
	files["systems/shop/"+name+"/service.yaml"] = stage.Service("service " + name)
	return files
}

func (w *town) settledBefore(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.approve(w.Bob, w.pulls[name])
	}
	for _, name := range names {
		w.check(w.pulls[name], "shepherd/approval", "success")
	}
}

// newTown has pull requests in every state that an outage can begin in.
func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{court: newCourt(t), pulls: map[string]*forgetest.Pull{}}
	w.structure("shop", "redis")
	w.request("old")
	for _, name := range []string{
		"merged", "squashed", "rebased", "swapped", "taken", "late", "bypassed", "vetoed", "lifted", "closed", "waiting", "reread", "drafted", "aimed",
	} {
		w.request(name)
	}
	w.settledBefore("old", "merged", "squashed", "rebased", "swapped", "taken", "reread")
	must(w.Bob.RequestChanges(w.pulls["lifted"], "not like this"))(w.world)
	w.check(w.pulls["lifted"], "shepherd/approval", "failure")
	w.merge(w.pulls["old"], "merge")
	w.once(townMachine("old"))
	w.pulls["modify"] = w.ask("modify", fileOf("old", "medium"))
	w.settledBefore("modify")
	for _, name := range []string{"late", "bypassed", "vetoed", "closed", "waiting", "drafted", "aimed"} {
		w.published(w.pulls[name])
	}
	w.rulesAsked()
	w.quiet()
	return w
}

// rulesAsked has two approvals asked for in test from now on, and that approved, not merged.
func (w *town) rulesAsked() {
	w.t.Helper()
	must(w.Dave.Commit(w.Repo, "rules", "main", forgetest.Files{"platform/policies/more.yaml": approvalsOf("test", 2)}, "rules"))(w.world)
	w.pulls["rules"] = must(w.Dave.OpenPull(w.Repo, "rules", "rules", "main", "", false))(w.world)
	w.approve(w.Adam, w.pulls["rules"])
	w.check(w.pulls["rules"], "shepherd/approval", "success")
}

// meanwhile is all that people do while nobody serves.
func (w *town) meanwhile() {
	w.t.Helper()
	merge := func(name, method string) {
		must(w.Bob.Merge(w.pulls[name], method))(w.world)
		w.do(w.Alice.DeleteBranch(w.Repo, name))
	}
	bypass := func(name string) { must(w.Dave.MergeBypassing(w.pulls[name], "merge"))(w.world) }
	must(w.Bob.Approve(w.pulls["late"]))(w.world) // its plan is on show
	bypass("late")
	merge("merged", "merge")
	merge("squashed", "squash")
	merge("modify", "squash")
	w.pulls["again"] = w.ask("again", fileOf("old", "small")) // on what was just merged; nobody can have read a plan
	must(w.Bob.Approve(w.pulls["again"]))(w.world)
	bypass("again")
	merge("rebased", "rebase")
	bypass("bypassed")
	w.push("swapped", fileOf("swapped", "medium"))
	bypass("swapped")
	merge("rules", "merge")
	merge("taken", "merge") // with one approval, where two are asked for by now
	must(w.Dave.Commit(w.Repo, "main", "", fileOf("pushed", "small"), "past everybody"))(w.world)

	must(w.Bob.RequestChanges(w.pulls["vetoed"], "too small"))(w.world)
	w.dismiss("lifted", "CHANGES_REQUESTED")
	w.dismiss("reread", "APPROVED")
	w.do(w.Alice.Close(w.pulls["closed"]))
	w.pulls["instead"] = w.ask("instead", w.wanted("closed"))
	w.do(w.Alice.MarkDraft(w.pulls["drafted"]))
	must(w.Alice.Commit(w.Repo, "elsewhere", "main", forgetest.Files{"README.md": []byte("elsewhere\n")}, "a branch"))(w.world)
	w.do(w.Alice.Retarget(w.pulls["aimed"], "elsewhere"))
	w.request("fresh")
	w.push("fresh", fileOf("fresh", "medium"))
	w.pulls["broken"] = w.ask("broken", forgetest.Files{vmPath("shop", "redis", "test-shop/1"): stage.VM("small", "no such path")})
	w.Repo.Rename("machines")
}

func (w *town) dismiss(name, state string) {
	w.t.Helper()
	for _, r := range w.pulls[name].Reviews() {
		if r.State == state {
			w.do(w.Dave.DismissReview(w.pulls[name], r.ID, "talked it over"))
			return
		}
	}
	w.t.Fatalf("%s has no review that is %s", name, state)
}

// holds looks at everything after the outage.
func (w *town) holds() {
	w.t.Helper()
	for _, name := range []string{"merged", "squashed", "rebased", "late"} {
		w.once(townMachine(name))
	}
	w.eventually("the change of the old machine", func() bool {
		return w.count(`select count(*) from events where subject = $1 and operation = 'MODIFY_VM' and status = 'COMPLETED'`, townMachine("old")) == 1
	})
	w.quiet()
	w.quarantined("APPROVAL_BYPASSED", townMachine("bypassed"), townMachine("taken"), townMachine("pushed"))
	w.quarantined("DIGEST_MISMATCH", townMachine("swapped"))
	if got := w.strings(`select operation || ' ' || status from events where subject = $1 and status <> 'CANCELLED' order by sequence`, townMachine("old")); !slices.Equal(got, []string{"CREATE_VM COMPLETED", "MODIFY_VM COMPLETED"}) {
		w.t.Errorf("the old machine: %v", got)
	}
	for name, want := range map[string]string{
		"vetoed": "failure", "lifted": "action_required", "waiting": "action_required", "reread": "action_required", "fresh": "action_required",
		"instead": "action_required",
	} {
		w.stands(w.pulls[name], want, name)
	}
	w.check(w.pulls["broken"], "shepherd/validate", "failure")
	for _, name := range []string{"closed", "drafted", "aimed"} {
		if n := w.count(`select count(*) from claims where pull_request = $1`, w.pulls[name].Number()); n != 0 {
			w.t.Errorf("%s still holds %d names", name, n)
		}
		if n := w.count(`select count(*) from tickets where pull_request = $1 and status <> 'CANCELLED'`, w.pulls[name].Number()); n != 0 {
			w.t.Errorf("%s still has %d tickets", name, n)
		}
	}
	w.current()
}

// current holds that every pull request is as it was judged last, and that nothing is said twice.
func (w *world) current() {
	w.t.Helper()
	w.quiet()
	for _, pr := range w.Repo.Pulls() {
		said := map[string]int{}
		for _, c := range w.comments(pr) {
			mark, _, _ := strings.Cut(c.Body, "\n")
			said[mark]++
		}
		for mark, n := range said {
			if n > 1 {
				w.t.Errorf("#%d: %q is said %d times", pr.Number(), mark, n)
			}
		}
		if pr.State() != "open" || pr.BaseRef() != "main" {
			continue
		}
		if len(w.remarks(pr)) != 1 {
			w.t.Errorf("#%d %s: %d comments", pr.Number(), pr.Title(), len(w.remarks(pr)))
		}
		for _, name := range []string{"shepherd/validate", "shepherd/approval"} {
			if _, ok := pr.Check(name); !ok {
				w.t.Errorf("#%d %s: no %s on its head", pr.Number(), pr.Title(), name)
			}
		}
		if n := w.count(`select count(*) from pull_requests where id = $1 and head_sha = $2 and wanted = judged and state = 'open'`, pr.Number(), pr.HeadSHA()); n != 1 {
			w.t.Errorf("#%d %s is not judged as it is", pr.Number(), pr.Title())
		}
	}
}

// said is all that was said and done, to be compared with later.
func (w *world) said() (out []string) {
	w.t.Helper()
	for _, pr := range w.Repo.Pulls() {
		checks := 0
		for _, c := range pr.Checks() {
			checks++
			out = append(out, fmt.Sprintf("#%d %s %s %s", pr.Number(), c.Name, c.Conclusion, c.Title))
		}
		for _, c := range w.comments(pr) {
			mark, _, _ := strings.Cut(c.Body, "\n")
			out = append(out, fmt.Sprintf("#%d %d %s, edited %d times", pr.Number(), c.ID, mark, c.Edits))
		}
	}
	out = append(out, w.strings(`select concat_ws(' ', action_code, subject, pull_request) from audit_log order by id`)...)
	return append(out, w.strings(`select name || ' ' || applied_sequence || ' ' || status from vms order by name`)...)
}

// After an outage everything is as if nobody had been away, but for what could only be known from webhooks that are
// gone for good; a second start says and does nothing.
func TestOutages(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]forgetest.DeliveryFaults{
		"short, the forge still has what it sent": {},
		"long, the forge has forgotten":           {Lose: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t)
			w.stop()
			w.Forge.SetDeliveryFaults(faults)
			w.meanwhile()
			w.do(w.Forge.WaitIdle(t.Context()))
			w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
			w.serve()
			w.holds()

			w.stop()
			w.exec(`delete from river_job where kind = 'verify_vm'`) // why a machine is not there yet is told in its own time
			was := w.said()
			w.serve()
			w.quiet()
			if diff := cmp.Diff(was, w.said()); diff != "" {
				t.Errorf("a second start has something to say (-before +after):\n%s", diff)
			}
		})
	}
}
