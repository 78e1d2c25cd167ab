// Package github is the driver for GitHub and GitHub Enterprise Server: it speaks with one repository on behalf of
// a GitHub App (or of a token's user) and turns GitHub's answers and webhooks into the words of package forge.
// No other package knows GitHub's client.
//
// Every method makes the calls it says and no more, retries nothing but a rename of the repository, and returns
// errors that wrap [forge.ErrNotFound], [forge.ErrConflict], [forge.ErrRefused] or a [forge.LaterError]; any other
// error may pass when the call is made again. No error and no log line holds a credential.
package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Config says which repository is governed and who speaks for the bot. RepositoryID and one of App and Token are
// required.
type Config struct {
	// BaseURL is the address of a GitHub Enterprise Server, for example https://github.example.com. Empty means
	// github.com. It must come from the server's own configuration, never from a delivery: credentials go there.
	BaseURL string
	// RepositoryID names the repository for good. Owner and Name are a hint that saves a call; they are looked up
	// when empty and again after a rename.
	RepositoryID int64
	Owner, Name  string
	App          *AppConfig
	Token        string
	UserAgent    string       // empty: "shepherd"
	Logger       *slog.Logger // nil: silence
	// Transport carries the requests, already authorised. Nil: a transport of its own with Go's defaults.
	Transport http.RoundTripper
	// Limiter keeps to the forge's limits. Nil: they are noticed when they are hit.
	Limiter Limiter
	// Answers keeps answers to questions, to ask whether they are still so. Nil: all questions are asked anew.
	Answers Answers
	// Asked hears what became of each question that Answers was asked about; nil: nobody does.
	Asked   func(outcome string)
	Timeout time.Duration    // of one request with its answer; 0: 30 s
	Now     func() time.Time // nil: time.Now
}

// AppConfig is the identity of a GitHub App.
type AppConfig struct {
	ID             int64
	InstallationID int64 // 0: looked up for the repository
	PrivateKeyPEM  []byte
}

// Client speaks with one repository. Its methods may be used from any goroutine.
type Client struct {
	gh           *gh.Client
	apps         *gh.Client // signs as the App itself; nil with a token
	deployer     *gh.Client // with a token for deployments alone: an App need not be given that permission
	examiner     *gh.Client // the same for reading administration
	installation int64      // the App's
	minter       *ghinstallation.Transport
	token        string
	web          string // the address that people and git use, without a slash at the end
	api          string
	repoID       int64
	log          *slog.Logger
	now          func() time.Time
	redactor     redactor

	mu   sync.Mutex
	at   location
	self forge.Person
}

// location is where the repository is to be found at present.
type location struct{ owner, name string }

const (
	defaultTimeout = 30 * time.Second
	perPage        = 100
	maxPages       = 200
)

// New makes a client. It calls the forge only for what the configuration leaves open: the App's installation, and
// the repository's owner and name. A bad configuration is [forge.ErrRefused].
func New(ctx context.Context, cfg Config) (*Client, error) {
	c, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if c.at.owner == "" {
		if _, err := c.locate(ctx); err != nil {
			return nil, c.failure("find the governed repository", err)
		}
	}
	return c, nil
}

// dial makes a client that may not know yet where the repository is.
func dial(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configure github: %w: %w", forge.ErrRefused, err)
	}
	api, web, err := addresses(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("configure github: %w: %w", forge.ErrRefused, err)
	}
	c := &Client{
		token: cfg.Token, web: web, api: strings.TrimSuffix(api.String(), "/"), repoID: cfg.RepositoryID,
		log: cfg.Logger, now: cfg.Now, redactor: newRedactor(cfg.Token), at: location{cfg.Owner, cfg.Name},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, c.connect(ctx, cfg, api)
}

func (cfg Config) check() error {
	switch {
	case cfg.RepositoryID <= 0:
		return errors.New("the repository's numeric id is missing")
	case (cfg.App == nil) == (cfg.Token == ""):
		return errors.New("give a GitHub App or a token, one of both")
	case cfg.App != nil && cfg.App.ID <= 0:
		return errors.New("the App's numeric id is missing")
	case (cfg.Owner == "") != (cfg.Name == ""):
		return errors.New("give owner and name of the repository, or neither")
	case cfg.Owner != "" && !(validName(cfg.Owner) && validName(cfg.Name)):
		return errors.New("owner or name of the repository cannot be one")
	}
	return nil
}

// addresses derives the REST base and the pages' base from what was configured.
func addresses(base string) (api *url.URL, web string, err error) {
	if base == "" {
		base = "https://api.github.com/"
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, "", errors.New("the base URL is not a URL") // the parser's words may hold a password
	}
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, "", errors.New("the base URL must be https://host[:port][/path], without user or query")
	case u.Scheme == "https":
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		return nil, "", errors.New("the base URL must be https: credentials go there")
	}
	pages := url.URL{Scheme: u.Scheme, Host: strings.TrimPrefix(u.Host, "api.")}
	g, err := gh.NewClient(nil).WithEnterpriseURLs(u.String(), u.String())
	if err != nil {
		return nil, "", errors.New("the base URL is not a URL")
	}
	return g.BaseURL, pages.String(), nil
}

// connect builds the clients: go-github → known answers → limits → authorisation → guard → the configured transport.
func (c *Client) connect(ctx context.Context, cfg Config, api *url.URL) error {
	base := cfg.Transport
	if base == nil {
		base = http.DefaultTransport.(*http.Transport).Clone()
	}
	guarded := &guard{scheme: api.Scheme, host: api.Host, timeout: cfg.Timeout, next: base}
	if guarded.timeout == 0 {
		guarded.timeout = defaultTimeout
	}
	if cfg.App == nil {
		c.gh = c.restClient(cfg, api, c.mindful(cfg, "token/"+fingerprint(cfg.Token), "", &bearer{token: cfg.Token, next: guarded}))
		c.deployer, c.examiner = c.gh, c.gh
		return nil
	}
	signer, err := ghinstallation.NewAppsTransport(guarded, cfg.App.ID, cfg.App.PrivateKeyPEM)
	if err != nil {
		return fmt.Errorf("configure github: %w: the App's private key is not an RSA key in PEM form", forge.ErrRefused)
	}
	signer.BaseURL = c.api
	c.apps = c.restClient(cfg, api, c.measured(cfg, fmt.Sprintf("app/%d", cfg.App.ID), signer))
	installation := cfg.App.InstallationID
	if installation == 0 {
		if installation, err = c.findInstallation(ctx); err != nil {
			return c.failure("find the App's installation for the repository", err)
		}
	}
	c.installation = installation
	c.minter = ghinstallation.NewFromAppsTransport(signer, installation)
	c.minter.InstallationTokenOptions = tokenScope(c.repoID)
	who := fmt.Sprintf("installation/%d", installation)
	c.gh = c.restClient(cfg, api, c.mindful(cfg, who, "", c.minter))
	deploys := ghinstallation.NewFromAppsTransport(signer, installation)
	deploys.InstallationTokenOptions = deploymentScope(c.repoID)
	c.deployer = c.restClient(cfg, api, c.mindful(cfg, who, "deployments", deploys))
	examines := ghinstallation.NewFromAppsTransport(signer, installation)
	examines.InstallationTokenOptions = examinationScope(c.repoID)
	c.examiner = c.restClient(cfg, api, c.mindful(cfg, who, "administration", examines))
	return nil
}

// measured is next within the identity's limits.
func (c *Client) measured(cfg Config, identity string, next http.RoundTripper) http.RoundTripper {
	if cfg.Limiter == nil {
		return next
	}
	return &limited{identity: identity, limiter: cfg.Limiter, now: c.now, next: next}
}

// mindful is next within the identity's limits, for questions that remember what was answered. rights says for what the
// identity's token is.
func (c *Client) mindful(cfg Config, identity, rights string, next http.RoundTripper) http.RoundTripper {
	next = c.measured(cfg, identity, next)
	if cfg.Answers == nil {
		return next
	}
	heard := cfg.Asked
	if heard == nil {
		heard = func(string) {}
	}
	scope := fmt.Sprintf("%s/%s/%d", identity, rights, c.repoID)
	return &conditional{scope: scope, answers: cfg.Answers, heard: heard, next: next}
}

// fingerprint tells tokens apart without telling what they are.
func fingerprint(token string) string {
	sum := sha256.Sum256([]byte("token of the bot's account\x00" + token))
	return hex.EncodeToString(sum[:8])
}

// findInstallation asks by name, which is the documented way, and by id when the name is not known or out of date. A
// wrong one does no harm: no token for our repository can be minted from it.
func (c *Client) findInstallation(ctx context.Context) (int64, error) {
	var found *gh.Installation
	var err error
	if c.at.owner != "" {
		found, _, err = c.apps.Apps.FindRepositoryInstallation(ctx, c.at.owner, c.at.name)
	}
	if c.at.owner == "" || mayHaveMoved(err) {
		found, _, err = c.apps.Apps.FindRepositoryInstallationByID(ctx, c.repoID)
	}
	if err == nil && found.GetID() <= 0 {
		err = errMisfit
	}
	return found.GetID(), err
}

func (c *Client) restClient(cfg Config, api *url.URL, tr http.RoundTripper) *gh.Client {
	g := gh.NewClient(&http.Client{
		Transport: tr,
		// A redirect is how a rename shows. It is answered by asking for the new name, never by sending the
		// credentials to wherever an answer points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	g.BaseURL = api
	g.UserAgent = cfg.UserAgent
	if g.UserAgent == "" {
		g.UserAgent = "shepherd"
	}
	return g
}

func (c *Client) where() location {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// locate asks where the repository is now and keeps the answer. Its error is go-github's own.
func (c *Client) locate(ctx context.Context) (*gh.Repository, error) {
	r, _, err := c.gh.Repositories.GetByID(ctx, c.repoID)
	if err != nil {
		return nil, err
	}
	now := location{r.GetOwner().GetLogin(), r.GetName()}
	if r.GetID() != c.repoID || !validName(now.owner) || !validName(now.name) {
		return nil, errMisfit
	}
	c.mu.Lock()
	before := c.at
	c.at = now
	c.mu.Unlock()
	if before.owner != "" && before != now {
		c.log.Info("the governed repository has moved", "from", before.owner+"/"+before.name, "to", now.owner+"/"+now.name)
	}
	return r, nil
}

// inRepository runs do with the repository's owner and name. When the answer can mean that the repository was
// renamed, it asks for the new name once and, if there is one, runs do again.
func (c *Client) inRepository(ctx context.Context, doing string, do func(owner, name string) error) error {
	at := c.where()
	err := do(at.owner, at.name)
	if !mayHaveMoved(err) {
		return c.failure(doing, err)
	}
	switch _, lookup := c.locate(ctx); {
	case status(lookup) == http.StatusNotFound:
		// Not the thing is gone but our access to everything: no caller may take that for a deleted comment.
		return fmt.Errorf("%s: %w: repository %d is not visible to the bot", doing, forge.ErrRefused, c.repoID)
	case lookup != nil:
		return c.failure(doing, lookup)
	}
	if now := c.where(); now != at {
		err = do(now.owner, now.name)
	}
	return c.failure(doing, err)
}

// pages collects all pages of a list.
func pages[T any](list func(gh.ListOptions) ([]T, *gh.Response, error)) ([]T, error) {
	var all []T
	opts := gh.ListOptions{PerPage: perPage}
	for range maxPages {
		page, resp, err := list(opts)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if resp.NextPage <= opts.Page {
			return all, nil
		}
		opts.Page = resp.NextPage
	}
	return nil, fmt.Errorf("a list of more than %d pages", maxPages)
}
