package comment

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFields is how many fields of a spec are listed as changed.
const maxFields = 40

// field is one of a spec with a value before and after.
type field struct{ name, was, is string }

// String names the field with both values.
func (f field) String() string {
	was, is := apart(f.was, f.is)
	return code(f.name) + " from " + value(was) + " to " + value(is)
}

// differences are the fields of a spec that change, groups field by field. Where there was no spec before,
// or is none after, nothing changes: the whole comes or goes.
func differences(before, after json.RawMessage) (out []field) {
	var was, is map[string]any
	if json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil || was == nil || is == nil {
		return nil
	}
	return compare("", was, is, out)
}

func compare(prefix string, was, is map[string]any, out []field) []field {
	both := map[string]bool{}
	for key := range was {
		both[key] = true
	}
	for key := range is {
		both[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(both)) {
		name := prefix + key
		inner, group := was[key].(map[string]any)
		other, too := is[key].(map[string]any)
		if group && too && strings.Count(prefix, ".") < 4 {
			out = compare(name+".", inner, other, out)
			continue
		}
		if a, b := compact(was[key]), compact(is[key]); a != b && name != "reason" {
			out = append(out, field{name, a, b})
		}
	}
	return out
}

// lines are the fields as items of a list.
func lines(fields []field, before string) (out []string) {
	for _, f := range fields[:min(len(fields), maxFields)] {
		out = append(out, before+f.String())
	}
	if rest := len(fields) - maxFields; rest > 0 {
		out = append(out, "and "+count(rest, "field")+" more")
	}
	return out
}

// apart leaves out what two long values begin with in common, so that what is shown of them differs.
func apart(a, b string) (string, string) {
	if len(a) <= maxReason && len(b) <= maxReason || a == "null" || b == "null" {
		return a, b
	}
	const lead = 30
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	if same -= lead; same <= 0 {
		return a, b
	}
	for same > 0 && !utf8.RuneStart(a[same]) {
		same--
	}
	return "…" + a[same:], "…" + b[same:]
}

func value(s string) string {
	if s == "null" {
		return "nothing"
	}
	if text := Escape(s, maxReason); text != "" {
		return text
	}
	return "an empty text"
}

// compact is a value as people read it: text without quotes, anything else as JSON.
func compact(v any) string {
	if s, ok := v.(string); ok && s != "null" {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
