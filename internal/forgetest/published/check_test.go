package published_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	served := slices.Sorted(slices.Values(forgetest.Routes()))
	if diff := cmp.Diff(served, published.Operations()); diff != "" {
		t.Errorf("run make generate-github: the stand-in serves and the data describe (-stand-in +data):\n%s", diff)
	}
}

const (
	getRef     = "GET /repos/{owner}/{repo}/git/ref/{ref...}"
	postRef    = "POST /repos/{owner}/{repo}/git/refs"
	postReview = "POST /repos/{owner}/{repo}/pulls/{number}/reviews"
	goodRef    = `{"ref":"refs/heads/a","node_id":"x","url":"https://forge.example/r","object":{"type":"commit","sha":"0123456789012345678901234567890123456789","url":"https://forge.example/c"}}`
	refusal    = `{"message":"Not Found","documentation_url":"https://docs.github.com/rest"}`
)

// exchange is one that GitHub could have had; change makes something else of it.
func exchange(change func(*published.Exchange)) published.Exchange {
	x := published.Exchange{Route: getRef, Request: httptest.NewRequest(http.MethodGet, "/api/v3/repos/a/b/git/ref/heads/a", nil),
		Status: http.StatusOK, Header: http.Header{}, Body: []byte(goodRef)}
	x.Request.Header.Set("User-Agent", "test")
	for k, v := range map[string]string{
		"X-GitHub-Request-Id": "1", "Content-Type": "application/json; charset=utf-8", "ETag": `W/"1"`, "X-RateLimit-Limit": "9",
		"X-RateLimit-Remaining": "8", "X-RateLimit-Used": "1", "X-RateLimit-Reset": "1", "X-RateLimit-Resource": "core",
	} {
		x.Header.Set(k, v)
	}
	change(&x)
	return x
}

// sending makes a write of an exchange.
func sending(route, target, body string) func(*published.Exchange) {
	return func(x *published.Exchange) {
		method, _, _ := strings.Cut(route, " ")
		x.Route, x.Request, x.Sent = route, httptest.NewRequest(method, target, nil), []byte(body)
		x.Request.Header.Set("User-Agent", "test")
		x.Status = http.StatusCreated
		x.Header.Set("Location", "https://forge.example/r")
	}
}

func TestCheckAnswer(t *testing.T) {
	t.Parallel()
	body := func(old, now string) func(*published.Exchange) {
		return func(x *published.Exchange) { x.Body = []byte(strings.Replace(goodRef, old, now, 1)) }
	}
	header := func(name, value string) func(*published.Exchange) {
		return func(x *published.Exchange) { x.Header.Set(name, value) }
	}
	refused := func(status int, body string) func(*published.Exchange) {
		return func(x *published.Exchange) { x.Status, x.Body = status, []byte(body) }
	}
	for name, tc := range map[string]struct {
		change func(*published.Exchange)
		want   string // a part of a violation, none when empty
	}{
		"right":              {func(*published.Exchange) {}, ""},
		"missing field":      {body(`"node_id":"x",`, ""), "missing property 'node_id' (enterprise-server)"},
		"wrong type":         {body(`"refs/heads/a"`, "7"), "/ref: got number, want string (github.com)"},
		"undescribed field":  {body(`"type"`, `"kind":"commit","type"`), "/object/kind: is no field that GitHub describes"},
		"null":               {body(`"x"`, "null"), "/node_id: got null, want string"},
		"wrong format":       {body(`"https://forge.example/c"`, `"nowhere"`), "/object/url: 'nowhere' is not valid uri"},
		"too long":           {body("0123456789012345678901234567890123456789", strings.Repeat("0", 41)), "/object/sha: maxLength"},
		"no JSON":            {body("{", ""), "is no JSON"},
		"no body":            {refused(200, ""), "has no body"},
		"no such status":     {refused(http.StatusAccepted, goodRef), "202: status: is not described"},
		"no such operation":  {func(x *published.Exchange) { x.Route = "GET /nowhere" }, "GET /nowhere: : is not described"},
		"not modified":       {refused(http.StatusNotModified, ""), ""},
		"body of a 304":      {refused(http.StatusNotModified, goodRef), "has a body of"},
		"no ETag":            {header("ETag", "abc"), `ETag: is "abc"`},
		"no request id":      {header("X-GitHub-Request-Id", ""), "X-GitHub-Request-Id: header is missing"},
		"other content":      {header("Content-Type", "text/plain"), `Content-Type: is "text/plain"`},
		"bad link":           {header("Link", "next"), "Link: has next"},
		"good link":          {header("Link", `<https://f.example/x?page=2>; rel="next", <https://f.example/x?page=3>; rel="last"`), ""},
		"no limit":           {header("X-RateLimit-Remaining", ""), `X-RateLimit-Remaining: is "", want a number`},
		"refusal":            {refused(http.StatusNotFound, refusal), ""},
		"refusal in prose":   {refused(http.StatusNotFound, `"no"`), "is no error of GitHub's"},
		"limit without when": {refused(http.StatusTooManyRequests, refusal), "Retry-After: is missing"},
		"limit by remaining": {func(x *published.Exchange) {
			refused(http.StatusForbidden, strings.Replace(refusal, "Not Found", "API rate limit exceeded", 1))(x)
			x.Header.Set("X-RateLimit-Remaining", "0")
		}, ""},
		"no user agent": {func(x *published.Exchange) { x.Request.Header.Set("User-Agent", "") }, "User-Agent: of the request is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantViolation(t, published.CheckAnswer(exchange(tc.change)), tc.want)
		})
	}
}

func TestCheckRequest(t *testing.T) {
	t.Parallel()
	const pulls = "/api/v3/repos/a/b/pulls"
	ref := `{"ref":"refs/heads/a","sha":"0123456789012345678901234567890123456789"}`
	for name, tc := range map[string]struct{ route, target, body, want string }{
		"right":             {postRef, "/api/v3/repos/a/b/git/refs", ref, ""},
		"missing property":  {postRef, "/api/v3/repos/a/b/git/refs", `{"ref":"refs/heads/a"}`, "missing property 'sha'"},
		"unknown property":  {postRef, "/api/v3/repos/a/b/git/refs", ref[:1] + `"force":true,` + ref[1:], "/force: is no property of it"},
		"no body":           {postRef, "/api/v3/repos/a/b/git/refs", "", "has no body"},
		"wrong value":       {postReview, pulls + "/1/reviews", `{"event":"LIKE"}`, "/event: value must be one of"},
		"unknown parameter": {postRef, "/api/v3/repos/a/b/git/refs?dry_run=1", ref, "?dry_run: is no parameter of it"},
		"wrong parameter":   {"GET /repos/{owner}/{repo}/pulls", pulls + "?state=merged", "", "?state: value must be one of"},
		"no number":         {"GET /repos/{owner}/{repo}/pulls", pulls + "?per_page=all", "", "?per_page: got string, want integer"},
		"body of a GET":     {"GET /repos/{owner}/{repo}/pulls", pulls, "{}", "has a body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantViolation(t, onlyRequest(published.CheckAnswer(exchange(sending(tc.route, tc.target, tc.body)))), tc.want)
		})
	}
}

// onlyRequest drops what is wrong with an answer that does not matter here.
func onlyRequest(all []published.Violation) []published.Violation {
	return slices.DeleteFunc(all, func(v published.Violation) bool { return !strings.HasSuffix(v.Where, "←") })
}

func TestCheckWebhook(t *testing.T) {
	t.Parallel()
	user := `{"login":"a","id":1,"node_id":"x","avatar_url":"https://f.example/a","gravatar_id":"","url":"https://f.example/a",` +
		`"html_url":"https://f.example/a","followers_url":"https://f.example/a","following_url":"https://f.example/a{/other_user}",` +
		`"gists_url":"https://f.example/a{/gist_id}","starred_url":"https://f.example/a{/owner}{/repo}","subscriptions_url":"https://f.example/a",` +
		`"organizations_url":"https://f.example/a","repos_url":"https://f.example/a","events_url":"https://f.example/a{/privacy}",` +
		`"received_events_url":"https://f.example/a","type":"User","site_admin":false}`
	revoked := `{"action":"revoked","sender":` + user + `}`
	for name, tc := range map[string]struct{ event, body, want string }{
		"right":           {"github_app_authorization", revoked, ""},
		"missing":         {"github_app_authorization", `{"action":"revoked"}`, "missing property 'sender'"},
		"undescribed":     {"github_app_authorization", `{"extra":1,` + revoked[1:], "additional properties 'extra' not allowed (octokit)"},
		"bad template":    {"github_app_authorization", strings.Replace(revoked, "{/privacy}", "{/privacy", 1), "/sender/events_url"},
		"unknown action":  {"github_app_authorization", strings.Replace(revoked, "revoked", "forgotten", 1), "is not described"},
		"unknown event":   {"birthday", `{}`, "webhook birthday: : is not described"},
		"no JSON object":  {"push", `[]`, "is no JSON object"},
		"without headers": {"", revoked, "X-GitHub-Delivery: header is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			if tc.event != "" {
				for _, k := range []string{"User-Agent", "X-GitHub-Hook-ID", "X-GitHub-Hook-Installation-Target-ID", "X-GitHub-Hook-Installation-Target-Type",
					"X-GitHub-Delivery", "X-Hub-Signature-256", "X-GitHub-Enterprise-Version", "X-GitHub-Enterprise-Host"} {
					header.Set(k, "x")
				}
				header.Set("X-GitHub-Event", tc.event)
			}
			wantViolation(t, published.CheckWebhook(header, []byte(tc.body)), tc.want)
		})
	}
}

func wantViolation(t *testing.T, got []published.Violation, want string) {
	t.Helper()
	if want == "" && len(got) == 0 {
		return
	}
	for _, v := range got {
		if want != "" && strings.Contains(v.String(), want) {
			return
		}
	}
	t.Errorf("found %v, want %q", got, want)
}

// failures counts what a test would have been told.
type failures struct {
	*testing.T
	told     []string
	cleanups []func()
}

func (f *failures) Cleanup(done func()) { f.cleanups = append(f.cleanups, done) }

func (f *failures) Errorf(format string, args ...any) { f.told = append(f.told, format) }

func TestWatchFailsTheTest(t *testing.T) {
	t.Parallel()
	f := &failures{T: t}
	w := published.Watch(f)
	x := exchange(func(x *published.Exchange) { x.Status, x.Body = http.StatusTeapot, []byte(refusal) })
	w.Answered(x.Route, x.Request, nil, x.Status, x.Header, x.Body)
	w.Answered(x.Route, x.Request, nil, x.Status, x.Header, x.Body)
	want := []string{getRef + " → 418: status: is not described (enterprise-server, github.com)"}
	if diff := cmp.Diff(want, w.Violations()); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	for _, done := range f.cleanups {
		done()
	}
	if len(f.told) != 1 {
		t.Errorf("the test was told %q, want one failure", f.told)
	}
}

// Of very many alike, and of what is the same, some are looked at.
func TestWatchSamples(t *testing.T) {
	t.Parallel()
	w := published.Watch(&failures{T: t})
	before := published.Seen()
	const sent = 400
	for i := range sent {
		x := exchange(func(x *published.Exchange) { x.Status = http.StatusGone })
		for range 2 {
			w.Answered(x.Route, x.Request, nil, x.Status, x.Header, []byte(strings.Repeat(" ", i)+refusal))
		}
	}
	if seen := published.Seen().Answers - before.Answers; seen < 2*sent {
		t.Errorf("saw %d answers of %d", seen, 2*sent)
	}
	if n := w.Validated(); n != 220 {
		t.Errorf("validated %d of %d different ones, want the first 200 and every tenth of the others", n, sent)
	}
}
