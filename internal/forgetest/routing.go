package forgetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// access says who may use a route. level is what a person needs in the repository ("" for any account), perm what an
// installation needs, app that only an App with its JWT may come in.
type access struct {
	level string
	perm  string
	app   bool
}

type route struct {
	pattern string
	access  access
	handle  func(*call) (reply, error)
}

// call is one REST request on its way through a handler, which runs under the server's lock.
type call struct {
	s     *Server
	r     *http.Request
	actor *actor
	repo  *repository
	body  []byte
}

// reply is a handler's answer. The zero status means 200; a nil body sends none.
type reply struct {
	status int
	body   any
	link   string
}

func ok(body any) (reply, error)      { return reply{body: body}, nil }
func created(body any) (reply, error) { return reply{status: http.StatusCreated, body: body}, nil }
func noContent() (reply, error)       { return reply{status: http.StatusNoContent}, nil }

const maxBody = 32 << 20

func (c *call) decode(into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return refuse(http.StatusBadRequest, "Problems parsing JSON")
	}
	return nil
}

func (c *call) path(name string) string { return c.r.PathValue(name) }

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// id reads a numeric path value. Anything else is a resource that does not exist.
func (c *call) id(name string) (int64, error) {
	n, err := strconv.ParseInt(c.path(name), 10, 64)
	if err != nil {
		return 0, notFound()
	}
	return n, nil
}

func hasAPIPrefix(path string) bool { return strings.HasPrefix(path, "/api/v3/") || path == "/api/v3" }

// refPaths are the routes whose middle part is a reference that may contain slashes.
var refPaths = []*regexp.Regexp{
	regexp.MustCompile(`^(/repos/[^/]+/[^/]+/commits/)(.+)(/(?:pulls|check-runs|check-suites|statuses|status))$`),
	regexp.MustCompile(`^(/repos/[^/]+/[^/]+/commits/)(.+)()$`),
	regexp.MustCompile(`^(/repos/[^/]+/[^/]+/rules/branches/)(.+)()$`),
	regexp.MustCompile(`^(/repos/[^/]+/[^/]+/branches/)(.+)(/protection)$`),
	regexp.MustCompile(`^(/repos/[^/]+/[^/]+/branches/)(.+)()$`),
	regexp.MustCompile(`^(/repos/[^/]+/[^/]+/compare/)(.+)()$`),
}

// escapeRef makes a reference with slashes one path segment, so that it matches one wildcard.
func escapeRef(path string) string {
	for _, re := range refPaths {
		if m := re.FindStringSubmatch(path); m != nil {
			return m[1] + strings.ReplaceAll(m[2], "/", "%2F") + m[3]
		}
	}
	return path
}

// separateComments moves the comments of issues out of the way of the numbered issues: the patterns
// issues/comments/{id} and issues/{number}/comments would contradict each other.
func separateComments(path string) string {
	return strings.Replace(path, "/issues/comments/", "/issues:comments/", 1)
}

func (s *Server) apiHandler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.routes() {
		mux.Handle(separateComments(rt.pattern), s.serveRoute(rt))
	}
	unknown := s.serveUnknown()
	mux.Handle("/", unknown)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), "/api/v3"), "/")
		path = separateComments(escapeRef(s.nameRepo(path)))
		if strings.HasSuffix(path, "/contents") {
			path += "/" // the root directory
		}
		plain, err := url.PathUnescape(path)
		if err != nil || path == "" {
			unknown.ServeHTTP(w, r)
			return
		}
		inner := r.Clone(r.Context())
		inner.URL.Path, inner.URL.RawPath = plain, path
		mux.ServeHTTP(w, inner)
	})
}

// serveRoute wraps a handler: faults, authentication, rate limit, access, answer, call log.
func (s *Server) serveRoute(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
			return
		}
		fault := s.takeFault(rt.pattern)
		if fault != nil && !fault.After {
			if handled := s.playFault(w, r, rt.pattern, body, fault); handled {
				return
			}
		}
		rep, who := s.perform(w, r, rt, body)
		if fault != nil && fault.After && s.playFault(w, r, rt.pattern, body, fault) {
			return
		}
		s.respond(w, r, rep, who, rt.pattern, body)
	})
}

// perform runs the handler under the lock and turns an error into its answer.
func (s *Server) perform(w http.ResponseWriter, r *http.Request, rt route, body []byte) (reply, *actor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{s: s, r: r, body: body}
	rep, err := func() (reply, error) {
		var err error
		if c.actor, err = s.authenticate(r); err != nil {
			writeLimit(w.Header(), anonymousLimit, s.budgetOf(nil))
			return reply{}, err
		}
		if err := s.spend(w.Header(), c.actor, rt.pattern); err != nil {
			return reply{}, err
		}
		if err := c.admit(rt); err != nil {
			return reply{}, err
		}
		return rt.handle(c)
	}()
	if err != nil {
		rep = s.errorReply(w.Header(), err)
	}
	return rep, c.actor
}

// admit resolves the repository of the route and checks the access that it needs.
func (c *call) admit(rt route) error {
	isJWT := c.actor.token == nil
	switch {
	case rt.access.app && !isJWT:
		return refuse(http.StatusUnauthorized, "A JSON web token could not be decoded")
	case !rt.access.app && isJWT:
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	if owner := c.path("owner"); owner != "" {
		c.repo = c.s.repository(owner, c.path("repo"))
	} else if strings.Contains(rt.pattern, "/repositories/{id}") {
		if id, err := c.id("id"); err == nil {
			c.repo = c.s.repos[id]
		}
	} else {
		return c.admitAccount(rt)
	}
	former := c.s.moved(c.path("owner"), c.path("repo"))
	switch {
	case c.repo == nil && former != nil && c.actor.can(former, "read", rt.access.perm) == nil:
		return c.movedTo(former)
	case c.repo == nil:
		return notFound()
	}
	return c.actor.can(c.repo, rt.access.level, rt.access.perm)
}

// movedTo sends a request for a repository's former name to its address by id, which every route also has.
func (c *call) movedTo(r *repository) error {
	e := refuse(http.StatusTemporaryRedirect, "Moved Permanently")
	if c.r.Method == http.MethodGet {
		e.Status = http.StatusMovedPermanently
	}
	target := c.s.apiURL("/repositories/%d%s", r.id, c.beneathRepo())
	if c.r.URL.RawQuery != "" {
		target += "?" + c.r.URL.RawQuery
	}
	e.header, e.url = http.Header{"Location": {target}}, target
	return e
}

var repoPath = regexp.MustCompile(`^/repos/[^/]+/[^/]+`)

// beneathRepo is the part of the path that follows the repository.
func (c *call) beneathRepo() string {
	return strings.Replace(repoPath.ReplaceAllString(c.r.URL.EscapedPath(), ""), "/issues:comments/", "/issues/comments/", 1)
}

var numberedRepo = regexp.MustCompile(`^/repositories/([0-9]+)(/.+)$`)

// nameRepo turns an address by a repository's id into the one by its name, except for that of the repository itself.
func (s *Server) nameRepo(path string) string {
	m := numberedRepo.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	id, err := strconv.ParseInt(m[1], 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[id]; err == nil && r != nil {
		return "/repos/" + r.fullName() + m[2]
	}
	return path
}

func (c *call) admitAccount(rt route) error {
	if c.actor.inst() != nil && !c.actor.token.grants(rt.access.perm) {
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return nil
}

func (s *Server) errorReply(h http.Header, err error) reply {
	var e *Error
	if !errors.As(err, &e) {
		s.log.Error("forge could not answer", "error", err)
		e = refuse(http.StatusInternalServerError, "Server Error: %s", err)
	}
	for k, v := range e.header {
		h[k] = v
	}
	body := obj{"message": e.Message, "documentation_url": "https://docs.github.com/rest" + e.docs, "status": strconv.Itoa(e.Status)}
	if e.url != "" {
		body["url"] = e.url
		delete(body, "status")
	}
	if len(e.Errors) > 0 {
		body["errors"] = e.Errors
	}
	return reply{status: e.Status, body: body}
}

// respond writes an answer with GitHub's headers, with an ETag for what can be asked again.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, rep reply, who *actor, pattern string, sent []byte) {
	if rep.status == 0 {
		rep.status = http.StatusOK
	}
	h := w.Header()
	var body []byte
	if rep.body != nil {
		var err error
		if body, err = json.Marshal(rep.body); err != nil {
			s.log.Error("encode an answer", "route", pattern, "error", err)
			rep.status = http.StatusInternalServerError
		}
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	if made, isObject := rep.body.(obj); isObject && rep.status == http.StatusCreated && made["url"] != nil {
		h.Set("Location", made["url"].(string))
	}
	if rep.link != "" {
		h.Set("Link", rep.link)
	}
	if r.Method == http.MethodGet && rep.status == http.StatusOK {
		sum := sha256.Sum256(append([]byte(r.Header.Get("Authorization")+"\n"), body...)) // GitHub's tags are of the token, too
		etag := `W/"` + hex.EncodeToString(sum[:]) + `"`
		h.Set("ETag", etag)
		h.Set("Cache-Control", "private, max-age=60, s-maxage=60")
		h.Set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With")
		if sameETag(r.Header.Get("If-None-Match"), etag) {
			rep.status, body = http.StatusNotModified, nil
			h.Del("Content-Type")
		}
	}
	s.mu.Lock()
	h.Set("Date", s.clock().UTC().Format(http.TimeFormat))
	s.refund(h, who, rep.status)
	s.logCall(r, pattern, who.name(), rep.status)
	s.mu.Unlock()
	h.Set("X-GitHub-Request-Id", strings.ToUpper(randomHex(8)))
	h.Set("X-GitHub-Media-Type", "github.v3; format=json")
	h.Set("X-GitHub-Enterprise-Version", enterpriseVersion)
	if s.opts.Observer != nil && pattern != "" {
		s.opts.Observer.Answered(pattern, r, sent, rep.status, h, body)
	}
	w.WriteHeader(rep.status)
	w.Write(body) //nolint:errcheck // the client has gone away
}

const enterpriseVersion = "3.19.0"

func sameETag(given, etag string) bool {
	for one := range strings.SplitSeq(given, ",") {
		if strings.TrimPrefix(strings.TrimSpace(one), "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

func (s *Server) serveUnknown() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.log.Warn("forge does not know this route", "method", r.Method, "path", r.URL.Path)
		rep := s.errorReply(w.Header(), notFound())
		s.respond(w, r, rep, nil, "", nil)
	})
}
