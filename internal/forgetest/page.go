package forgetest

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
)

//go:embed page.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"markdown": markdown, "short": short, "when": func(t time.Time) string { return t.Format("2006-01-02 15:04:05") },
	"line": func(i int) int { return i + 1 },
}).ParseFS(pageFiles, "page.html"))

// markdown renders what people and bots write. HTML in it is shown as HTML: this server is for tests on loopback.
func markdown(text string) (template.HTML, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))
	var out bytes.Buffer
	if err := md.Convert([]byte(text), &out); err != nil {
		return "", err
	}
	return template.HTML(out.String()), nil //nolint:gosec // see above
}

func short(sha string) string { return sha[:min(7, len(sha))] }

func (s *Server) webHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveIndex)
	mux.HandleFunc("GET /{owner}/{repo}", s.servePulls)
	mux.HandleFunc("GET /{owner}/{repo}/pulls", s.servePulls)
	mux.HandleFunc("GET /{owner}/{repo}/pull/{number}", s.servePull)
	mux.HandleFunc("GET /{owner}/{repo}/blob/{ref}/{path...}", s.serveBlob)
	mux.HandleFunc("GET /{owner}/{repo}/raw/{ref}/{path...}", s.serveRaw)
	return mux
}

// show draws a page whose data was gathered under the lock.
func (s *Server) show(w http.ResponseWriter, name string, data any) {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, data); err != nil {
		s.log.Error("draw a page", "page", name, "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(out.Bytes()) //nolint:errcheck // the reader has gone away
}

type pullLine struct {
	URL, Title, Author, State, Head, Base string
	Number, Comments                      int
	Updated                               time.Time
}

func (p *pull) shownState() string {
	switch {
	case p.merged:
		return "merged"
	case p.state == "open" && p.draft:
		return "draft"
	}
	return p.state
}

func (s *Server) pullLine(p *pull) pullLine {
	return pullLine{
		URL: s.issueURL(p.issue), Title: p.title, Author: p.author.login, State: p.shownState(), Head: p.headRef, Base: p.baseRef,
		Number: p.number, Comments: len(p.comments), Updated: p.updatedAt,
	}
}

func (s *Server) serveIndex(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	var names []string
	for _, r := range s.sortedRepos() {
		names = append(names, r.fullName())
	}
	s.mu.Unlock()
	s.show(w, "index", names)
}

func (s *Server) servePulls(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	repo := s.repository(r.PathValue("owner"), r.PathValue("repo"))
	data := struct {
		Repo  string
		Pulls []pullLine
	}{}
	if repo != nil {
		data.Repo = repo.fullName()
		for _, p := range repo.pulls() {
			data.Pulls = append(data.Pulls, s.pullLine(p))
		}
	}
	s.mu.Unlock()
	if repo == nil {
		http.NotFound(w, r)
		return
	}
	s.show(w, "pulls", data)
}

// entry is a comment or a review in the order of time.
type entry struct {
	Author, Body, Kind, Commit, Anchor string
	Edited                             bool
	At                                 time.Time
}

type pullPage struct {
	pullLine
	Repo, Body, HeadSHA, MergeCommit, Mergeable string
	Blockers                                    []string
	Checks                                      []Check
	Statuses                                    []Status
	Entries                                     []entry
	Files                                       []shownFile
}

type shownFile struct {
	Path, Status string
	Lines        []diffLine
}

// diffLine is a line of a patch; Kind is add, del, hunk or empty.
type diffLine struct{ Kind, Text string }

func (s *Server) servePull(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("number"))
	s.mu.Lock()
	var data *pullPage
	if repo := s.repository(r.PathValue("owner"), r.PathValue("repo")); repo != nil && err == nil {
		if p := repo.pull(n); p != nil {
			data = s.pullPage(p)
		}
	}
	s.mu.Unlock()
	if data == nil {
		http.NotFound(w, r)
		return
	}
	s.show(w, "pull", data)
}

func (s *Server) pullPage(p *pull) *pullPage {
	d := &pullPage{
		pullLine: s.pullLine(p), Repo: p.repo.fullName(), Body: p.body, HeadSHA: p.headSHA, MergeCommit: p.mergeCommit,
		Entries: p.timeline(),
	}
	if p.state == "open" {
		d.Mergeable, _ = s.mergeableState(p)
		d.Blockers = s.unmet(p)
	}
	for _, run := range slices.Backward(latestRuns(p.repo.runsBySHA[p.headSHA])) {
		d.Checks = append(d.Checks, run.snapshot())
	}
	for _, st := range slices.Backward(latestStatuses(p.repo.statuses[p.headSHA])) {
		d.Statuses = append(d.Statuses, st.snapshot())
	}
	files, err := s.diffFiles(p.repo, s.pullBase(p), p.headSHA)
	if err != nil {
		s.log.Error("compare for a page", "pull", p.number, "error", err)
	}
	for _, f := range files {
		d.Files = append(d.Files, shownFile{Path: f.path, Status: f.status, Lines: diffLines(f.patch)})
	}
	return d
}

func diffLines(patch string) []diffLine {
	kinds := map[byte]string{'+': "add", '-': "del", '@': "hunk"}
	var out []diffLine
	for line := range strings.Lines(patch) {
		out = append(out, diffLine{Kind: kinds[line[0]], Text: strings.TrimSuffix(line, "\n")})
	}
	return out
}

func (p *pull) timeline() []entry {
	var out []entry
	for _, c := range p.comments {
		out = append(out, entry{Author: c.user.login, Body: c.body, Kind: "commented", Edited: c.edits > 0, At: c.createdAt,
			Anchor: "issuecomment-" + itoa(c.id)})
	}
	words := map[string]string{"APPROVED": "approved", "CHANGES_REQUESTED": "requested changes", "COMMENTED": "reviewed",
		"DISMISSED": "reviewed, dismissed since"}
	for _, rv := range p.reviews {
		if rv.state != "PENDING" {
			out = append(out, entry{Author: rv.user.login, Body: rv.body, Kind: words[rv.state], Commit: rv.commitID, At: rv.submittedAt,
				Anchor: "pullrequestreview-" + itoa(rv.id)})
		}
	}
	slices.SortStableFunc(out, func(a, b entry) int { return a.At.Compare(b.At) })
	return out
}

// blob reads the file that a page's address names.
func (s *Server) blob(r *http.Request) ([]byte, bool) {
	s.mu.Lock()
	repo := s.repository(r.PathValue("owner"), r.PathValue("repo"))
	s.mu.Unlock()
	if repo == nil {
		return nil, false
	}
	return (&Repository{s: s, r: repo}).File(r.PathValue("ref"), r.PathValue("path"))
}

func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request) {
	data, found := s.blob(r)
	if !found {
		http.NotFound(w, r)
		return
	}
	s.show(w, "blob", struct {
		Repo, Path, Ref string
		Lines           []string
	}{
		Repo: r.PathValue("owner") + "/" + r.PathValue("repo"), Path: r.PathValue("path"), Ref: r.PathValue("ref"),
		Lines: strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"),
	})
}

func (s *Server) serveRaw(w http.ResponseWriter, r *http.Request) {
	data, found := s.blob(r)
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(data) //nolint:errcheck // the reader has gone away
}
