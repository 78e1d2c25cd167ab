package github

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

const (
	testAppID = int64(31)
	minting   = "POST /app/installations/77/access_tokens"
)

// signedByApp answers requests that carry the App's own signature.
func signedByApp(t *testing.T, key *rsa.PrivateKey, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims := &jwt.RegisteredClaims{}
		_, err := jwt.ParseWithClaims(raw, claims, func(*jwt.Token) (any, error) { return &key.PublicKey, nil },
			jwt.WithValidMethods([]string{"RS256"}))
		life := claims.ExpiresAt.Sub(claims.IssuedAt.Time)
		if !ok || err != nil || claims.Issuer != strconv.FormatInt(testAppID, 10) || life > 10*time.Minute {
			t.Errorf("signature of the App: %v, %+v", err, claims)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		then(w, r)
	}
}

func mints(token string, life time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(201, fields{"token": token, "expires_at": time.Now().Add(life).UTC().Format(time.RFC3339)})(w, r)
	}
}

func appConfig(key []byte) func(*Config) {
	return func(cfg *Config) {
		cfg.Token = ""
		cfg.App = &AppConfig{ID: testAppID, PrivateKeyPEM: key}
	}
}

func TestAppAuthorisation(t *testing.T) {
	t.Parallel()
	key, pem := newKey(t)
	authorised := func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "token ghs_first" {
			t.Errorf("authorised by %q", got)
		}
		if got := r.Header.Get("User-Agent"); got != "shepherd" {
			t.Errorf("user agent %q", got)
		}
		answer(200, pullJSON(1))(w, r)
	}
	w := newWire(t, routes{
		"GET /repositories/4711/installation": signedByApp(t, key, answer(200, fields{"id": 77})),
		minting:                               signedByApp(t, key, mints("ghs_first", time.Hour)),
		whereItIs:                             answer(200, repoJSON("acme", "vms")),
		onePull:                               authorised,
	})
	c := w.client(t, appConfig(pem), func(cfg *Config) { cfg.Owner, cfg.Name = "", "" })
	for range 2 {
		if _, err := c.PullRequest(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	user, token, err := c.GitCredentials(t.Context())
	if user != "x-access-token" || token != "ghs_first" || err != nil {
		t.Errorf("credentials %q %q %v", user, token, err)
	}
	want := []string{"GET /repositories/4711/installation", minting, whereItIs, onePull, onePull}
	if diff := cmp.Diff(want, w.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	checkScope(t, w.bodies[1])
}

// checkScope holds the token to the one repository and the permissions that the bot needs.
func checkScope(t *testing.T, body string) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"repository_ids": []any{float64(testRepoID)},
		"permissions": map[string]any{
			"metadata": "read", "members": "read", "contents": "write", "pull_requests": "write", "checks": "write",
			"statuses": "write", "issues": "write",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scope (-want +got):\n%s", diff)
	}
}

func TestTokensAreMintedAgainBeforeTheyEnd(t *testing.T) {
	t.Parallel()
	key, pem := newKey(t)
	w := newWire(t, routes{minting: signedByApp(t, key, inTurn(mints("ghs_1", 30*time.Second), mints("ghs_2", time.Hour)))})
	c := w.client(t, appConfig(pem), func(cfg *Config) { cfg.App.InstallationID = 77 })
	for _, want := range []string{"ghs_1", "ghs_2", "ghs_2"} {
		if _, got, err := c.GitCredentials(t.Context()); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// When the App is not installed any more, nothing may look as if it had been deleted.
func TestMintingFailures(t *testing.T) {
	t.Parallel()
	_, pem := newKey(t)
	msg := fields{"message": "Not Found"}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    error
		until   time.Time
	}{
		"uninstalled": {handler: answer(404, msg), want: forge.ErrRefused},
		"bad key":     {handler: answer(401, msg), want: forge.ErrRefused},
		"suspended":   {handler: answer(403, msg), want: forge.ErrRefused},
		"not granted": {handler: answer(422, msg), want: forge.ErrRefused},
		"down":        {handler: answer(503, msg)},
		"not JSON":    {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Write([]byte("x")) }},
		"limited":     {handler: answer(403, msg, "Retry-After", "40"), until: testNow.Add(40 * time.Second)},
		"limited, in words": {
			handler: answer(403, fields{"message": "You have exceeded a secondary rate limit"}), until: testNow.Add(time.Minute),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{minting: tc.handler})
			c := w.client(t, appConfig(pem), func(cfg *Config) { cfg.App.InstallationID = 77 })
			_, err := c.EditComment(t.Context(), 5, "x")
			checkKind(t, err, tc.want, tc.until)
			_, _, err = c.GitCredentials(t.Context())
			checkKind(t, err, tc.want, tc.until)
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	_, pem := newKey(t)
	for name, change := range map[string]func(*Config){
		"no repository":      func(c *Config) { c.RepositoryID = 0 },
		"nobody":             func(c *Config) { c.Token = "" },
		"two identities":     func(c *Config) { c.App = &AppConfig{ID: 1, PrivateKeyPEM: pem} },
		"no App id":          func(c *Config) { c.Token, c.App = "", &AppConfig{PrivateKeyPEM: pem} },
		"bad key":            func(c *Config) { c.Token, c.App = "", &AppConfig{ID: 1, PrivateKeyPEM: []byte("secret-looking-text")} },
		"owner alone":        func(c *Config) { c.Name = "" },
		"a path as name":     func(c *Config) { c.Name = ".." },
		"plain http":         func(c *Config) { c.BaseURL = "http://github.example.com" },
		"password in URL":    func(c *Config) { c.BaseURL = "https://u:hunter2@github.example.com" },
		"query in URL":       func(c *Config) { c.BaseURL = "https://github.example.com?token=hunter2" },
		"no host":            func(c *Config) { c.BaseURL = "github.example.com" },
		"unreadable address": func(c *Config) { c.BaseURL = "https://u:hunter2@%zz" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{RepositoryID: 1, Owner: "acme", Name: "vms", Token: testToken}
			change(&cfg)
			_, err := New(t.Context(), cfg)
			if !errors.Is(err, forge.ErrRefused) {
				t.Fatalf("got %v", err)
			}
			for _, secret := range []string{"hunter2", "secret-looking", testToken} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%v holds %q", err, secret)
				}
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for base, want := range map[string][2]string{
		"":                                 {"https://api.github.com/", "https://github.com"},
		"https://api.github.com":           {"https://api.github.com/", "https://github.com"},
		"https://ghe.test":                 {"https://ghe.test/api/v3/", "https://ghe.test"},
		"https://ghe.test/api/v3/":         {"https://ghe.test/api/v3/", "https://ghe.test"},
		"https://api.acme.ghe.com/":        {"https://api.acme.ghe.com/", "https://acme.ghe.com"},
		"http://127.0.0.1:3000":            {"http://127.0.0.1:3000/api/v3/", "http://127.0.0.1:3000"},
		"http://[::1]:3000":                {"http://[::1]:3000/api/v3/", "http://[::1]:3000"},
		"http://localhost:8080/api/v3/":    {"http://localhost:8080/api/v3/", "http://localhost:8080"},
		"https://github.example.com:8443/": {"https://github.example.com:8443/api/v3/", "https://github.example.com:8443"},
	} {
		api, web, err := addresses(base)
		if err != nil || api.String() != want[0] || web != want[1] {
			t.Errorf("%q: got %v %q %v, want %q", base, api, web, err, want)
		}
	}
}

// Whatever the forge answers, nothing that the bot sent to prove who it is may come out.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	_, pem := newKey(t)
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			given := r.Header.Get("Authorization")
			answer(status, fields{"message": "you sent " + given, "errors": []string{given}},
				"Location", "https://user:"+testToken+"@evil.test/?access_token="+testToken)(w, r)
		}
	}
	leak := errors.New("proxy http://me:" + testToken + "@proxy.test refused Authorization: Bearer " + testToken)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		change  func(*Config)
	}{
		"refusal":            {handler: echo(403)},
		"server error":       {handler: echo(500)},
		"conflict":           {handler: echo(409)},
		"redirect":           {handler: echo(302)},
		"network":            {change: func(c *Config) { c.Transport = failing{leak} }},
		"network, as an App": {change: func(c *Config) { appConfig(pem)(c); c.App.InstallationID = 77; c.Transport = failing{leak} }},
		"App":                {handler: echo(403), change: func(c *Config) { appConfig(pem)(c); c.App.InstallationID = 77 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var given []string
			minted := mints(stateless, time.Hour)
			w := newWire(t, routes{onePull: tc.handler, whereItIs: tc.handler, minting: func(w http.ResponseWriter, r *http.Request) {
				given = append(given, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
				minted(w, r)
			}})
			var logged bytes.Buffer
			changes := []func(*Config){func(c *Config) { c.Logger = logTo(&logged) }}
			if tc.change != nil {
				changes = append(changes, tc.change)
			}
			_, err := w.client(t, changes...).PullRequest(t.Context(), 1)
			if err == nil {
				t.Fatal("no error")
			}
			text := err.Error() + logged.String()
			for _, secret := range append(given, testToken, strings.Split(stateless, ".")[1], strings.Split(stateless, ".")[2], "PRIVATE KEY", "evil.test") {
				if strings.Contains(text, secret) {
					t.Errorf("%q holds %q", text, secret)
				}
			}
		})
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	r := newRedactor("known-secret")
	for _, secret := range []string{
		"known-secret", stateless, "ghp_0123456789abcdef", "github_pat_11AAAA_bbbb", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOjF9.c2ln", "Bearer abcdefghijklmnop",
	} {
		line := r.line("sent " + secret + " to it")
		for part := range strings.SplitSeq(secret, ".") {
			if strings.Contains(line, part) {
				t.Errorf("%q holds %q", line, part)
			}
		}
		if !strings.HasPrefix(line, "sent ") || !strings.HasSuffix(line, " to it") {
			t.Errorf("%q lost words", line)
		}
	}
}

// stateless has the form of the installation tokens that GitHub mints since 2026.
const stateless = "ghs_77_eyJhbGciOiJFUzI1NiJ9.eyJpaWQiOjc3fQ.c2lnbmF0dXJlLW9mLXRoZS1mb3JnZQ"

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestCredentialsGoToTheConfiguredHostOnly(t *testing.T) {
	t.Parallel()
	w := newWire(t, nil)
	c := w.client(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://evil.test/api/v3/user", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.gh.Client().Transport.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "not the configured forge") {
		t.Errorf("got %v", err)
	}
}

func TestInstallationIsFound(t *testing.T) {
	t.Parallel()
	_, pem := newKey(t)
	const byName, byID = "GET /repos/acme/vms/installation", "GET /repositories/4711/installation"
	here := answer(200, fields{"id": 77})
	for name, tc := range map[string]struct {
		routes routes
		change func(*Config)
		want   error
		calls  []string
	}{
		"by name":          {routes: routes{byName: here}, calls: []string{byName}},
		"by id":            {routes: routes{byID: here, minting: mints("ghs_x", time.Hour), whereItIs: answer(200, repoJSON("acme", "vms"))}, change: func(c *Config) { c.Owner, c.Name = "", "" }, calls: []string{byID, minting, whereItIs}},
		"after a rename":   {routes: routes{byID: here}, calls: []string{byName, byID}},
		"after a redirect": {routes: routes{byName: answer(301, fields{}), byID: here}, calls: []string{byName, byID}},
		"nowhere":          {want: forge.ErrNotFound, calls: []string{byName, byID}},
		"no permission":    {routes: routes{byName: answer(401, fields{})}, want: forge.ErrRefused, calls: []string{byName}},
		"no id":            {routes: routes{byName: answer(200, fields{})}, want: errMisfit, calls: []string{byName}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tc.routes)
			cfg := Config{BaseURL: w.URL, RepositoryID: testRepoID, Owner: "acme", Name: "vms"}
			appConfig(pem)(&cfg)
			if tc.change != nil {
				tc.change(&cfg)
			}
			if _, err := New(t.Context(), cfg); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if diff := cmp.Diff(tc.calls, w.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}
