package forgetest_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"
)

// A renamed repository is found by its id, and by its former name through a redirect, until another takes the name.
func TestRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := newReceiver(t, "s3cret")
	w.repo.AddHook(hook.url, "s3cret", "repository")
	p := w.pull("redis")
	w.repo.Rename("machines")
	w.wait()
	if e := last[*github.RepositoryEvent](t, hook); e.GetAction() != "renamed" || e.GetRepo().GetName() != "machines" || e.GetChanges().GetRepo().GetName().GetFrom() != "vms" {
		t.Errorf("told as %v", e)
	}
	as := w.as(w.alice)
	pr := got[*github.PullRequest](t)(as.PullRequests.Get(t.Context(), "acme", "vms", p.Number()))
	if pr.GetBase().GetRepo().GetName() != "machines" {
		t.Errorf("redirected to %v", pr.GetBase().GetRepo().GetFullName())
	}
	c := got[*github.IssueComment](t)(as.Issues.CreateComment(t.Context(), "acme", "vms", p.Number(), &github.IssueComment{Body: github.String("still here")}))
	if list := got[[]*github.IssueComment](t)(as.Issues.ListComments(t.Context(), "acme", "machines", p.Number(), nil)); len(list) != 1 || list[0].GetID() != c.GetID() {
		t.Errorf("comments are %v", list)
	}
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for method, want := range map[string]int{http.MethodGet: 301, http.MethodPost: 307} {
		resp := w.raw(plain, method, fmt.Sprintf("/repos/acme/vms/issues/%d/comments?page=1", p.Number()), w.alice.Token())
		target := fmt.Sprintf("%s/api/v3/repositories/%d/issues/%d/comments?page=1", w.srv.URL(), w.repo.ID(), p.Number())
		if resp.StatusCode != want || resp.Header.Get("Location") != target {
			t.Errorf("%s: %s to %s, want %s", method, resp.Status, resp.Header.Get("Location"), target)
		}
	}
	if resp := w.raw(plain, http.MethodGet, "/repos/acme/vms", w.guest.Token()); resp.StatusCode != 301 {
		t.Errorf("anybody may see a public repository: %s", resp.Status)
	}
	dir := filepath.Join(t.TempDir(), "work")
	mustGit(t, ".", "clone", "-q", strings.Replace(w.repo.CloneURLFor(w.alice), "/machines.git", "/vms.git", 1), dir)

	another := w.srv.Repository("acme", "vms")
	another.SetPermission(w.alice, "write")
	_, _, err := as.PullRequests.Get(t.Context(), "acme", "vms", p.Number())
	wantStatus(t, err, 404, "Not Found")
}

// raw sends a request without the client's own handling.
func (w *world) raw(client *http.Client, method, path, token string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.srv.URL()+"/api/v3"+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "test")
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// Lists of a repository are paged by addresses with its id, which lead on.
func TestPagesByID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	for range 3 {
		if _, err := w.bob.Comment(p, "again"); err != nil {
			t.Fatal(err)
		}
	}
	resp := w.raw(http.DefaultClient, http.MethodGet, fmt.Sprintf("/repos/acme/vms/issues/%d/comments?per_page=2", p.Number()), w.alice.Token())
	next := fmt.Sprintf("/repositories/%d/issues/%d/comments?page=2&per_page=2", w.repo.ID(), p.Number())
	if link := resp.Header.Get("Link"); !strings.Contains(link, next+`>; rel="next"`) {
		t.Fatalf("the next page of %s is %s", resp.Request.URL, link)
	}
	resp = w.raw(http.DefaultClient, http.MethodGet, next, w.alice.Token())
	if resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Link"), `rel="prev"`) {
		t.Errorf("the next page is %s with %s", resp.Status, resp.Header.Get("Link"))
	}
}

// What a suite's App is asked for again waits until the App has said something.
func TestSuiteWaitsAfterRerequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, bot := w.app("")
	p := w.pull("redis")
	opts := github.CreateCheckRunOptions{Name: "validate", HeadSHA: p.HeadSHA(), Conclusion: github.String("success")}
	run := got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", opts))
	state := func() string {
		t.Helper()
		su := got[*github.CheckSuite](t)(bot.Checks.GetCheckSuite(t.Context(), "acme", "vms", run.GetCheckSuite().GetID()))
		runs := got[*github.ListCheckRunsResults](t)(bot.Checks.ListCheckRunsForRef(t.Context(), "acme", "vms", p.HeadSHA(), &github.ListCheckRunsOptions{AppID: github.Int64(app.ID())}))
		return su.GetStatus() + " " + su.GetConclusion() + ", " + runs.CheckRuns[0].GetConclusion()
	}
	var seen []string
	seen = append(seen, state())
	if err := w.alice.Rerun(p, "validate"); err != nil {
		t.Fatal(err)
	}
	seen = append(seen, state())
	got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", opts))
	seen = append(seen, state())
	want := []string{"completed success, success", "queued , success", "completed success, success"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("suite and run (-want +got):\n%s", diff)
	}
}

// Deliveries are listed by how they went, page by page with a cursor that means nothing to clients, for three days.
func TestDeliveryList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := newReceiver(t, "s3cret")
	app, _ := w.app(hook.url)
	w.pull("one")
	w.wait()
	hook.answer(http.StatusBadGateway)
	w.pull("two")
	w.wait()
	jwt := w.client(signJWT(t, app, w.now(), 9*time.Minute))
	pages := func(query string) (ids, codes []int64) {
		t.Helper()
		for next := "app/hook/deliveries?per_page=2" + query; next != ""; {
			req := must[*http.Request](t)(jwt.NewRequest(http.MethodGet, next, nil))
			var page []*github.HookDelivery
			resp, err := jwt.Do(t.Context(), req, &page)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				ids = append(ids, d.GetID())
				codes = append(codes, int64(d.GetStatusCode()))
			}
			next = ""
			if resp.Cursor != "" {
				next = "app/hook/deliveries?per_page=2" + query + "&cursor=" + resp.Cursor
			}
		}
		slices.Sort(codes)
		return ids, slices.Compact(codes)
	}
	all, codes := pages("")
	bad, failures := pages("&status=failure")
	good, successes := pages("&status=success")
	if diff := cmp.Diff([][]int64{{202, 502}, {502}, {202}}, [][]int64{codes, failures, successes}); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if len(all) != len(app.Deliveries()) || len(all) != len(bad)+len(good) || !slices.IsSortedFunc(all, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("listed %v, of them failed %v and arrived %v", all, bad, good)
	}
	_, _, err := jwt.Apps.ListHookDeliveries(t.Context(), &github.ListCursorOptions{Cursor: fmt.Sprint(all[0])})
	wantStatus(t, err, 422, "Invalid cursor")

	w.srv.SetClock(func() time.Time { return time.Now().Add(73 * time.Hour) })
	jwt = w.client(signJWT(t, app, time.Now().Add(73*time.Hour), 9*time.Minute))
	if late, _ := pages(""); len(late) != 0 {
		t.Errorf("after three days: %v", late)
	}
	_, _, err = jwt.Apps.RedeliverHookDelivery(t.Context(), all[0])
	wantStatus(t, err, 404, "Not Found")
}

func TestDraftOfClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	do(t, w.alice.Close(p))
	wantRefusal(t, w.alice.MarkDraft(p), 422, "closed pull request")
	do(t, w.alice.Reopen(p), w.alice.MarkDraft(p), w.alice.Close(p))
	wantRefusal(t, w.alice.MarkReady(p), 422, "closed pull request")
}
