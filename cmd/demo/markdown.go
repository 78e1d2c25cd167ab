package main

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// markdown draws a comment in GitHub's Markdown as lines for a terminal, nothing cut off. HTML comments
// are left out, as on a page. With fold, what stands in <details> is only named.
func (t *terminal) markdown(source string, fold bool) []string {
	source = printable(source)
	p := &page{terminal: t, source: []byte(source), fold: fold}
	doc := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(p.source))
	return p.blocks(doc, false)
}

// page is one text on its way to the terminal.
type page struct {
	*terminal
	source []byte
	fold   bool
}

// blocks draws what a block contains, blank lines between unless tight.
func (p *page) blocks(parent ast.Node, tight bool) (out []string) {
	within := 0 // how many <details> are open
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		inside := within
		if h, ok := n.(*ast.HTMLBlock); ok {
			within = max(0, within+details(p.html(h)))
			inside = min(inside, within)
		}
		if p.fold && inside > 0 {
			continue
		}
		lines := p.block(n)
		if len(lines) == 0 {
			continue
		}
		if len(out) > 0 && !tight {
			out = append(out, "")
		}
		out = append(out, prefixed(lines, strings.Repeat("  ", inside), strings.Repeat("  ", inside))...)
	}
	return out
}

// details is by how many a piece of HTML opens more <details> than it closes.
func details(source string) int {
	return strings.Count(source, "<details") - strings.Count(source, "</details")
}

func (p *page) block(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.Heading:
		return p.styled(bold, p.inline(n))
	case *ast.Paragraph, *ast.TextBlock:
		return strings.Split(p.inline(n), "\n")
	case *ast.List:
		return p.list(n)
	case *ast.Blockquote:
		return prefixed(p.blocks(n, false), "│ ", "│ ")
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		return prefixed(p.styled(dim, strings.TrimRight(p.raw(n), "\n")), "    ", "    ")
	case *ast.HTMLBlock:
		return p.htmlBlock(n)
	case *ast.ThematicBreak:
		return []string{strings.Repeat("─", 40)}
	case *extast.Table:
		return p.tableBlock(n)
	default:
		return p.blocks(n, false)
	}
}

func (p *page) styled(s style, text string) []string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = p.paint(s, lines[i])
	}
	return lines
}

func prefixed(lines []string, first, rest string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		if line == "" && strings.TrimSpace(rest) == "" {
			continue // no line of blanks
		}
		out[i] = rest + line
		if i == 0 {
			out[i] = first + line
		}
	}
	return out
}

func (p *page) list(n *ast.List) (out []string) {
	number := n.Start
	for item := n.FirstChild(); item != nil; item = item.NextSibling() {
		mark := "• "
		if n.IsOrdered() {
			mark = strconv.Itoa(number) + ". "
			number++
		}
		if len(out) > 0 && !n.IsTight {
			out = append(out, "")
		}
		out = append(out, prefixed(p.blocks(item, n.IsTight), mark, strings.Repeat(" ", displayWidth(mark)))...)
	}
	return out
}

func (p *page) tableBlock(n *extast.Table) []string {
	var rows [][]string
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, strings.ReplaceAll(p.inline(cell), "\n", " "))
		}
		rows = append(rows, cells)
	}
	return p.table(rows)
}

var (
	htmlComment = regexp.MustCompile(`(?s)<!--.*?-->`)
	htmlSummary = regexp.MustCompile(`(?s)<summary>(.*?)</summary>`)
	htmlTag     = regexp.MustCompile(`<[^>]*>`)
)

// html is a block's HTML without comments.
func (p *page) html(n *ast.HTMLBlock) string {
	source := p.raw(n)
	if n.HasClosure() {
		source += string(n.ClosureLine.Value(p.source))
	}
	return htmlComment.ReplaceAllString(source, "")
}

// htmlBlock shows the summary of details with a sign that says whether they follow, and other HTML
// without its tags.
func (p *page) htmlBlock(n *ast.HTMLBlock) []string {
	sign := "▾ "
	if p.fold {
		sign = "▸ "
	}
	source := htmlSummary.ReplaceAllString(p.html(n), sign+"$1")
	source = strings.TrimSpace(decoded(htmlTag.ReplaceAllString(source, "")))
	if source == "" {
		return nil
	}
	return p.styled(bold, source)
}

// raw is the text of a block as it stands in the source.
func (p *page) raw(n ast.Node) string {
	return string(n.Lines().Value(p.source))
}

// inline draws what stands in lines.
func (p *page) inline(parent ast.Node) string {
	var out strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		out.WriteString(p.span(n))
	}
	return out.String()
}

func (p *page) span(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Text:
		return p.words(n)
	case *ast.String:
		return decoded(string(n.Value))
	case *ast.CodeSpan:
		return p.code(n)
	case *ast.Emphasis:
		if n.Level == 2 {
			return p.paint(bold, p.inline(n))
		}
		return p.inline(n)
	case *ast.Link:
		return link(p.inline(n), string(n.Destination))
	case *ast.Image:
		return link(p.inline(n), string(n.Destination))
	case *ast.AutoLink:
		return string(n.Label(p.source))
	case *ast.RawHTML:
		return p.rawHTML(n)
	case *extast.TaskCheckBox:
		if n.IsChecked {
			return "[x] "
		}
		return "[ ] "
	default:
		return p.inline(n)
	}
}

func (p *page) words(n *ast.Text) string {
	out := decoded(string(unescaped(n.Segment.Value(p.source))))
	if n.SoftLineBreak() || n.HardLineBreak() {
		out += "\n" // a comment's line ends are kept on GitHub's pages
	}
	return out
}

// decoded is text with its entities replaced, some of which could be control characters.
func decoded(source string) string { return printable(html.UnescapeString(source)) }

var backslashed = regexp.MustCompile("\\\\([!-/:-@\\[-`{-~])")

// unescaped takes away the backslashes that keep punctuation from meaning something.
func unescaped(source []byte) []byte { return backslashed.ReplaceAll(source, []byte("$1")) }

// code is set off by colour, or else by its backticks.
func (p *page) code(n *ast.CodeSpan) string {
	var out strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			out.Write(t.Segment.Value(p.source))
		}
	}
	text := strings.ReplaceAll(out.String(), "\n", " ")
	if p.colour {
		return p.paint(cyan, text)
	}
	return "`" + text + "`"
}

func (p *page) rawHTML(n *ast.RawHTML) string {
	source := strings.ToLower(string(n.Segments.Value(p.source)))
	if strings.HasPrefix(source, "<br") {
		return "\n"
	}
	return ""
}

func link(label, target string) string {
	if label == "" || label == target {
		return target
	}
	return fmt.Sprintf("%s (%s)", label, target)
}
