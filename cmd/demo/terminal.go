package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// How often a step that goes on says so: on a terminal in place, elsewhere with a line.
const (
	tickOnTerminal = time.Second
	tickElsewhere  = 10 * time.Second
)

// A style is what a terminal is told to switch on.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// terminal is where the day is told.
type terminal struct {
	out    io.Writer
	live   bool // lines can be written again
	colour bool
	began  time.Time
}

func newTerminal(out io.Writer) *terminal {
	t := &terminal{out: out, began: time.Now()}
	if f, ok := out.(*os.File); ok {
		t.live = term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	}
	t.colour = t.live && os.Getenv("NO_COLOR") == ""
	return t
}

// paint styles text where there are colours.
func (t *terminal) paint(s style, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// lines prints lines with an indent.
func (t *terminal) lines(indent string, lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(t.out, strings.TrimRight(indent+line, " "))
	}
}

// act begins a part of the day.
func (t *terminal) act(title string) {
	t.lines("", "", t.paint(bold, title))
}

// heading stands above something that is shown whole.
func (t *terminal) heading(title, explained string) {
	t.lines("", "", t.paint(cyan, "──── ")+t.paint(bold, title)+t.paint(cyan, " "+strings.Repeat("─", max(4, 90-displayWidth(title)))))
	if explained != "" {
		t.lines("", t.paint(dim, explained))
	}
	t.lines("", "")
}

// step tells that something is being done, and goes on telling, until the returned function is told how
// it went.
func (t *terminal) step(name string) (done func(err error)) {
	began, end := time.Now(), make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { t.tick(name, began, end) })
	return func(err error) {
		close(end)
		ticking.Wait()
		mark := t.paint(green, "✓")
		if err != nil {
			mark = t.paint(red, "✗")
		}
		t.clear()
		t.lines("  ", mark+" "+t.elapsed(began)+"  "+name)
	}
}

func (t *terminal) tick(name string, began time.Time, end <-chan struct{}) {
	every := tickElsewhere
	if t.live {
		every = tickOnTerminal
		fmt.Fprint(t.out, "  … "+t.elapsed(began)+"  "+name)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-end:
			return
		case <-ticker.C:
		}
		t.clear()
		fmt.Fprint(t.out, "  … "+t.elapsed(began)+"  "+name)
		if !t.live {
			fmt.Fprintln(t.out)
		}
	}
}

// clear takes back the line that says that a step goes on.
func (t *terminal) clear() {
	if t.live {
		fmt.Fprint(t.out, "\r\x1b[K")
	}
}

func (t *terminal) elapsed(since time.Time) string {
	return t.paint(dim, fmt.Sprintf("%5.1fs", time.Since(since).Seconds()))
}

// failed says why the day ended badly.
func (t *terminal) failed(err error) {
	t.lines("", "", t.paint(red, "The demo failed: ")+err.Error())
}
