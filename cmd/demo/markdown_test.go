package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	const folded = "before\n\n<details><summary>Plans <b>and</b> rules</summary>\n\n- one\n- two\n\n```text\nallow\n  deny\n```\n\n</details>\n\nafter\n"
	tests := []struct {
		name, source, want string
		fold               bool
	}{
		{name: "paragraphs", source: "**Applied.** See _this_\nand that.\n\nNext.", want: "Applied. See this\nand that.\n\nNext."},
		{name: "a comment is not shown", source: "<!-- shepherd -->\n**Applied.**", want: "Applied."},
		{name: "only a comment", source: "<!-- shepherd -->\n", want: ""},
		{name: "heading", source: "## Title `x`", want: "Title `x`"},
		{name: "code keeps what it says", source: "`a*b*\\_<c>&amp;`", want: "`a*b*\\_<c>&amp;`"},
		{name: "escaped and entities", source: `\*not bold\* \<b\> &lt;i&gt; &amp;`, want: "*not bold* <b> <i> &"},
		{name: "link", source: "[page](http://h/1) <http://h/2> http://h/3", want: "page (http://h/1) http://h/2 http://h/3"},
		{name: "line break", source: "a<br>b <kbd>c</kbd>", want: "a\nb c"},
		{name: "rule", source: "a\n\n---\n\nb", want: "a\n\n" + strings.Repeat("─", 40) + "\n\nb"},
		{name: "quote", source: "> a\n> b\n>\n> c", want: "│ a\n│ b\n│\n│ c"},
		{name: "lists", source: "1. one\n2. two\n   - deep\n   - deeper", want: "1. one\n2. two\n   • deep\n   • deeper"},
		{name: "loose list", source: "- one\n\n  more\n- two", want: "• one\n\n  more\n\n• two"},
		{name: "tasks", source: "- [x] done\n- [ ] open", want: "• [x] done\n• [ ] open"},
		{
			name: "table", source: "| Change | State |\n|---|---|\n| `vm` | ✅ approved by bob |\n| `longer-vm` | ⏳ 0/1 |\n| 名前 | a \\| b |",
			want: "Change       State\n───────────  ──────────────────\n`vm`         ✅ approved by bob\n`longer-vm`  ⏳ 0/1\n名前         a | b",
		},
		{name: "details", source: folded, want: "before\n\n▾ Plans and rules\n\n  • one\n  • two\n\n      allow\n        deny\n\nafter"},
		{name: "details folded", source: folded, fold: true, want: "before\n\n▸ Plans and rules\n\nafter"},
		{
			name: "details in details", source: "<details><summary>a</summary>\n\n<details><summary>b</summary>\n\nx\n\n</details>\n\ny\n\n</details>\n",
			want: "▾ a\n\n  ▾ b\n\n    x\n\n  y",
		},
		{name: "details in one piece", source: "<details><summary>a</summary>\nb\n</details>", want: "▾ a\nb"},
		{name: "a terminal is not commanded", source: "a\x1b[2Jb &#27;[31mc `\x1b]0;title\x07`", want: "a[2Jb [31mc `]0;title`"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(newTerminal(&bytes.Buffer{}).markdown(test.source, test.fold), "\n")
			got = strings.ReplaceAll(got, "│ \n", "│\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("drawn otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMarkdownInColour(t *testing.T) {
	t.Parallel()
	colourful := &terminal{out: &bytes.Buffer{}, colour: true}
	got := colourful.markdown("**Applied** to `vm`", false)
	if diff := cmp.Diff([]string{"\x1b[1mApplied\x1b[0m to \x1b[36mvm\x1b[0m"}, got); diff != "" {
		t.Errorf("drawn otherwise (-want +got):\n%s", diff)
	}
	rows := colourful.table([][]string{{"A", "B"}, {colourful.paint(red, "xx"), "y"}, {"z", "y"}})
	if diff := cmp.Diff([]string{"\x1b[31mxx\x1b[0m  y", "z   y"}, rows[2:]); diff != "" {
		t.Errorf("colours take no room in a table (-want +got):\n%s", diff)
	}
}

// Nothing that anybody writes makes the terminal do something, or breaks the drawing.
func FuzzMarkdown(f *testing.F) {
	for _, seed := range []string{"**a**\n\n| a | b |\n|---|---|\n| `c` |\n", "<details>\n\n</details></details>\n\n- x\n", "\x1b[2J&#x1b;[2J", "> - 1. `\x07`", "<!-- a", "![](x)\\\x1b"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, source string, fold bool) {
		for _, line := range newTerminal(&bytes.Buffer{}).markdown(source, fold) {
			if printable(line) != line {
				t.Errorf("control characters in %q", line)
			}
		}
	})
}

func TestDisplayWidth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "✅ ok": 5, "⏳": 2, "名前": 4, "e\u0301": 1, "\x1b[1mab\x1b[0m": 2, "–": 1} {
		if got := displayWidth(text); got != want {
			t.Errorf("displayWidth(%q) = %d, want %d", text, got, want)
		}
	}
}

// A terminal that can do it shows a step in place; a file gets one line a step.
func TestStep(t *testing.T) {
	t.Parallel()
	var file, live bytes.Buffer
	newTerminal(&file).step("wait")(nil)
	if got := file.String(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "  ✓ ") || !strings.HasSuffix(got, "  wait\n") {
		t.Errorf("in a file: %q", got)
	}
	on := &terminal{out: &live, live: true, began: time.Now()}
	on.step("wait")(errServerEnded)
	if got := live.String(); !strings.Contains(got, "…") || !strings.Contains(got, "\r\x1b[K  ✗ ") {
		t.Errorf("on a terminal: %q", got)
	}
}
