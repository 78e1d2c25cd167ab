package doctor

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
)

// events are what the App has to hear; the others are for merge queues alone.
var events = []string{
	"pull_request", "pull_request_review", "issue_comment", "push", "check_run", "check_suite", "membership", "team", "member", "organization",
}

// permissions are what the bot needs.
var permissions = map[string]string{
	"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write", "issues": "write", "statuses": "write", "members": "read",
}

// settings is where an App is set up.
const settings = "in the App's settings"

func repository(f Facts, r *report) {
	switch {
	case len(f.Configuration.Problems) > 0 && f.Forge.Unseen != "":
		return // the configuration first
	case f.Forge.Unseen != "":
		r.add(Wrong, "put right what is said of the App below, check repository.id and that this machine reaches the forge", "the forge cannot be asked about the repository: %s", f.Forge.Unseen)
	case !f.Forge.Branch:
		r.add(Wrong, "set repository.branch to the governed branch, or push it", "%s has no branch %q", f.Forge.Repository, f.Configuration.Branch)
	default:
		r.ok("%s, branch %s", f.Forge.Repository, f.Configuration.Branch)
	}
}

func app(f Facts, r *report) {
	a := f.Forge.App
	switch {
	case len(f.Configuration.Problems) > 0 && f.Forge.AppUnseen != "":
		return // the configuration first
	case f.Forge.AppUnseen != "":
		r.add(Wrong, "check github.app and that the App is installed on the repository", "the App cannot be asked: %s", f.Forge.AppUnseen)
		return
	case a == nil:
		r.add(Info, "use a GitHub App", "the bot is a token's user: its checks cannot be told from anybody else's, and its webhook cannot be looked at")
		return
	case a.Suspended:
		r.add(Wrong, "unsuspend it in the organisation's settings under GitHub Apps", "the installation of App %s is suspended", a.Slug)
	}
	granted := func(name, level string) bool {
		got := a.Permissions[name]
		return got == level || level == "read" && got == "write" || got == "admin"
	}
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		if level := permissions[name]; !granted(name, level) {
			r.add(Wrong, "grant it "+settings+" under Permissions, then accept the new permissions of the installation", "permission %s (%s) is not granted", name, level)
		}
	}
	if !granted("merge_queues", "read") {
		r.add(Info, "grant it when the branch gets a merge queue", "permission merge_queues (read) is not granted")
	}
	if f.Configuration.Deployments && !granted("deployments", "write") {
		r.add(Info, "grant it, or set github.deployments to false", "permission deployments (write) is not granted: merges are not shown as deployments")
	}
	r.clean("%s (id %d) has the permissions that it needs", a.Slug, a.ID)
}

func webhook(f Facts, r *report) {
	a := f.Forge.App
	if a == nil {
		return
	}
	address(a.Hook, r)
	for _, event := range events {
		if !slices.Contains(a.Events, event) {
			r.add(Wrong, "tick it "+settings+" under Permissions & events", "event %s is not subscribed to", event)
		}
	}
	if !slices.Contains(a.Events, "merge_group") {
		r.add(Info, "tick it when the branch gets a merge queue", "event merge_group is not subscribed to")
	}
	if a.Hook.URL != "" {
		deliveries(a.Attempts, r)
	}
	r.clean("signed JSON to %s, all events", a.Hook.URL)
}

func address(h forge.Hook, r *report) {
	if h.URL == "" {
		r.add(Wrong, "tick Active "+settings+" and give https://<your server>/webhooks/github", "the App has no active webhook")
		return
	}
	u, err := url.Parse(h.URL)
	if err != nil || strings.TrimSuffix(u.Path, "/") != u.Path || !strings.HasSuffix(u.Path, "/webhooks/github") {
		r.add(Wrong, "give https://<your server>/webhooks/github "+settings, "the webhook goes to %s: its path has to end in /webhooks/github", h.URL)
	}
	if err == nil && u.Scheme != "https" && !local(u.Hostname()) {
		r.add(Warning, "give https://<your server>/webhooks/github "+settings, "the webhook goes to %s: what it says of your repository is not encrypted on its way", h.URL)
	}
	if h.ContentType != "json" {
		r.add(Wrong, "choose application/json "+settings, "the webhook's content type is %q", h.ContentType)
	}
	if !h.Secret {
		r.add(Wrong, "give one of github.webhookSecrets as the secret "+settings, "the webhook has no secret: what it sends is not signed, and is refused")
	}
	if h.InsecureTLS {
		r.add(Warning, "enable SSL verification "+settings, "the forge does not check the server's certificate")
	}
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// deliveries judges the last of them by the last attempt of each.
func deliveries(attempts []forge.Attempt, r *report) {
	seen, failed, codes := map[string]bool{}, 0, map[int]bool{}
	for _, a := range attempts {
		if seen[a.GUID] || a.Event == "ping" {
			continue
		}
		seen[a.GUID] = true
		if !a.OK() {
			failed++
			codes[a.Code] = true
		}
	}
	if failed == 0 {
		return
	}
	level := Warning
	if 2*failed >= len(seen) {
		level = Wrong
	}
	fix := "see the answers " + settings + " under Advanced; the server has to be reachable from the forge at the webhook's address"
	if codes[401] || codes[403] {
		fix = "make the webhook's secret and one of github.webhookSecrets the same"
	}
	r.add(level, fix, "%d of the last %d webhooks were not taken (%d %%)", failed, len(seen), 100*failed/len(seen))
}
