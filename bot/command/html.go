package command

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	"golang.org/x/net/html"
)

// enclosure follows the HTML of a comment: which elements are open around what comes next. Markdown goes
// on inside of an open element, but what is written there may be folded, quoted, struck out or not shown
// at all.
type enclosure struct {
	elements []string
	sealed   bool // a tag or comment was never closed: a page takes all that follows for a part of it
}

const maxOpen = 100

// open reports whether what comes next stands inside of an element.
func (e *enclosure) open() bool { return e.sealed || len(e.elements) > 0 }

// swallows reports whether the HTML hides what follows even when the blocks around it end.
func (e *enclosure) swallows() bool {
	if e.sealed {
		return true
	}
	for _, name := range e.elements {
		if enclosing[name] == swallowing {
			return true
		}
	}
	return false
}

// read goes on with the next piece of HTML.
func (e *enclosure) read(source string) {
	z := html.NewTokenizer(strings.NewReader(source + "\n"))
	for !e.sealed {
		token := z.Next()
		// What ends with the line feed above did not end by itself.
		unfinished := strings.HasSuffix(string(z.Raw()), "\n")
		switch token {
		case html.ErrorToken:
			e.sealed = e.sealed || len(z.Raw()) > 0
			return
		case html.CommentToken, html.DoctypeToken:
			e.sealed = unfinished
		case html.StartTagToken, html.SelfClosingTagToken: // a page ignores the slash of <div/>
			name, _ := z.TagName()
			e.start(string(name))
		case html.EndTagToken:
			name, _ := z.TagName()
			e.end(string(name))
		}
	}
}

func (e *enclosure) start(name string) {
	if enclosing[name] == 0 {
		return
	}
	e.elements = append(e.elements, name)
	e.sealed = len(e.elements) > maxOpen
}

// end closes the innermost element of the name and all inside of it.
func (e *enclosure) end(name string) {
	for i := len(e.elements) - 1; i >= 0; i-- {
		if e.elements[i] == name {
			e.elements = e.elements[:i]
			return
		}
	}
}

type effect int

const (
	containing effect = iota + 1
	swallowing        // its content is no HTML, or not shown: the ends of others do not end it
)

// enclosing are the elements that set their content apart. Elements of no effect (b, span), those that
// the next paragraph ends (p) and those that no browser knows (<name>, as people write) are not here.
var enclosing = func() map[string]effect {
	m := map[string]effect{}
	for _, name := range strings.Fields(`address article aside blockquote body caption center code dd del details
		dialog dir div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hgroup html
		kbd li main menu nav ol optgroup option pre q s samp search section strike summary table tbody td
		tfoot th thead tr tt ul`) {
		m[name] = containing
	}
	for _, name := range strings.Fields(`audio canvas frameset iframe math noembed noframes noscript object
		plaintext script select style svg template textarea title video xmp`) {
		m[name] = swallowing
	}
	return m
}()

func htmlText(n *ast.HTMLBlock, source []byte) string {
	s := string(n.Lines().Value(source))
	if n.HasClosure() {
		s += string(n.ClosureLine.Value(source))
	}
	return s
}
