package spec

import (
	"maps"
	"slices"
	"strconv"

	"kv-shepherd.io/shepherd/internal/domain"
)

// masks holds a template's masks to what they can say of their fields.
func (v *validator) masks(t *Template) {
	for name := range t.AdvancedFields {
		if _, both := t.QuickFields[name]; both {
			v.invalid("spec.advancedFields"+step(name), quote(name)+" is a quick field and an advanced one", "keep one of the two")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.QuickFields)) {
		v.mask("spec.quickFields"+step(name), name, t.QuickFields[name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.AdvancedFields)) {
		v.mask("spec.advancedFields"+step(name), name, t.AdvancedFields[name])
	}
}

func (v *validator) mask(path, name string, m FieldMask) {
	f, known := maskFields[name]
	if !known {
		v.fail(domain.UnknownField, path, "requests have no field "+quote(name)+" that a template can mask", Suggest(name, MaskFields()))
		return
	}
	bounded := m.Min != "" || m.Max != "" || len(m.Options) > 0
	switch {
	case m.Required && !m.Editable:
		v.invalid(path+".required", name+" is required, but requests cannot set it", "add editable: true, or remove required")
	case name == "size" && !m.Editable:
		v.invalid(path, "every request names a size, and the mask does not let it", "add editable: true, and options with the sizes that fit the template")
	case bounded && !m.Editable && m.Default == "":
		v.invalid(path, "the mask bounds "+name+", which requests cannot set", "add editable: true, or remove min, max and options")
	}
	if m.Default != "" && !f.fills {
		v.invalid(path+".default", name+" cannot have a default in a template", "remove it; required: true makes requests say it")
		return
	}
	if v.maskBounds(path, name, f, m) {
		v.maskDefault(path, name, f, m)
	}
}

// maskBounds reports whether min, max and options are right by themselves and with each other.
func (v *validator) maskBounds(path, name string, f maskField, m FieldMask) bool {
	before := len(v.problems)
	if f.amount == nil && (m.Min != "" || m.Max != "") {
		v.invalid(path, name+" is a word: it has neither min nor max", "list the words allowed as options")
		return false
	}
	least, right := v.maskValue(path+".min", f, m.Min)
	most, also := v.maskValue(path+".max", f, m.Max)
	if right && also && m.Min != "" && m.Max != "" && least.Cmp(most) > 0 {
		v.invalid(path+".min", "min, "+m.Min+", is more than max, "+m.Max, "lower min or raise max")
	}
	for i, option := range m.Options {
		v.maskOption(path+".options["+strconv.Itoa(i)+"]", name, f, m, option)
	}
	return len(v.problems) == before
}

func (v *validator) maskOption(path, name string, f maskField, m FieldMask, option string) {
	if f.check == nil && f.many {
		v.invalid(path, "the entries of "+name+" cannot be listed", "remove options; min and max bound how many there are")
		return
	}
	if f.many {
		if p := f.check(option); p != nil {
			v.invalid(path, path+" "+p.Message, p.Hint)
		}
		return
	}
	if _, ok := v.maskValue(path, f, option); !ok {
		return
	}
	if why := f.outside(m, option); why != "" {
		v.invalid(path, "the option "+quote(option)+" "+why+", so that nobody can choose it", "remove it, or widen the bounds")
	}
}

func (v *validator) maskDefault(path, name string, f maskField, m FieldMask) {
	if _, ok := v.maskValue(path+".default", f, m.Default); !ok || m.Default == "" {
		return
	}
	if why := f.outside(m, m.Default); why != "" {
		v.invalid(path+".default", "the default of "+name+", "+m.Default+", "+why, "choose a default within the bounds")
	} else if !f.offers(m, m.Default) {
		v.invalid(path+".default", "the default of "+name+", "+quote(m.Default)+", is none of the options", "choose one of the options, or add it there")
	}
}
