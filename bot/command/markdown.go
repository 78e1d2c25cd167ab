package command

import (
	"fmt"
	"sort"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"kv-shepherd.io/shepherd/internal/domain"
)

// markdown is the forge's: with tables and struck text, and with footnotes, whose text is shown elsewhere
// or nowhere.
var markdown parser.Parser = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser()

// reader goes through a comment once, from top to bottom.
type reader struct {
	source []byte
	breaks []int // the offset of every line feed
	html   enclosure
	out    Parsed

	waiting int // the index of the /plan that the next block belongs to, or -1
}

func newReader(body string) *reader {
	r := &reader{source: []byte(normal(body)), waiting: -1}
	for i, c := range r.source {
		if c == '\n' {
			r.breaks = append(r.breaks, i)
		}
	}
	return r
}

// line is the line, from 1, that an offset is in.
func (r *reader) line(offset int) int { return 1 + sort.SearchInts(r.breaks, offset) }

// document reads the blocks of the comment itself. What is inside of other blocks is only searched for
// plans that were misplaced and for HTML that hides what follows it.
func (r *reader) document() {
	for n := markdown.Parse(text.NewReader(r.source)).FirstChild(); n != nil; n = n.NextSibling() {
		waiting := r.waiting
		r.waiting = -1
		switch n := n.(type) {
		case *ast.Paragraph:
			r.paragraph(n)
		case *ast.FencedCodeBlock:
			r.block(n, waiting)
		case *ast.HTMLBlock:
			r.raw(n)
		default:
			r.nested(n)
		}
	}
}

// block takes a code block as the plan of the /plan that waits for it, or as a plan of its own.
func (r *reader) block(n *ast.FencedCodeBlock, waiting int) {
	if !r.meant(n) {
		return
	}
	info := n.Info.Segment
	line := r.line(info.Start)
	switch word := r.infoWord(n); {
	case r.html.open():
		r.misplaced(line, "stands inside of an HTML element", "move it out of the element, to a place where everybody sees it")
	case word != infoString:
		r.misplaced(line, "is marked "+quote(word), "write ```"+infoString+" at its beginning")
	default:
		b := &Block{Text: string(n.Lines().Value(r.source)), Line: line + 1}
		if waiting >= 0 {
			r.out.Commands[waiting].Block = b
			return
		}
		r.out.Commands = append(r.out.Commands, Command{Verb: VerbPlan, Line: line, Block: b})
	}
}

const infoString = "shepherd"

// infoWord is the first word of a code block's info string, in small letters.
func (r *reader) infoWord(n *ast.FencedCodeBlock) string {
	if n.Info == nil {
		return ""
	}
	word, _, _ := strings.Cut(string(n.Info.Segment.Value(r.source)), " ")
	word, _, _ = strings.Cut(word, "\t")
	return strings.ToLower(word)
}

// meant reports whether a code block is for Shepherd, as far as one can tell from its first word.
func (r *reader) meant(n *ast.FencedCodeBlock) bool {
	word := r.infoWord(n)
	if strings.Contains(word, infoString) || slip(word, infoString) {
		r.out.CarriesPlan = true
		return true
	}
	return false
}

func (r *reader) misplaced(line int, what, hint string) {
	if len(r.out.Problems) >= MaxCommands {
		return
	}
	r.out.Problems = append(r.out.Problems, domain.Problem{
		Code: domain.PlanInvalid, Severity: domain.Error, Line: line,
		Message: "a code block that looks like a plan " + what + " and was not taken", Hint: hint,
	})
}

// nested searches a block that is no paragraph of the comment. A quote repeats what others said: a plan
// in one is nobody's.
func (r *reader) nested(n ast.Node) {
	var inside enclosure
	walk(n, func(n ast.Node) {
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			if !quoted(n) && r.meant(n) {
				r.misplaced(r.line(n.Info.Segment.Start), "stands inside of a list or footnote", "write it at the beginning of its lines, outside of lists")
			}
		case *ast.HTMLBlock:
			inside.read(htmlText(n, r.source))
		case *ast.RawHTML:
			inside.read(string(n.Segments.Value(r.source)))
		}
	})
	r.html.sealed = r.html.sealed || inside.swallows()
}

func quoted(n ast.Node) bool {
	for ; n != nil; n = n.Parent() {
		if n.Kind() == ast.KindBlockquote {
			return true
		}
	}
	return false
}

// raw is HTML between the blocks of the comment. A code block right inside of it is none, but may have been
// meant as one.
func (r *reader) raw(n *ast.HTMLBlock) {
	source := htmlText(n, r.source)
	r.html.read(source)
	source = strings.ToLower(source)
	comment := n.HTMLBlockType == ast.HTMLBlockType2
	if !comment && (strings.Contains(source, "```"+infoString) || strings.Contains(source, "~~~"+infoString)) {
		r.out.CarriesPlan = true
		r.misplaced(r.line(n.Lines().At(0).Start), "stands inside of an HTML element", "move it out of the element, to a place where everybody sees it")
	}
}

// walk visits n and all below it.
func walk(n ast.Node, visit func(ast.Node)) {
	// The visitor never fails.
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			visit(n)
		}
		return ast.WalkContinue, nil
	})
}

// start is a line that begins with a slash in plain sight.
type start struct {
	line   int
	word   string
	inText bool // the whole word is plain text
}

// sight is a paragraph of the comment as the page shows it, line by line.
type sight struct {
	starts []start
	shown  map[int][]byte
	line   int // the one that is being read
}

func (s *sight) show(text []byte) { s.shown[s.line] = append(s.shown[s.line], text...) }

// paragraph reads the lines of a paragraph of the comment: which begin with a word of ours, and what
// the page shows after it.
func (r *reader) paragraph(p *ast.Paragraph) {
	s := sight{shown: map[int][]byte{}}
	walk(p, func(n ast.Node) { r.inline(p, n, &s) })
	for _, start := range s.starts {
		r.command(start, string(s.shown[start.line]))
	}
	if len(s.starts) > 0 {
		r.await(p, s.starts[len(s.starts)-1].line)
	}
}

func (r *reader) inline(p *ast.Paragraph, n ast.Node, s *sight) {
	switch n := n.(type) {
	case *ast.Text:
		s.line = r.line(n.Segment.Start)
		if n.Parent() == p && !r.html.open() {
			s.starts = r.begins(s.starts, n.Segment)
		}
		if n.Parent().Kind() != ast.KindImage {
			s.show(n.Segment.Value(r.source))
		}
		if n.SoftLineBreak() || n.HardLineBreak() {
			s.line++
		}
	case *ast.AutoLink: // does not say where it stands: after what was before it
		s.show(n.Label(r.source))
	case *ast.RawHTML:
		r.html.read(string(n.Segments.Value(r.source)))
		if last := n.Segments.Len() - 1; last >= 0 {
			s.line = r.line(n.Segments.At(last).Start)
		}
	}
}

// begins adds the line that the text is the beginning of, if that is a slash.
func (r *reader) begins(starts []start, s text.Segment) []start {
	line := r.line(s.Start)
	from := 0
	if line > 1 {
		from = r.breaks[line-2] + 1
	}
	if s.Len() == 0 || r.source[s.Start] != '/' || strings.Trim(string(r.source[from:s.Start]), " \t") != "" {
		return starts
	}
	to := len(r.source)
	if line <= len(r.breaks) {
		to = r.breaks[line-1]
	}
	word := string(r.source[s.Start:to])
	if end := strings.IndexFunc(word, unicode.IsSpace); end >= 0 {
		word = word[:end]
	}
	return append(starts, start{line: line, word: word, inText: s.Start+len(word) <= s.Stop})
}

// command takes a line whose first word is one of ours, and notes one whose first word nearly is.
func (r *reader) command(s start, shown string) {
	verb, known, near := lookUp(s.word)
	rest, plain := strings.CutPrefix(shown, s.word)
	switch {
	case known && plain && s.inText:
		r.out.Commands = append(r.out.Commands, Command{Verb: verb, Args: arguments(rest), Line: s.line})
	case near && len(r.out.Unknown) < MaxCommands:
		r.out.Unknown = append(r.out.Unknown, Unknown{Word: escaped(s.word), Suggestion: verb, Line: s.line})
	}
}

// await makes the next block the plan of the last command, when that is a /plan on the paragraph's last
// line.
func (r *reader) await(p *ast.Paragraph, line int) {
	last := len(r.out.Commands) - 1
	if last < 0 || r.out.Commands[last].Verb != VerbPlan || r.out.Commands[last].Line != line {
		return
	}
	if lines := p.Lines(); r.line(lines.At(lines.Len()-1).Start) == line {
		r.waiting = last
	}
}

func arguments(shown string) []string {
	args := strings.Fields(shown)
	args = args[:min(len(args), maxArgs)]
	for i, a := range args {
		args[i] = strings.Map(visible, clip(a, maxArgLen))
	}
	return args
}

// visible replaces a character that a page does not show.
func visible(c rune) rune {
	if unseenRune(c) {
		return '\uFFFD'
	}
	return c
}

// quote is how text of users is echoed: short, escaped, in quotes.
func quote(s string) string { return fmt.Sprintf("%q", clip(s, 40)) }

// escaped is quote without the quotes and without letters that only look like others.
func escaped(s string) string {
	q := fmt.Sprintf("%+q", clip(s, 40))
	return q[1 : len(q)-1]
}

// clip cuts s to n runes.
func clip(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
