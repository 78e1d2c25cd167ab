package e2e

import (
	"fmt"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// However a request ends, who waited for its name is judged again, without a webhook of their own.
func TestNamesComeFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	const held = "DUPLICATE_PENDING_REQUEST"
	for i, way := range []struct {
		name string
		end  func(pr *forgetest.Pull, path string)
	}{
		{"closed", func(pr *forgetest.Pull, _ string) { w.do(w.Alice.Close(pr)) }},
		{"rejected", func(pr *forgetest.Pull, _ string) { must(w.Bob.RequestChanges(pr, "not this one"))(w) }},
		{"elsewhere", func(pr *forgetest.Pull, path string) {
			w.push(pr.HeadRef(), forgetest.Files{path: nil, "README.md": []byte("nothing\n")})
		}},
		{"draft", func(pr *forgetest.Pull, _ string) { w.do(w.Alice.MarkDraft(pr)) }},
		{"broken", func(pr *forgetest.Pull, path string) { w.push(pr.HeadRef(), one(path, "giant", "broken")) }},
		{"retargeted", func(pr *forgetest.Pull, _ string) {
			must(w.Dave.Commit(w.Repo, "other", "main", forgetest.Files{"notes.md": []byte("notes\n")}, "another branch"))(w)
			w.do(w.Alice.Retarget(pr, "other"))
		}},
	} {
		path := vmPath("shop", "redis", fmt.Sprintf("test-shop/%02d", i+1))
		first := w.ask(way.name, one(path, "small", way.name))
		w.published(first)
		second := w.ask(way.name+"-waits", one(path, "medium", "waits"))
		w.problem(second, held, path, 1)
		w.quiet()
		way.end(first, path)
		w.published(second)
		w.check(second, "shepherd/validate", "success")
		w.stand(second, "PENDING_APPROVAL")
		w.quiet()
		if got := w.holds(first, "vm"); len(got) != 0 {
			t.Errorf("%s: still held: %v", way.name, got)
		}
	}

	// Merged, the name is taken for good once the event has ended, well or badly.
	for i, fails := range []bool{false, true} {
		ns, index := "test-shop/", fmt.Sprintf("%02d", 21+i)
		path := vmPath("shop", "redis", ns+index)
		first := w.approved("merged"+index, one(path, "small", "merged"))
		if fails {
			w.foreign("test-shop-shop-redis-" + index)
		}
		other := vmPath("shop", "redis", "prod-shop/"+index) // the same index
		second := w.ask("waits"+index, one(other, "medium", "waits"))
		w.problem(second, held, other, 1)
		w.merge(first, "squash")
		w.eventually("the claims to be gone", func() bool { return len(w.holds(first, "index")) == 0 })
		w.eventually("the other to be told", func() bool {
			c, _ := second.Check("shepherd/validate")
			return strings.Contains(c.Summary, "INDEX_TAKEN") && !strings.Contains(c.Summary, held)
		})
		w.show(second, "whose index is taken")
	}
	if n := w.count(`select count(*) from events where status = 'FAILED' and error_code = 'FOREIGN_VM'`); n != 1 {
		t.Errorf("%d events failed", n)
	}
}

// What nobody can approve, or nobody approves, stands in nobody's way.
func TestNobodyIsBlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	files := func(index, size string) forgetest.Files {
		return one(vmPath("shop", "redis", "test-shop/"+index), size, "wanted")
	}
	w.push("draft", files("01", "small"))
	draft := w.open("draft", true)
	red := w.ask("red", files("02", "giant"))
	fork := must(w.Alice.Fork(w.Repo))(w)
	must(w.Alice.Commit(fork, "fork", "main", files("03", "small"), "from afar"))(w)
	far := must(w.Alice.OpenPull(w.Repo, "From afar", "alice:fork", "main", "", false))(w)
	must(w.Carol.Commit(w.Repo, "carols", "main", files("04", "small"), "a viewer asks"))(w)
	viewers := must(w.Carol.OpenPull(w.Repo, "A viewer asks", "carols", "main", "", false))(w)
	forgotten := w.ask("forgotten", files("05", "small"))
	for _, pr := range []*forgetest.Pull{draft, red, far, viewers, forgotten} {
		w.eventually("it to be judged", func() bool { _, ok := pr.Check("shepherd/approval"); return ok })
	}
	w.quiet()
	for _, pr := range []*forgetest.Pull{draft, red, far, viewers} {
		w.untouched(pr)
	}
	all := forgetest.Files{}
	for _, index := range []string{"01", "02", "03", "04", "05"} {
		for path, data := range files(index, "medium") {
			all[path] = data
		}
	}
	pr := w.ask("all", all)
	w.check(pr, "shepherd/approval", "action_required")
	w.on(pr)
	must(w.Bob.Approve(pr))(w)
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01", "test-shop-shop-redis-02", "test-shop-shop-redis-03", "test-shop-shop-redis-04", "test-shop-shop-redis-05")
	w.noQuarantine()
}

// What is only recorded waits for nobody: the second is warned, the first that is merged wins, and the
// other is told.
func TestNamesThatAreOnlyRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, system := range []string{"shop", "crm"} {
		w.recorded("systems/"+system+"/system.yaml", stage.System(system), system)
	}
	service := func(system string) (string, forgetest.Files) {
		path := "systems/" + system + "/mail/service.yaml"
		return path, forgetest.Files{path: stage.Service("mail of " + system)}
	}
	_, files := service("shop")
	first := w.ask("shops", files)
	w.check(first, "shepherd/approval", "success")
	path, files := service("crm")
	second := w.ask("crms", files)
	c := w.check(second, "shepherd/validate", "success")
	if !strings.Contains(c.Summary, "DUPLICATE_PENDING_REQUEST") || !strings.Contains(c.Summary, fmt.Sprintf("#%d", first.Number())) {
		t.Errorf("no warning:\n%s", c.Summary)
	}
	w.check(second, "shepherd/approval", "success")
	system := w.ask("another", forgetest.Files{"systems/mailing/system.yaml": stage.System("one")})
	w.check(system, "shepherd/approval", "success")
	twin := w.ask("twin", forgetest.Files{"systems/mailing/system.yaml": stage.System("two")})
	w.eventually("a warning", func() bool {
		c, _ := twin.Check("shepherd/validate")
		return c.Conclusion == "success" && strings.Contains(c.Summary, fmt.Sprintf("#%d", system.Number()))
	})
	w.show(second, "that is warned")

	w.merge(first, "squash")
	w.problem(second, "NAME_TAKEN", path, 1)
	w.show(second, "that was second")
	w.merge(twin, "squash")
	w.problem(system, "STALE_BASE", "systems/mailing/system.yaml", 1)
	w.show(system, "that was asked for first and merged second")
	if got := w.strings(`select system from accepted where service = 'mail' order by 1`); len(got) != 1 || got[0] != "shop" {
		t.Errorf("the service is of %v", got)
	}
	w.noQuarantine()
}

// Two pull requests with one head share its checks; both say how they get apart.
func TestSameHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	first := w.ask("first", one(vmPath("shop", "redis", "test-shop/01"), "small", "once"))
	w.published(first)
	w.do(w.Alice.Push(w.Repo, "second", first.HeadSHA(), false))
	second := w.open("second", false)
	w.told(second, fmt.Sprintf("#%d", first.Number()), "the same head commit", "close all but one")
	w.told(first, fmt.Sprintf("#%d", second.Number()), "the same head commit", "close all but one")
	w.show(first, "that was first with this head")
	w.show(second, "with the same head")
	must(w.Bob.Approve(first))(w)
	w.stand(first, "APPROVED")
	w.quiet()
	w.do(w.Alice.Close(second))
	w.check(first, "shepherd/validate", "success")
	w.check(first, "shepherd/approval", "success")
	w.eventually("the way out to be gone", func() bool { return !strings.Contains(w.remarks(first)[0].Body, "the same head") })
	w.merge(first, "merge")
	w.once("test-shop-shop-redis-01")
}
