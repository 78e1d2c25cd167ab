package comment

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// document is a file of the kind with the spec, to be copied as it stands; empty where there is none. Its
// fields are in the order of the schema. What could end the block that it is shown in, or mention
// somebody, stands as an escape of YAML's: it reads back the same.
func document(kind spec.Kind, canonical json.RawMessage) string {
	if len(canonical) == 0 {
		return ""
	}
	s, err := spec.Decode(kind, canonical)
	if err != nil || s == nil {
		return ""
	}
	data, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var b strings.Builder
	b.WriteString("apiVersion: " + spec.APIVersion + "\nkind: " + string(kind) + "\nspec:")
	if writeYAML(&b, decoder, 1, false) != nil {
		return ""
	}
	return b.String()
}

// writeYAML writes the next value of the decoder behind a key or a dash. The first field of a group in a
// list stands on the line of its dash.
func writeYAML(b *strings.Builder, d *json.Decoder, depth int, inList bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, group := token.(json.Delim)
	if !group {
		b.WriteString(" " + scalar(token) + "\n")
		return nil
	}
	if !d.More() {
		_, err := d.Token()
		b.WriteString(map[json.Delim]string{'{': " {}\n", '[': " []\n"}[open])
		return err
	}
	if !inList {
		b.WriteString("\n")
	}
	for first := true; d.More(); first = false {
		indent := strings.Repeat("  ", depth)
		if inList && first {
			indent = " "
		}
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			b.WriteString(indent + scalar(key) + ":")
		} else {
			b.WriteString(indent + "-")
		}
		if err := writeYAML(b, d, depth+1, open == '['); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// unquoted is text that YAML takes as it stands, if it is no other kind of value.
var unquoted = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9 ./_+=@-]*[A-Za-z0-9/=.]$|^[A-Za-z0-9]$`)

// loose is an @ that could begin a mention.
var loose = regexp.MustCompile(`(^|[^A-Za-z0-9])@`)

// scalar is a value on one line.
func scalar(v any) string {
	s, text := v.(string)
	if !text {
		data, err := json.Marshal(v)
		if err != nil { // numbers and yes or no always marshal
			return "null"
		}
		return string(data)
	}
	var back any
	if unquoted.MatchString(s) && !loose.MatchString(s) && yaml.Unmarshal([]byte(s), &back) == nil && back == any(s) {
		return s
	}
	quoted := strings.NewReplacer("`", `\x60`, "<!--", `\x3c!--`).Replace(strconv.QuoteToGraphic(s))
	for loose.MatchString(quoted) { // overlapping ones need another round
		quoted = loose.ReplaceAllString(quoted, `${1}\x40`)
	}
	return quoted
}
