package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

const (
	repoBody   = `"repository":{"id":4711,"name":"vms","pushed_at":1769170000,"custom_properties":{"team":["a","b"],"tier":null}}`
	senderBody = `"sender":{"id":7,"login":"alice","type":"User"}`
	common     = repoBody + "," + senderBody
	orgBody    = `"organization":{"id":60,"login":"acme"}`
	teamBody   = `"team":{"id":61,"name":"platform"}`
	memberBody = `"member":{"id":8,"login":"bob","type":"User"}`
	zeroSHA    = "0000000000000000000000000000000000000000"
	pullBody   = `"pull_request":{"number":3,"state":"open","updated_at":"2026-01-23T12:00:00Z","head":{"sha":"` + headSHA + `"},"base":{"repo":{"id":4711,"custom_properties":{"x":["y"]}}}}`
	reviewBody = `"review":{"id":90,"user":{"id":8,"login":"bob","type":"User"},"body":"ok","commit_id":"` + headSHA + `","state":"approved","submitted_at":"2026-01-23T12:30:00Z","html_url":"https://forge.test/r"}`
)

var (
	alice  = forge.Person{ID: 7, Login: "alice"}
	bob    = forge.Person{ID: 8, Login: "bob"}
	pushed = time.Unix(1769170000, 0).UTC()
	noon   = time.Date(2026, 1, 23, 12, 0, 0, 0, time.UTC) // when the pull request was updated
)

// bodies has one good body of each event, as GitHub shapes them.
var bodies = map[string]string{
	"pull_request":        `{"action":"opened","number":3,` + pullBody + `,` + common + `}`,
	"pull_request_review": `{"action":"submitted",` + reviewBody + `,` + pullBody + `,` + common + `}`,
	"issue_comment":       `{"action":"created","changes":{"body":{"from":"/unhold"}},"issue":{"number":3,"pull_request":{"url":"u"}},"comment":{"id":50,"updated_at":"2026-01-23T12:11:00Z","user":{"id":8,"login":"bob","type":"User"},"body":"/hold","created_at":"2026-01-23T12:10:00Z","html_url":"https://forge.test/c"},` + common + `}`,
	"push":                `{"ref":"refs/heads/main","before":"` + baseSHA + `","after":"` + headSHA + `","created":false,"deleted":false,"forced":true,"pusher":{"name":"alice"},"commits":[],` + common + `}`,
	"check_run":           `{"action":"rerequested","check_run":{"id":1,"head_sha":"` + headSHA + `","pull_requests":[{"number":3,"base":{"repo":{"id":4711}}},{"number":9,"base":{"repo":{"id":1}}},{"number":4,"base":{"repo":{"id":4711}}}]},` + common + `}`,
	"check_suite":         `{"action":"rerequested","check_suite":{"id":1,"head_sha":"` + headSHA + `","pull_requests":[]},` + common + `}`,
	"merge_group":         `{"action":"checks_requested","merge_group":{"head_sha":"` + headSHA + `","head_ref":"refs/heads/gh-readonly-queue/main/pr-3-` + baseSHA + `","base_sha":"` + baseSHA + `","base_ref":"refs/heads/main"},` + common + `}`,
	"membership":          `{"action":"removed","scope":"team",` + memberBody + `,` + teamBody + `,` + orgBody + `,` + senderBody + `}`,
	"member":              `{"action":"removed",` + memberBody + `,` + orgBody + `,` + common + `}`,
	"team":                `{"action":"deleted",` + teamBody + `,` + orgBody + `,` + senderBody + `}`,
	"organization":        `{"action":"member_removed","membership":{"user":{"id":8,"login":"bob","type":"User"}},"installation":{"id":1},` + orgBody + `,` + senderBody + `}`,
}

func TestParse(t *testing.T) {
	t.Parallel()
	base := forge.Event{RepositoryID: 4711, Sender: alice}
	with := func(f func(*forge.Event)) forge.Event { e := base; f(&e); return e }
	said := &forge.Review{ID: 90, Author: bob, State: forge.Approved, CommitSHA: headSHA, Body: "ok",
		SubmittedAt: time.Date(2026, 1, 23, 12, 30, 0, 0, time.UTC), URL: "https://forge.test/r"}
	comment := &forge.Comment{ID: 50, Author: bob, Body: "/hold", CreatedAt: time.Date(2026, 1, 23, 12, 10, 0, 0, time.UTC), URL: "https://forge.test/c"}
	for name, tc := range map[string]struct {
		event, body string
		want        forge.Event
	}{
		"opened": {"pull_request", bodies["pull_request"], with(func(e *forge.Event) {
			e.At = noon
			e.Kind, e.Action, e.PullRequest = forge.PullRequestChanged, "opened", 3
		})},
		"merged": {"pull_request", strings.NewReplacer("opened", "closed", `"state":"open"`, `"merged":true`).Replace(bodies["pull_request"]), with(func(e *forge.Event) {
			e.At = noon
			e.Kind, e.Action, e.PullRequest, e.Merged = forge.PullRequestChanged, "closed", 3, true
		})},
		"an action of tomorrow": {"pull_request", strings.Replace(bodies["pull_request"], "opened", "folded", 1), with(func(e *forge.Event) {
			e.At = noon
			e.Kind, e.Action, e.PullRequest = forge.PullRequestChanged, "folded", 3
		})},
		"pushed to": {"pull_request", strings.Replace(bodies["pull_request"], `"opened"`, `"synchronize","before":"`+baseSHA+`","after":"`+headSHA+`"`, 1), with(func(e *forge.Event) {
			e.At = noon
			e.Kind, e.Action, e.PullRequest = forge.PullRequestChanged, "synchronize", 3
			e.Push = &forge.Push{Ref: "refs/pull/3/head", Before: baseSHA, After: headSHA, Pusher: alice, At: noon}
		})},
		"review": {"pull_request_review", bodies["pull_request_review"], with(func(e *forge.Event) {
			e.Kind, e.Action, e.PullRequest, e.Review, e.At = forge.ReviewChanged, "submitted", 3, said, said.SubmittedAt
		})},
		"dismissal": {"pull_request_review", strings.NewReplacer("submitted", "dismissed", "dismissed_at", "submitted_at", `"state":"approved"`, `"state":"dismissed"`).Replace(bodies["pull_request_review"]), with(func(e *forge.Event) {
			gone := *said
			gone.State, gone.SubmittedAt = forge.Dismissed, time.Time{}
			e.Kind, e.Action, e.PullRequest, e.Review, e.At = forge.ReviewChanged, "dismissed", 3, &gone, noon
		})},
		"a review's action of tomorrow": {"pull_request_review", strings.Replace(bodies["pull_request_review"], "submitted", "folded", 1), with(func(e *forge.Event) {
			e.Kind, e.Action, e.PullRequest = forge.Ignored, "folded", 3
		})},
		"comment": {"issue_comment", bodies["issue_comment"], with(func(e *forge.Event) {
			e.Kind, e.Action, e.PullRequest, e.Comment, e.At = forge.CommentChanged, "created", 3, comment, comment.CreatedAt
		})},
		"comment by a bot": {"issue_comment", strings.Replace(bodies["issue_comment"], `"type":"User"`, `"type":"Bot"`, 1), with(func(e *forge.Event) {
			by := *comment
			by.Author.Bot = true
			e.Kind, e.Action, e.PullRequest, e.Comment, e.At = forge.CommentChanged, "created", 3, &by, comment.CreatedAt
		})},
		"edited comment": {"issue_comment", strings.Replace(bodies["issue_comment"], "created", "edited", 1), with(func(e *forge.Event) {
			then := *comment
			then.Edited, then.Before = true, "/unhold"
			e.Kind, e.Action, e.PullRequest, e.Comment, e.At = forge.CommentChanged, "edited", 3, &then, comment.CreatedAt.Add(time.Minute)
		})},
		"deleted comment": {"issue_comment", strings.Replace(bodies["issue_comment"], "created", "deleted", 1), with(func(e *forge.Event) {
			then := *comment
			then.Edited = true // some time before
			e.Kind, e.Action, e.PullRequest, e.Comment = forge.CommentChanged, "deleted", 3, &then
		})},
		"pinned comment": {"issue_comment", strings.Replace(bodies["issue_comment"], "created", "pinned", 1), with(func(e *forge.Event) {
			e.Kind, e.Action, e.PullRequest = forge.Ignored, "pinned", 3
		})},
		"comment on an issue": {"issue_comment", strings.Replace(bodies["issue_comment"], `,"pull_request":{"url":"u"}`, "", 1), with(func(e *forge.Event) {
			e.Kind, e.Action = forge.Ignored, "created"
		})},
		"push": {"push", bodies["push"], with(func(e *forge.Event) {
			e.Kind, e.At = forge.BranchPushed, pushed
			e.Push = &forge.Push{Ref: "refs/heads/main", Before: baseSHA, After: headSHA, Forced: true, Pusher: alice, At: pushed}
		})},
		"branch deleted": {"push", strings.Replace(bodies["push"], headSHA, zeroSHA, 1), with(func(e *forge.Event) {
			e.Kind, e.At = forge.BranchPushed, pushed
			e.Push = &forge.Push{Ref: "refs/heads/main", Before: baseSHA, After: zeroSHA, Forced: true, Pusher: alice, At: pushed}
		})},
		"push by nobody known": {"push", strings.Replace(bodies["push"], senderBody, `"sender":null`, 1), with(func(e *forge.Event) {
			e.Kind, e.Sender, e.At = forge.BranchPushed, forge.Person{}, pushed
			e.Push = &forge.Push{Ref: "refs/heads/main", Before: baseSHA, After: headSHA, Forced: true, At: pushed}
		})},
		"tag":    {"push", strings.Replace(bodies["push"], "refs/heads", "refs/tags", 1), with(func(e *forge.Event) { e.Kind = forge.Ignored })},
		"by bot": {"star", `{"action":"created","repository":{"id":4711},"sender":{"id":9,"login":"x[bot]","type":"Bot"}}`, forge.Event{Kind: forge.Ignored, Action: "created", RepositoryID: 4711, Sender: forge.Person{ID: 9, Login: "x[bot]", Bot: true}}},
		"check run": {"check_run", bodies["check_run"], with(func(e *forge.Event) {
			e.Kind, e.Action, e.HeadSHA, e.PullRequest, e.PullRequests = forge.CheckRerequested, "rerequested", headSHA, 3, []int{3, 4}
		})},
		"check suite of a fork": {"check_suite", bodies["check_suite"], with(func(e *forge.Event) {
			e.Kind, e.Action, e.HeadSHA = forge.CheckRerequested, "rerequested", headSHA
		})},
		"check run done": {"check_run", strings.Replace(bodies["check_run"], "rerequested", "completed", 1), with(func(e *forge.Event) { e.Kind, e.Action = forge.Ignored, "completed" })},
		"merge group": {"merge_group", bodies["merge_group"], with(func(e *forge.Event) {
			e.Kind, e.Action, e.HeadSHA = forge.MergeGroupRequested, "checks_requested", headSHA
			e.Group = &forge.MergeGroup{HeadSHA: headSHA, BaseSHA: baseSHA, HeadRef: "refs/heads/gh-readonly-queue/main/pr-3-" + baseSHA, BaseRef: "refs/heads/main"}
		})},
		"merge group given up": {"merge_group", strings.Replace(bodies["merge_group"], "checks_requested", "destroyed", 1), with(func(e *forge.Event) {
			e.Kind, e.Action = forge.Ignored, "destroyed"
		})},
		"retargeted": {"pull_request", strings.Replace(bodies["pull_request"], `"opened"`, `"edited","changes":{"base":{"ref":{"from":"next"},"sha":{"from":"`+baseSHA+`"}}}`, 1), with(func(e *forge.Event) {
			e.Kind, e.Action, e.PullRequest, e.At, e.Retargeted = forge.PullRequestChanged, "edited", 3, noon, true
		})},
		"title edited": {"pull_request", strings.Replace(bodies["pull_request"], `"opened"`, `"edited","changes":{"title":{"from":"x"}}`, 1), with(func(e *forge.Event) {
			e.Kind, e.Action, e.PullRequest, e.At = forge.PullRequestChanged, "edited", 3, noon
		})},
		"out of a team": {"membership", bodies["membership"], forge.Event{Kind: forge.MembershipChanged, Action: "removed", Sender: alice,
			Membership: &forge.Membership{PersonID: 8, OrgID: 60, TeamID: 61}}},
		"team deleted": {"team", bodies["team"], forge.Event{Kind: forge.MembershipChanged, Action: "deleted", Sender: alice,
			Membership: &forge.Membership{OrgID: 60, TeamID: 61}}},
		"team of another repository": {"team", strings.Replace(bodies["team"], `"team"`, `"repository":{"id":12},"team"`, 1), forge.Event{Kind: forge.MembershipChanged, Action: "deleted", RepositoryID: 12, Sender: alice,
			Membership: &forge.Membership{OrgID: 60, TeamID: 61}}},
		"out of the organisation": {"organization", bodies["organization"], forge.Event{Kind: forge.MembershipChanged, Action: "member_removed", Sender: alice,
			Membership: &forge.Membership{PersonID: 8, OrgID: 60}}},
		"organisation renamed": {"organization", `{"action":"renamed","changes":{},` + orgBody + `,` + senderBody + `}`, forge.Event{Kind: forge.MembershipChanged, Action: "renamed", Sender: alice,
			Membership: &forge.Membership{OrgID: 60}}},
		"invited": {"organization", `{"action":"member_invited","invitation":{},"user":{"id":8},` + orgBody + `,` + senderBody + `}`, forge.Event{Kind: forge.Ignored, Action: "member_invited", Sender: alice}},
		"no collaborator any more": {"member", bodies["member"], with(func(e *forge.Event) {
			e.Kind, e.Action, e.Membership = forge.MembershipChanged, "removed", &forge.Membership{PersonID: 8, OrgID: 60}
		})},
		"ping":          {"ping", `{"zen":"x","hook_id":1}`, forge.Event{Kind: forge.Ignored}},
		"no repository": {"push", strings.Replace(bodies["push"], `"id":4711,`, "", 1), forge.Event{Kind: forge.Ignored, Sender: alice}},
		"deployment with a check run": {"deployment_status", `{"action":"created","deployment":{},"deployment_status":{},"check_run":{},` + common + `}`, with(func(e *forge.Event) {
			e.Kind, e.Action = forge.Ignored, "created"
		})},
		"comment on lines": {"pull_request_review_comment", `{"action":"created","comment":{},` + pullBody + `,` + common + `}`, with(func(e *forge.Event) {
			e.Kind, e.Action = forge.Ignored, "created"
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tc.event, []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A body that was signed for one event must not be accepted as another, in either direction.
func TestTheNameMustFitTheBody(t *testing.T) {
	t.Parallel()
	others := []string{"star", "ping", "issues", "pull_request_review_comment", "deployment_status", "nonsense"}
	names := append(slices.Sorted(maps.Keys(bodies)), others...)
	for _, name := range names {
		for of, body := range bodies {
			if _, err := Parse(name, []byte(body)); errors.Is(err, ErrMismatch) != (name != of) {
				t.Errorf("%s with a body of %s: %v", name, of, err)
			}
		}
		_, known := bodies[name]
		if _, err := Parse(name, []byte(`{"action":"created",`+common+`}`)); errors.Is(err, ErrMismatch) != known {
			t.Errorf("%s with a body of nothing: %v", name, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxBodyText+1)
	replaced := func(event, old, new string) string {
		if !strings.Contains(bodies[event], old) {
			panic(fmt.Sprintf("%s has no %s", event, old))
		}
		return strings.Replace(bodies[event], old, new, 1)
	}
	for name, tc := range map[string]struct{ event, body string }{
		"no body":             {"push", ""},
		"not JSON":            {"push", "payload=%7B%7D"},
		"not an object":       {"push", "[]"},
		"two objects":         {"push", bodies["push"] + bodies["push"]},
		"more than allowed":   {"push", strings.Repeat(" ", maxBody+1)},
		"deep":                {"push", strings.Repeat(`{"a":`, 20000)},
		"a text as number":    {"pull_request", replaced("pull_request", `"number":3`, `"number":"3"`)},
		"no number":           {"pull_request", replaced("pull_request", `"number":3`, `"number":0`)},
		"two numbers":         {"pull_request", replaced("pull_request", `"number":3`, `"number":4`)},
		"null pull request":   {"pull_request", `{"action":"opened","number":3,"pull_request":null,` + common + `}`},
		"synchronize alone":   {"pull_request", replaced("pull_request", "opened", "synchronize")},
		"review of nothing":   {"pull_request_review", replaced("pull_request_review", `"number":3`, `"number":0`)},
		"null review":         {"pull_request_review", `{"action":"submitted","review":null,` + pullBody + `,` + common + `}`},
		"review of a word":    {"pull_request_review", replaced("pull_request_review", headSHA, "HEAD")},
		"long review":         {"pull_request_review", replaced("pull_request_review", `"ok"`, `"`+long+`"`)},
		"long comment":        {"issue_comment", replaced("issue_comment", `/hold`, long)},
		"comment without id":  {"issue_comment", replaced("issue_comment", `"id":50`, `"id":0`)},
		"comment on no issue": {"issue_comment", replaced("issue_comment", `"number":3`, `"number":0`)},
		"push of a word":      {"push", replaced("push", headSHA, "HEAD")},
		"long ref":            {"push", replaced("push", "main", long)},
		"group of a word":     {"merge_group", replaced("merge_group", headSHA, "HEAD")},
		"group on a word":     {"merge_group", replaced("merge_group", `"base_sha":"`+baseSHA, `"base_sha":"HEAD`)},
		"group on a tag":      {"merge_group", replaced("merge_group", "refs/heads/main", "refs/tags/main")},
		"group of a long ref": {"merge_group", replaced("merge_group", "pr-3", long)},
		"null group":          {"merge_group", `{"action":"checks_requested","merge_group":null,` + common + `}`},
		"team of a word":      {"membership", replaced("membership", `"id":61`, `"id":"x"`)},
		"person below zero":   {"organization", replaced("organization", `"id":8`, `"id":-8`)},
		"long former comment": {"issue_comment", replaced("issue_comment", `/unhold`, long)},
		"null check run":      {"check_run", `{"action":"rerequested","check_run":null,` + common + `}`},
		"null check suite":    {"check_suite", `{"action":"rerequested","check_suite":null,` + common + `}`},
		"check of a word":     {"check_suite", replaced("check_suite", headSHA, "HEAD")},
		"long action":         {"star", `{"action":"` + strings.Repeat("a", 65) + `"}`},
		"repository's id":     {"star", `{"repository":{"id":"4711"}}`},
		"a list as sender":    {"star", `{"sender":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tc.event, []byte(tc.body))
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(forge.Event{}, got); diff != "" {
				t.Errorf("an event beside the error (-want +got):\n%s", diff)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestPropertiesAreRenamedInKeysOnly(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"custom_properties":{"a":["b"]}}`:       `{"unread_properties":{"a":["b"]}}`,
		`{"custom_properties" : null}`:            `{"unread_properties": null}`,
		`{"body":"custom_properties"}`:            `{"body":"custom_properties"}`,
		`{"body":"say \"custom_properties\": x"}`: `{"body":"say \"custom_properties\": x"}`,
		`["custom_properties",1]`:                 `["custom_properties",1]`,
	} {
		if got := string(withoutProperties([]byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// Whatever GitHub leaves out, or sends in another form one day, is an answer and never a panic.
func TestParseSurvivesHoles(t *testing.T) {
	t.Parallel()
	tried := 0
	for event, body := range bodies {
		var whole any
		if err := json.Unmarshal([]byte(body), &whole); err != nil {
			t.Fatal(err)
		}
		for _, instead := range []any{nil, "x", -1, []any{}, []any{nil}, fields{}} {
			for _, holed := range holes(whole, instead) {
				raw, err := json.Marshal(holed)
				if err != nil {
					t.Fatal(err)
				}
				tried++
				if got, err := Parse(event, raw); err == nil {
					checkEvent(t, got)
				}
			}
		}
	}
	if tried < 500 {
		t.Errorf("only %d bodies tried", tried)
	}
}

// holes gives all copies of a JSON value in which one part is replaced.
func holes(v, instead any) []any {
	out := []any{instead}
	switch v := v.(type) {
	case map[string]any:
		for key, part := range v {
			for _, holed := range holes(part, instead) {
				c := maps.Clone(v)
				c[key] = holed
				out = append(out, c)
			}
		}
	case []any:
		for i, part := range v {
			for _, holed := range holes(part, instead) {
				c := slices.Clone(v)
				c[i] = holed
				out = append(out, c)
			}
		}
	}
	return out
}

func FuzzParse(f *testing.F) {
	for event, body := range bodies {
		f.Add(event, []byte(body))
	}
	for _, d := range deliveries(f) {
		f.Add(d.Event, d.Payload)
	}
	for _, e := range published.Events() {
		f.Add(e.Name, []byte(e.Body))
	}
	f.Add("push", []byte(`{"ref":null,"before":null,"after":null,"pusher":null,"repository":{"id":1},"Repository":null}`))
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		got, err := Parse(event, body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrMismatch) {
				t.Errorf("an error of no kind: %v", err)
			}
			if diff := cmp.Diff(forge.Event{}, got); diff != "" {
				t.Errorf("an event beside an error:\n%s", diff)
			}
			return
		}
		checkEvent(t, got)
	})
}

// deliveries are what the stand-in sends while a pull request lives.
func deliveries(tb published.TB) []forgetest.Delivery {
	tb.Helper()
	must := func(_ any, err error) {
		tb.Helper()
		if err != nil {
			tb.Fatalf("let a pull request live: %v", err)
		}
	}
	srv := published.Start(tb)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	tb.Cleanup(hook.Close)
	repo, alice, bob := srv.Repository("acme", "vms"), srv.User("alice"), srv.User("bob")
	repo.SetPermission(alice, "write")
	repo.SetPermission(bob, "write")
	id := repo.AddHook(hook.URL, "hush")
	must(alice.Commit(repo, "add", "main", forgetest.Files{"a": []byte("a")}, "a"))
	p, err := alice.OpenPull(repo, "add", "add", "main", "", false)
	must(p, err)
	must(bob.Commit(repo, "add", "", forgetest.Files{"b": []byte("b")}, "b"))
	must(bob.Comment(p, "/hold"))
	must(bob.ApproveWith(p, "fine"))
	must(alice.Merge(p, "merge"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	must(nil, srv.WaitIdle(ctx))
	return repo.Deliveries(id)
}

// The stand-in's own deliveries are read whole: nothing that it sends about a pull request is a surprise.
func TestParseReadsWhatTheForgeSends(t *testing.T) {
	t.Parallel()
	kinds := map[forge.EventKind]int{}
	for _, d := range deliveries(t) {
		e, err := Parse(d.Event, d.Payload)
		if err != nil {
			t.Errorf("%s: %v", d.Event, err)
		}
		checkEvent(t, e)
		kinds[e.Kind]++
	}
	for _, kind := range []forge.EventKind{forge.PullRequestChanged, forge.ReviewChanged, forge.CommentChanged, forge.BranchPushed} {
		if kinds[kind] == 0 {
			t.Errorf("no %s among %v", kind, kinds)
		}
	}
}

// checkEvent holds an event to what its kind promises.
func checkEvent(t *testing.T, e forge.Event) {
	t.Helper()
	if e.Kind == forge.Ignored {
		if e.Push != nil || e.Review != nil || e.Comment != nil || e.Group != nil || e.Membership != nil {
			t.Errorf("ignored, with content: %+v", e)
		}
		return
	}
	ok := e.RepositoryID > 0
	switch e.Kind {
	case forge.PullRequestChanged:
		ok = ok && e.PullRequest > 0 && (e.Push != nil) == (e.Action == "synchronize")
	case forge.ReviewChanged:
		ok = ok && e.PullRequest > 0 && e.Review != nil && e.Review.ID > 0
	case forge.CommentChanged:
		ok = ok && e.PullRequest > 0 && e.Comment != nil && e.Comment.ID > 0
	case forge.BranchPushed:
		ok = ok && e.Push != nil && strings.HasPrefix(e.Push.Ref, "refs/heads/") && validSHA(e.Push.After)
	case forge.CheckRerequested:
		ok = ok && validSHA(e.HeadSHA)
	case forge.MergeGroupRequested:
		ok = ok && e.Group != nil && validSHA(e.Group.HeadSHA) && validSHA(e.Group.BaseSHA) && e.HeadSHA == e.Group.HeadSHA
	case forge.MembershipChanged:
		ok = e.Membership != nil && e.Membership.PersonID >= 0 && e.RepositoryID >= 0
	default:
		ok = false
	}
	if !ok {
		t.Errorf("not what %s promises: %+v", e.Kind, e)
	}
}
