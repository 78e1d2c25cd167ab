package spec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, r *rule, path string) {
	if n.Kind != yaml.ScalarNode {
		d.invalid(n, path+" has to be a single value", "write it as "+lastStep(path)+" "+exampleOf(r, v.Kind()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		if d.text(n, r, path) {
			v.SetString(n.Value)
		}
	case reflect.Bool:
		if n.ShortTag() != "!!bool" {
			d.invalid(n, path+" has to be true or false, not "+quote(n.Value), "write "+lastStep(path)+" true, without quotes")
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	default:
		if i, ok := d.integer(n, r, path); ok {
			v.SetInt(i)
		}
	}
}

func exampleOf(r *rule, kind reflect.Kind) string {
	switch {
	case r.example != "":
		return r.example
	case len(r.enum) > 0:
		return r.enum[0]
	case kind == reflect.Bool:
		return "true"
	case kind != reflect.String:
		return "1"
	}
	return "a text"
}

// lastStep is how the line of a field begins: its name and a colon, or the hyphen of a list's entry.
func lastStep(path string) string {
	if strings.HasSuffix(path, "]") {
		return "-"
	}
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		path = path[i+1:]
	}
	return path + ":"
}

func (d *decoder) integer(n *yaml.Node, r *rule, path string) (int64, bool) {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.ShortTag() != "!!int" || err != nil || !plainInt(n.Value) {
		d.invalid(n, path+" has to be a whole number, not "+quote(n.Value), "write "+lastStep(path)+" "+exampleOf(r, reflect.Int)+", without quotes or a unit")
		return 0, false
	}
	if r.bounded && (i < r.minimum || i > r.maximum) {
		d.invalid(n, fmt.Sprintf("%s is %d; it has to be from %d to %d", path, i, r.minimum, r.maximum), "choose a number in between")
		return 0, false
	}
	return i, true
}

// plainInt refuses the octals, underscores and signs that YAML readers disagree on.
func plainInt(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

// text holds a scalar to the rules of a text field and reports whether it may be used.
func (d *decoder) text(n *yaml.Node, r *rule, path string) bool {
	tag := n.ShortTag()
	if tag != "!!str" && tag != "!!timestamp" {
		d.notText(n, r, path, tag)
		return false
	}
	switch problem := checkText(n.Value); {
	case strings.TrimSpace(n.Value) == "":
		d.invalid(n, path+" is empty", "give it a value or remove the line")
	case problem != "":
		d.invalid(n, path+" "+problem, "remove it; it would hide what is written here")
	case len(r.enum) > 0:
		return d.oneOf(n, r.enum, path)
	case r.maxLength > 0 && utf8.RuneCountInString(n.Value) > r.maxLength:
		d.invalid(n, fmt.Sprintf("%s has %d characters; at most %d are allowed", path, utf8.RuneCountInString(n.Value), r.maxLength), "shorten it")
	case r.format != "":
		return d.format(n, r.format, path)
	default:
		return true
	}
	return false
}

func (d *decoder) notText(n *yaml.Node, r *rule, path, tag string) {
	what := map[string]string{"!!int": "a number", "!!float": "a number", "!!bool": "true or false"}[tag]
	if what == "" {
		what = "no text"
	}
	hint := "put it in quotes: " + lastStep(path) + " " + strconv.Quote(clip(n.Value, 40))
	switch r.format {
	case "quantity":
		hint = "write it with its unit: " + lastStep(path) + " " + clip(n.Value, 20) + "Gi"
	case "duration":
		hint = "write it with its unit: " + lastStep(path) + " " + clip(n.Value, 20) + "m"
	}
	if len(r.enum) > 0 {
		hint = "write one of " + strings.Join(r.enum, ", ")
	}
	d.invalid(n, path+" has to be text, but "+quote(n.Value)+" is "+what+" in YAML", hint)
}

func (d *decoder) oneOf(n *yaml.Node, values []string, path string) bool {
	for _, v := range values {
		if v == n.Value {
			return true
		}
	}
	hint := "write one of " + strings.Join(values, ", ")
	if best, ok := Nearest(n.Value, values); ok {
		hint = "did you mean " + best + "? " + hint
	}
	d.invalid(n, path+" cannot be "+quote(n.Value), hint)
	return false
}

func (d *decoder) format(n *yaml.Node, format, path string) bool {
	check, ok := formats[format]
	if !ok {
		panic("spec: unknown format " + format) // a mistake in a tag of ours; every tag is used in a test
	}
	p := check.check(n.Value)
	if p == nil {
		return true
	}
	if p.Code == "" {
		p.Code = domain.YAMLInvalid
	}
	d.add(problemAt(n, p.Code, path+" "+p.Message, p.Hint))
	return false
}

// checkText says what is wrong with characters that people cannot see, or "".
func checkText(s string) string {
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
		case unicode.IsControl(r):
			return fmt.Sprintf("contains the control character U+%04X", r)
		case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0xFEFF:
			return fmt.Sprintf("contains the invisible character U+%04X", r)
		}
	}
	return ""
}
