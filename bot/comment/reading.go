package comment

import (
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// reading is a View with what follows from it, worked out once.
type reading struct {
	View
	rows             []entry
	errors, warnings domain.Problems // in reading order
	contested        domain.Problems // what an approval takes over from pull requests that only wait
	tooLong          bool            // not every change can have its line
}

// entry is a change and where it stands.
type entry struct {
	Row
	at standing
}

func read(v View) *reading {
	r := &reading{View: v}
	r.rows = rows(v)
	if v.State == Open && v.Report.Takeable() {
		r.yield()
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

// yield sets apart what keeps changes back that an approval takes over: they wait like any other.
func (v *reading) yield() {
	for i := range v.rows {
		c := &v.rows[i].Change
		if len(c.Contested) == 0 {
			continue
		}
		taken := func(p domain.Problem) bool { return p.Code == domain.DuplicatePendingRequest }
		for _, p := range c.Problems {
			if taken(p) {
				v.contested = append(v.contested, p)
			}
		}
		c.Problems = slices.DeleteFunc(slices.Clone(c.Problems), taken)
	}
}

// mayApprove names whose approval would count for the rows.
func (v *reading) mayApprove(open []entry) []string {
	if len(v.MayApprove) > 0 {
		return v.MayApprove
	}
	var out []string
	for _, r := range open {
		for _, name := range r.Change.Approvers {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// rows are those of the view, and one for everything else that the view speaks of: what the report names
// without a row, what was merged and never became a change.
func rows(v View) (out []entry) {
	known := map[string]bool{}
	add := func(r Row) {
		if !known[r.Change.Path] {
			known[r.Change.Path] = true
			out = append(out, entry{Row: r})
		}
	}
	for _, r := range v.Rows {
		add(r)
	}
	for _, c := range v.Report.Changes {
		add(Row{Change: c})
	}
	if v.State != Merged {
		return out
	}
	for _, p := range v.Quarantined {
		if p.Path == "" {
			continue
		}
		c := judge.Change{Path: p.Path, Subject: p.Path}
		if ref, governed, problems := spec.ParsePath(p.Path); governed && !problems.Blocking() {
			c.Ref, c.Subject = ref, ref.String()
			if ref.Platform() {
				c.Operation = domain.ChangePlatform // the only one that there is
			}
		}
		add(Row{Change: c})
	}
	return out
}

// readOpen reads the view as it was before the merge: what was decided, not what became of it.
func readOpen(v View) *reading {
	if v.State != Merged {
		return read(v)
	}
	v.State, v.Rows = Open, slices.Clone(v.Rows)
	for i, r := range v.Rows {
		if r.Ticket != nil && r.Event != nil && r.Event.Code == domain.Superseded {
			decided := *r.Ticket
			decided.Status = domain.TicketApproved
			v.Rows[i].Ticket = &decided
		}
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
