package comment

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"golang.org/x/tools/txtar"
)

var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))

// ours is the HTML that the texts may hold.
var ours = []string{Marker, ClosingMarker, "<!-- shepherd: ", "<details><summary>", "</details>"}

// numbers are the pull requests that the cases name: texts of ours link them, texts of others cannot.
var numbers = regexp.MustCompile(`#(7|8|9|12|13)\b`)

// unwanted parses Markdown as forges do and returns what should not be in it: links, images, HTML, headings
// and mentions.
func unwanted(source string) (found []string) {
	src := []byte(source)
	doc := markdown.Parser().Parse(text.NewReader(src))
	add := func(n ast.Node, what string) { found = append(found, fmt.Sprintf("%s %s", n.Kind(), what)) }
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.CodeSpan:
			return ast.WalkSkipChildren, nil // what stands in code is text to everybody
		case *ast.Link:
			add(n, string(n.Destination))
		case *ast.Image, *ast.AutoLink, *ast.RawHTML, *ast.Heading, *ast.Blockquote, *ast.ThematicBreak, *extast.Strikethrough, *extast.TaskCheckBox:
			add(n, "")
		case *ast.Text:
			if bytes.ContainsAny(numbers.ReplaceAll(n.Segment.Value(src), nil), "@#") {
				add(n, string(n.Segment.Value(src)))
			}
		case *ast.HTMLBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				if s := strings.TrimSpace(string(line.Value(src))); !isOurs(s) {
					add(n, s)
				}
			}
		}
		return ast.WalkContinue, nil
	})
	return found
}

func isOurs(line string) bool {
	for _, prefix := range ours {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			if strings.HasSuffix(prefix, " ") { // a comment of ours ends on its line
				rest = strings.TrimSuffix(rest, " -->")
			}
			return !strings.ContainsAny(strings.TrimSuffix(rest, "</summary>"), "<>")
		}
	}
	return false
}

// TestRenders reads every case as a forge would show it.
func TestRenders(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			v := loadFile(t, file)
			for name, source := range map[string]string{
				"comment": Comment(v), "validate": Validate(v).Summary, "approval": Approval(v).Summary,
			} {
				for _, u := range unwanted(source) {
					if v.Undo == "" || !strings.HasSuffix(u, v.Undo) {
						t.Errorf("%s: %s", name, u)
					}
				}
				shown(t, name, source)
			}
		})
	}
}

// TestRepliesRender reads every reply as a forge would show it.
func TestRepliesRender(t *testing.T) {
	t.Parallel()
	for _, file := range replies(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := answers(t, archive)
			body := Reply(load(t, archive), a.To, a.Answers)
			for _, u := range unwanted(body) {
				t.Error(u)
			}
			shown(t, "reply", body)
		})
	}
}

// shown compares the page with its source: every line of the table is a row, every fold can be closed,
// every block of text stands alone.
func shown(t *testing.T, name, source string) {
	t.Helper()
	var out bytes.Buffer
	if err := markdown.Convert([]byte(source), &out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	lines := 0
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "| `") {
			lines++
		}
	}
	for what, want := range map[string]int{
		"<tr>":                 lines + min(lines, 1),
		"<table>":              min(lines, 1),
		"<details>":            strings.Count(source, "<details>"),
		"</details>":           strings.Count(source, "<details>"),
		"<pre>":                strings.Count(source, "```text\n") + strings.Count(source, "```yaml\n"),
		"<strong>":             strings.Count(source, "**") / 2,
		"**":                   0,
		"<ul>\n<li><code>- ":   0,
		"<!-- shepherd -->":    strings.Count(source, Marker),
		"<summary>0 warnings<": 0,
	} {
		if got := strings.Count(page, what); got != want {
			t.Errorf("%s: %d of %s on the page, want %d:\n%s", name, got, what, want, page)
		}
	}
}
