package comment

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a family of changes says of their states, and one line of it, take at most.
const (
	maxFamilyStates = 8
	maxGlyph        = 8
)

// grouped is one line a change where one table for all of them is too long: what changes have in common is
// said once, above the lines of those that have it. How each stands is a sign, and the words for the signs
// stand above.
func grouped(rows []entry, columns []column, state func(r entry, short bool) string) string {
	var b strings.Builder
	for _, g := range families(rows, columns) {
		fmt.Fprintf(&b, "**%s** (%d): %s\n\n", g.common, len(g.rows), states(g.rows, state))
		for _, r := range g.rows {
			b.WriteString("- " + ownCells(r, columns) + " " + glyph(state(r, true)) + "\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// groupedSize is the most that grouped takes, whatever becomes of the changes.
func groupedSize(rows []entry, columns []column) (size int) {
	for _, g := range families(rows, columns) {
		size += len(g.common) + maxImpact + (maxFamilyStates+1)*(maxState+maxGlyph)
	}
	for _, r := range rows {
		size += len("-   \n") + len(ownCells(r, columns)) + maxGlyph
	}
	return size
}

// family is the changes that have the same in every column but their own.
type family struct {
	common string
	rows   []entry
}

func families(rows []entry, columns []column) (out []family) {
	at := map[string]int{}
	for _, r := range rows {
		var cells []string
		for _, c := range columns {
			if text := c.cell(r); !c.own && text != "" {
				cells = append(cells, text)
			}
		}
		common := strings.Join(cells, " · ")
		i, known := at[common]
		if !known {
			i = len(out)
			at[common], out = i, append(out, family{common: common})
		}
		out[i].rows = append(out[i].rows, r)
	}
	return out
}

func ownCells(r entry, columns []column) string {
	var cells []string
	for _, c := range columns {
		if text := c.cell(r); c.own && text != "" {
			cells = append(cells, text)
		}
	}
	return strings.Join(cells, " ")
}

// states counts how the changes of a family stand, in the order in which they come.
func states(rows []entry, state func(r entry, short bool) string) string {
	var order []string
	counts := map[string]int{}
	for _, r := range rows {
		s := state(r, true)
		if counts[s] == 0 {
			order = append(order, s)
		}
		counts[s]++
	}
	if len(order) == 1 {
		return order[0]
	}
	var parts []string
	for _, s := range order[:min(len(order), maxFamilyStates)] {
		parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
	}
	if rest := len(order) - maxFamilyStates; rest > 0 {
		parts = append(parts, fmt.Sprintf("%d in other states", rest))
	}
	return strings.Join(parts, ", ")
}

// glyph is the sign that a state begins with.
func glyph(state string) string {
	sign, _, _ := strings.Cut(state, " ")
	if r, _ := utf8.DecodeRuneInString(sign); r < utf8.RuneSelf || len(sign) > maxGlyph {
		return "–"
	}
	return sign
}
