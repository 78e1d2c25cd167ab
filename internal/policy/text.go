package policy

import (
	"fmt"
	"strings"
	"unicode"
)

// Text renders the tree as indented lines, one a rule: outcome, rule, message. Whatever the messages
// hold, a rule stays one line and no control character is left.
func Text(v Verdict) string {
	var b strings.Builder
	writeText(&b, v, 0)
	return b.String()
}

func writeText(b *strings.Builder, v Verdict, depth int) {
	fmt.Fprintf(b, "%s%s  %s", strings.Repeat("  ", depth), v.Outcome, oneLine(v.Rule))
	if v.Message != "" {
		b.WriteString(": " + oneLine(v.Message))
	}
	if v.Hint != "" {
		b.WriteString(" (" + oneLine(v.Hint) + ")")
	}
	b.WriteByte('\n')
	for _, c := range v.Children {
		writeText(b, c, depth+1)
	}
}

// oneLine joins lines and drops what could move a terminal's cursor or reverse its text.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
