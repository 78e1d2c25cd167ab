package forgetest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// actor is who makes a request: a person, an installation of an App (which acts as the App's bot), or an App itself.
type actor struct {
	user  *account
	app   *app   // with an App's JWT or an installation's token
	token *token // nil with an App's JWT
}

// name identifies the actor in the call log and for rate limits.
func (a *actor) name() string {
	switch {
	case a == nil:
		return "anonymous"
	case a.token == nil && a.app != nil:
		return "app:" + a.app.slug
	}
	return a.user.login
}

// inst is the installation that the actor acts for, nil for people.
func (a *actor) inst() *installation {
	if a.token == nil {
		return nil
	}
	return a.token.inst
}

// can checks that the actor has a level of access to a repository. People are judged by level, installations by
// perm (for example "pull_requests:write", alternatives separated by |).
func (a *actor) can(r *repository, level, perm string) error {
	if a.inst() == nil {
		have := r.permission(a.user)
		switch {
		case !atLeast(have, "read"):
			return notFound()
		case !atLeast(have, level):
			return refuse(http.StatusForbidden, "Must have %s rights to Repository.", level)
		}
		return nil
	}
	if !a.token.covers(r) {
		return notFound()
	}
	if !a.token.grants(perm) {
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return nil
}

func (t *token) covers(r *repository) bool {
	return t.inst.covers(r) && (t.repos == nil || t.repos[r.id])
}

func (t *token) grants(perm string) bool {
	if perm == "" {
		return true
	}
	for one := range strings.SplitSeq(perm, "|") {
		name, level, _ := strings.Cut(one, ":")
		if atLeast(t.permissions[name], level) {
			return true
		}
	}
	return false
}

// writes tells whether the actor may push to a repository.
func (a *actor) writes(r *repository) bool { return a.can(r, "write", "contents:write") == nil }

// bypasses tells whether branch protection does not bind the actor.
func (a *actor) bypasses(r *repository) bool {
	return a.inst() == nil && atLeast(r.permission(a.user), "admin")
}

func badCredentials() *Error { return refuse(http.StatusUnauthorized, "Bad credentials") }

// authenticate finds out who a REST request comes from.
func (s *Server) authenticate(r *http.Request) (*actor, error) {
	header := r.Header.Get("Authorization")
	if user, pass, ok := r.BasicAuth(); ok {
		return s.actorByToken(pass, user)
	}
	scheme, secret, ok := strings.Cut(header, " ")
	if header == "" {
		return nil, refuse(http.StatusUnauthorized, "Requires authentication")
	}
	if !ok || !equalFold(scheme, "bearer") && !equalFold(scheme, "token") {
		return nil, badCredentials()
	}
	if strings.Count(secret, ".") == 2 && !strings.HasPrefix(secret, "ghs_") {
		return s.actorByJWT(secret)
	}
	return s.actorByToken(secret, "")
}

// actorByToken looks a token up. Over git the token may be given as the password or as the user name.
func (s *Server) actorByToken(candidates ...string) (*actor, error) {
	for _, c := range candidates {
		t := s.tokens[c]
		if t == nil || c == "" {
			continue
		}
		if !t.expiresAt.IsZero() && !s.clock().Before(t.expiresAt) {
			return nil, badCredentials()
		}
		if t.inst == nil {
			return &actor{user: t.user, token: t}, nil
		}
		if !t.inst.suspendedAt.IsZero() {
			return nil, refuse(http.StatusForbidden, "This installation has been suspended")
		}
		return &actor{user: t.inst.app.bot, app: t.inst.app, token: t}, nil
	}
	return nil, badCredentials()
}

// actorByJWT checks an App's JWT: RS256 with the App's key, not expired, and not valid for more than ten minutes.
func (s *Server) actorByJWT(raw string) (*actor, error) {
	var claims jwt.RegisteredClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	var found *app
	_, err := parser.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) {
		for _, a := range s.apps {
			if itoa(a.id) == claims.Issuer {
				found = a
				return &a.key.PublicKey, nil
			}
		}
		return nil, notFound()
	})
	now := s.clock()
	switch {
	case found == nil && err != nil && claims.Issuer != "":
		return nil, refuse(http.StatusNotFound, "Integration not found")
	case err != nil:
		return nil, refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
	case !claims.VerifyExpiresAt(now, true):
		return nil, refuse(http.StatusUnauthorized, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.ExpiresAt.After(now.Add(10*time.Minute + 5*time.Second)):
		return nil, refuse(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	return &actor{app: found, user: found.bot}, nil
}

// installationToken makes a token in the form of those that GitHub mints since 2026: the App's id and a JSON web token,
// which clients are not to look into. It is some hundred characters long.
func (s *Server) installationToken(t *token) string {
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`))
	body := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"stand-in","iid":` + itoa(t.inst.id) + `,"jti":"` + randomHex(16) + `"}`))
	raw := make([]byte, 64)
	rand.Read(raw) //nolint:errcheck // crypto/rand never fails
	secret := "ghs_" + itoa(t.inst.app.id) + "_" + head + "." + body + "." + base64.RawURLEncoding.EncodeToString(raw)
	s.tokens[secret] = t
	return secret
}

// newToken makes a credential of a person, with GitHub's prefix.
func (s *Server) newToken(t *token) string {
	raw := make([]byte, 27)
	rand.Read(raw) //nolint:errcheck // crypto/rand never fails
	secret := "ghp_" + strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(raw))
	s.tokens[secret] = t
	return secret
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) //nolint:errcheck // crypto/rand never fails
	return hex.EncodeToString(raw)
}
