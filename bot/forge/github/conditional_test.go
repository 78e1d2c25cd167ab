package github

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

// shelf keeps answers in memory.
type shelf struct {
	mu    sync.Mutex
	kept  map[string]forge.Answer
	asked map[string]int
}

func newShelf() *shelf { return &shelf{kept: map[string]forge.Answer{}, asked: map[string]int{}} }

func (s *shelf) Load(_ context.Context, key string) (forge.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, found := s.kept[key]
	return a, found
}

func (s *shelf) Keep(_ context.Context, key string, a forge.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[key] = a
}

func (s *shelf) count(outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[outcome]++
}

func (s *shelf) client(t *testing.T, w *wire, token string) *Client {
	t.Helper()
	return w.client(t, func(cfg *Config) { cfg.Answers, cfg.Asked, cfg.Token = s, s.count, token })
}

func (s *shelf) expect(t *testing.T, new, unchanged, changed int) {
	t.Helper()
	want := map[string]int{AskedNew: new, AskedUnchanged: unchanged, AskedChanged: changed}
	maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Error(diff)
	}
}

// tagged answers with a body under a tag, or that it is unchanged. GitHub's tags depend on the token, too.
func tagged(version *string, body func() any, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tag := fmt.Sprintf(`W/"%s-%s"`, *version, fingerprint(r.Header.Get("Authorization")))
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, max-age=60, s-maxage=60")
		if slices.Contains(strings.Split(r.Header.Get("If-None-Match"), ", "), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		answer(200, body(), headers...)(w, r)
	}
}

// What is known is asked for again each time, and used where the forge says that it is still so.
func TestUnchangedAnswers(t *testing.T) {
	t.Parallel()
	version, title := "1", "a VM"
	w := newWire(t, routes{onePull: tagged(&version, func() any { return pullJSON(1, func(f fields) { f["title"] = title }) })})
	s := newShelf()
	c := s.client(t, w, testToken)
	look := func(want string) {
		t.Helper()
		p, err := c.PullRequest(t.Context(), 1)
		if err != nil || p.Title != want {
			t.Errorf("%q, %v", p.Title, err)
		}
	}
	look("a VM")
	look("a VM")
	look("a VM")
	version, title = "2", "another"
	look("another")
	look("another")
	s.expect(t, 1, 3, 1)
	if n := len(w.seen()); n != 5 {
		t.Errorf("the forge was asked %d times", n)
	}
	for key, a := range s.kept {
		if kept := key + a.Link + a.ContentType + string(a.Body) + strings.Join(a.ETags, ""); strings.Contains(kept, testToken) || strings.Contains(kept, "acme/vms/pulls/1?") {
			t.Errorf("kept %s", kept)
		}
	}
}

// Each replica has a token of its own, and GitHub another tag for it. They help each other all the same.
func TestTagsOfSeveralTokens(t *testing.T) {
	t.Parallel()
	_, key := newKey(t)
	version, mints := "1", 0
	w := newWire(t, routes{onePull: tagged(&version, func() any { return pullJSON(1) })})
	w.routes["POST /app/installations/9/access_tokens"] = func(rw http.ResponseWriter, r *http.Request) {
		mints++
		answer(201, fields{"token": fmt.Sprintf("ghs_token%d", mints), "expires_at": time.Now().Add(time.Hour)})(rw, r)
	}
	s := newShelf()
	replica := func() *Client {
		return w.client(t, func(cfg *Config) {
			cfg.Answers, cfg.Asked = s, s.count
			cfg.Token, cfg.App = "", &AppConfig{ID: 3, InstallationID: 9, PrivateKeyPEM: key}
		})
	}
	one, other := replica(), replica()
	for range 5 {
		for _, c := range []*Client{one, other} {
			if _, err := c.PullRequest(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
	}
	s.expect(t, 1, 8, 1)
	for range 10 { // a token an hour
		if _, err := replica().PullRequest(t.Context(), 1); err != nil {
			t.Error(err)
		}
	}
	version = "2"
	if _, err := one.PullRequest(t.Context(), 1); err != nil {
		t.Error(err)
	}
	s.expect(t, 1, 8, 12)
	for _, a := range s.kept {
		if len(a.ETags) != maxTags { // the body is still the same, only its tag is another one
			t.Errorf("%d tags", len(a.ETags))
		}
	}
}

// A list's pages are found again.
func TestUnchangedPages(t *testing.T) {
	t.Parallel()
	version := "1"
	var w *wire
	page := func(n int) any { return []fields{pullJSON(2 * n), pullJSON(2*n + 1)} }
	w = newWire(t, routes{"GET /repos/acme/vms/pulls": func(rw http.ResponseWriter, r *http.Request) {
		next := fmt.Sprintf(`<%s/api/v3/repos/acme/vms/pulls?page=2>; rel="next", <%[1]s/api/v3/repos/acme/vms/pulls?page=2>; rel="last"`, w.URL)
		if r.URL.Query().Get("page") == "2" {
			tagged(&version, func() any { return page(2) })(rw, r)
			return
		}
		tagged(&version, func() any { return page(1) }, "Link", next)(rw, r)
	}})
	s := newShelf()
	c := s.client(t, w, testToken)
	for range 3 {
		list, err := c.OpenPullRequests(t.Context())
		if err != nil || len(list) != 4 {
			t.Errorf("%d pull requests, %v", len(list), err)
		}
	}
	s.expect(t, 2, 4, 0)
}

// What cannot be asked for again, or is not worth it, is not kept.
func TestNotKept(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxKept)
	for name, handler := range map[string]http.HandlerFunc{
		"no tag":             answer(200, pullJSON(1)),
		"a tag with a comma": answer(200, pullJSON(1), "ETag", `"a,b"`),
		"a tag without end":  answer(200, pullJSON(1), "ETag", `"a`),
		"a long tag":         answer(200, pullJSON(1), "ETag", `"`+long[:300]+`"`),
		"too large":          answer(200, pullJSON(1, func(f fields) { f["body"] = long }), "ETag", `"a"`),
		"not found":          answer(404, fields{"message": "Not Found"}, "ETag", `"a"`),
		"an error":           answer(502, fields{"message": "Bad Gateway"}, "ETag", `"a"`),
		"half an answer": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("ETag", `"a"`)
			rw.Header().Set("Content-Length", "1000")
			rw.WriteHeader(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := newWire(t, routes{onePull: handler}), newShelf()
			c := s.client(t, w, testToken)
			_, first := c.PullRequest(t.Context(), 1)
			_, again := c.PullRequest(t.Context(), 1)
			if len(s.kept) != 0 {
				t.Errorf("kept %v", s.kept)
			}
			if (first == nil) != (again == nil) {
				t.Errorf("%v, then %v", first, again)
			}
		})
	}
}

// What is hardly asked twice is not kept.
func TestWorthKeeping(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"/api/v3/repos/acme/vms/pulls/1": true, "/repos/acme/vms/pulls/1/reviews": true, "/repos/acme/vms/pulls/1/commits": true, "/repos/acme/vms/pulls": true,
		"/repos/acme/vms/issues/1/events": true, "/repos/acme/vms/activity": true, "/repositories/4711": true, "/organizations/1/team/2/memberships/alice": true,
		"/repos/acme/vms/issues/1/comments": false, "/repos/acme/vms/commits/" + headSHA + "/pulls": false, "/repos/acme/vms/git/ref/heads/main": false,
		"/repos/acme/vms/commits/" + headSHA + "/check-runs": false, "/users/alice": false, "/app/hook/deliveries": false, "/repos/acme/vms/pulls/1/comments": false,
	} {
		if got := worthKeeping(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

// Who asks with other rights, in another form or for another page asks something else; writing passes untouched.
func TestQuestionsAreApart(t *testing.T) {
	t.Parallel()
	s, keys := newShelf(), map[string]string{}
	for name, q := range map[string]struct{ scope, url, accept string }{
		"one": {"installation/1//7", "https://api.example.com/a", "json"}, "rights": {"installation/1/deployments/7", "https://api.example.com/a", "json"},
		"installation": {"installation/2//7", "https://api.example.com/a", "json"}, "page": {"installation/1//7", "https://api.example.com/a?page=2", "json"},
		"form": {"installation/1//7", "https://api.example.com/a", "diff"}, "host": {"installation/1//7", "https://api.example.org/a", "json"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, q.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", q.accept)
		key := (&conditional{scope: q.scope}).key(req)
		if other, taken := keys[key]; taken {
			t.Errorf("%s is %s", name, other)
		}
		keys[key] = name
	}
	w := newWire(t, routes{"POST /repos/acme/vms/issues/1/comments": answer(201, fields{"id": 4}, "ETag", `"a"`)})
	if _, err := s.client(t, w, testToken).CreateComment(t.Context(), 1, "hello"); err != nil {
		t.Error(err)
	}
	if len(s.kept) != 0 || len(s.asked) != 0 {
		t.Errorf("kept %v, asked %v", s.kept, s.asked)
	}
}
