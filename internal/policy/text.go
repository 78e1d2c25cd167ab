package policy

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// outcomeWords are the outcomes as people read them.
var outcomeWords = map[Outcome]string{
	Allow: "ok", Warn: "warning", NeedsConfirmation: "needs confirmation", NeedsApproval: "needs approval", Deny: "denied",
}

// Text renders the tree as indented lines, one a rule: outcome, rule, message. Rules below the first
// that have nothing to say are left out. Whatever the messages hold, a rule stays one line and no
// control character is left.
func Text(v Verdict) string {
	var b strings.Builder
	writeText(&b, v, 0)
	return b.String()
}

func writeText(b *strings.Builder, v Verdict, depth int) {
	words, rule := cmp.Or(outcomeWords[v.Outcome], oneLine(string(v.Outcome))), oneLine(v.Rule)
	if !strings.HasSuffix(words, rule) { // "needs approval" names the rule already
		words += " – " + rule
	}
	b.WriteString(strings.Repeat("  ", depth) + words)
	if v.Message != "" {
		b.WriteString(": " + oneLine(v.Message))
	}
	if v.Hint != "" {
		b.WriteString(" (" + oneLine(v.Hint) + ")")
	}
	b.WriteByte('\n')
	for _, c := range v.Children {
		if !c.silent() {
			writeText(b, c, depth+1)
		}
	}
}

// silent reports whether no rule of the tree has anything to say, as those that do not apply.
func (v Verdict) silent() bool {
	return v.Outcome == Allow && v.Message == "" && !slices.ContainsFunc(v.Children, func(c Verdict) bool { return !c.silent() })
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
