package comment

import (
	"slices"

	"kv-shepherd.io/shepherd/internal/domain"
)

// reading is a View with what follows from it, worked out once.
type reading struct {
	View
	rows             []entry
	errors, warnings domain.Problems // in reading order
	tooLong          bool            // not every change can have its line
}

// entry is a change and where it stands.
type entry struct {
	Row
	at standing
}

func read(v View) *reading {
	r := &reading{View: v}
	known := map[string]bool{}
	for _, row := range v.Rows {
		known[row.Change.Path] = true
		r.rows = append(r.rows, entry{Row: row})
	}
	for _, c := range v.Report.Changes {
		if !known[c.Path] {
			r.rows = append(r.rows, entry{Row: Row{Change: c}})
		}
	}
	all := slices.Clone(v.Report.Problems)
	for _, row := range r.rows {
		all = append(all, row.Change.Problems...)
	}
	r.errors, r.warnings = split(all.Sorted())
	r.tooLong = tooLong(r.rows)
	for i := range r.rows {
		r.rows[i].at = r.standing(r.rows[i].Row)
	}
	return r
}

// readOpen reads the view as it was before the merge: what was decided, not what became of it.
func readOpen(v View) *reading {
	if v.State == Merged {
		v.State = Open
	}
	return read(v)
}

// split sorts problems into those that stop and those that only warn.
func split(all domain.Problems) (errors, warnings domain.Problems) {
	for _, p := range all {
		if p.Severity == domain.Warning {
			warnings = append(warnings, p)
		} else {
			errors = append(errors, p)
		}
	}
	return errors, warnings
}

// blocking reports whether anything stops the pull request as a whole.
func (v *reading) blocking() bool { return len(v.errors) > 0 }

// pick are the rows that stand at one of the places.
func (v *reading) pick(at ...standing) (out []entry) {
	for _, r := range v.rows {
		if slices.Contains(at, r.at) {
			out = append(out, r)
		}
	}
	return out
}

// tally counts where merged changes stand.
type tally struct{ all, done, failed, quarantined, underWay int }

func (v *reading) tally() (t tally) {
	for _, r := range v.rows {
		t.all++
		switch r.at {
		case done, superseded:
			t.done++
		case failed:
			t.failed++
		case quarantined:
			t.quarantined++
		default:
			t.underWay++
		}
	}
	return t
}
