package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest returns the candidate that name was most likely meant to be. ok is false when none is near
// enough to be a likely slip: more than a third of the longer name would have to change. Of equally near
// ones it is the first by name, however the candidates are ordered.
func Nearest(name string, candidates []string) (best string, ok bool) {
	lower, least := strings.ToLower(clip(name, 100)), 0
	for _, c := range candidates {
		d := levenshtein.Distance(lower, strings.ToLower(clip(c, 100)), nil)
		if 3*d > max(len(lower), len(c)) && !(len(lower) >= 3 && strings.HasPrefix(strings.ToLower(c), lower)) {
			continue
		}
		if !ok || d < least || d == least && c < best {
			best, least, ok = c, d, true
		}
	}
	return best, ok
}

// Suggest is the hint for an unknown name: the nearest candidate, if one is near, and the list,
// shortened to ten.
func Suggest(name string, candidates []string) string {
	if len(candidates) == 0 {
		return "there are none yet"
	}
	list := "known are " + join(candidates, 10)
	if best, ok := Nearest(name, candidates); ok {
		return "did you mean " + strconv.Quote(best) + "? " + list
	}
	return list
}

// join lists at most limit names, sorted, and counts the rest.
func join(names []string, limit int) string {
	sorted := slices.Sorted(slices.Values(names))
	if len(sorted) <= limit {
		return strings.Join(sorted, ", ")
	}
	return strings.Join(sorted[:limit], ", ") + " and " + strconv.Itoa(len(sorted)-limit) + " more"
}

// quote is how text of users is echoed: short, escaped, in quotes.
func quote(s string) string { return strconv.Quote(clip(s, 40)) }

// clip cuts s to n runes and marks the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := 0
	for i := range s {
		if runes == n {
			return s[:i] + "…"
		}
		runes++
	}
	return s
}
