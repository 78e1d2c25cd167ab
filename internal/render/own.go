package render

import (
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// from is where the hardware in a field of the request comes from: the request itself, where it asked, the
// template's default, or the size, under its own name for it.
func (r *renderer) from(field, ofSize string, asked bool) (Origin, string) {
	mask, _ := r.in.Template.Mask(field)
	switch {
	case asked:
		return OriginRequest, field
	case mask.Default != "":
		return OriginTemplate, field
	}
	return OriginSize, ofSize
}

// checkOwnHardware refuses hardware of the request's own where the size says more of it than how much there is.
// Whoever asked for it has a line to mend; what the template fills in does not go with the size.
func (r *renderer) checkOwnHardware() {
	o := spec.Overcommit{}
	if r.in.Size.Overcommit != nil {
		o = *r.in.Size.Overcommit
	}
	for _, own := range []struct {
		field        string
		asked, given bool
		beside       string // what of the size excludes it, empty for nothing
	}{
		{"cpu", r.asked.CPU != 0, r.in.VM.CPU != 0, r.excludes(o.CPU)},
		{"memory", r.asked.Memory != "", r.in.VM.Memory != "", r.excludes(o.Memory)},
		{"gpu", r.asked.GPU != "", r.in.VM.GPU != "", r.excludes(nil)},
	} {
		switch {
		case !own.given || own.beside == "":
		case own.asked:
			r.problems.add(domain.ForbiddenField, OriginRequest, own.field, "%s cannot be set beside size %s, which %s", own.field, r.in.SizeName, own.beside).
				hint("remove it, or choose another size")
		default:
			r.problems.add(domain.PlanInvalid, OriginTemplate, own.field, "template %s fills in %s, which does not go with size %s: it %s",
				r.in.TemplateName, own.field, r.in.SizeName, own.beside).hint("choose another size, or another template")
		}
	}
}

// excludes says why the size, which may overcommit it, does not go with hardware of the request's own.
func (r *renderer) excludes(overcommit *spec.RequestLimit) string {
	switch {
	case r.in.Size.Instancetype != nil:
		return "leaves it to the instance type " + r.in.Size.Instancetype.Name
	case overcommit != nil:
		return "overcommits it"
	}
	return ""
}
