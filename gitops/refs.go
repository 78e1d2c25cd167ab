package gitops

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxPullRefs is how many references beside branches are remembered. They serve only as a common
// ground with the server and as what a fresh clone must contain.
const maxPullRefs = 1000

// refs is where references were when they were last fetched.
type refs map[string]ref

type ref struct {
	tip  plumbing.Hash
	used int // counts fetches, so that the longest unused are forgotten first
}

func newRefs(tips map[string]plumbing.Hash) refs {
	r := make(refs, len(tips))
	for name, h := range tips {
		r[name] = ref{tip: h}
	}
	return r
}

func (r refs) tips() map[string]plumbing.Hash {
	tips := make(map[string]plumbing.Hash, len(r))
	for name, v := range r {
		tips[name] = v.tip
	}
	return tips
}

// update returns a copy in which the asked references are as the server has them, and whether
// anything moved. Other references than branches are dropped, oldest first, above the limit.
func (r refs) update(asked []string, tips map[string]plumbing.Hash) (refs, bool) {
	next, moved, clock := maps.Clone(r), false, 0
	for _, v := range r {
		clock = max(clock, v.used)
	}
	for _, name := range asked {
		tip, ok := tips[name]
		if !ok {
			_, had := next[name]
			moved = moved || had
			delete(next, name)
			continue
		}
		moved = moved || next[name].tip != tip
		next[name] = ref{tip: tip, used: clock + 1}
	}
	next.forget(maxPullRefs)
	return next, moved
}

func (r refs) forget(keep int) {
	var names []string
	for name := range r {
		if !isBranch(name) {
			names = append(names, name)
		}
	}
	if len(names) <= keep {
		return
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(r[a].used, r[b].used) })
	for _, name := range names[:len(names)-keep] {
		delete(r, name)
	}
}

func isBranch(name string) bool { return strings.HasPrefix(name, "refs/heads/") }
