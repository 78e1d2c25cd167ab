package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/seal"
)

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shepherd.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func load(t *testing.T, content string, environ map[string]string) Config {
	t.Helper()
	c, err := Load(write(t, content), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"an empty file": "", "a comment": "# nothing\n", "an empty object": "{}\n"} {
		if diff := cmp.Diff(Defaults(), load(t, content, nil), cmp.AllowUnexported(seal.Secret{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	c, err := Load("", nil)
	if err != nil || c.Listen != "127.0.0.1:8080" {
		t.Errorf("no file: %+v, %v", c, err)
	}
}

const whole = `
listen: 0.0.0.0:80
database: postgres://shepherd@db/shepherd
dataDir: /data
repository: {forge: github, id: 42, branch: trunk}
github:
  baseURL: https://github.example
  app: {id: 7, installationID: 8, privateKey: PEM}
  webhookSecrets: [the first of the secrets, the second of the secrets]
  deployments: false
encryptionKeys: k1
administrators:
- {login: dave, id: 104}
- {login: erin, id: 105}
approval: {grace: 30s, teamCache: 1m, commentInterval: 2s, soloAdmin: true, pushModifiedSpecs: true, autoMerge: false, remindAfter: 72h}
policy: {allowLoosen: [START_VM, STOP_VM]}
limits:
  creates: 3
  perHour: 0
  rules:
  - {environment: prod, deletes: 2}
  - {environment: prod, role: approver, deletes: 5, perHour: 1000}
retention: {deliveries: 72h}
log: {level: debug, format: json}
`

func TestLoadFile(t *testing.T) {
	t.Parallel()
	c := load(t, whole, nil)
	if c.Listen != "0.0.0.0:80" || c.Repository.ID != 42 || c.GitHub.App.InstallationID != 8 || c.Limits.Creates != 3 || c.Log.Format != "json" {
		t.Errorf("%+v", c)
	}
	if got := time.Duration(c.Approval.Grace); got != 30*time.Second {
		t.Errorf("grace %s", got)
	}
	if got := time.Duration(c.Retention.Deliveries); got != 72*time.Hour {
		t.Errorf("deliveries are kept for %s", got)
	}
	if c.GitHub.Deployments {
		t.Error("deployments are announced")
	}
	if diff := cmp.Diff([]Administrator{{Login: "dave", ID: 104}, {Login: "erin", ID: 105}}, c.Administrators); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]domain.Operation{domain.StartVM, domain.StopVM}, c.Policy.AllowLoosen); diff != "" {
		t.Error(diff)
	}
	if len(c.GitHub.WebhookSecrets) != 2 || c.GitHub.WebhookSecrets[1].Reveal() != "the second of the secrets" || c.Database.Reveal() != "postgres://shepherd@db/shepherd" {
		t.Error("the secrets are others")
	}
	wantLimits := Limits{Creates: 3, Deletes: 10, Modifications: 50, PowerOperations: 50, Rules: LimitRules{
		{Environment: domain.Prod, Deletes: new(2)}, {Environment: domain.Prod, Role: "approver", Deletes: new(5), PerHour: new(1000)},
	}}
	if diff := cmp.Diff(wantLimits, c.Limits); diff != "" {
		t.Error(diff)
	}
	wantApproval := Approval{
		Grace: Duration(30 * time.Second), TeamCache: Duration(time.Minute), CommentInterval: Duration(2 * time.Second),
		SoloAdmin: true, PushModifiedSpecs: true, RemindAfter: Duration(72 * time.Hour),
	}
	if diff := cmp.Diff(wantApproval, c.Approval); diff != "" {
		t.Error(diff)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// What is misspelt or misplaced is said, not passed over.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, content, want string
		environ             map[string]string
	}{
		{"unknown key", "listn: x\n", `unknown field "listn"`, nil},
		{"unknown key inside", "github: {app: {key: x}}\n", `unknown field "key"`, nil},
		{"unknown key of an administrator", "administrators: [{login: dave, id: 4, role: admin}]\n", `unknown field "role"`, nil},
		{"a key twice", "listen: a\nlisten: b\n", `"listen" already set in map`, nil},
		{"a text for a number", "repository: {id: vms}\n", "repository.id", nil},
		{"a list for a text", "listen: [a]\n", "listen", nil},
		{"no duration", "approval: {grace: soon}\n", `"soon"`, nil},
		{"a negative duration", "approval: {grace: -1s}\n", "cannot be negative", nil},
		{"a number for a duration", "approval: {grace: 10}\n", "Duration", nil},
		{"no YAML", "{", "yaml", nil},
		{"unknown key of a limit rule", "limits: {rules: [{role: operator, create: 3}]}\n", `unknown field "create"`, nil},
		{"unknown key of a limit rule in the environment", "", `SHEPHERD_LIMITS_RULES: `, map[string]string{"SHEPHERD_LIMITS_RULES": "[{create: 3}]"}},
		{"a text for a yes or no", "approval: {soloAdmin: perhaps}\n", "soloAdmin", nil},
		{"no yes or no in the environment", "", "SHEPHERD_APPROVAL_AUTO_MERGE: ", map[string]string{"SHEPHERD_APPROVAL_AUTO_MERGE": "perhaps"}},
		{"no number in the environment", "", "SHEPHERD_REPOSITORY_ID: ", map[string]string{"SHEPHERD_REPOSITORY_ID": "vms"}},
		{"no administrator in the environment", "", "login:id", map[string]string{"SHEPHERD_ADMINISTRATORS": "dave"}},
		{"no rate", "github: {contentLimits: [80 a minute]}\n", `not "80 a minute"`, nil},
		{"no rate in the environment", "", "SHEPHERD_GITHUB_CONTENT_LIMITS: ", map[string]string{"SHEPHERD_GITHUB_CONTENT_LIMITS": "80/1m,x/1h"}},
		{"a rate without a time", "github: {contentLimits: [80/minute]}\n", `not "80/minute"`, nil},
		{"a file that is not there", "encryptionKeysFile: /nonexistent/keys\n", "/nonexistent/keys", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(write(t, c.content), c.environ)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: want it to say %s", err, c.want)
			}
		})
	}
	if _, err := Load("/nonexistent/shepherd.yaml", nil); err == nil || !strings.Contains(err.Error(), "/nonexistent/shepherd.yaml") {
		t.Errorf("no such file: %v", err)
	}
}

func TestLoadSecretsFromFiles(t *testing.T) {
	t.Parallel()
	named := write(t, " named by the file\n")
	other := write(t, "named by the environment")
	content := "encryptionKeysFile: " + named + "\n"
	for _, c := range []struct {
		name, content string
		environ       map[string]string
		want          string
	}{
		{"the file", content, nil, "named by the file"},
		{"the file goes before the value beside it", content + "encryptionKeys: x\n", nil, "named by the file"},
		{"the environment's value goes before the file", content, map[string]string{"SHEPHERD_ENCRYPTION_KEYS": "y"}, "y"},
		{"the environment's value, and the file is not there", "encryptionKeysFile: /nonexistent\n", map[string]string{"SHEPHERD_ENCRYPTION_KEYS": "y"}, "y"},
		{"the environment's file", content, map[string]string{"SHEPHERD_ENCRYPTION_KEYS_FILE": other}, "named by the environment"},
		{"the environment's file goes before its value", "", map[string]string{"SHEPHERD_ENCRYPTION_KEYS_FILE": other, "SHEPHERD_ENCRYPTION_KEYS": "y"}, "named by the environment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := load(t, c.content, c.environ).EncryptionKeys.Reveal(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	c := load(t, "github: {app: {privateKeyFile: "+named+"}}\n", nil)
	if got := c.GitHub.App.PrivateKey.Reveal(); got != "named by the file" {
		t.Errorf("private key %q", got)
	}
}

func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	url := map[string]string{"DATABASE_URL": "from DATABASE_URL"}
	if got := load(t, "database: from the file\n", url).Database.Reveal(); got != "from DATABASE_URL" {
		t.Error(got)
	}
	both := maps.Clone(url)
	both["SHEPHERD_DATABASE"] = "from SHEPHERD_DATABASE"
	if got := load(t, "", both).Database.Reveal(); got != "from SHEPHERD_DATABASE" {
		t.Error(got)
	}
	if got := load(t, "database: from the file\n", map[string]string{"DATABASE_URL": ""}).Database.Reveal(); got != "from the file" {
		t.Error(got)
	}
}

// A platform sets variables of its own beside ours: those of a Kubernetes Service of our name.
func TestLoadLeavesOtherVariablesAlone(t *testing.T) {
	t.Parallel()
	_, err := Load("", map[string]string{"SHEPHERD_PORT": "tcp://10.0.0.1:80", "SHEPHERD_SERVICE_HOST": "10.0.0.1", "SHEPHERD_CONFIG": "/etc/shepherd.yaml", "PATH": "/bin"})
	if err != nil {
		t.Error(err)
	}
}

// Each thing that keeps the server from starting is said, with its key, and all at once.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"a whole one", func(*Config) {}, nil},
		{"nothing", func(c *Config) { *c = Config{} }, []string{
			"database: ", "repository.forge: ", "repository.id: ", "repository.branch: ", "repository.walkEvery: ", "repository.sweepEvery: ", "clusters.checkEvery: ", "github.webhookSecrets: without a secret",
			"github: set either app or token", "encryptionKeys: ", "limits.creates: ", "limits.deletes: ", "limits.modifications: ", "limits.powerOperations: ",
		}},
		{"the defaults", func(c *Config) { *c = Defaults() }, []string{"database: ", "repository.id: ", "github.webhookSecrets: without a secret", "github: set either", "encryptionKeys: "}},
		{"a short secret", func(c *Config) { c.GitHub.WebhookSecrets[1] = seal.NewSecret("short") }, []string{"github.webhookSecrets: a secret has at least 16 characters"}},
		{"an empty secret", func(c *Config) { c.GitHub.WebhookSecrets[1] = seal.Secret{} }, []string{"github.webhookSecrets: a secret has at least 16 characters"}},
		{"app and token", func(c *Config) { c.GitHub.Token = seal.NewSecret("x") }, []string{"github: set either app or token"}},
		{"a token alone", func(c *Config) { c.GitHub.App, c.GitHub.Token = App{}, seal.NewSecret("x") }, nil},
		{"an app without its key", func(c *Config) { c.GitHub.App.PrivateKey = seal.Secret{} }, []string{"github.app.privateKey: "}},
		{"a registry by its address", func(c *Config) { c.Policy.Registries = []string{"quay.io/acme", "https://quay.io"} }, []string{`policy.registries: "https://quay.io": `}},
		{"a registry without name", func(c *Config) { c.Policy.Registries = []string{"/"} }, []string{`policy.registries: "/": `}},
		{"deliveries that nobody would recognise again", func(c *Config) { c.Retention.Deliveries-- }, []string{"retention.deliveries: at least 72h"}},
		{"deliveries that are kept for ever", func(c *Config) { c.Retention.Deliveries = 0 }, nil},
		{"another forge", func(c *Config) { c.Repository.Forge = "gitea" }, []string{"repository.forge: only github"}},
		{"a negative repository", func(c *Config) { c.Repository.ID = -1 }, []string{"repository.id: "}},
		{"a negative rate", func(c *Config) { c.Limits.PerHour = -1 }, []string{"limits.perHour: "}},
		{"a limit rule without limits", func(c *Config) { c.Limits.Rules[0].Deletes = nil }, []string{"limits.rules[0]: set at least one of creates, "}},
		{"a limit rule with a negative limit", func(c *Config) { c.Limits.Rules[1].PerHour = new(-1) }, []string{"limits.rules[1].perHour: "}},
		{"a limit rule that lets nothing through", func(c *Config) { c.Limits.Rules[1].Deletes = new(0) }, []string{"limits.rules[1].deletes: "}},
		{"a limit rule of no environment", func(c *Config) { c.Limits.Rules[0].Environment = "staging" }, []string{`limits.rules[0].environment: "staging" is neither test nor prod`}},
		{"a limit rule of no role", func(c *Config) { c.Limits.Rules[0].Role = "wizard" }, []string{`limits.rules[0].role: "wizard" is no role: platform-admin, `}},
		{"an administrator without number", func(c *Config) { c.Administrators[0].ID = 0 }, []string{`administrators: "dave": `}},
		{"an administrator without login", func(c *Config) { c.Administrators[0].Login = "" }, []string{`administrators: "": `}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, whole, nil)
			c.change(&cfg)
			var got []string
			if err := cfg.Check(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(c.want) {
				t.Fatalf("%q: want %d sentences", got, len(c.want))
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%q: want %q", got[i], want)
				}
			}
		})
	}
}
