package chaos

import (
	"iter"
	"maps"
	"strings"
)

const annotation = "kubevirt-shepherd.io/"

// model is the history, sorted.
type model struct {
	History
	pulls    map[int]*pullStory
	checks   map[int][]Event // of the pull request's heads
	reviews  map[int][]Event
	said     map[int][]Event
	spans    []span
	accepted map[string]string // what the checker holds to be in force, by path
	settled  map[string]int    // the moment at which that was last changed
	touched  map[string][]int  // the moments at which the branch's content was changed
	meanings map[[2]string]string
	bases    map[string]string // what new branches came on top of
}

// pullStory is what happened to a pull request.
type pullStory struct {
	author string
	began  int // the first push of its branch
	pushes []Event
	moves  []Event // opened, closed, reopened, edited ...
	heads  map[string]bool
}

// span is one step of the governed branch: a merged pull request, or a push.
type span struct {
	Event
	pull int
}

func newModel(h History) *model {
	m := &model{
		History: h, pulls: map[int]*pullStory{}, checks: map[int][]Event{}, reviews: map[int][]Event{}, said: map[int][]Event{},
		accepted: map[string]string{}, settled: map[string]int{}, touched: map[string][]int{}, meanings: map[[2]string]string{},
		bases: map[string]string{},
	}
	branches := map[string]int{}
	for _, e := range h.Events {
		m.sortPull(e, branches)
	}
	merges := map[string]int{}
	for _, e := range h.Events {
		if e.Kind == "pull_request" && e.Merged && e.Action == "closed" {
			merges[e.MergeCommit] = e.Pull
		}
	}
	for _, e := range h.Events {
		m.sortRest(e, branches, merges)
	}
	return m
}

func (m *model) sortPull(e Event, branches map[string]int) {
	if e.Kind != "pull_request" {
		return
	}
	p := m.pulls[e.Pull]
	if p == nil {
		p = &pullStory{author: e.Author, began: e.Seq, heads: map[string]bool{}}
		m.pulls[e.Pull] = p
		branches[e.HeadRef] = e.Pull
	}
	p.moves = append(p.moves, e)
	p.heads[e.Head] = true
}

func (m *model) sortRest(e Event, branches, merges map[string]int) {
	switch e.Kind {
	case "push":
		branch, _ := strings.CutPrefix(e.Ref, "refs/heads/")
		if branch == m.Branch {
			if e.Before != "" && strings.Trim(e.Before, "0") != "" {
				m.spans = append(m.spans, span{e, merges[e.After]})
			}
			return
		}
		if p := m.pulls[branches[branch]]; p != nil && strings.Trim(e.After, "0") != "" {
			p.pushes = append(p.pushes, e)
			p.heads[e.After] = true
			p.began = min(p.began, e.Seq)
		}
	case "pull_request_review":
		m.reviews[e.Pull] = append(m.reviews[e.Pull], e)
	case "issue_comment":
		if e.Action == "created" {
			m.said[e.Pull] = append(m.said[e.Pull], e)
		}
	case "check_run":
		if e.Action != "completed" {
			return
		}
		for n, p := range m.pulls {
			if p.heads[e.Head] {
				m.checks[n] = append(m.checks[n], e)
			}
		}
	}
}

// tip is the governed branch at a moment.
func (m *model) tip(moment int) string {
	at := m.Baseline
	for _, s := range m.spans {
		if s.Seq < moment {
			at = s.After
		}
	}
	return at
}

// meaning is what a path says at a commit.
func (m *model) meaning(commit, path string) string {
	key := [2]string{commit, path}
	if v, ok := m.meanings[key]; ok {
		return v
	}
	content, _ := m.Git.File(commit, path)
	m.meanings[key] = meaning(content)
	return m.meanings[key]
}

// green reports whether a head's checks let the merge through at a moment.
func (m *model) green(n int, head string, moment int) bool {
	last := map[string]string{}
	for _, e := range m.checks[n] {
		if e.Head == head && e.Seq < moment {
			last[e.Check] = e.Conclusion
		}
	}
	return last["shepherd/validate"] == "success" && last["shepherd/approval"] == "success"
}

func keys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }
