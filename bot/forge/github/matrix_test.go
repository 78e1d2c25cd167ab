package github

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
)

// methods has every method that asks the forge, once.
var methods = map[string]func(context.Context, *Client) error{
	"Self":             func(ctx context.Context, c *Client) error { _, err := c.Self(ctx); return err },
	"Repository":       func(ctx context.Context, c *Client) error { _, err := c.Repository(ctx); return err },
	"PullRequest":      func(ctx context.Context, c *Client) error { _, err := c.PullRequest(ctx, 1); return err },
	"OpenPullRequests": func(ctx context.Context, c *Client) error { _, err := c.OpenPullRequests(ctx); return err },
	"Reviews":          func(ctx context.Context, c *Client) error { _, err := c.Reviews(ctx, 1); return err },
	"Commits":          func(ctx context.Context, c *Client) error { _, _, err := c.Commits(ctx, 1); return err },
	"TeamMember":       func(ctx context.Context, c *Client) error { _, err := c.TeamMember(ctx, 5, 6, "alice"); return err },
	"User":             func(ctx context.Context, c *Client) error { _, err := c.User(ctx, 7); return err },
	"CreateCheck":      func(ctx context.Context, c *Client) error { _, err := c.CreateCheck(ctx, someCheck); return err },
	"CreateComment":    func(ctx context.Context, c *Client) error { _, err := c.CreateComment(ctx, 1, "x"); return err },
	"EditComment":      func(ctx context.Context, c *Client) error { _, err := c.EditComment(ctx, 50, "x"); return err },
	"FindComment":      func(ctx context.Context, c *Client) error { _, _, err := c.FindComment(ctx, 1, "x"); return err },
	"React":            func(ctx context.Context, c *Client) error { return c.React(ctx, 50, "+1") },
	"MergedPullRequest": func(ctx context.Context, c *Client) error {
		_, err := c.MergedPullRequest(ctx, headSHA, "main")
		return err
	},
	"CommitOnHead": func(ctx context.Context, c *Client) error {
		_, err := c.CommitOnHead(ctx, "x", parent, undo, "m")
		return err
	},
	"Suggest": func(ctx context.Context, c *Client) error {
		_, err := c.Suggest(ctx, 1, headSHA, "a.yaml", 1, 2, "x")
		return err
	},
	"CreateDeployment": func(ctx context.Context, c *Client) error {
		_, err := c.CreateDeployment(ctx, forge.Deployment{SHA: headSHA, Environment: "prod/prod-1"})
		return err
	},
	"FindDeployment": func(ctx context.Context, c *Client) error {
		_, err := c.FindDeployment(ctx, headSHA, "prod/prod-1")
		return err
	},
	"CreateDeploymentStatus": func(ctx context.Context, c *Client) error {
		_, err := c.CreateDeploymentStatus(ctx, 60, forge.DeploymentStatus{State: forge.DeploymentQueued})
		return err
	},
	"DeploymentStatuses": func(ctx context.Context, c *Client) error { _, err := c.DeploymentStatuses(ctx, 60); return err },
	"Movements":          func(ctx context.Context, c *Client) error { _, err := c.Movements(ctx, "main"); return err },
	"Comments":           func(ctx context.Context, c *Client) error { _, err := c.Comments(ctx, noon); return err },
	"Restarted":          func(ctx context.Context, c *Client) error { _, err := c.Restarted(ctx, 1); return err },
	"Dismissals":         func(ctx context.Context, c *Client) error { _, err := c.Dismissals(ctx, 1); return err },
	"Merge":              func(ctx context.Context, c *Client) error { _, err := c.Merge(ctx, 1, headSHA, "merge"); return err },
	"RequestReviewers": func(ctx context.Context, c *Client) error {
		_, err := c.RequestReviewers(ctx, 1, []string{"bob"}, nil)
		return err
	},
	"CommitFiles": func(ctx context.Context, c *Client) error {
		_, err := c.CommitFiles(ctx, "x", parent, undo, "m")
		return err
	},
	"OpenPullRequest": func(ctx context.Context, c *Client) error {
		_, err := c.OpenPullRequest(ctx, forge.NewPullRequest{Title: "t", Head: "h", Base: "b"})
		return err
	},
}

// Every method sorts every failure in the same way, and makes one call that fails and no other, but to find out
// whether something that is not found has moved.
func TestEveryMethodSortsFailures(t *testing.T) {
	t.Parallel()
	reset := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    error
		until   time.Time
	}{
		"401":       {handler: answer(401, fields{"message": "Bad credentials"}), want: forge.ErrRefused},
		"403":       {handler: answer(403, fields{"message": "Resource not accessible by integration"}), want: forge.ErrRefused},
		"404":       {handler: answer(404, fields{"message": "Not Found"}), want: forge.ErrNotFound},
		"409":       {handler: answer(409, fields{"message": "Conflict"}), want: forge.ErrConflict},
		"422":       {handler: answer(422, fields{"message": "Validation Failed"}), want: forge.ErrRefused},
		"500":       {handler: answer(500, fields{"message": "Server Error"})},
		"502":       {handler: answer(502, fields{"message": "Server Error"})},
		"secondary": {handler: answer(403, fields{"message": "secondary rate limit"}, "Retry-After", "20"), until: testNow.Add(20 * time.Second)},
		"429":       {handler: answer(429, fields{"message": "Too Many Requests"}, "Retry-After", "20"), until: testNow.Add(20 * time.Second)},
		"reset":     {handler: reset},
	} {
		for method, do := range methods {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				var calls, lookups atomic.Int32
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/repositories/4711") && method != "Repository" {
						lookups.Add(1)
						answer(200, repoJSON("acme", "vms"))(w, r)
						return
					}
					calls.Add(1)
					tc.handler(w, r)
				}))
				t.Cleanup(srv.Close)
				err := do(t.Context(), (&wire{Server: srv}).client(t))
				if name == "404" && method == "TeamMember" || name == "422" && method == "RequestReviewers" { // an answer
					if err != nil {
						t.Error(err)
					}
					return
				}
				checkKind(t, err, tc.want, tc.until)
				// Go sends a request again by itself when a connection breaks that it had used before: not here.
				want := int32(1)
				if name == "409" && method == "Merge" { // it looks why
					want = 2
				}
				if calls.Load() != want {
					t.Errorf("%d calls", calls.Load())
				}
				inRepo := name == "404" && method != "Self" && method != "User" && method != "Repository" && method != "FindComment" &&
					method != "FindDeployment" && method != "DeploymentStatuses"
				if (lookups.Load() == 1) != inRepo {
					t.Errorf("%d look-ups", lookups.Load())
				}
			})
		}
	}
}
