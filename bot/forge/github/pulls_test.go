package github

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

func set(key string, value any) func(fields) { return func(p fields) { p[key] = value } }

func TestPullRequestIsTranslated(t *testing.T) {
	t.Parallel()
	base := forge.PullRequest{
		Number: 1, Title: "a VM", URL: "https://forge.test/acme/vms/pull/1", Open: true, Author: alice,
		HeadSHA: headSHA, HeadRef: "add", BaseRef: "main", BaseSHA: baseSHA,
	}
	with := func(f func(*forge.PullRequest)) forge.PullRequest { p := base; f(&p); return p }
	head := func(repo any) fields { return fields{"ref": "add", "sha": headSHA, "repo": repo} }
	for name, tc := range map[string]struct {
		change []func(fields)
		want   forge.PullRequest
		err    error
	}{
		"open": {want: base},
		"updated": {[]func(fields){set("updated_at", "2026-05-04T03:02:01+02:00")}, with(func(p *forge.PullRequest) {
			p.UpdatedAt = time.Date(2026, 5, 4, 1, 2, 1, 0, time.UTC)
		}), nil},
		"draft": {[]func(fields){set("draft", true)}, with(func(p *forge.PullRequest) { p.Draft = true }), nil},
		"of a ghost": {[]func(fields){set("user", nil)}, with(func(p *forge.PullRequest) {
			p.Author = forge.Person{}
		}), nil},
		"open, with a test merge": {[]func(fields){set("merge_commit_sha", baseSHA)}, base, nil},
		"merged": {[]func(fields){set("state", "closed"), set("merged", true), set("merge_commit_sha", baseSHA)}, with(func(p *forge.PullRequest) {
			p.Open, p.Merged, p.MergeCommit = false, true, baseSHA
		}), nil},
		"closed":         {[]func(fields){set("state", "closed")}, with(func(p *forge.PullRequest) { p.Open = false }), nil},
		"from a fork":    {[]func(fields){set("head", head(fields{"id": 12}))}, with(func(p *forge.PullRequest) { p.Fork = true }), nil},
		"fork deleted":   {[]func(fields){set("head", head(nil))}, with(func(p *forge.PullRequest) { p.Fork = true }), nil},
		"another number": {[]func(fields){set("number", 2)}, forge.PullRequest{}, errMisfit},
		"no head":        {[]func(fields){set("head", nil)}, forge.PullRequest{}, errMisfit},
		"no base":        {[]func(fields){set("base", nil)}, forge.PullRequest{}, errMisfit},
		"head is a word": {[]func(fields){set("head", fields{"sha": "HEAD"})}, forge.PullRequest{}, errMisfit},
		"lists as custom properties": {[]func(fields){set("base", fields{"ref": "main", "sha": baseSHA,
			"repo": fields{"id": testRepoID, "custom_properties": fields{"a": []string{"b"}}}})}, base, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{onePull: answer(200, pullJSON(1, tc.change...))})
			got, err := w.client(t).PullRequest(t.Context(), 1)
			if !errors.Is(err, tc.err) {
				t.Errorf("got %v, want %v", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// paged serves n items of a list, as many a page as asked for, with GitHub's Link header.
func paged(n int, item func(i int) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		per, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		page := max(1, atoi(r.URL.Query().Get("page")))
		var out []any
		for i := (page - 1) * per; i < min(n, page*per); i++ {
			out = append(out, item(i))
		}
		link := ""
		if page*per < n {
			link = fmt.Sprintf(`<https://api.forge.test/x?per_page=%d&page=%d>; rel="next"`, per, page+1)
		}
		answer(200, out, "Link", link)(w, r)
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func TestListsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{
		"GET /repos/acme/vms/pulls": paged(250, func(i int) any { return pullJSON(i + 1) }),
		"GET /repos/acme/vms/pulls/1/reviews": paged(101, func(i int) any {
			return fields{"id": i + 1, "state": "APPROVED", "user": fields{"id": 8, "login": "bob", "type": "User"}}
		}),
	})
	c := w.client(t)
	pulls, err := c.OpenPullRequests(t.Context())
	if err != nil || len(pulls) != 250 || pulls[249].Number != 250 {
		t.Errorf("%d pull requests, %v", len(pulls), err)
	}
	reviews, err := c.Reviews(t.Context(), 1)
	if err != nil || len(reviews) != 101 || reviews[100].Author != bob {
		t.Errorf("%d reviews, %v", len(reviews), err)
	}
	if got := w.seen(); len(got) != 3+2 {
		t.Errorf("calls %v", got)
	}
}

func TestAListWithoutEndIsAnError(t *testing.T) {
	t.Parallel()
	n := 0
	endless := func(w http.ResponseWriter, r *http.Request) {
		n++
		answer(200, []any{pullJSON(n)}, "Link", fmt.Sprintf(`<https://x.test/?page=%d>; rel="next"`, n+1))(w, r)
	}
	w := newWire(t, routes{"GET /repos/acme/vms/pulls": endless})
	if got, err := w.client(t).OpenPullRequests(t.Context()); err == nil || got != nil {
		t.Errorf("got %d, %v", len(got), err)
	}
	if got := len(w.seen()); got != maxPages {
		t.Errorf("%d calls", got)
	}
}

func TestAPageThatRepeatsIsReadOnce(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{"GET /repos/acme/vms/pulls": paged(150, func(i int) any { return pullJSON(min(i, 120) + 1) })})
	pulls, err := w.client(t).OpenPullRequests(t.Context())
	if err != nil || len(pulls) != 121 {
		t.Errorf("%d pull requests, %v", len(pulls), err)
	}
}

func TestCommitsSayWhenTheyAreNotAll(t *testing.T) {
	t.Parallel()
	for n, complete := range map[int]bool{0: true, 249: true, 250: false} {
		w := newWire(t, routes{"GET /repos/acme/vms/pulls/1/commits": paged(n, func(i int) any {
			return fields{"sha": fmt.Sprintf("%040d", i), "parents": []fields{{"sha": baseSHA}},
				"author": nil, "committer": fields{"id": 19864447, "login": "web-flow", "type": "User"}}
		})})
		commits, got, err := w.client(t).Commits(t.Context(), 1)
		if err != nil || got != complete || len(commits) != n {
			t.Errorf("%d commits: got %d, complete %v, %v", n, len(commits), got, err)
		}
		if n == 0 {
			continue
		}
		want := forge.Commit{SHA: fmt.Sprintf("%040d", n-1), Parents: []string{baseSHA}, Committer: forge.Person{ID: 19864447, Login: "web-flow"}}
		if diff := cmp.Diff(want, commits[n-1]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestMergedPullRequest(t *testing.T) {
	t.Parallel()
	merged := func(number int, at, commit string, change ...func(fields)) fields {
		return pullJSON(number, append([]func(fields){set("state", "closed"), set("merged_at", at), set("merge_commit_sha", commit)}, change...)...)
	}
	toward := func(ref string) func(fields) {
		return func(p fields) { p["base"].(fields)["ref"] = ref }
	}
	inFork := func(p fields) { p["base"].(fields)["repo"] = fields{"id": 12} }
	for name, tc := range map[string]struct {
		pulls []fields
		want  int
	}{
		"a direct push":           {nil, 0},
		"its merge":               {[]fields{merged(4, "2026-01-02T00:00:00Z", headSHA)}, 4},
		"a commit of its span":    {[]fields{merged(4, "2026-01-02T00:00:00Z", baseSHA)}, 4},
		"open only":               {[]fields{pullJSON(4)}, 0},
		"closed without a merge":  {[]fields{pullJSON(4, set("state", "closed"))}, 0},
		"into another branch":     {[]fields{merged(4, "2026-01-02T00:00:00Z", headSHA, toward("next"))}, 0},
		"in another repository":   {[]fields{merged(4, "2026-01-02T00:00:00Z", headSHA, inFork)}, 0},
		"the one it ended":        {[]fields{merged(3, "2026-01-01T00:00:00Z", baseSHA), merged(4, "2026-01-02T00:00:00Z", headSHA)}, 4},
		"the first of several":    {[]fields{merged(5, "2026-01-03T00:00:00Z", baseSHA), merged(4, "2026-01-02T00:00:00Z", baseSHA)}, 4},
		"through another branch":  {[]fields{merged(3, "2026-01-01T00:00:00Z", headSHA, toward("next")), merged(4, "2026-01-02T00:00:00Z", baseSHA)}, 4},
		"with an open one beside": {[]fields{pullJSON(2), merged(4, "2026-01-02T00:00:00Z", baseSHA)}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{"GET /repos/acme/vms/commits/" + headSHA + "/pulls": answer(200, tc.pulls)})
			got, err := w.client(t).MergedPullRequest(t.Context(), headSHA, "main")
			if got != tc.want || err != nil || len(w.seen()) != 1 {
				t.Errorf("got %d, %v after %v, want %d", got, err, w.seen(), tc.want)
			}
		})
	}
	w := newWire(t, nil)
	for _, sha := range []string{"", "main", "../../pulls", strings.ToUpper(headSHA[:39]) + "A"} {
		if _, err := w.client(t).MergedPullRequest(t.Context(), sha, "main"); !errors.Is(err, forge.ErrRefused) {
			t.Errorf("%q: %v", sha, err)
		}
	}
	if got := w.seen(); len(got) != 0 {
		t.Errorf("calls %v", got)
	}
}

// A filter that GitHub does not understand is ignored: then everything open is in the answer.
func TestOpenPullRequestTakesNoOther(t *testing.T) {
	t.Parallel()
	fork := func(p fields) { p["head"].(fields)["repo"] = fields{"id": 12} }
	other := func(p fields) { p["head"].(fields)["ref"] = "other" }
	elsewhere := func(p fields) { p["base"].(fields)["ref"] = "next" }
	w := newWire(t, routes{
		"GET /repos/acme/vms/pulls":  answer(200, []fields{pullJSON(1, fork), pullJSON(2, other), pullJSON(3, elsewhere)}),
		"POST /repos/acme/vms/pulls": answer(201, pullJSON(4)),
	})
	got, err := w.client(t).OpenPullRequest(t.Context(), forge.NewPullRequest{Title: "t", Head: "add", Base: "main"})
	if got.Number != 4 || err != nil {
		t.Errorf("got %d, %v", got.Number, err)
	}
}

func TestOpenPullRequestLosesARace(t *testing.T) {
	t.Parallel()
	exists := answer(422, fields{"message": "Validation Failed", "errors": []fields{{"message": "A pull request already exists for acme:add."}}})
	for name, tc := range map[string]struct {
		after any
		want  int
		err   error
	}{
		"to itself":  {[]fields{pullJSON(4)}, 4, nil},
		"to nothing": {[]fields{}, 0, forge.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{
				"GET /repos/acme/vms/pulls":  inTurn(answer(200, []fields{}), answer(200, tc.after)),
				"POST /repos/acme/vms/pulls": exists,
			})
			got, err := w.client(t).OpenPullRequest(t.Context(), forge.NewPullRequest{Title: "t", Head: "add", Base: "main"})
			if got.Number != tc.want || !errors.Is(err, tc.err) || len(w.seen()) != 3 {
				t.Errorf("got %d, %v after %v", got.Number, err, w.seen())
			}
		})
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	r := repoJSON("acme", "vms")
	r["allow_merge_commit"], r["allow_squash_merge"] = false, true
	r["html_url"], r["clone_url"] = "https://forge.test/acme/vms", "https://evil.test/acme/vms.git"
	w := newWire(t, routes{whereItIs: answer(200, r)})
	got, err := w.client(t).Repository(t.Context())
	want := forge.Repository{
		ID: testRepoID, Owner: "acme", Name: "vms", DefaultBranch: "main",
		CloneURL: w.URL + "/acme/vms.git", URL: "https://forge.test/acme/vms",
		Methods: forge.MergeMethods{Squash: true},
	}
	if got != want || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
