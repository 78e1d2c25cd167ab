package doctor

import "fmt"

// Level is how bad a finding is.
type Level string

// The levels. Only Wrong makes the whole fail.
const (
	OK      Level = "ok"
	Info    Level = "info"
	Warning Level = "warning"
	Wrong   Level = "error"
)

// Finding is one thing that was looked at. Fix says what to do, and is empty when there is nothing to do.
type Finding struct {
	Area  string `json:"area"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"`
}

// Examine judges the facts, area by area, in the order in which things are set up.
func Examine(f Facts) []Finding {
	var out []Finding
	for _, area := range []struct {
		name  string
		judge func(Facts, *report)
	}{
		{"configuration", configuration},
		{"database", database},
		{"activity", activity},
		{"repository", repository},
		{"app", app},
		{"webhook", webhook},
		{"branch protection", protection},
		{"clocks", clocks},
		{"clusters", clusters},
	} {
		r := report{area: area.name}
		area.judge(f, &r)
		out = append(out, r.findings...)
	}
	return out
}

// Count says how many findings are of a level.
func Count(findings []Finding, level Level) (n int) {
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// report collects the findings of an area.
type report struct {
	area     string
	findings []Finding
}

func (r *report) add(level Level, fix, text string, args ...any) {
	r.findings = append(r.findings, Finding{Area: r.area, Level: level, Text: fmt.Sprintf(text, args...), Fix: fix})
}

func (r *report) ok(text string, args ...any) { r.add(OK, "", text, args...) }

// clean says that all is well unless something has been said already.
func (r *report) clean(text string, args ...any) {
	for _, f := range r.findings {
		if f.Level == Warning || f.Level == Wrong {
			return
		}
	}
	r.ok(text, args...)
}
