package comment

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes what somebody wrote fit to be echoed: one line of at most max runes in a code span, in
// which nothing mentions, links or is HTML. What can be neither seen nor read is left out; where
// nothing remains the result is empty.
func Escape(s string, max int) string {
	t := plain(s, max)
	if t == "" {
		return ""
	}
	return "`" + harmless(t) + "`"
}

// harmless takes the backticks, which would end a span or a fence, and breaks mentions: a code span
// alone does not hold when a mail client quotes the comment without it. It also breaks the beginnings of
// hidden marks, for the bot finds its own texts by theirs.
func harmless(s string) string { return disarm.Replace(s) }

var disarm = strings.NewReplacer("`", "'", "@", "@\u200b", "<!--", "<!\u200b--")

// marksInRow is how many combining marks a letter may carry: more of them paint over other lines.
const marksInRow = 3

// enough is how many bytes hold any text that is shown, and much that is not.
const enough = 1 << 14

// plain is text on one line without control and formatting characters, cut to max runes. Of a text that
// is very much longer only the beginning is looked at.
func plain(s string, max int) string {
	if max < enough/16 && len(s) > enough {
		s = s[:enough]
	}
	marks := 0
	visible := strings.Map(func(r rune) rune {
		if r > ' ' && r < unicode.MaxASCII {
			marks = 0
			return r
		}
		if !unicode.Is(unicode.M, r) {
			marks = 0
		} else if marks++; marks > marksInRow {
			return -1
		}
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs), r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
	return cut(strings.Join(strings.Fields(visible), " "), max)
}

// cut shortens text to max runes.
func cut(s string, max int) string {
	if utf8.RuneCountInString(s) <= max {
		return s
	}
	if max <= 0 {
		return ""
	}
	return strings.TrimRight(string([]rune(s)[:max-1]), " ") + "…"
}

// prose renders a sentence of the platform that may hold words of users: as text, with every word
// that Markdown or the forge could take for something else in a code span.
func prose(s string, max int) string {
	words := strings.Fields(plain(s, max))
	for i, w := range words {
		words[i] = word(w)
	}
	if len(words) > 0 && opensBlock(words[0]) {
		words[0] = "`" + harmless(words[0]) + "`"
	}
	return strings.Join(words, " ")
}

// opensBlock finds what at the beginning of a line is a list, a rule or a heading.
func opensBlock(w string) bool {
	if strings.HasPrefix(w, "`") {
		return false
	}
	digits := strings.TrimLeft(w, "0123456789")
	return !strings.ContainsFunc(w, alphanumeric) || len(digits) < len(w) && (digits == "." || digits == ")")
}

// word puts what is risky in a code span and leaves the punctuation around it outside.
func word(w string) string {
	core := strings.TrimLeft(w, `("'“`)
	lead := w[:len(w)-len(core)]
	trimmed := trimEnd(core)
	trail := core[len(trimmed):]
	if trimmed == "" || !risky(trimmed) {
		return w
	}
	return lead + "`" + harmless(trimmed) + "`" + trail
}

// trimEnd takes off the punctuation that ends a word, and with it a parenthesis that was opened before.
func trimEnd(w string) string {
	w = strings.TrimRight(w, `.,;:?!'"”`)
	if strings.HasSuffix(w, ")") && strings.Count(w, "(") < strings.Count(w, ")") {
		return trimEnd(w[:len(w)-1])
	}
	return w
}

// risky reports whether a word is more than text to Markdown or to the forge: markup, mentions,
// references, links, emoji.
func risky(w string) bool {
	lower := strings.ToLower(w)
	return strings.ContainsAny(w, "@#<>&[]`\\|{}$*~^") || strings.Contains(w, "://") || strings.Contains(lower, "www.") ||
		strings.HasPrefix(lower, "gh-") || strings.HasPrefix(w, ":") || strings.Count(w, ":") > 1 || looseUnderscore(w) || commitLike(w) || command(w)
}

// command finds one of those that people write, to be copied without its surroundings.
func command(w string) bool {
	return strings.HasPrefix(w, "/") && slices.Contains(verbs, w[1:])
}

// looseUnderscore finds one that could be emphasis: not between letters or digits.
func looseUnderscore(w string) bool {
	runes := []rune(w)
	for i, r := range runes {
		if r == '_' && (i == 0 || i == len(runes)-1 || !alphanumeric(runes[i-1]) || !alphanumeric(runes[i+1])) {
			return true
		}
	}
	return false
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// commitLike finds what forges link as a commit.
func commitLike(w string) bool {
	return len(w) >= 7 && strings.Trim(w, "0123456789abcdefABCDEF") == ""
}

// code is a name in a code span, for a cell of a table as for anywhere else.
func code(s string) string { return strings.ReplaceAll(Escape(s, 120), "|", "¦") }

// cell is text in a cell of a table, where a bar would end it even in a code span.
func cell(s string, max int) string { return strings.ReplaceAll(prose(s, max), "|", "¦") }

// fence is text as it stands, in a block of its own.
func fence(text string) string {
	var b strings.Builder
	b.WriteString("```text\n")
	for line := range strings.Lines(text) {
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		b.WriteString(indent + harmless(plain(line, 500)) + "\n")
	}
	return b.String() + "```\n"
}
