// Package stage sets the scene that the demo and the end-to-end tests play on: a forge with people, a
// spec repository with a platform, an App whose webhooks go to the server, and the configuration that
// makes a server govern it.
package stage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/deploy"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/seal"
)

// Stage is the scene. The people are those of the spec repository's roles: Alice asks, Bob approves,
// Carol may only look, Dave runs the platform.
type Stage struct {
	Forge                   *forgetest.Server
	App                     *forgetest.App
	Repo                    *forgetest.Repository
	Alice, Bob, Carol, Dave *forgetest.User
	Secret                  string
	keys                    string
}

// Options are what differs between scenes.
type Options struct {
	Dir    string // the forge's
	Logger *slog.Logger
	Forge  forgetest.Options
	// Files are added to the spec repository's first commit.
	Files forgetest.Files
	// Unprotected leaves the branch without required checks.
	Unprotected bool
}

// Set sets the scene and listens on a free port of loopback.
func Set(o Options) (*Stage, error) {
	f := o.Forge
	f.Dir, f.Logger = o.Dir, o.Logger
	forge, err := forgetest.New(f)
	if err != nil {
		return nil, fmt.Errorf("start the forge: %w", err)
	}
	if err := forge.Listen("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the forge: %w", err)
	}
	s := &Stage{Forge: forge, Secret: random(), keys: random()}
	s.Alice, s.Bob = forge.UserWithID("alice", 101), forge.UserWithID("bob", 102)
	s.Carol, s.Dave = forge.UserWithID("carol", 103), forge.UserWithID("dave", 104)
	return s, s.repository(o)
}

// random is a key of 32 bytes in hex.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (s *Stage) repository(o Options) error {
	files, err := specFiles()
	if err != nil {
		return err
	}
	for path, data := range o.Files {
		files[path] = data
	}
	s.Forge.Organization("acme")
	if s.Repo, err = s.Forge.CreateRepository("acme", "vms", forgetest.RepositoryOptions{Files: files}); err != nil {
		return fmt.Errorf("make the spec repository: %w", err)
	}
	for _, u := range []*forgetest.User{s.Alice, s.Bob, s.Carol} {
		s.Repo.SetPermission(u, "write")
	}
	s.Repo.SetPermission(s.Dave, "admin")
	if s.App, err = s.Forge.CreateApp("shepherd", forgetest.AppOptions{}); err != nil {
		return fmt.Errorf("make the App: %w", err)
	}
	s.App.Install(s.Repo)
	if !o.Unprotected {
		s.Repo.Protect("main", forgetest.Protection{Checks: []forgetest.RequiredCheck{
			{Context: "shepherd/validate", AppID: s.App.ID()}, {Context: "shepherd/approval", AppID: s.App.ID()},
		}})
	}
	return nil
}

func specFiles() (forgetest.Files, error) {
	files := forgetest.Files{}
	source := deploy.SpecRepository()
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(source, path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the spec repository to start from: %w", err)
	}
	return files, nil
}

// Config makes a server govern the stage's repository. The grace and the comment's interval are short:
// nobody watches.
func (s *Stage) Config(dsn, dataDir, listen string) config.Config {
	c := config.Defaults()
	app := s.Forge.AppCredentials()
	c.Listen, c.DataDir, c.Database = listen, dataDir, seal.NewSecret(dsn)
	c.Repository.ID = s.Repo.ID()
	c.GitHub.BaseURL = s.Forge.URL()
	c.GitHub.App = config.App{ID: app.AppID, InstallationID: app.InstallationID, PrivateKey: seal.NewSecret(string(app.PrivateKey))}
	c.GitHub.WebhookSecrets = []seal.Secret{seal.NewSecret(s.Secret)}
	c.EncryptionKeys = seal.NewSecret(s.keys)
	c.Administrators = []config.Administrator{{Login: s.Dave.Login(), ID: s.Dave.ID()}}
	c.Approval.Grace = config.Duration(time.Second)
	c.Approval.CommentInterval = config.Duration(200 * time.Millisecond)
	c.GitHub.ContentLimits = []config.Rate{{N: 1 << 20, Per: time.Second}} // the stand-in has none, unless it is told to
	return c
}

// Environ is the same configuration as a server of its own reads it from its environment.
func (s *Stage) Environ(c config.Config) []string {
	return []string{
		"SHEPHERD_LISTEN=" + c.Listen,
		"SHEPHERD_DATA_DIR=" + c.DataDir,
		"DATABASE_URL=" + c.Database.Reveal(),
		fmt.Sprintf("SHEPHERD_REPOSITORY_ID=%d", c.Repository.ID),
		"SHEPHERD_REPOSITORY_WALK_EVERY=" + time.Duration(c.Repository.WalkEvery).String(),
		"SHEPHERD_GITHUB_BASE_URL=" + c.GitHub.BaseURL,
		fmt.Sprintf("SHEPHERD_GITHUB_APP_ID=%d", c.GitHub.App.ID),
		fmt.Sprintf("SHEPHERD_GITHUB_APP_INSTALLATION_ID=%d", c.GitHub.App.InstallationID),
		"SHEPHERD_GITHUB_APP_PRIVATE_KEY=" + c.GitHub.App.PrivateKey.Reveal(),
		"SHEPHERD_GITHUB_WEBHOOK_SECRETS=" + s.Secret,
		"SHEPHERD_ENCRYPTION_KEYS=" + s.keys,
		"SHEPHERD_GITHUB_CONTENT_LIMITS=" + rates(c.GitHub.ContentLimits),
		fmt.Sprintf("SHEPHERD_ADMINISTRATORS=%s:%d", s.Dave.Login(), s.Dave.ID()),
		"SHEPHERD_APPROVAL_GRACE=" + time.Duration(c.Approval.Grace).String(),
		"SHEPHERD_APPROVAL_COMMENT_INTERVAL=" + time.Duration(c.Approval.CommentInterval).String(),
		fmt.Sprintf("SHEPHERD_LIMITS_CREATES=%d", c.Limits.Creates),
		fmt.Sprintf("SHEPHERD_LIMITS_PER_HOUR=%d", c.Limits.PerHour),
		"SHEPHERD_DRAIN_LINGER=" + time.Duration(c.Drain.Linger).String(),
		"SHEPHERD_DRAIN_JOBS=" + time.Duration(c.Drain.Jobs).String(),
	}
}

// rates are several in one text.
func rates(list []config.Rate) string {
	var out []string
	for _, r := range list {
		out = append(out, r.String())
	}
	return strings.Join(out, ",")
}

// Hook sends the App's webhooks to a server.
func (s *Stage) Hook(addr string) { s.App.SetHook("http://"+addr+"/webhooks/github", s.Secret) }

// Wait polls until ok, and says what it waited for when ctx ends first.
func Wait(ctx context.Context, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ok()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w (last: %v)", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// VM is the file of a virtual machine.
func VM(size, reason string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n  template: ubuntu-24.04\n  size: " +
		size + "\n  power: running\n  reason: " + reason + "\n")
}

// System and Service are files that only describe.
func System(description string) []byte { return described("System", description) }

// Service is the file of a service.
func Service(description string) []byte { return described("Service", description) }

func described(kind, description string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: " + kind + "\nspec:\n  description: " + description + "\n")
}
