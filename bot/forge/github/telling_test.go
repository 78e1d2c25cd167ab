package github

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

const forgeDate = "Fri, 23 Jan 2026 11:59:58 GMT"

var forgeTime = time.Date(2026, 1, 23, 11, 59, 58, 0, time.UTC)

// body decodes what the n-th call sent.
func (w *wire) body(t *testing.T, n int) fields {
	t.Helper()
	var out fields
	if err := json.Unmarshal([]byte(w.bodies[n]), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

var someCheck = forge.Check{
	Name: "shepherd/validate", HeadSHA: headSHA, Conclusion: forge.ActionRequired, Title: "2 changes wait", Summary: "**why**",
	ExternalID: "abc", DetailsURL: "https://shepherd.test/1",
	Annotations: []forge.Annotation{
		{Path: "a.yaml", Line: 3, Level: forge.LevelFailure, Title: "FORBIDDEN_FIELD", Message: "no name here"},
		{Path: "b.yaml", Level: forge.LevelWarning, Message: "whole file"},
	},
}

func TestCreateCheckAsApp(t *testing.T) {
	t.Parallel()
	_, pem := newKey(t)
	const call = "POST /repos/acme/vms/check-runs"
	w := newWire(t, routes{
		minting: mints("ghs_x", time.Hour),
		call:    answer(201, fields{"id": 88, "html_url": "https://forge.test/runs/88", "completed_at": "2020-01-01T00:00:00Z"}, "Date", forgeDate),
	})
	c := w.client(t, appConfig(pem), func(cfg *Config) { cfg.App.InstallationID = 77 })
	for range 2 { // a second verdict is a second run
		got, err := c.CreateCheck(t.Context(), someCheck)
		if want := (forge.Posted{ID: 88, At: forgeTime, URL: "https://forge.test/runs/88"}); got != want || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if diff := cmp.Diff([]string{minting, call, call}, w.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	want := fields{
		"name": "shepherd/validate", "head_sha": headSHA, "status": "completed", "conclusion": "action_required",
		"completed_at": "2026-01-23T12:00:00Z", "external_id": "abc", "details_url": "https://shepherd.test/1",
		"output": fields{"title": "2 changes wait", "summary": "**why**", "annotations": []any{
			fields{"path": "a.yaml", "start_line": 3.0, "end_line": 3.0, "annotation_level": "failure", "title": "FORBIDDEN_FIELD", "message": "no name here"},
			fields{"path": "b.yaml", "start_line": 1.0, "end_line": 1.0, "annotation_level": "warning", "message": "whole file"},
		}},
	}
	if diff := cmp.Diff(want, w.body(t, 1)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestCreateCheckWithAToken(t *testing.T) {
	t.Parallel()
	const call = "POST /repos/acme/vms/statuses/" + headSHA
	for conclusion, state := range map[forge.Conclusion]string{
		forge.Success: "success", forge.Failure: "failure", forge.ActionRequired: "pending",
	} {
		w := newWire(t, routes{call: answer(201, fields{"id": 89, "target_url": "https://shepherd.test/1"}, "Date", forgeDate)})
		check := someCheck
		check.Conclusion, check.Title = conclusion, strings.Repeat("ä", 200)
		got, err := w.client(t).CreateCheck(t.Context(), check)
		if want := (forge.Posted{ID: 89, At: forgeTime, URL: "https://shepherd.test/1"}); got != want || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
		want := fields{
			"state": state, "context": "shepherd/validate", "target_url": "https://shepherd.test/1",
			"description": strings.Repeat("ä", 139) + "…",
		}
		if diff := cmp.Diff(want, w.body(t, 0)); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	}
}

func TestBadChecksMakeNoCall(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*forge.Check){
		"no name":     func(c *forge.Check) { c.Name = "" },
		"a branch":    func(c *forge.Check) { c.HeadSHA = "main" },
		"a path":      func(c *forge.Check) { c.HeadSHA = "../../issues" },
		"51 remarks":  func(c *forge.Check) { c.Annotations = make([]forge.Annotation, 51) },
		"no such end": func(c *forge.Check) { c.Conclusion = "neutral" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := someCheck
			change(&check)
			w := newWire(t, nil)
			if _, err := w.client(t).CreateCheck(t.Context(), check); !errors.Is(err, forge.ErrRefused) || len(w.seen()) != 0 {
				t.Errorf("got %v after %v", err, w.seen())
			}
		})
	}
}

const (
	commenting = "POST /repos/acme/vms/issues/1/comments"
	editing    = "PATCH /repos/acme/vms/issues/comments/50"
)

func TestComments(t *testing.T) {
	t.Parallel()
	posted := answer(200, fields{"id": 50, "html_url": "https://forge.test/c/50", "created_at": "2020-01-01T00:00:00Z"}, "Date", forgeDate)
	w := newWire(t, routes{commenting: posted, editing: posted})
	c := w.client(t)
	want := forge.Posted{ID: 50, At: forgeTime, URL: "https://forge.test/c/50"}
	if got, err := c.CreateComment(t.Context(), 1, "hello <b>"); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.EditComment(t.Context(), 50, "bye"); got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{commenting, editing}, w.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]fields{{"body": "hello <b>"}, {"body": "bye"}}, []fields{w.body(t, 0), w.body(t, 1)}); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// Without the forge's clock there is no telling whether a review came before or after.
func TestAReceiptHasTheForgesTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    error
	}{
		"no date": {func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
			answer(201, fields{"id": 50})(w, r)
		}, errNoDate},
		"bad date": {answer(201, fields{"id": 50}, "Date", "today"), errNoDate},
		"no id":    {answer(201, fields{}), errMisfit},
		"no body":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, errMisfit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{commenting: tc.handler})
			got, err := w.client(t).CreateComment(t.Context(), 1, "x")
			if !errors.Is(err, tc.want) || got != (forge.Posted{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestADeletedCommentIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{whereItIs: answer(200, repoJSON("acme", "vms"))})
	if _, err := w.client(t).EditComment(t.Context(), 50, "x"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{editing, whereItIs}, w.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// Anybody can copy the marker into a comment of their own.
func TestFindCommentTakesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	const marker = "<!-- shepherd -->"
	me := fields{"id": 3, "login": "shepherd-bot", "type": "User"}
	mallory := fields{"id": 66, "login": "shepherd-bot", "type": "User"}
	comment := func(id int, user any, body string) fields { return fields{"id": id, "user": user, "body": body} }
	for name, tc := range map[string]struct {
		list []fields
		want int64
	}{
		"none":            {nil, 0},
		"somebody else's": {[]fields{comment(1, mallory, marker), comment(2, nil, marker)}, 0},
		"its own":         {[]fields{comment(1, mallory, marker), comment(2, me, "no marker"), comment(3, me, "x "+marker), comment(4, me, marker)}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{
				"GET /user":                             answer(200, me),
				"GET /repos/acme/vms/issues/1/comments": answer(200, tc.list),
			})
			id, body, err := w.client(t).FindComment(t.Context(), 1, marker)
			if id != tc.want || errors.Is(err, forge.ErrNotFound) != (tc.want == 0) || (id != 0 && body != "x "+marker) {
				t.Errorf("got %d %q %v", id, body, err)
			}
		})
	}
	if _, _, err := newWire(t, nil).client(t).FindComment(t.Context(), 1, ""); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("without a marker: %v", err)
	}
}

func TestReact(t *testing.T) {
	t.Parallel()
	const call = "POST /repos/acme/vms/issues/comments/50/reactions"
	w := newWire(t, routes{call: answer(201, fields{"id": 1})})
	c := w.client(t)
	if err := c.React(t.Context(), 50, "confused"); err != nil {
		t.Error(err)
	}
	if err := c.React(t.Context(), 50, "thumbsup"); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{call}, w.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(fields{"content": "confused"}, w.body(t, 0)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	const call = "POST /repos/acme/vms/pulls/1/comments"
	done := answer(201, fields{"id": 60, "html_url": "https://forge.test/d"}, "Date", forgeDate)
	line := fields{"body": "x", "commit_id": headSHA, "path": "a.yaml", "line": 4.0, "side": "RIGHT"}
	lines := fields{"body": "x", "commit_id": headSHA, "path": "a.yaml", "start_line": 2.0, "start_side": "RIGHT", "line": 4.0, "side": "RIGHT"}
	for start, want := range map[int]fields{4: line, 2: lines} {
		w := newWire(t, routes{call: done})
		got, err := w.client(t).Suggest(t.Context(), 1, headSHA, "a.yaml", start, 4, "x")
		if got != (forge.Posted{ID: 60, At: forgeTime, URL: "https://forge.test/d"}) || err != nil {
			t.Errorf("posted %+v, %v", got, err)
		}
		if diff := cmp.Diff(want, w.body(t, 0)); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	}
	outside := answer(422, fields{"message": "Validation Failed", "errors": []fields{{"resource": "PullRequestReviewComment", "code": "custom",
		"field": "pull_request_review_thread.line", "message": "pull_request_review_thread.line must be part of the diff"}}})
	w := newWire(t, routes{call: outside})
	c := w.client(t)
	if _, err := c.Suggest(t.Context(), 1, headSHA, "a.yaml", 1, 1, "x"); !errors.Is(err, forge.ErrRefused) || !strings.Contains(err.Error(), "must be part of the diff") {
		t.Errorf("outside of the diff: %v", err)
	}
	for name, bad := range map[string]func() (forge.Posted, error){
		"no commit":   func() (forge.Posted, error) { return c.Suggest(t.Context(), 1, "HEAD", "a", 1, 1, "x") },
		"no path":     func() (forge.Posted, error) { return c.Suggest(t.Context(), 1, headSHA, "", 1, 1, "x") },
		"no body":     func() (forge.Posted, error) { return c.Suggest(t.Context(), 1, headSHA, "a", 1, 1, "") },
		"line 0":      func() (forge.Posted, error) { return c.Suggest(t.Context(), 1, headSHA, "a", 0, 1, "x") },
		"upside down": func() (forge.Posted, error) { return c.Suggest(t.Context(), 1, headSHA, "a", 2, 1, "x") },
	} {
		if _, err := bad(); !errors.Is(err, forge.ErrRefused) || len(w.seen()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommentsOfAll(t *testing.T) {
	t.Parallel()
	const call = "GET /repos/acme/vms/issues/comments"
	const then, later = "2026-01-23T12:00:00Z", "2026-01-23T13:00:00Z"
	said := func(id int, page, updated string) fields {
		return fields{"id": id, "html_url": page, "body": "/hold", "user": fields{"id": 8, "login": "bob", "type": "User"}, "created_at": then, "updated_at": updated}
	}
	const pull = "https://github.com/acme/vms/pull/7#issuecomment-1"
	w := newWire(t, routes{call: answer(200, []any{said(1, pull, then), said(2, "https://github.com/acme/vms/issues/8#issuecomment-2", then), said(3, pull, later)})})
	got, err := w.client(t).Comments(t.Context(), noon)
	want := []forge.PullComment{
		{PullRequest: 7, Comment: forge.Comment{ID: 1, Author: bob, Body: "/hold", CreatedAt: noon, URL: pull}},
		{PullRequest: 7, Comment: forge.Comment{ID: 3, Author: bob, Body: "/hold", CreatedAt: noon, URL: pull, Edited: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, odd := range map[string]fields{
		"no id":       {"html_url": pull, "created_at": then, "updated_at": then},
		"no time":     {"id": 1, "html_url": pull},
		"no number":   {"id": 1, "html_url": "https://github.com/acme/vms/pull/x", "created_at": then, "updated_at": then},
		"no real URL": {"id": 1, "html_url": "https://github.com/%zz", "created_at": then, "updated_at": then},
	} {
		if got, err := newWire(t, routes{call: answer(200, []any{odd})}).client(t).Comments(t.Context(), noon); !errors.Is(err, errMisfit) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
