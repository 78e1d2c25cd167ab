package provider

import (
	"regexp"
	"strings"
	"unicode"
)

// maxWords is how much of an API server's message is repeated, in runes.
const maxWords = 400

// dumped matches the Go value that the API server prints behind a type mismatch: it is the content
// of the field, which may be cloud-init.
var dumped = regexp.MustCompile(`(?s)\bgot &.*`)

// words makes a cluster's message fit to be shown: on one line, without control and formatting
// characters, without dumped values, and short.
func words(message string) string {
	message = dumped.ReplaceAllString(message, "got something else")
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, message)
	text := []rune(strings.Join(strings.Fields(visible), " "))
	if len(text) > maxWords {
		return string(text[:maxWords-1]) + "…"
	}
	return string(text)
}
