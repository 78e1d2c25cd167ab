package forgetest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// App is a GitHub App of a server.
type App struct {
	s *Server
	a *app
}

// AppOptions says what an App may do and hear.
type AppOptions struct {
	// ID is the App's id. 0: the next free one.
	ID int64
	// Permissions maps resources to read or write. Nil: what a pull-request bot needs.
	Permissions map[string]string
	// Events are the webhooks that the App hears. Nil: all that this server sends about repositories and teams.
	Events []string
	// HookURL and HookSecret are where and how webhooks are sent. SetHook can set them later.
	HookURL    string
	HookSecret string
}

// BotPermissions are the permissions of an App that judges pull requests, merges and reports.
func BotPermissions() map[string]string {
	return map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "checks": "write",
		"statuses": "write", "members": "read", "administration": "read", "deployments": "write", "repository_hooks": "read",
		"merge_queues": "read",
	}
}

var appEvents = []string{
	"push", "pull_request", "pull_request_review", "pull_request_review_comment", "issue_comment", "issues", "check_run",
	"check_suite", "status", "membership", "team", "member", "organization", "merge_group", "deployment",
	"deployment_status", "create", "delete",
}

// appKeys are the private keys of the first, second, ... App of every server of this process: making one takes long.
var appKeys struct {
	sync.Mutex
	keys []*rsa.PrivateKey
}

func appKey(n int) (*rsa.PrivateKey, error) {
	appKeys.Lock()
	defer appKeys.Unlock()
	for len(appKeys.keys) <= n {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, fmt.Errorf("generate an App's key: %w", err)
		}
		appKeys.keys = append(appKeys.keys, key)
	}
	return appKeys.keys[n], nil
}

// CreateApp registers an App and its bot user, slug[bot].
func (s *Server) CreateApp(slug string, opts AppOptions) (*App, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := appKey(len(s.apps))
	if err != nil {
		return nil, err
	}
	if opts.ID == 0 {
		opts.ID = s.nextID()
	}
	if opts.Permissions == nil {
		opts.Permissions = BotPermissions()
	}
	if opts.Events == nil {
		opts.Events = appEvents
	}
	a := &app{
		id: opts.ID, slug: slug, name: slug, owner: s.orgNamed("apps").a, bot: s.addAccount(slug+"[bot]", "Bot", 0), key: key,
		permissions: opts.Permissions, events: slices.Clone(opts.Events), createdAt: s.now(),
	}
	a.hook = &hook{id: s.nextID(), app: a, url: opts.HookURL, secret: opts.HookSecret, events: a.events, active: true, createdAt: s.now()}
	s.apps = append(s.apps, a)
	handle := &App{s: s, a: a}
	s.ping(a.hook, &actor{user: a.owner})
	return handle, nil
}

// ID is the App's id, the issuer of its JWTs.
func (a *App) ID() int64 { return a.a.id }

// Bot is the user that the App's installations act as.
func (a *App) Bot() *User { return &User{s: a.s, a: a.a.bot} }

// PrivateKey is the App's key in PEM, as GitHub hands it out.
func (a *App) PrivateKey() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(a.a.key)})
}

// SetHook changes where webhooks go and the secret that signs them, and pings.
func (a *App) SetHook(url, secret string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.a.hook.url, a.a.hook.secret = url, secret
	a.s.ping(a.a.hook, &actor{user: a.a.owner})
}

// Deliveries lists what the App's webhook has sent, oldest first.
func (a *App) Deliveries() []Delivery {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.a.hook.list()
}

// Redeliver sends a delivery once more, under the same GUID. False: there is no such delivery.
func (a *App) Redeliver(deliveryID int64) bool {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, d := range a.a.hook.deliveries {
		if d.id == deliveryID {
			a.s.redeliver(d)
			return true
		}
	}
	return false
}

// Installation is an App's presence in one account.
type Installation struct {
	s *Server
	i *installation
}

// Install installs the App in the account of the given repositories, for these only.
func (a *App) Install(repos ...*Repository) *Installation {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	i := a.s.installationOn(a.a, repos[0].r.owner)
	i.repos = map[int64]bool{}
	for _, r := range repos {
		i.repos[r.r.id] = true
	}
	return a.installed(i)
}

// InstallOn installs the App for all repositories of an organisation.
func (a *App) InstallOn(o *Organization) *Installation {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.installed(a.s.installationOn(a.a, o.a))
}

// Installations lists where the App is installed, in the order in which it was.
func (a *App) Installations() []*Installation {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	var out []*Installation
	for _, i := range a.a.installations {
		out = append(out, &Installation{s: a.s, i: i})
	}
	return out
}

func (s *Server) installationOn(a *app, acc *account) *installation {
	i := &installation{id: s.nextID(), app: a, account: acc, permissions: maps.Clone(a.permissions), createdAt: s.now()}
	a.installations = append(a.installations, i)
	return i
}

func (a *App) installed(i *installation) *Installation {
	a.s.emitInstallation(i, "created")
	return &Installation{s: a.s, i: i}
}

func (s *Server) emitInstallation(i *installation, action string) {
	repos := []obj{}
	for _, r := range s.sortedRepos() {
		if r.owner == i.account && (i.repos == nil || i.repos[r.id]) {
			repos = append(repos, obj{"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name, "full_name": r.fullName(), "private": r.private})
		}
	}
	// The whole installation stands where other events have only its id.
	body := obj{"action": action, "installation": s.installationView(i), "repositories": repos, "requester": nil, "sender": s.userView(i.account)}
	s.deliver(i.app.hook, nil, 0, "installation", action, body)
}

// ID is the installation's id.
func (i *Installation) ID() int64 { return i.i.id }

// Suspend stops the installation's tokens and webhooks, or lets them go on.
func (i *Installation) Suspend(on bool) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	since, action := time.Time{}, "unsuspend"
	if on {
		since, action = i.s.now(), "suspend"
	}
	i.i.suspendedAt = since
	i.s.emitInstallation(i.i, action)
}

// SetPermissions changes what tokens minted from now on may do.
func (i *Installation) SetPermissions(permissions map[string]string) {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	i.i.permissions = maps.Clone(permissions)
}

// Token mints a token for everything that the installation may do. It lasts an hour.
func (i *Installation) Token() string {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	return i.s.installationToken(&token{inst: i.i, permissions: maps.Clone(i.i.permissions), expiresAt: i.s.clock().Add(tokenLife)})
}

// Credentials is what a program needs to act as an installed App.
type Credentials struct {
	AppID          int64
	InstallationID int64
	PrivateKey     []byte
	WebhookSecret  string
	BotLogin       string
	BotID          int64
}

// AppCredentials gives the credentials of the first App and its first installation; zero values for what is missing.
func (s *Server) AppCredentials() Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.apps) == 0 {
		return Credentials{}
	}
	a := s.apps[0]
	c := Credentials{
		AppID: a.id, PrivateKey: (&App{s: s, a: a}).PrivateKey(), WebhookSecret: a.hook.secret, BotLogin: a.bot.login, BotID: a.bot.id,
	}
	if len(a.installations) > 0 {
		c.InstallationID = a.installations[0].id
	}
	return c
}
