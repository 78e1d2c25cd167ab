package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeGit is a history of trees: what is not in a commit's own files is as in its parent.
type fakeGit map[string]struct {
	parent string
	files  map[string]string
}

func (g fakeGit) File(commit, path string) (string, bool) {
	for at := commit; at != ""; at = g[at].parent {
		if content, ok := g[at].files[path]; ok {
			return content, content != ""
		}
	}
	return "", false
}

func (g fakeGit) Changed(from, to string) (out []string, err error) {
	paths := map[string]bool{}
	for _, c := range g {
		for path := range c.files {
			paths[path] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		a, _ := g.File(from, path)
		b, _ := g.File(to, path)
		if a != b {
			out = append(out, path)
		}
	}
	return out, nil
}

func (g fakeGit) MergeBase(a, b string) (string, error) {
	seen := map[string]bool{}
	for at := a; at != ""; at = g[at].parent {
		seen[at] = true
	}
	for at := b; at != ""; at = g[at].parent {
		if seen[at] {
			return at, nil
		}
	}
	return "", fmt.Errorf("%s and %s have nothing in common", a, b)
}

const (
	testPath, testName = "systems/a/a/test-shop/01.yaml", "test-shop-a-a-01"
	prodPath, prodName = "systems/a/a/prod-shop/02.yaml", "prod-shop-a-a-02"
	none               = "0000000000000000000000000000000000000000"
)

func vmFile(memory, power string) string {
	return "spec:\n  memory: " + memory + "\n  power: " + power + "\n"
}

func clock(second int) time.Time { return time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC) }

// table is what an approval check shows.
func table(names ...string) (out string) {
	for _, name := range names {
		out += "| `" + name + "` | create VM | `" + digestOf(name) + "` | `" + digestOf("plan of "+name) + "` | waiting |\n"
	}
	return out
}

func digestOf(text string) string {
	sum := uint32(7)
	for _, b := range []byte(text) {
		sum = sum*31 + uint32(b)
	}
	return fmt.Sprintf("%08x", sum)
}

func pullEvent(action string, e Event) Event {
	e.Kind, e.Action, e.Base = "pull_request", action, "main"
	return e
}

func checkEvent(head, name, conclusion, summary string, second int) Event {
	return Event{Kind: "check_run", Action: "completed", Head: head, Check: name, Conclusion: conclusion, Summary: summary, At: clock(second)}
}

func reviewEvent(id int64, who, verdict, commit string, second int) Event {
	return Event{Kind: "pull_request_review", Action: "submitted", Pull: 1, Sender: who, Review: id, Reviewer: who, Verdict: verdict, Commit: commit, At: clock(second)}
}

func writeOf(name, uid, memory, merge string) Write {
	return Write{Verb: "PATCH", Resource: "virtualmachines", Namespace: "n", Object: Object{
		Name: name, UID: uid, Memory: memory, Running: true, Annotations: map[string]string{
			annotation + "merge-commit": merge, annotation + "change-digest": digestOf(name) + "ffff", annotation + "effective-digest": digestOf("plan of "+name) + "ffff",
		},
	}}
}

// clean is a history in which all is well: Alice asks for two machines, Bob approves, both are applied.
func clean() History {
	green := table(testName, prodName)
	h := History{
		Bot: "shepherd[bot]", Branch: "main", Baseline: "base", People: people(),
		Git: fakeGit{
			"base": {"", map[string]string{"README.md": "hello"}},
			"h1":   {"base", map[string]string{testPath: vmFile("1Gi", "running"), prodPath: vmFile("2Gi", "running")}},
			"m1":   {"base", map[string]string{testPath: vmFile("1Gi", "running"), prodPath: vmFile("2Gi", "running")}},
		},
		Events: []Event{
			{Kind: "push", Sender: "alice", Ref: "refs/heads/ask", Before: none, After: "h1"},
			pullEvent("opened", Event{Pull: 1, Author: "alice", Head: "h1", HeadRef: "ask", At: clock(1)}),
			checkEvent("h1", "shepherd/validate", "success", "", 2),
			checkEvent("h1", "shepherd/approval", "action_required", green, 2),
			reviewEvent(11, "bob", "approved", "h1", 3),
			checkEvent("h1", "shepherd/approval", "success", green, 4),
			{Kind: "push", Sender: "bob", Ref: "refs/heads/main", Before: "base", After: "m1"},
			pullEvent("closed", Event{Pull: 1, Author: "alice", Head: "h1", HeadRef: "ask", Merged: true, MergeCommit: "m1", At: clock(5)}),
		},
		Pulls: []Pull{{Number: 1, State: "merged", Base: "main", Head: "h1", HeadRef: "ask", Comments: []Comment{
			{"shepherd[bot]", "<!-- shepherd -->\nApplied."}, {"shepherd[bot]", "<!-- shepherd: the end -->\nApplied."}, {"bob", "thanks"}, {"bob", "thanks"},
		}}},
		Deployments: []Deployment{{"m1", "test/test-1", []string{"queued", "success"}}, {"m1", "prod/prod-1", []string{"success"}}},
		Writes:      []Write{writeOf(testName, "u1", "1Gi", "m1"), writeOf(prodName, "u2", "2Gi", "m1")},
	}
	h.Objects = []Object{h.Writes[0].Object, h.Writes[1].Object}
	h.number()
	return h
}

func (h *History) number() {
	for i := range h.Events {
		h.Events[i].Seq = i + 1
	}
}

// at gives the place of the event that comes first of a kind and action.
func (h *History) at(kind, action string) int {
	return slices.IndexFunc(h.Events, func(e Event) bool { return e.Kind == kind && e.Action == action })
}

func (h *History) insert(at int, events ...Event) {
	h.Events = slices.Insert(h.Events, at, events...)
	h.number()
}

// unapplied takes back what was applied, and has the bot say so.
func (h *History) unapplied() {
	h.Writes, h.Objects = nil, nil
	h.Pulls[0].Comments = append(h.Pulls[0].Comments, Comment{"shepherd[bot]", "<!-- shepherd: q -->\nQuarantined."})
}

// Each way to break the rules is found, and nothing else is.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	const signed = "bob's approval of 12:00:03"
	for name, c := range map[string]struct {
		plant func(*History)
		want  []string
	}{
		"nothing": {func(*History) {}, nil},

		"an object is missing": {func(h *History) { h.Objects = h.Objects[1:] }, []string{"lost: " + testName + " was applied and is not there"}},
		"a machine was never written": {func(h *History) { h.Writes, h.Objects = h.Writes[1:], h.Objects[1:] }, []string{
			"lost: #1: 1 changes were not applied, and nobody is told that they are quarantined",
			"lost: " + testName + " was merged by #1 (m1) as approved, and not applied",
		}},
		"quarantined though it was approved": {func(h *History) { h.unapplied() }, []string{
			"lost: " + prodName + " was merged by #1 (m1) as approved, and not applied", "lost: " + testName + " was merged by #1 (m1) as approved, and not applied",
		}},
		"another content": {func(h *History) { h.Writes[0].Memory, h.Objects[0].Memory = "9Gi", "9Gi" }, []string{
			"otherwise: #1 gave the cluster " + testName + " with memory 9Gi, merged was 1Gi", "otherwise: the cluster has " + testName + " with memory 9Gi, merged was 1Gi",
		}},
		"stopped by hand": {func(h *History) { h.Objects[0].Running = false }, []string{"otherwise: the cluster has " + testName + " with running=false, merged was true"}},

		"applied twice": {func(h *History) { h.Writes = append(h.Writes, h.Writes[0]) }, []string{"twice: virtualmachines/n/" + testName + " m1: 2 times"}},
		"made anew": {func(h *History) {
			again := writeOf(testName, "u9", "1Gi", "m1")
			h.Writes = append(h.Writes, again)
		}, []string{"twice: virtualmachines/n/" + testName + " m1: 2 times", "twice: virtualmachines/n/" + testName + " was made anew"}},

		"an object by hand": {func(h *History) { h.Objects = append(h.Objects, Object{Name: "test-shop-a-a-09"}) }, []string{
			"unapproved: test-shop-a-a-09 is on the cluster, and nobody asked for it"}},
		"a write by hand as our field manager": {func(h *History) { h.Writes = append(h.Writes, writeOf("test-shop-a-a-09", "u9", "1Gi", "m1")) }, []string{
			"unapproved: PATCH of test-shop-a-a-09 by merge \"m1\", which did not change it"}},
		"nobody approved": {func(h *History) { h.Events[h.at("pull_request_review", "submitted")].Verdict = "commented" }, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): nobody approved it", "unapproved: " + testName + " was applied by #1 (m1): nobody approved it"}},
		"approved by somebody for test alone": {func(h *History) { h.Events[h.at("pull_request_review", "submitted")].Reviewer = "frank" }, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): nobody approved it; frank may not decide in prod"}},
		"approved by somebody who pushed": {func(h *History) {
			h.insert(0, Event{Kind: "push", Sender: "bob", Ref: "refs/heads/ask", Before: "base", After: "h1"})
		}, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): bob had no permission to ask for it", "unapproved: " + testName + " was applied by #1 (m1): bob had no permission to ask for it"}},
		"approved before it was on show": {func(h *History) { h.Events[h.at("pull_request_review", "submitted")].At = clock(1) }, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): nobody approved it; bob's approval of 12:00:01 was not of what was on show (0 plans)",
			"unapproved: " + testName + " was applied by #1 (m1): nobody approved it; bob's approval of 12:00:01 was not of what was on show (0 plans)"}},
		"approved something else": {func(h *History) { h.Events[h.at("pull_request_review", "submitted")].Commit = "base" }, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): nobody approved it; " + signed + " is of other content",
			"unapproved: " + testName + " was applied by #1 (m1): nobody approved it; " + signed + " is of other content"}},
		"another plan than was on show": {func(h *History) { h.Writes[0].Annotations[annotation+"effective-digest"] = "12345678" }, []string{
			"unapproved: " + testName + " was applied by #1 (m1): nobody approved it; " + signed + " was not of what was on show (1 plans)"}},
		"taken back before the merge": {func(h *History) {
			h.insert(h.at("pull_request_review", "submitted")+1, Event{Kind: "pull_request_review", Action: "dismissed", Pull: 1, Sender: "alice", Review: 11})
		}, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): nobody approved it; " + signed + " was withdrawn",
			"unapproved: " + testName + " was applied by #1 (m1): nobody approved it; " + signed + " was withdrawn"}},
		"a veto stands": {func(h *History) {
			h.insert(h.at("pull_request_review", "submitted"), reviewEvent(10, "frank", "changes_requested", "h1", 3))
		}, []string{"unapproved: " + testName + " was applied by #1 (m1): frank has asked for changes"}},
		"a veto that its target dismissed": {func(h *History) {
			h.insert(h.at("pull_request_review", "submitted"), reviewEvent(10, "frank", "changes_requested", "h1", 3),
				Event{Kind: "pull_request_review", Action: "dismissed", Pull: 1, Sender: "alice", Review: 10})
		}, []string{"unapproved: " + testName + " was applied by #1 (m1): frank has asked for changes"}},
		"a veto that the administrator lifted": {func(h *History) {
			h.insert(h.at("pull_request_review", "submitted"), reviewEvent(10, "frank", "changes_requested", "h1", 3),
				Event{Kind: "pull_request_review", Action: "dismissed", Pull: 1, Sender: "dave", Review: 10})
		}, nil},
		"reopened after the approval": {func(h *History) {
			h.insert(h.at("push", "")+6, pullEvent("reopened", Event{Pull: 1, Author: "alice", Head: "h1", HeadRef: "ask", At: clock(4)}))
		}, []string{
			"unapproved: " + prodName + " was applied by #1 (m1): nobody approved it; " + signed + " is older than the reopening",
			"unapproved: " + testName + " was applied by #1 (m1): nobody approved it; " + signed + " is older than the reopening"}},
		"merged past red checks, and refused": {func(h *History) {
			h.Events[h.at("pull_request_review", "submitted")].Verdict = "commented"
			h.unapplied()
		}, nil},
		"merged past red checks, and hushed up": {func(h *History) {
			h.Events[h.at("pull_request_review", "submitted")].Verdict = "commented"
			h.Writes, h.Objects = nil, nil
		}, []string{"lost: #1: 2 changes were not applied, and nobody is told that they are quarantined"}},

		"a comment twice": {func(h *History) { h.Pulls[0].Comments = append(h.Pulls[0].Comments, h.Pulls[0].Comments[1]) }, []string{
			`said twice: #1: "<!-- shepherd: the end -->"`}},
		"a deployment twice": {func(h *History) { h.Deployments = append(h.Deployments, h.Deployments[0]) }, []string{"said twice: m1 was deployed to test/test-1 more than once"}},
		"a status twice":     {func(h *History) { h.Deployments[1].States = []string{"success", "success"} }, []string{"said twice: the deployment of m1 to prod/prod-1 was success twice in a row"}},
		"an undo twice": {func(h *History) {
			for n := range 2 {
				h.Pulls = append(h.Pulls, Pull{Number: 8 + n, State: "closed", HeadRef: "shepherd/undo-m1"})
			}
		}, []string{"said twice: #9 is a second pull request from shepherd/undo-m1"}},

		"an open pull request without checks": {func(h *History) { h.Pulls = append(h.Pulls, Pull{Number: 2, State: "open", Base: "main", Head: "h1"}) }, []string{
			"lost: #2 has no checks on its head h1"}},
		"green without approval": {func(h *History) { h.second("success") }, []string{
			"unapproved: #2 shows that it is approved: test-shop-b-b-01: nobody approved it"}},
		"waiting without approval": {func(h *History) { h.second("action_required") }, nil},
		"waiting though approved": {func(h *History) {
			h.second("action_required")
			r := reviewEvent(12, "erin", "approved", "h2", 8)
			r.Pull = 2
			h.insert(len(h.Events), r)
		}, []string{"lost: #2 is approved and does not show it: action_required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := clean()
			c.plant(&h)
			v, err := Check(h)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range v.Findings {
				got = append(got, f.String())
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// second adds an open pull request for another machine, whose approval check has a conclusion.
func (h *History) second(conclusion string) {
	const name = "test-shop-b-b-01"
	h.Git.(fakeGit)["h2"] = struct {
		parent string
		files  map[string]string
	}{"m1", map[string]string{"systems/b/b/test-shop/01.yaml": vmFile("3Gi", "running")}}
	h.insert(len(h.Events),
		Event{Kind: "push", Sender: "alice", Ref: "refs/heads/more", Before: none, After: "h2"},
		pullEvent("opened", Event{Pull: 2, Author: "alice", Head: "h2", HeadRef: "more", At: clock(6)}),
		checkEvent("h2", "shepherd/validate", "success", "", 7), checkEvent("h2", "shepherd/approval", conclusion, table(name), 7))
	h.Pulls = append(h.Pulls, Pull{Number: 2, State: "open", Base: "main", Head: "h2", HeadRef: "more",
		Checks: map[string]string{"shepherd/validate": "success", "shepherd/approval": conclusion}})
}

// later merges a change of the first machine, asked for by a pull request of its own.
func (h *History) later(now string, approved bool) {
	const merge = "m2"
	git := h.Git.(fakeGit)
	for _, at := range []struct{ commit, parent string }{{"h3", "m1"}, {merge, "m1"}} {
		git[at.commit] = struct {
			parent string
			files  map[string]string
		}{at.parent, map[string]string{testPath: now}}
	}
	events := []Event{
		{Kind: "push", Sender: "alice", Ref: "refs/heads/change", Before: none, After: "h3"},
		pullEvent("opened", Event{Pull: 3, Author: "alice", Head: "h3", HeadRef: "change", At: clock(10)}),
		checkEvent("h3", "shepherd/validate", "success", "", 11), checkEvent("h3", "shepherd/approval", "action_required", table(testName), 11),
	}
	if approved {
		r := reviewEvent(13, "bob", "approved", "h3", 12)
		r.Pull = 3
		events = append(events, r)
	}
	events = append(events, checkEvent("h3", "shepherd/approval", "success", table(testName), 13),
		Event{Kind: "push", Sender: "bob", Ref: "refs/heads/main", Before: "m1", After: merge},
		pullEvent("closed", Event{Pull: 3, Author: "alice", Head: "h3", HeadRef: "change", Merged: true, MergeCommit: merge, At: clock(14)}))
	h.insert(len(h.Events), events...)
	h.Pulls = append(h.Pulls, Pull{Number: 3, State: "merged", Base: "main", Head: "h3", HeadRef: "change"})
}

func (h *History) confirm(text string) {
	at := slices.IndexFunc(h.Events, func(e Event) bool { return e.Pull == 3 && e.Kind == "pull_request" })
	h.insert(at+1, Event{Kind: "issue_comment", Action: "created", Pull: 3, Author: "alice", Body: text})
}

// What comes after the first merge: other content, power, deletion.
func TestCheckFollows(t *testing.T) {
	t.Parallel()
	deleted := Write{Verb: "DELETE", Resource: "virtualmachines", Namespace: "n", Object: Object{Name: testName}}
	for name, c := range map[string]struct {
		plant func(*History)
		want  string
	}{
		"a larger one": {func(h *History) {
			h.later(vmFile("4Gi", "running"), true)
			h.Writes = append(h.Writes, writeOf(testName, "u1", "4Gi", "m2"))
			h.Objects[0].Memory = "4Gi"
		}, ""},
		"a larger one that nobody approved": {func(h *History) {
			h.later(vmFile("4Gi", "running"), false)
			h.Writes = append(h.Writes, writeOf(testName, "u1", "4Gi", "m2"))
			h.Objects[0].Memory = "4Gi"
		}, "unapproved: " + testName + " was applied by #3 (m2): nobody approved it"},
		"the earlier over the later": {func(h *History) {
			h.later(vmFile("4Gi", "running"), true)
			h.Writes = slices.Insert(h.Writes, 0, writeOf(testName, "u1", "4Gi", "m2"))
		}, "otherwise: " + testName + ": m1 was written over the later m2\notherwise: the cluster has " + testName + " with memory 1Gi, merged was 4Gi"},
		"power in test is free": {func(h *History) {
			h.later(vmFile("1Gi", "stopped"), false)
			w := writeOf(testName, "u1", "1Gi", "m2")
			w.Running, h.Objects[0].Running = false, false
			h.Writes = append(h.Writes, w)
		}, ""},
		"deleted, approved and confirmed": {func(h *History) {
			h.later("", true)
			h.confirm("/confirm " + digestOf(testName))
			h.Writes, h.Objects = append(h.Writes, deleted), h.Objects[1:]
		}, ""},
		"deleted without a confirmation": {func(h *History) {
			h.later("", true)
			h.Writes, h.Objects = append(h.Writes, deleted), h.Objects[1:]
		}, "unapproved: " + testName + " was applied by #3 (m2): nobody confirmed the deletion"},
		"deleted twice": {func(h *History) {
			h.later("", true)
			h.confirm("/confirm " + digestOf(testName))
			h.Writes, h.Objects = append(h.Writes, deleted, deleted), h.Objects[1:]
		}, "twice: virtualmachines/n/" + testName + " deleted: 2 times"},
		"not deleted": {func(h *History) {
			h.later("", true)
			h.confirm("/confirm " + digestOf(testName))
		}, "lost: #3: 1 changes were not applied, and nobody is told that they are quarantined\nlost: " + testName + " was merged by #3 (m2) as approved, and not applied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := clean()
			c.plant(&h)
			v, err := Check(h)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range v.Findings {
				got = append(got, f.String())
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
