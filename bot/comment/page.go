package comment

import (
	"fmt"
	"strings"
)

// page is text under a limit, in bytes: what has to be there is taken off the limit first, the rest is
// added while it fits.
type page struct {
	parts []string
	left  int
}

func newPage(limit int) *page { return &page{left: limit} }

func (p *page) String() string { return strings.Join(p.parts, "") }

// must adds what nobody may miss.
func (p *page) must(s string) {
	p.parts = append(p.parts, s)
	p.left -= len(s)
}

// place adds what was taken off the limit before.
func (p *page) place(s string) { p.parts = append(p.parts, s) }

// list adds a titled list of at most max items; elsewhere says where the others are.
func (p *page) list(title string, items []string, max int, elsewhere string) {
	if len(items) == 0 {
		return
	}
	const tail = 80
	var b strings.Builder
	b.WriteString("\n" + title)
	shown := 0
	for _, item := range items[:min(max, len(items))] {
		if b.Len()+len(item)+tail > p.left {
			break
		}
		b.WriteString("- " + item + "\n")
		shown++
	}
	if rest := len(items) - shown; rest > 0 {
		fmt.Fprintf(&b, "- and %d more%s\n", rest, elsewhere)
	}
	if b.Len() <= p.left {
		p.must(b.String())
	}
}

// fold adds items, and a text behind them, under a line that opens on a click. Items that do not fit are
// counted.
func (p *page) fold(summary string, items []string, what, behind string) {
	const closing = "</details>\n"
	const note = 120
	head := "\n<details><summary>" + summary + "</summary>\n\n"
	if len(items) == 0 || len(head)+len(behind)+len(closing)+note > p.left {
		return
	}
	p.must(head)
	p.left -= len(behind) + len(closing) + note
	left := 0
	for _, item := range items {
		if len(item) > p.left {
			left++
			continue
		}
		p.must(item)
	}
	if left > 0 {
		p.place(fmt.Sprintf("%s left out, for want of room.\n\n", count(left, what)))
	}
	p.place(behind + closing)
}
