package forgetest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestPullsByREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.as(w.alice).PullRequests
	w.commit(w.alice, "redis", "redis.yaml", "r\n")
	open := func(title, head, base string) (*github.PullRequest, error) {
		p, _, err := c.Create(t.Context(), "acme", "vms", &github.NewPullRequest{Title: &title, Head: &head, Base: &base, Draft: github.Bool(true)})
		return p, err
	}
	p := must[*github.PullRequest](t)(open("redis", "redis", "main"))
	if !p.GetDraft() || p.GetNumber() != 1 || p.GetHead().GetLabel() != "acme:redis" || p.GetUser().GetLogin() != "alice" {
		t.Errorf("opened %v", p)
	}
	for text, try := range map[string][3]string{
		"already exists":     {"redis", "redis", "main"},
		"Field:head":         {"x", "nothing", "main"},
		"Field:base":         {"x", "redis", "nothing"},
		"missing_field":      {"", "redis", "main"},
		"No commits between": {"x", "main", "main"},
	} {
		_, err := open(try[0], try[1], try[2])
		wantStatus(t, err, 422, text)
	}
	edited := got[*github.PullRequest](t)(c.Edit(t.Context(), "acme", "vms", 1, &github.PullRequest{Title: github.String("better"), State: github.String("closed")}))
	if edited.GetTitle() != "better" || edited.GetState() != "closed" || edited.GetClosedAt().IsZero() {
		t.Errorf("edited to %v", edited)
	}
	_, _, err := w.as(w.guest).PullRequests.Edit(t.Context(), "acme", "vms", 1, &github.PullRequest{Title: github.String("worse")})
	wantStatus(t, err, 403, "triage rights")
	got[*github.PullRequest](t)(c.Edit(t.Context(), "acme", "vms", 1, &github.PullRequest{State: github.String("open")}))
	_, _, err = c.Get(t.Context(), "acme", "vms", 99)
	wantStatus(t, err, 404, "Not Found")
	merged, _, err := c.IsMerged(t.Context(), "acme", "vms", 1)
	if err != nil || merged {
		t.Errorf("merged %v, %v", merged, err)
	}

	files := got[[]*github.CommitFile](t)(c.ListFiles(t.Context(), "acme", "vms", 1, nil))
	if len(files) != 1 || files[0].GetFilename() != "redis.yaml" || files[0].GetStatus() != "added" || files[0].GetPatch() != "@@ -0,0 +1 @@\n+r" {
		t.Errorf("files are %v", files)
	}
	commits := got[[]*github.RepositoryCommit](t)(c.ListCommits(t.Context(), "acme", "vms", 1, nil))
	if len(commits) != 1 || commits[0].GetAuthor().GetLogin() != "alice" || commits[0].GetCommit().GetMessage() != "change redis.yaml" {
		t.Errorf("commits are %v", commits)
	}
}

func TestRenamesAndRemovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := []byte(strings.Repeat("a line\n", 20))
	do(t, second(w.root.Commit(w.repo, "main", "", forgetest.Files{"old/a.yaml": text, "gone.yaml": []byte("x\n")}, "start")))
	do(t, second(w.alice.Commit(w.repo, "move", "main", forgetest.Files{"old/a.yaml": nil, "new/a.yaml": text, "gone.yaml": nil}, "move")))
	must[*forgetest.Pull](t)(w.alice.OpenPull(w.repo, "move", "move", "main", "", false))
	files := got[[]*github.CommitFile](t)(w.as(w.alice).PullRequests.ListFiles(t.Context(), "acme", "vms", 1, nil))
	var lines []string
	for _, f := range files {
		lines = append(lines, fmt.Sprint(f.GetStatus(), " ", f.GetPreviousFilename(), " ", f.GetFilename(), " ", f.GetAdditions(), f.GetDeletions()))
	}
	if diff := cmp.Diff([]string{"removed  gone.yaml 0 1", "renamed old/a.yaml new/a.yaml 0 0"}, lines); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestRetarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "pull_request")
	w.commit(w.root, "release", "release.txt", "1\n")
	p := w.pull("redis")
	do(t, w.alice.Retarget(p, "release"))
	w.wait()
	ev := last[*github.PullRequestEvent](t, hooks)
	if ev.GetAction() != "edited" || ev.GetChanges().GetBase().GetRef().GetFrom() != "main" || ev.GetPullRequest().GetBase().GetRef() != "release" {
		t.Errorf("event is %v", ev)
	}
	wantRefusal(t, w.alice.Retarget(p, "nowhere"), 422, "Cannot change the base")
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	for i := range 7 {
		must[forgetest.Comment](t)(w.bob.Comment(p, fmt.Sprint("comment ", i)))
	}
	c := w.as(w.alice)
	var seen []string
	opts := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 3}}
	for {
		page, resp, err := c.Issues.ListComments(t.Context(), "acme", "vms", 1, opts)
		do(t, err)
		for _, cm := range page {
			seen = append(seen, cm.GetBody())
		}
		if resp.NextPage == 0 {
			if opts.Page != 3 || resp.PrevPage != 2 || resp.FirstPage != 1 {
				t.Errorf("last page is %d, response %+v", opts.Page, resp)
			}
			break
		}
		if resp.LastPage != 3 {
			t.Errorf("LastPage is %d", resp.LastPage)
		}
		opts.Page = resp.NextPage
	}
	if len(seen) != 7 || seen[6] != "comment 6" {
		t.Errorf("saw %q", seen)
	}
}

func TestPullListFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, _ := w.pull("one"), w.pull("two")
	do(t, w.alice.Close(one))
	c := w.as(w.alice).PullRequests
	for name, tc := range map[string]struct {
		opts github.PullRequestListOptions
		want []int
	}{
		"open by default": {github.PullRequestListOptions{}, []int{2}},
		"all, new first":  {github.PullRequestListOptions{State: "all"}, []int{2, 1}},
		"ascending":       {github.PullRequestListOptions{State: "all", Direction: "asc"}, []int{1, 2}},
		"by head":         {github.PullRequestListOptions{State: "all", Head: "acme:one"}, []int{1}},
		"by base":         {github.PullRequestListOptions{Base: "nothing"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var numbers []int
			for _, p := range got[[]*github.PullRequest](t)(c.List(t.Context(), "acme", "vms", &tc.opts)) {
				numbers = append(numbers, p.GetNumber())
			}
			if diff := cmp.Diff(tc.want, numbers); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestETags(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	token := w.alice.Token()
	ask := func(etag string) *http.Response {
		t.Helper()
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", w.srv.URL()+"/api/v3/repos/acme/vms/pulls/1", nil))
		req.Header.Set("Authorization", "token "+token)
		req.Header.Set("If-None-Match", etag)
		resp := must[*http.Response](t)(http.DefaultClient.Do(req))
		do(t, resp.Body.Close())
		return resp
	}
	first := ask("")
	again := ask(first.Header.Get("ETag"))
	if first.StatusCode != 200 || again.StatusCode != 304 {
		t.Fatalf("answers are %d and %d", first.StatusCode, again.StatusCode)
	}
	if a, b := first.Header.Get("X-RateLimit-Remaining"), again.Header.Get("X-RateLimit-Remaining"); a != b {
		t.Errorf("a 304 cost a request: %s, then %s", a, b)
	}
	do(t, second(w.bob.Comment(p, "news")))
	if resp := ask(first.Header.Get("ETag")); resp.StatusCode != 200 {
		t.Errorf("after a change the answer is %d", resp.StatusCode)
	}
	if first.Header.Get("X-GitHub-Request-Id") == "" {
		t.Error("no request id")
	}
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, forgetest.Options{RateLimit: 3})
	start := time.Now()
	w.srv.SetClock(func() time.Time { return start })
	c := w.as(w.alice)
	limits := got[*github.RateLimits](t)(c.RateLimit.Get(t.Context()))
	if core := limits.GetCore(); core.Remaining != 3 || core.Limit != 3 {
		t.Errorf("limits are %v", core)
	}
	for range 3 {
		got[*github.User](t)(c.Users.Get(t.Context(), "bob"))
	}
	_, _, err := w.client(w.alice.Token()).Users.Get(t.Context(), "bob")
	limited := new(github.RateLimitError)
	if !asError(err, &limited) || limited.Rate.Remaining != 0 || limited.Rate.Reset.Before(start.Add(59*time.Minute)) {
		t.Fatalf("error is %v", err)
	}
	got[*github.User](t)(w.as(w.bob).Users.Get(t.Context(), "bob"))
	w.srv.SetClock(func() time.Time { return start.Add(61 * time.Minute) })
	got[*github.User](t)(w.client(w.alice.Token()).Users.Get(t.Context(), "bob"))
}

func TestContentLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, forgetest.Options{ContentPerMinute: 2})
	w.pull("redis")
	c := w.as(w.alice)
	post := func() error {
		_, _, err := c.Issues.CreateComment(t.Context(), "acme", "vms", 1, &github.IssueComment{Body: github.String("x")})
		return err
	}
	do(t, post(), post())
	abuse := new(github.AbuseRateLimitError)
	if err := post(); !asError(err, &abuse) || abuse.GetRetryAfter() <= 0 || abuse.GetRetryAfter() > time.Minute {
		t.Fatalf("error is %v", err)
	}
	got[*github.User](t)(w.as(w.alice).Users.Get(t.Context(), "bob"))
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pull("redis")
	c := w.as(w.bob)
	got[*github.PullRequest](t)(c.PullRequests.Get(t.Context(), "acme", "vms", 1))
	got[*github.PullRequest](t)(c.PullRequests.Get(t.Context(), "acme", "vms", 1))
	_, _, err := c.Users.Get(t.Context(), "nobody")
	wantStatus(t, err, 404, "")
	want := map[string]int{"GET /repos/{owner}/{repo}/pulls/{number}": 2, "GET /users/{login}": 1}
	if diff := cmp.Diff(want, w.srv.CallCounts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if n := len(w.srv.CallsBy("bob")); n != 3 {
		t.Errorf("bob made %d calls", n)
	}
	_, _, err = c.Gists.List(t.Context(), "", nil)
	wantStatus(t, err, 404, "Not Found")
	if un := w.srv.Unhandled(); len(un) != 1 || un[0].Path != "/gists" {
		t.Errorf("unhandled are %v", un)
	}
	w.srv.ResetCalls()
	if len(w.srv.Calls()) != 0 {
		t.Error("calls are left")
	}
}
