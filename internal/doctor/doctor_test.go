package doctor

import (
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
)

// well is a setup in which everything is right.
func well() Facts {
	granted := map[string]string{"merge_queues": "read", "deployments": "write"}
	for name, level := range permissions {
		granted[name] = level
	}
	return Facts{
		Configuration: Configuration{
			Grace: 10 * time.Second, Keys: []string{"new"}, Deployments: true, Branch: "main", SweepEvery: 10 * time.Minute, CheckEvery: time.Minute,
		},
		Forge: Forge{Repository: "acme/vms", Branch: true, Timed: true, App: &forge.App{
			ID: 42, Slug: "shepherd", Events: append([]string{"merge_group"}, events...), Permissions: granted,
			Hook:     forge.Hook{URL: "https://shepherd.example.com/webhooks/github", ContentType: "json", Secret: true},
			Attempts: []forge.Attempt{{GUID: "a", Event: "push", Code: 202}},
		}},
		Protection: Protection{Protection: forge.Protection{Detailed: true, Checks: []forge.RequiredCheck{{Name: checks[0], App: 42}, {Name: checks[1], App: 42}}}},
		Database: Database{
			Version: 16, MaxConnections: 97, PoolSize: 40, Baseline: true, Heartbeat: 9 * time.Second, LastDelivery: time.Hour, LastSweep: 9 * time.Minute, Fetched: 9 * time.Minute,
			JobOptions: map[string]string{"autovacuum_vacuum_scale_factor": "0.01", "autovacuum_vacuum_threshold": "100"},
		},
		Clusters: Clusters{
			Registered: []Cluster{{Name: "test-1", Health: "healthy", Key: "new", Checked: 50 * time.Second}},
			Platform:   map[string]string{"test-1": "active", "gone": "retired"},
		},
	}
}

func TestWell(t *testing.T) {
	t.Parallel()
	areas := map[string]bool{}
	for _, f := range Examine(well()) {
		if f.Level != OK || f.Fix != "" {
			t.Errorf("%+v", f)
		}
		areas[f.Area] = true
	}
	if len(areas) != 9 {
		t.Errorf("%d areas: %v", len(areas), areas)
	}
}

// Each thing that goes wrong makes just one finding, with what to do about it.
func TestFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Facts)
		level  Level
		text   string
	}{
		{"configuration", func(f *Facts) { f.Configuration.Problems = []string{"repository.id: set it"} }, Wrong, "repository.id: set it"},
		{"grace", func(f *Facts) { f.Configuration.Grace = 0 }, Warning, "approval.grace is 0"},
		{"an idle key", func(f *Facts) { f.Configuration.Keys = []string{"new", "old"} }, Warning, "no cluster's credentials use: old"},
		{"an old key at work", func(f *Facts) {
			f.Configuration.Keys = []string{"newer", "new"}
		}, Warning, "a key that is not the first"},
		{"a lost key", func(f *Facts) { f.Configuration.Keys = []string{"newer"} }, Wrong, `sealed with key "new", which encryptionKeys does not have`},
		{"no database", func(f *Facts) {
			f.Database, f.Clusters = Database{Unseen: "refused"}, Clusters{Unseen: "refused"}
		}, Wrong, "cannot be asked: refused"},
		{"an old PostgreSQL", func(f *Facts) { f.Database.Version = 13 }, Wrong, "PostgreSQL 13: at least 14"},
		{"few connections", func(f *Facts) { f.Database.MaxConnections = 79 }, Warning, "no room for a second one"},
		{"too few connections", func(f *Facts) { f.Database.MaxConnections = 39 }, Wrong, "PostgreSQL allows 39"},
		{"pending", func(f *Facts) {
			f.Database.Pending, f.Clusters = true, Clusters{Unseen: "pending"}
		}, Wrong, "migrations are pending"},
		{"vacuum scale", func(f *Facts) { f.Database.JobOptions["autovacuum_vacuum_scale_factor"] = "0.2" }, Warning, "not vacuumed eagerly"},
		{"vacuum threshold", func(f *Facts) { delete(f.Database.JobOptions, "autovacuum_vacuum_threshold") }, Warning, "not vacuumed eagerly"},
		{"vacuum off", func(f *Facts) { f.Database.JobOptions["autovacuum_enabled"] = "false" }, Warning, "not vacuumed eagerly"},
		{"no baseline", func(f *Facts) { f.Database.Baseline = false }, Wrong, "there is no baseline yet"},
		{"blocked", func(f *Facts) { f.Database.Blocked = "HISTORY_REWRITTEN" }, Wrong, "not followed: HISTORY_REWRITTEN"},
		{"no heart", func(f *Facts) { f.Database.Heartbeat = 0 }, Warning, "none has been for an hour"},
		{"the heart stopped", func(f *Facts) { f.Database.Heartbeat = 2 * time.Minute }, Warning, "the last job finished 2m ago"},
		{"never swept", func(f *Facts) { f.Database.LastSweep = 0 }, Warning, "never compared"},
		{"swept long ago", func(f *Facts) { f.Database.LastSweep = 31 * time.Minute }, Warning, "31m ago; it is to happen every 10m0s"},
		{"never fetched", func(f *Facts) { f.Database.Fetched = 0 }, Warning, "never looked for"},
		{"fetched long ago", func(f *Facts) { f.Database.Fetched = 31 * time.Minute }, Warning, "up to 31m ago only; it is to happen every 10m0s"},
		{"fetched too long ago", func(f *Facts) { f.Database.Fetched = 96 * time.Hour }, Wrong, "up to 4 days ago only, and the forge keeps them for 3 days"},
		{"no webhook yet", func(f *Facts) { f.Database.LastDelivery = 0 }, Info, "no webhook has come in"},
		{"no webhook lately", func(f *Facts) { f.Database.LastDelivery = 50 * time.Hour }, Info, "came in 2 days ago"},
		{"no forge", func(f *Facts) { f.Forge.Unseen = "no route" }, Wrong, "the repository: no route"},
		{"no branch", func(f *Facts) { f.Forge.Branch = false }, Wrong, `no branch "main"`},
		{"no App", func(f *Facts) { f.Forge.App, f.Forge.AppUnseen = nil, "bad key" }, Wrong, "the App cannot be asked: bad key"},
		{"a token", func(f *Facts) { f.Forge.App = nil }, Info, "a token's user"},
		{"suspended", func(f *Facts) { f.Forge.App.Suspended = true }, Wrong, "shepherd is suspended"},
		{"a permission is missing", func(f *Facts) { delete(f.Forge.App.Permissions, "members") }, Wrong, "members (read)"},
		{"a permission is too low", func(f *Facts) { f.Forge.App.Permissions["contents"] = "read" }, Wrong, "contents (write)"},
		{"no merge queues", func(f *Facts) { delete(f.Forge.App.Permissions, "merge_queues") }, Info, "merge_queues"},
		{"no deployments", func(f *Facts) { delete(f.Forge.App.Permissions, "deployments") }, Info, "deployments (write)"},
		{"no webhook", func(f *Facts) { f.Forge.App.Hook = forge.Hook{} }, Wrong, "no active webhook"},
		{"another path", func(f *Facts) { f.Forge.App.Hook.URL = "https://shepherd.example.com/" }, Wrong, "has to end in /webhooks/github"},
		{"a slash too many", func(f *Facts) { f.Forge.App.Hook.URL += "/" }, Wrong, "has to end in /webhooks/github"},
		{"not encrypted", func(f *Facts) { f.Forge.App.Hook.URL = "http://shepherd.example.com/webhooks/github" }, Warning, "is not encrypted"},
		{"a form", func(f *Facts) { f.Forge.App.Hook.ContentType = "form" }, Wrong, `content type is "form"`},
		{"no secret", func(f *Facts) { f.Forge.App.Hook.Secret = false }, Wrong, "no secret"},
		{"insecure", func(f *Facts) { f.Forge.App.Hook.InsecureTLS = true }, Warning, "does not check the server's certificate"},
		{"an event is missing", func(f *Facts) { f.Forge.App.Events = f.Forge.App.Events[:len(events)] }, Wrong, "event organization"},
		{"no merge groups", func(f *Facts) { f.Forge.App.Events = events }, Info, "merge_group"},
		{"some lost", func(f *Facts) {
			f.Forge.App.Attempts = []forge.Attempt{{GUID: "a", Code: 202}, {GUID: "b", Code: 502}, {GUID: "c", Code: 200}, {GUID: "d", Event: "ping"}}
		}, Warning, "1 of the last 3 webhooks were not taken (33 %)"},
		{"half lost", func(f *Facts) {
			f.Forge.App.Attempts = []forge.Attempt{{GUID: "a", Code: 202}, {GUID: "b"}}
		}, Wrong, "1 of the last 2"},
		{"anybody's check", func(f *Facts) { f.Protection.Checks[0].App = 0 }, Wrong, "shepherd/validate is required from anybody"},
		{"another App's check", func(f *Facts) { f.Protection.Checks[1].App = 7 }, Wrong, "shepherd/approval is required from App 7, not from ours (42)"},
		{"a check is missing", func(f *Facts) { f.Protection.Checks = f.Protection.Checks[:1] }, Wrong, "shepherd/approval is not required"},
		{"stale reviews", func(f *Facts) { f.Protection.DismissesStale = true }, Wrong, "stale approvals are dismissed"},
		{"force pushes", func(f *Facts) { f.Protection.ForcePushes = true }, Wrong, "may be force-pushed"},
		{"deletions", func(f *Facts) { f.Protection.Deletions = true }, Wrong, "may be deleted"},
		{"administrators", func(f *Facts) { f.Protection.AdministratorsExempt = true }, Warning, "administrators may merge"},
		{"a bypass", func(f *Facts) { f.Protection.Bypass = []string{"eve", "team ops"} }, Warning, "eve, team ops"},
		{"rulesets", func(f *Facts) { f.Protection.Rulesets = []int64{3} }, Info, "rulesets hold the branch"},
		{"no details", func(f *Facts) { f.Protection.Detailed, f.Protection.ForcePushes = false, true }, Info, "cannot be looked at without"},
		{"no protection", func(f *Facts) { f.Protection = Protection{Unseen: "down"} }, Wrong, "it cannot be read: down"},
		{"the forge's clock", func(f *Facts) { f.Forge.Skew = 6 * time.Second }, Warning, "the forge is 6s ahead of"},
		{"the forge's clock, far", func(f *Facts) { f.Forge.Skew = -61 * time.Second }, Wrong, "the forge is 1m behind"},
		{"the database's clock", func(f *Facts) { f.Database.Skew = -time.Hour }, Wrong, "the database is 1h0m behind"},
		{"an unhealthy cluster", func(f *Facts) {
			f.Clusters.Registered[0].Health, f.Clusters.Registered[0].Message = "unhealthy", "KubeVirt is away"
		}, Wrong, "test-1 is unhealthy: KubeVirt is away"},
		{"never looked at", func(f *Facts) { f.Clusters.Registered[0].Checked = 0 }, Warning, "never looked at"},
		{"looked at long ago", func(f *Facts) { f.Clusters.Registered[0].Checked = 4 * time.Minute }, Warning, "last looked at 4m ago"},
		{"paused", func(f *Facts) {
			f.Clusters.Registered[0].Paused, f.Clusters.Registered[0].PausedReason = 90*time.Second, "timeouts"
		}, Warning, "paused for another 2m: timeouts"},
		{"no platform file", func(f *Facts) { delete(f.Clusters.Platform, "test-1") }, Warning, "not in the accepted platform"},
		{"no credentials", func(f *Facts) { f.Clusters.Platform["prod-1"] = "active" }, Wrong, "prod-1 is active in the accepted platform and has no credentials"},
		{"cordoned, no credentials", func(f *Facts) { f.Clusters.Platform["prod-1"] = "cordoned" }, Warning, "prod-1 is cordoned"},
		{"no platform", func(f *Facts) { f.Clusters.PlatformUnseen = "no such commit" }, Warning, "accepted platform cannot be read: no such commit"},
		{"no clusters to read", func(f *Facts) { f.Clusters = Clusters{Unseen: "broken"} }, Wrong, "the clusters cannot be read: broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := well()
			c.change(&f)
			var bad []Finding
			for _, found := range Examine(f) {
				if found.Level != OK {
					bad = append(bad, found)
				}
			}
			if len(bad) != 1 || bad[0].Level != c.level || !strings.Contains(bad[0].Text, c.text) || bad[0].Fix == "" {
				t.Errorf("want one %s that says %q, got %+v", c.level, c.text, bad)
			}
		})
	}
}

// A webhook that came in at last is not lost, and a skew within bounds is none.
func TestNothingWrong(t *testing.T) {
	t.Parallel()
	f := well()
	f.Forge.App.Attempts = []forge.Attempt{{GUID: "a", Code: 202}, {GUID: "a", Code: 502}, {GUID: "b", Code: 200}}
	f.Forge.Skew, f.Database.Skew = skewTold, -skewTold
	f.Protection.Checks = append([]forge.RequiredCheck{{Name: checks[0]}}, f.Protection.Checks...)
	for _, found := range Examine(f) {
		if found.Level != OK {
			t.Errorf("%+v", found)
		}
	}
}
