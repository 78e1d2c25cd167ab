// Package config is the server's configuration: one YAML file, every key of which the environment can
// override (SHEPHERD_ and the key's path, e.g. SHEPHERD_REPOSITORY_ID). It is read once, at the edge.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/seal"
)

// Config is all of it.
type Config struct {
	// Listen is where webhooks, health and metrics are served.
	Listen string `json:"listen" env:"LISTEN"`
	// Database is PostgreSQL's address; DATABASE_URL sets it too.
	Database seal.Secret `json:"database" env:"DATABASE"`
	// DataDir is where the mirror of the spec repository lives. It is a cache.
	DataDir    string     `json:"dataDir" env:"DATA_DIR"`
	Repository Repository `json:"repository" envPrefix:"REPOSITORY_"`
	GitHub     GitHub     `json:"github" envPrefix:"GITHUB_"`
	// EncryptionKeys seal clusters' credentials: one or more of KEY or ID:KEY, the first seals.
	EncryptionKeys seal.Secret `json:"encryptionKeys" env:"ENCRYPTION_KEYS"`
	// EncryptionKeysFile holds them in its place.
	EncryptionKeysFile string `json:"encryptionKeysFile" env:"ENCRYPTION_KEYS_FILE"`
	// Administrators are the first platform administrators, whom git cannot remove.
	Administrators []Administrator `json:"administrators" env:"ADMINISTRATORS"`
	Approval       Approval        `json:"approval" envPrefix:"APPROVAL_"`
	Policy         Policy          `json:"policy" envPrefix:"POLICY_"`
	Limits         Limits          `json:"limits" envPrefix:"LIMITS_"`
	Clusters       Clusters        `json:"clusters" envPrefix:"CLUSTERS_"`
	Retention      Retention       `json:"retention" envPrefix:"RETENTION_"`
	Drain          Drain           `json:"drain" envPrefix:"DRAIN_"`
	Log            Log             `json:"log" envPrefix:"LOG_"`
}

// Repository is the one spec repository and its governed branch.
type Repository struct {
	Forge  string `json:"forge" env:"FORGE"` // github
	ID     int64  `json:"id" env:"ID"`       // the forge's number of it
	Branch string `json:"branch" env:"BRANCH"`
	// WalkEvery is how often the branch is looked at without a webhook's asking for it.
	WalkEvery Duration `json:"walkEvery" env:"WALK_EVERY"`
	// SweepEvery is how often the open pull requests are compared with what was judged, also at start.
	SweepEvery Duration `json:"sweepEvery" env:"SWEEP_EVERY"`
}

// GitHub is how GitHub is reached: as an App, or with a token.
type GitHub struct {
	BaseURL string      `json:"baseURL" env:"BASE_URL"` // GitHub Enterprise Server; empty is github.com
	App     App         `json:"app" envPrefix:"APP_"`
	Token   seal.Secret `json:"token" env:"TOKEN"`
	// WebhookSecrets sign webhooks; several while one is being replaced.
	WebhookSecrets []seal.Secret `json:"webhookSecrets" env:"WEBHOOK_SECRETS"`
	// Deployments announces what merges bring to clusters as deployments; it takes a permission of its own.
	Deployments bool `json:"deployments" env:"DEPLOYMENTS"`
	// ContentLimits are how fast something may be created there, all replicas together: N/TIME, as 80/1m.
	ContentLimits []Rate `json:"contentLimits" env:"CONTENT_LIMITS"`
}

// App are the credentials of a GitHub App.
type App struct {
	ID             int64       `json:"id" env:"ID"`
	InstallationID int64       `json:"installationID" env:"INSTALLATION_ID"` // found by itself when 0
	PrivateKey     seal.Secret `json:"privateKey" env:"PRIVATE_KEY"`         // PEM
	PrivateKeyFile string      `json:"privateKeyFile" env:"PRIVATE_KEY_FILE"`
}

// Approval bounds decisions.
type Approval struct {
	// Grace is how long a plan is on show before an approval can accept it.
	Grace Duration `json:"grace" env:"GRACE"`
	// TeamCache is how long a team's membership is remembered.
	TeamCache Duration `json:"teamCache" env:"TEAM_CACHE"`
	// CommentInterval is the least time between two edits of a comment.
	CommentInterval Duration `json:"commentInterval" env:"COMMENT_INTERVAL"`
	// SoloAdmin lets the only administrator approve an own change of the platform. It is audited.
	SoloAdmin bool `json:"soloAdmin" env:"SOLO_ADMIN"`
	// PushModifiedSpecs lets the bot commit a planned spec to the pull request, instead of suggesting it.
	PushModifiedSpecs bool `json:"pushModifiedSpecs" env:"PUSH_MODIFIED_SPECS"`
	// AutoMerge lets the bot merge a pull request in which nothing needs an approval.
	AutoMerge bool `json:"autoMerge" env:"AUTO_MERGE"`
	// RemindAfter is how long a ticket waits before somebody is reminded of it; 0 reminds nobody.
	RemindAfter Duration `json:"remindAfter" env:"REMIND_AFTER"`
}

// Policy is what only the server may say about policy.
type Policy struct {
	// AllowLoosen lists the operations for which the platform may ask for fewer approvals than the
	// default.
	AllowLoosen []domain.Operation `json:"allowLoosen" env:"ALLOW_LOOSEN"`
	// Registries are where the images of VMs may come from: registries or paths in them, as quay.io/acme;
	// anywhere when there are none.
	Registries []string `json:"registries" env:"REGISTRIES"`
}

// Clusters says how the target clusters are watched.
type Clusters struct {
	// CheckEvery is how often every cluster is looked at, also at start.
	CheckEvery Duration `json:"checkEvery" env:"CHECK_EVERY"`
}

// Retention is how long what is not needed any more is kept.
type Retention struct {
	// Deliveries is how long webhooks are kept that were acted on; 0 keeps them for ever.
	Deliveries Duration `json:"deliveries" env:"DELIVERIES"`
}

// Drain is how a server goes that is told to stop. Whoever stops it leaves it the longer of both times, and ten
// seconds more.
type Drain struct {
	// Linger is for how long it takes webhooks although it says that it is not ready: those who send them need a
	// moment to notice.
	Linger Duration `json:"linger" env:"LINGER"`
	// Jobs is for how long the jobs that run may go on. Those that are cut off run again elsewhere.
	Jobs Duration `json:"jobs" env:"JOBS"`
}

// Log says how much is logged, and how.
type Log struct {
	Level  string `json:"level" env:"LEVEL"`   // debug | info | warn | error
	Format string `json:"format" env:"FORMAT"` // text | json
}

// Administrator is a person, in YAML as login and id, in the environment as login:id.
type Administrator spec.Person

// UnmarshalText reads login:id.
func (a *Administrator) UnmarshalText(text []byte) error {
	login, id, ok := strings.Cut(string(text), ":")
	n, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil {
		return fmt.Errorf("an administrator is login:id, not %q", text)
	}
	*a = Administrator{Login: login, ID: n}
	return nil
}

// UnmarshalJSON reads {login, id}.
func (a *Administrator) UnmarshalJSON(data []byte) error {
	return yaml.UnmarshalStrict(data, (*spec.Person)(a))
}

// Duration is a Go duration in text, as 10s.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v < 0 {
		return fmt.Errorf("a duration cannot be negative: %s", text)
	}
	*d = Duration(v)
	return nil
}

// Rate is so many in a time, in text as 80/1m.
type Rate struct {
	N   int
	Per time.Duration
}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(text []byte) error {
	n, per, ok := strings.Cut(string(text), "/")
	count, err := strconv.Atoi(n)
	if !ok || err != nil {
		return fmt.Errorf("a rate is a number and a time, as 80/1m, not %q", text)
	}
	within, err := time.ParseDuration(per)
	if err != nil {
		return fmt.Errorf("a rate is a number and a time, as 80/1m, not %q", text)
	}
	*r = Rate{count, within}
	return nil
}

func (r Rate) String() string { return fmt.Sprintf("%d/%v", r.N, r.Per) }

// check says what is wrong with a rate at the forge.
func (r Rate) check() error {
	if r.N < 5 || r.Per < time.Second || r.Per > time.Hour {
		return fmt.Errorf("github.contentLimits: %v: at least 5, in a time from 1s to 1h", r)
	}
	return nil
}

// Defaults are the values of keys that nobody sets.
func Defaults() Config {
	return Config{
		Listen: "127.0.0.1:8080", DataDir: "/var/lib/shepherd",
		Repository: Repository{Forge: "github", Branch: "main", WalkEvery: Duration(time.Minute), SweepEvery: Duration(10 * time.Minute)},
		GitHub:     GitHub{Deployments: true, ContentLimits: []Rate{{80, time.Minute}, {500, time.Hour}}},
		Approval: Approval{
			Grace: Duration(10 * time.Second), TeamCache: Duration(5 * time.Minute), CommentInterval: Duration(10 * time.Second),
			AutoMerge: true, RemindAfter: Duration(7 * 24 * time.Hour),
		},
		Limits:    Limits{Creates: 10, Deletes: 10, Modifications: 50, PowerOperations: 50, PerHour: 100},
		Clusters:  Clusters{CheckEvery: Duration(time.Minute)},
		Retention: Retention{Deliveries: Duration(30 * 24 * time.Hour)},
		Drain:     Drain{Linger: Duration(5 * time.Second), Jobs: Duration(20 * time.Second)},
		Log:       Log{Level: "info", Format: "text"},
	}
}

// Load reads the file (none when empty) and lets the environment override it. An unknown key is an
// error. Nothing is checked here for being enough: see Check.
func Load(file string, environ map[string]string) (Config, error) {
	c := Defaults()
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("read the configuration: %w", err)
		}
		if err := yaml.UnmarshalStrict(data, &c); err != nil {
			return c, fmt.Errorf("read the configuration %s: %w", file, err)
		}
	}
	if url := environ["DATABASE_URL"]; url != "" {
		c.Database = seal.NewSecret(url)
	}
	if err := c.override(environ); err != nil {
		return c, fmt.Errorf("read the environment: %w", err)
	}
	return c, c.files(environ)
}

const prefix = "SHEPHERD_"

// override reads the environment. Its errors name the variables: the parser knows fields only, and there
// are several of a name.
func (c *Config) override(environ map[string]string) error {
	err := env.ParseWithOptions(c, env.Options{Prefix: prefix, Environment: environ})
	if err == nil {
		return nil
	}
	var named []error
	for _, key := range slices.Sorted(maps.Keys(environ)) {
		var alone Config
		one := map[string]string{key: environ[key]}
		if err := env.ParseWithOptions(&alone, env.Options{Prefix: prefix, Environment: one}); err != nil {
			named = append(named, fmt.Errorf("%s: %w", key, err))
		}
	}
	return cmp.Or(errors.Join(named...), err)
}

// files reads the secrets that are named by file. One that the environment holds itself goes before a
// file that only the configuration file names.
func (c *Config) files(environ map[string]string) error {
	for _, f := range []struct {
		path, env string
		secret    *seal.Secret
	}{
		{c.EncryptionKeysFile, prefix + "ENCRYPTION_KEYS", &c.EncryptionKeys},
		{c.GitHub.App.PrivateKeyFile, prefix + "GITHUB_APP_PRIVATE_KEY", &c.GitHub.App.PrivateKey},
	} {
		if f.path == "" || environ[f.env] != "" && environ[f.env+"_FILE"] == "" {
			continue
		}
		data, err := os.ReadFile(f.path)
		if err != nil {
			return fmt.Errorf("read a secret: %w", err)
		}
		*f.secret = seal.NewSecret(strings.TrimSpace(string(data)))
	}
	return nil
}

// Check says everything that keeps the server from starting, each with its key.
func (c Config) Check() error {
	var errs []error
	need := func(ok bool, message string) {
		if !ok {
			errs = append(errs, errors.New(message))
		}
	}
	need(!c.Database.Empty(), "database: set it, or DATABASE_URL, to PostgreSQL's address")
	need(c.Repository.Forge == "github", "repository.forge: only github is known")
	need(c.Repository.ID > 0, "repository.id: set it to the forge's number of the spec repository")
	need(c.Repository.Branch != "", "repository.branch: set it to the governed branch")
	need(c.Repository.WalkEvery > 0, "repository.walkEvery: set it to more than nothing, as 1m")
	need(c.Repository.SweepEvery > 0, "repository.sweepEvery: set it to more than nothing, as 10m")
	need(c.Clusters.CheckEvery > 0, "clusters.checkEvery: set it to more than nothing, as 1m")
	need(c.Retention.Deliveries == 0 || c.Retention.Deliveries >= leastRetention,
		"retention.deliveries: at least 72h, for which GitHub may send a webhook again, or 0 to keep all")
	need(len(c.GitHub.WebhookSecrets) > 0, "github.webhookSecrets: without a secret anybody could send webhooks")
	for _, s := range c.GitHub.WebhookSecrets {
		need(len(s.Reveal()) >= minSecret, fmt.Sprintf("github.webhookSecrets: a secret has at least %d characters", minSecret))
	}
	app := c.GitHub.App.ID != 0
	need(app != !c.GitHub.Token.Empty(), "github: set either app or token")
	need(!app || !c.GitHub.App.PrivateKey.Empty(), "github.app.privateKey: set it, or privateKeyFile")
	need(!c.EncryptionKeys.Empty(), "encryptionKeys: set at least one key of 32 bytes (base64 or hex): openssl rand -hex 32")
	for _, a := range c.Administrators {
		need(a.ID > 0 && a.Login != "", fmt.Sprintf("administrators: %q: give the login and the forge's number of it", a.Login))
	}
	for _, r := range c.GitHub.ContentLimits {
		if err := r.check(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range c.Policy.Registries {
		need(strings.Trim(r, "/") != "" && !strings.Contains(r, "://"), fmt.Sprintf("policy.registries: %q: give a registry, or a path in one, as quay.io/acme", r))
	}
	return errors.Join(append(errs, c.Limits.check()...)...)
}

// leastRetention is how long GitHub lets a webhook be sent again: for so long it has to be known.
const leastRetention = Duration(3 * 24 * time.Hour)

// minSecret is the least length of a webhook secret.
const minSecret = 16
