package comment

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ given, want string }{
		"nothing":            {"", ""},
		"nothing to see":     {" \t\n\u200b\u202e\x00", ""},
		"plain":              {"use the small size", "`use the small size`"},
		"lines":              {"one\r\n\r\ntwo\u2028three\x0bfour", "`one two three four`"},
		"a person":           {"@alice", "`@\u200balice`"},
		"a team":             {"cc @acme/platform.", "`cc @\u200bacme/platform.`"},
		"mail":               {"a@b.example", "`a@\u200bb.example`"},
		"a link":             {"[x](https://evil.example)", "`[x](https://evil.example)`"},
		"an image":           {"![x](https://evil.example/x.png)", "`![x](https://evil.example/x.png)`"},
		"HTML":               {"</details><img src=x>", "`</details><img src=x>`"},
		"a mark":             {"<!-- shepherd -->", "`<!\u200b-- shepherd -->`"},
		"an entity":          {"&#64;alice", "`&#64;alice`"},
		"a backtick":         {"a`b", "`a'b`"},
		"many backticks":     {"``` @x ```", "`''' @\u200bx '''`"},
		"an end of the span": {"x` @alice `y", "`x' @\u200balice 'y`"},
		"a backslash":        {`x\`, "`x\\`"},
		"right to left":      {"\u202egnp.exe\u2066", "`gnp.exe`"},
		"a hidden mention":   {"@\u200b\u2060alice", "`@\u200balice`"},
		"broken UTF-8":       {"a\xff\xfeb", "`ab`"},
		"towers of marks":    {"a" + strings.Repeat("\u0301", 20), "`a\u0301\u0301\u0301`"},
		"a table":            {"a | b", "`a | b`"},
	} {
		if got := Escape(tt.given, 100); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestEscapeIsShort(t *testing.T) {
	t.Parallel()
	for most, want := range map[int]string{0: "", 1: "`…`", 4: "`äää…`", 6: "`ääääää`"} {
		if got := Escape("ääääää", most); got != want {
			t.Errorf("%d: got %q, want %q", most, got, want)
		}
	}
	if got := Escape(strings.Repeat("@a ", 10000), 200); utf8.RuneCountInString(strings.ReplaceAll(got, "\u200b", "")) > 202 {
		t.Errorf("%d runes", utf8.RuneCountInString(got))
	}
}

func TestProse(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		`there is no size "meduim"`:                 `there is no size "meduim"`,
		"bound as operator (platform/roles/a.yaml)": "bound as operator (platform/roles/a.yaml)",
		"lacks vm:create, rule CREATE_VM":           "lacks vm:create, rule CREATE_VM",
		"ask @alice.":                               "ask `@\u200balice`.",
		"claimed by #12, see GH-12":                 "claimed by `#12`, see `GH-12`",
		"see (https://evil.example)":                "see (`https://evil.example`)",
		"see www.evil.example":                      "see `www.evil.example`",
		"sent on 0123abcd":                          "sent on `0123abcd`",
		"a [link](x) <b> &amp; *bold* ~~no~~":       "a `[link](x)` `<b>` `&amp`; `*bold*` `~~no~~`",
		`"_very_" snake_case __init__`:              `"` + "`_very_`" + `" snake_case ` + "`__init__`",
		"a `span` and \\` half":                     "a `'span'` and `\\'` half",
		"so :tada: it is":                           "so `:tada`: it is",
		"- a list":                                  "`-` a list",
		"12. a list":                                "`12.` a list",
		"12 things":                                 "12 things",
		"=== no rule":                               "`===` no rule",
		"a high-quality end":                        "a high-quality end",
	} {
		if got := prose(given, 200); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCellHasNoBar(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a|b", `a\|b`, "`|`", "a | b"} {
		if got := cell(s, 100) + code(s); strings.Contains(got, "|") {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, 50)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		got := Escape(s, most)
		if got == "" {
			return
		}
		inner, opened := strings.CutPrefix(got, "`")
		inner, closed := strings.CutSuffix(inner, "`")
		switch {
		case !utf8.ValidString(got):
			t.Errorf("%q is not UTF-8", got)
		case !opened || !closed || strings.Contains(inner, "`") || inner == "" || inner != strings.TrimSpace(inner):
			t.Errorf("%q is no code span", got)
		case strings.ContainsFunc(inner, unicode.IsControl):
			t.Errorf("%q has control characters", got)
		case strings.Count(got, "@") != strings.Count(got, "@\u200b"):
			t.Errorf("%q mentions", got)
		case utf8.RuneCountInString(inner)-strings.Count(got, "\u200b") > most:
			t.Errorf("%q is longer than %d", got, most)
		}
		if found := unwanted(got); len(found) > 0 {
			t.Errorf("%q has %v", got, found)
		}
	})
}
