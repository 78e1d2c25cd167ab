package command

import (
	"strings"

	"github.com/agext/levenshtein"
)

// lookUp finds the verb of a line's first word. known means that it is the verb, near that the verb was
// probably meant: one letter is missing, too many, wrong, or changed places with the next. Other words
// belong to other bots, or are paths.
func lookUp(word string) (verb Verb, known, near bool) {
	name := strings.ToLower(strings.TrimPrefix(word, "/"))
	for _, v := range Verbs() {
		if name == string(v) && len(word) == len(v)+1 {
			return v, true, false
		}
	}
	for _, v := range Verbs() {
		if slip(name, string(v)) {
			return v, false, true
		}
	}
	return "", false, false
}

// slip reports whether a word is one slip of the keyboard away from what was meant, or the same.
func slip(word, meant string) bool {
	if len(word) > len(meant)+4 || strings.Contains(word, "/") {
		return false
	}
	return levenshtein.Distance(word, meant, nil) <= 1 || swapped(word, meant)
}

// swapped reports whether two neighbours changed places.
func swapped(word, meant string) bool {
	if len(word) != len(meant) {
		return false
	}
	for i := range len(word) - 1 {
		if word[i] != meant[i] {
			return word[i] == meant[i+1] && word[i+1] == meant[i] && word[i+2:] == meant[i+2:]
		}
	}
	return false
}
