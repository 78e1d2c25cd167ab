package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Inspect looks how the bot's App is set up, what its installation was granted, and at the last hundred tries to
// deliver its webhooks, newest first. All of it is asked as the App itself: it works where no token can be minted, for
// instance because a permission is missing. GitHub does not say whether an App's webhook is active: one that is not has
// no address. A bot that is a token's user has no App: [forge.ErrNotFound]. Four calls, five when the installation
// has to be found.
func Inspect(ctx context.Context, cfg Config) (forge.App, error) {
	const doing = "look how the App is set up"
	c, err := dial(ctx, cfg)
	switch {
	case err != nil:
		return forge.App{}, err
	case c.apps == nil:
		return forge.App{}, fmt.Errorf("%s: %w: the bot is a token's user", doing, forge.ErrNotFound)
	}
	app, err := c.inspect(ctx)
	return app, c.failure(doing, err)
}

func (c *Client) inspect(ctx context.Context) (out forge.App, err error) {
	var app struct {
		ID     int64    `json:"id"`
		Slug   string   `json:"slug"`
		Events []string `json:"events"`
	}
	var installed struct {
		Permissions map[string]string `json:"permissions"`
		SuspendedAt *gh.Timestamp     `json:"suspended_at"`
	}
	if _, err := get(ctx, c.apps, "app", &app); err != nil {
		return out, err
	}
	if _, err := get(ctx, c.apps, fmt.Sprintf("app/installations/%d", c.installation), &installed); err != nil {
		return out, err
	}
	hook, _, err := c.apps.Apps.GetHookConfig(ctx)
	if err != nil && status(err) != http.StatusNotFound {
		return out, err
	}
	out = forge.App{
		ID: app.ID, Slug: app.Slug, Events: app.Events, Permissions: installed.Permissions, Suspended: installed.SuspendedAt != nil,
		Hook: forge.Hook{
			URL: hook.GetURL(), ContentType: hook.GetContentType(), Secret: hook.GetSecret() != "", InsecureTLS: hook.GetInsecureSSL() == "1",
		},
	}
	tries, _, err := c.apps.Apps.ListHookDeliveries(ctx, &gh.ListCursorOptions{PerPage: perPage})
	if status(err) == http.StatusNotFound {
		return out, nil // no webhook, no deliveries
	}
	for _, d := range tries {
		out.Attempts = append(out.Attempts, forge.Attempt{GUID: d.GetGUID(), Event: d.GetEvent(), Code: d.GetStatusCode()})
	}
	return out, err
}

// Clock is the time by the forge's clock, to the second. It is asked without credentials, since a forge whose clock
// differs refuses them. baseURL is that of [Config]. One call.
func Clock(ctx context.Context, baseURL string) (time.Time, error) {
	const doing = "look at the forge's clock"
	api, _, err := addresses(baseURL)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w: %w", doing, forge.ErrRefused, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.String()+"meta", nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", doing, err)
	}
	resp, err := (&http.Client{Timeout: defaultTimeout}).Do(req)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", doing, err)
	}
	defer resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", doing, errMisfit)
	}
	return at, nil
}

// HasBranch reports whether a branch exists. One call, two when it does not.
func (c *Client) HasBranch(ctx context.Context, branch string) (bool, error) {
	err := c.inRepository(ctx, "look for branch "+branch, func(owner, name string) error {
		var found struct{ Name string }
		_, err := get(ctx, c.gh, branchPath(owner, name, branch), &found)
		return err
	})
	if errors.Is(err, forge.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Protection is what holds a branch, by branch protection and by rulesets. To read branch protection in full takes
// permission to read administration, which the App need not have: what everybody may see of it is the rest. Two or
// three calls, and one for a token of its own.
func (c *Client) Protection(ctx context.Context, branch string) (p forge.Protection, err error) {
	err = c.inRepository(ctx, "read the protection of "+branch, func(owner, name string) error {
		p, err = c.protection(ctx, owner, name, branch)
		return err
	})
	return p, err
}

func (c *Client) protection(ctx context.Context, owner, name, branch string) (forge.Protection, error) {
	p := forge.Protection{ForcePushes: true, Deletions: true}
	detail, _, err := c.examiner.Repositories.GetBranchProtection(ctx, owner, name, branch)
	switch failed := c.failure("read branch protection", err); {
	case errors.Is(err, gh.ErrBranchNotProtected):
		p.Detailed = true
	case errors.Is(failed, forge.ErrRefused) || errors.Is(failed, forge.ErrNotFound):
		if p, err = c.summary(ctx, owner, name, branch); err != nil {
			return p, err
		}
	case err != nil:
		return p, err
	default:
		p = protected(detail)
	}
	return p, c.rules(ctx, owner, name, branch, &p)
}

// summary is what everybody who reads the repository may see.
func (c *Client) summary(ctx context.Context, owner, name, branch string) (forge.Protection, error) {
	var seen struct {
		Protected  bool `json:"protected"`
		Protection struct {
			Checks gh.RequiredStatusChecks `json:"required_status_checks"`
		} `json:"protection"`
	}
	_, err := get(ctx, c.gh, branchPath(owner, name, branch), &seen)
	return forge.Protection{
		ForcePushes: true, Deletions: true, Detailed: !seen.Protected, Checks: requiredChecks(&seen.Protection.Checks),
	}, err
}

func protected(d *gh.Protection) forge.Protection {
	p := forge.Protection{
		Detailed: true, Checks: requiredChecks(d.RequiredStatusChecks),
		ForcePushes: d.AllowForcePushes != nil && d.AllowForcePushes.Enabled, Deletions: d.AllowDeletions != nil && d.AllowDeletions.Enabled,
		AdministratorsExempt: d.EnforceAdmins == nil || !d.EnforceAdmins.Enabled,
	}
	if r := d.RequiredPullRequestReviews; r != nil {
		p.DismissesStale = r.DismissStaleReviews
		p.Bypass = bypassers(r.BypassPullRequestAllowances)
	}
	return p
}

func bypassers(a *gh.BypassPullRequestAllowances) (out []string) {
	if a == nil {
		return nil
	}
	for _, u := range a.Users {
		out = append(out, u.GetLogin())
	}
	for _, t := range a.Teams {
		out = append(out, "team "+t.GetSlug())
	}
	for _, app := range a.Apps {
		out = append(out, "App "+app.GetSlug())
	}
	return out
}

func requiredChecks(r *gh.RequiredStatusChecks) (out []forge.RequiredCheck) {
	if r == nil || r.Checks == nil {
		return nil
	}
	for _, c := range *r.Checks {
		out = append(out, forge.RequiredCheck{Name: c.Context, App: source(c.AppID)})
	}
	return out
}

// source is the App that a check has to come from; GitHub writes nothing or -1 for anybody.
func source(id *int64) int64 {
	if id == nil || *id < 0 {
		return 0
	}
	return *id
}

// rules adds what rulesets ask of the branch.
func (c *Client) rules(ctx context.Context, owner, name, branch string, p *forge.Protection) error {
	var rules []struct {
		Type       string          `json:"type"`
		Ruleset    int64           `json:"ruleset_id"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if _, err := get(ctx, c.gh, fmt.Sprintf("repos/%s/%s/rules/branches/%s?per_page=%d", owner, name, url.PathEscape(branch), perPage), &rules); err != nil {
		return err
	}
	for _, r := range rules {
		if err := rule(r.Type, r.Parameters, p); err != nil {
			return fmt.Errorf("read rule %s: %w", r.Type, err)
		}
		if n := len(p.Rulesets); n == 0 || p.Rulesets[n-1] != r.Ruleset {
			p.Rulesets = append(p.Rulesets, r.Ruleset)
		}
	}
	return nil
}

func rule(kind string, parameters json.RawMessage, p *forge.Protection) error {
	var v struct {
		Checks []struct {
			Context string `json:"context"`
			Source  *int64 `json:"integration_id"`
		} `json:"required_status_checks"`
		Dismiss bool `json:"dismiss_stale_reviews_on_push"`
	}
	switch kind {
	case "non_fast_forward":
		p.ForcePushes = false
	case "deletion":
		p.Deletions = false
	case "pull_request", "required_status_checks":
		if err := json.Unmarshal(parameters, &v); err != nil {
			return err
		}
	}
	p.DismissesStale = p.DismissesStale || v.Dismiss
	for _, c := range v.Checks {
		p.AdministratorsExempt = false // rulesets hold administrators too, unless they are on the list
		p.Checks = append(p.Checks, forge.RequiredCheck{Name: c.Context, App: source(c.Source)})
	}
	return nil
}

func branchPath(owner, name, branch string) string {
	return fmt.Sprintf("repos/%s/%s/branches/%s", owner, name, url.PathEscape(branch))
}

// get reads what go-github has no fitting words for.
func get(ctx context.Context, client *gh.Client, path string, into any) (*gh.Response, error) {
	req, err := client.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(ctx, req, into)
}
