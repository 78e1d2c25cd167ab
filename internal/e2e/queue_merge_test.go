package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// queued lets a merge queue merge the branch.
func (w *world) queued(method string) {
	w.Repo.Protect("main", forgetest.Protection{MergeQueue: method, Checks: []forgetest.RequiredCheck{
		{Context: "shepherd/validate", AppID: w.App.ID()}, {Context: "shepherd/approval", AppID: w.App.ID()},
	}})
}

// groupCheck waits for a check on a group's head.
func (w *world) groupCheck(g *forgetest.MergeGroup, name, conclusion string) forgetest.Check {
	w.t.Helper()
	var last forgetest.Check
	w.eventually(name+" of the group to be "+conclusion, func() bool {
		for _, c := range w.Repo.ChecksOn(g.HeadSHA()) {
			if c.Name == name {
				last = c
			}
		}
		return last.Conclusion == conclusion
	})
	return last
}

// run lets the queue do what it can, and holds it to what was merged and kicked out.
func (w *world) run(merged, kicked []int) {
	w.t.Helper()
	got := must(w.Repo.RunMergeQueue("main"))(w)
	if diff := cmp.Diff([][]int{merged, kicked}, [][]int{got.Merged, got.Kicked}); diff != "" {
		w.t.Fatalf("merged and kicked out (-want +got):\n%s\nwaiting for %v", diff, got.Waiting)
	}
	w.quiet()
}

// Whatever way a queue merges, pull requests of one group and of groups on top of each other are merged as they
// were approved, each under its own name.
func TestMergeQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	w.structure("shop", "redis")
	n := 0
	for _, method := range []string{"merge", "squash", "rebase"} {
		w.queued(method)
		var pulls []*forgetest.Pull
		var names []string
		for _, name := range []string{"one", "two", "three"} {
			n++
			system := name + method[:2]
			w.push(system, machines(system, name+"s"+method[:2], "test-shop/01"))
			w.push(system, forgetest.Files{vmPath("shop", "redis", "test-shop/1"+string(rune('0'+n))): stage.VM("small", "another one")})
			names = append(names, "test-shop-"+system+"-"+name+"s"+method[:2]+"-01", "test-shop-shop-redis-1"+string(rune('0'+n)))
			pr := w.open(system, false)
			w.approve(w.Bob, pr)
			w.check(pr, "shepherd/approval", "success")
			pulls = append(pulls, pr)
		}
		tickets := w.count(`select count(*) from tickets`)
		first := must(w.Bob.Enqueue(pulls[0], pulls[1]))(w)
		second := must(w.Alice.Enqueue(pulls[2]))(w)
		for _, g := range []*forgetest.MergeGroup{first, second} {
			w.groupCheck(g, "shepherd/validate", "success")
			w.groupCheck(g, "shepherd/approval", "success")
		}
		if now := w.count(`select count(*) from tickets`); now != tickets {
			t.Errorf("the groups have written %d tickets", now-tickets)
		}
		w.run([]int{pulls[0].Number(), pulls[1].Number(), pulls[2].Number()}, nil)
		w.once(names...)
		for _, pr := range pulls {
			if got := w.strings(`select distinct status from tickets where pull_request = $1`, pr.Number()); !slices.Equal(got, []string{"COMPLETED"}) {
				t.Errorf("%s: the tickets of #%d are %v", method, pr.Number(), got)
			}
			if got := w.strings(`select distinct merge_commit from events where pull_request = $1`, pr.Number()); !slices.Equal(got, []string{pr.MergeCommitSHA()}) {
				t.Errorf("%s: #%d was merged as %s, and carried out as of %v", method, pr.Number(), pr.MergeCommitSHA(), got)
			}
		}
	}
	w.noQuarantine()

	// Rules come through a queue as well, one change on top of the other.
	w.queued("squash")
	var rules []*forgetest.Pull
	for _, size := range []string{"tiny", "huge"} {
		pr := w.asks(w.Dave, size, forgetest.Files{sizeFolder + size + ".yaml": platformFile("InstanceSize", "  cores: 4\n  memory: 8Gi\n")})
		w.approve(w.erin(), pr)
		w.check(pr, "shepherd/approval", "success")
		rules = append(rules, pr)
	}
	for _, pr := range rules {
		g := must(w.Dave.Enqueue(pr))(w)
		w.groupCheck(g, "shepherd/approval", "success")
	}
	w.run([]int{rules[0].Number(), rules[1].Number()}, nil)
	w.moved(w.Repo.Head("main"))
	w.noQuarantine()
}

// A queue does not merge what is not approved as it is, and what it has merged against the last word is quarantined.
func TestMergeQueueRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	w.queued("squash")
	path := func(nn string) string { return vmPath("shop", "redis", "test-shop/"+nn) }
	good := w.approved("good", forgetest.Files{path("01"): stage.VM("small", "approved")})
	forced := w.ask("forced", forgetest.Files{path("02"): stage.VM("small", "nobody has looked")})
	w.published(forced)

	// Behind what is kicked out, the rest is built anew.
	bad := must(w.Dave.EnqueueBypassing(forced))(w)
	behind := must(w.Bob.Enqueue(good))(w)
	c := w.groupCheck(bad, "shepherd/approval", "failure")
	w.groupCheck(behind, "shepherd/approval", "success")
	if !strings.Contains(c.Summary, "#"+strconv.Itoa(forced.Number())) {
		t.Errorf("the pull request is not named:\n%s", c.Summary)
	}
	if got := must(w.Repo.RunMergeQueue("main"))(w); !slices.Equal(got.Kicked, []int{forced.Number()}) {
		t.Fatalf("the queue: %+v", got)
	}
	w.groupCheck(behind, "shepherd/approval", "success")
	w.run([]int{good.Number()}, nil)
	w.once("test-shop-shop-redis-01")
	w.check(forced, "shepherd/approval", "action_required")

	// Together with an approved one it takes that with it.
	fine := w.approved("fine", forgetest.Files{path("03"): stage.VM("small", "approved")})
	both := must(w.Dave.EnqueueBypassing(fine, forced))(w)
	w.groupCheck(both, "shepherd/approval", "failure")
	w.run(nil, []int{fine.Number(), forced.Number()})

	// Changed after the approval: out of the queue by the push; forced back in, refused.
	g := must(w.Bob.Enqueue(fine))(w)
	w.groupCheck(g, "shepherd/approval", "success")
	w.push("fine", forgetest.Files{path("03"): stage.VM("medium", "larger than approved")})
	if g.Queued() {
		t.Fatal("the queue keeps a pull request that was pushed to")
	}
	w.check(fine, "shepherd/approval", "action_required")
	g = must(w.Dave.EnqueueBypassing(fine))(w)
	w.groupCheck(g, "shepherd/approval", "failure")
	w.run(nil, []int{fine.Number()})
	w.approve(w.Bob, fine)
	w.check(fine, "shepherd/approval", "success")

	// The approval is taken back while it waits, and the queue has its green checks already: they turn red.
	g = must(w.Bob.Enqueue(fine))(w)
	w.groupCheck(g, "shepherd/approval", "success")
	must(w.Bob.RequestChanges(fine, "on second thoughts, no"))(w)
	w.groupCheck(g, "shepherd/approval", "failure")
	w.run(nil, []int{fine.Number()})
	w.check(fine, "shepherd/approval", "failure")
	w.absent("test-shop-shop-redis-02", "test-shop-shop-redis-03")

	// The queue is faster than the webhook of the withdrawal: the walker has the last word.
	late := w.approved("late", forgetest.Files{path("04"): stage.VM("small", "approved")})
	g = must(w.Bob.Enqueue(late))(w)
	w.groupCheck(g, "shepherd/approval", "success")
	w.quiet()
	w.Forge.PauseDeliveries()
	must(w.Bob.RequestChanges(late, "on second thoughts, no"))(w)
	got := must(w.Repo.RunMergeQueue("main"))(w)
	w.Forge.ResumeDeliveries()
	if !slices.Equal(got.Merged, []int{late.Number()}) {
		t.Fatalf("the queue: %+v", got)
	}
	commit := w.Repo.Head("main")
	w.stopped(commit, "APPROVAL_BYPASSED", path("04"))
	undo := w.undo(commit)
	w.check(undo, "shepherd/approval", "success")
	g = must(w.Bob.Enqueue(undo))(w)
	w.groupCheck(g, "shepherd/approval", "success")
	w.run([]int{undo.Number()}, nil)
	if _, there := w.Repo.File("main", path("04")); there {
		t.Error("the undo left it there")
	}
	w.absent("test-shop-shop-redis-04")
}
