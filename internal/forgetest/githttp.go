package forgetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

var gitPath = regexp.MustCompile(`^/([^/]+)/([^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)$`)

func isGitPath(p string) bool { return gitPath.MatchString(p) }

const maxPack = 1 << 30

// serveGit answers git's smart HTTP protocol with git's own http-backend. A push is judged before and followed up
// after it: its answer is written only when the server's state has moved with it.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	m := gitPath.FindStringSubmatch(r.URL.Path)
	push := m[3] == "git-receive-pack" || r.URL.Query().Get("service") == "git-receive-pack"
	s.mu.Lock()
	repo := s.repository(m[1], m[2])
	former := s.moved(m[1], m[2])
	if repo == nil {
		repo = former
	}
	who, err := s.admitGit(r, repo, push)
	target := ""
	if err == nil && repo == former && former != nil {
		target = "/" + former.fullName() + ".git/" + m[3] + "?" + r.URL.RawQuery
	}
	s.mu.Unlock()
	if err != nil {
		refuseGit(w, err)
		return
	}
	if target != "" {
		http.Redirect(w, r, target, http.StatusMovedPermanently)
		return
	}
	body, err := gitBody(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	backend := s.backend(repo, who, push)
	inner := r.Clone(r.Context())
	inner.URL.Path = "/" + path.Base(repo.dir) + "/" + m[3]
	inner.Header.Del("Content-Encoding")
	inner.Body, inner.ContentLength, inner.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if m[3] != "git-receive-pack" {
		backend.ServeHTTP(w, inner)
		return
	}
	s.receive(w, inner, repo, who, body, backend)
}

// admitGit finds out who is there. A public repository may be read by anybody.
func (s *Server) admitGit(r *http.Request, repo *repository, push bool) (*actor, error) {
	if r.Header.Get("Authorization") == "" {
		if repo != nil && !repo.private && !push {
			return nil, nil
		}
		return nil, refuse(http.StatusUnauthorized, "Authentication required")
	}
	who, err := s.authenticate(r)
	if err != nil {
		return nil, err
	}
	if repo == nil {
		return nil, notFound()
	}
	if err := who.can(repo, "read", "contents:read"); err != nil {
		return nil, err
	}
	if push && !who.writes(repo) && !s.maintains(who, repo) {
		return nil, refuse(http.StatusForbidden, "Permission to %s.git denied to %s.", repo.fullName(), who.user.login)
	}
	return who, nil
}

// maintains tells whether the actor may push to a fork because a pull request from it lets maintainers do so.
func (s *Server) maintains(who *actor, fork *repository) bool {
	if fork.parent == nil || !who.writes(fork.parent) {
		return false
	}
	return slices.ContainsFunc(fork.parent.pulls(), func(p *pull) bool {
		return p.headRepo == fork && p.maintainerEdits && p.state == "open"
	})
}

func refuseGit(w http.ResponseWriter, err error) {
	status, text := http.StatusInternalServerError, err.Error()
	var e *Error
	if errors.As(err, &e) {
		status, text = e.Status, e.Message
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
	}
	http.Error(w, text, status)
}

// gitBody reads a request whole: CGI cannot take chunks, and the commands of a push have to be seen.
func gitBody(r *http.Request) ([]byte, error) {
	var src io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, fmt.Errorf("unpack request: %w", err)
		}
		src = z
	}
	body, err := io.ReadAll(io.LimitReader(src, maxPack))
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return body, nil
}

func (s *Server) backend(repo *repository, who *actor, push bool) http.Handler {
	env := slices.Concat(s.git.env, []string{"GIT_PROJECT_ROOT=" + path.Dir(repo.dir), "GIT_HTTP_EXPORT_ALL=1"})
	if push {
		env = append(env, "REMOTE_USER="+who.user.login)
	}
	return &cgi.Handler{Path: s.git.backend, Root: "/", Env: env, Stderr: io.Discard}
}

// receive runs a push. The reply is held back until the server has followed the references.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, repo *repository, who *actor, body []byte, backend http.Handler) {
	lock := s.pushLock(repo)
	lock.Lock()
	defer lock.Unlock()
	commands, caps := parsePush(body)
	s.mu.Lock()
	reason := s.judgePush(who, repo, commands)
	s.mu.Unlock()
	if reason != nil {
		writePushRefusal(w, commands, caps, reason)
		return
	}
	rec := &heldResponse{header: http.Header{}, status: http.StatusOK}
	backend.ServeHTTP(rec, r)
	s.mu.Lock()
	s.followPush(who, repo)
	s.mu.Unlock()
	for k, v := range rec.header {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.status)
	w.Write(rec.body.Bytes()) //nolint:errcheck // the client has gone away
}

// pushLock serialises the pushes to one repository.
func (s *Server) pushLock(r *repository) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pushing[r.id] == nil {
		s.pushing[r.id] = &sync.Mutex{}
	}
	return s.pushing[r.id]
}

// parsePush reads the commands in front of the pack: pkt-lines "old new ref", capabilities after a NUL in the first.
func parsePush(body []byte) (commands []refUpdate, caps string) {
	for len(body) >= 4 {
		n, err := strconv.ParseUint(string(body[:4]), 16, 16)
		if err != nil || n < 4 || int(n) > len(body) {
			return commands, caps
		}
		line, list, hasCaps := strings.Cut(string(body[4:n]), "\x00")
		if hasCaps {
			caps = list
		}
		body = body[n:]
		parts := strings.Fields(line)
		if len(parts) != 3 {
			continue
		}
		up := refUpdate{ref: parts[2], old: parts[0], new: parts[1]}
		if up.old == zeroSHA {
			up.old = ""
		}
		if up.new == zeroSHA {
			up.new = ""
		}
		commands = append(commands, up)
	}
	return commands, caps
}

// judgePush asks branch protection. Whether a push is forced is not known before the pack is in: a new commit that
// is not here yet is taken as one that continues the branch, because a protected branch refuses both alike.
func (s *Server) judgePush(who *actor, repo *repository, commands []refUpdate) error {
	for _, up := range commands {
		if up.old != "" && up.new != "" {
			if _, _, err := repo.store.read(up.new); err == nil {
				up.forced = !s.isAncestor(repo, up.old, up.new)
			}
		}
		if err := s.checkPush(who, repo, up); err != nil {
			return err
		}
	}
	return nil
}

// followPush finds out what a push has changed and lets the state follow.
func (s *Server) followPush(who *actor, repo *repository) {
	now, err := s.git.listRefs(repo.dir)
	if err != nil {
		s.log.Error("read references after a push", "repository", repo.fullName(), "error", err)
		return
	}
	var ups []refUpdate
	for ref, sha := range now {
		if old := repo.refs[ref]; old != sha {
			ups = append(ups, refUpdate{ref: ref, old: old, new: sha, forced: old != "" && !s.isAncestor(repo, old, sha)})
		}
	}
	for ref, old := range repo.refs {
		if writable(ref) && now[ref] == "" {
			ups = append(ups, refUpdate{ref: ref, old: old})
		}
	}
	slices.SortFunc(ups, func(a, b refUpdate) int { return strings.Compare(a.ref, b.ref) })
	for _, up := range ups {
		s.refMoved(who, repo, up, "")
	}
}

// heldResponse keeps an answer in memory.
type heldResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldResponse) Header() http.Header         { return h.header }
func (h *heldResponse) WriteHeader(status int)      { h.status = status }
func (h *heldResponse) Write(p []byte) (int, error) { return h.body.Write(p) }

func pkt(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }

// writePushRefusal answers a push as git does when a hook declines it, with GitHub's words.
func writePushRefusal(w http.ResponseWriter, commands []refUpdate, caps string, reason error) {
	var e *Error
	text := reason.Error()
	if errors.As(reason, &e) {
		text = e.Message
	}
	var report strings.Builder
	report.WriteString(pkt("unpack ok\n"))
	for _, up := range commands {
		report.WriteString(pkt("ng " + up.ref + " protected branch hook declined\n"))
	}
	report.WriteString("0000")
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	w.Header().Set("Cache-Control", "no-cache")
	if !strings.Contains(caps, "side-band-64k") {
		io.WriteString(w, report.String()) //nolint:errcheck // the client has gone away
		return
	}
	out := pkt("\x02error: GH006: "+text+"\n") + pkt("\x01"+report.String()) + "0000"
	io.WriteString(w, out) //nolint:errcheck // the client has gone away
}
