package main

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// table aligns rows in columns, with a rule below the first row.
func (t *terminal) table(rows [][]string) []string {
	out := aligned(rows)
	if len(out) == 0 {
		return nil
	}
	rules := make([]string, len(rows[0]))
	for c, w := range columnWidths(rows) {
		rules[c] = strings.Repeat("─", w)
	}
	out[0] = t.paint(bold, out[0])
	return slices.Insert(out, 1, t.paint(dim, strings.Join(rules, "  ")))
}

// aligned puts the cells of rows below each other.
func aligned(rows [][]string) []string {
	widths := columnWidths(rows)
	var out []string
	for _, row := range rows {
		var line strings.Builder
		for c, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[c]-displayWidth(cell)+2))
		}
		out = append(out, strings.TrimRight(line.String(), " "))
	}
	return out
}

func columnWidths(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for c, cell := range row {
			if c == len(widths) {
				widths = append(widths, 0)
			}
			widths[c] = max(widths[c], displayWidth(cell))
		}
	}
	return widths
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// displayWidth is how many columns a terminal needs for text.
func displayWidth(text string) int {
	n := 0
	for _, r := range escapes.ReplaceAllString(text, "") {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf): // drawn over what is before, or not at all
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func wide(r rune) bool {
	k := width.LookupRune(r).Kind()
	return k == width.EastAsianWide || k == width.EastAsianFullwidth
}

// printable takes out what would move a terminal's cursor or switch its colours.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ReplaceAll(text, "\t", "    "))
}
