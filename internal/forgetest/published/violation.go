package published

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Violation is something that GitHub would not have sent or would not have taken.
type Violation struct {
	Where   string // the operation or the webhook
	Pointer string // into the JSON with * for any index, or the name of a header or parameter
	Wrong   string // what is there and what was wanted
	Edition string // the description that says so; empty for what GitHub's documentation says of all answers
}

// String tells all of it in one line.
func (v Violation) String() string {
	out := v.Where + ": " + v.Pointer + ": " + v.Wrong
	if v.Edition != "" {
		out += " (" + v.Edition + ")"
	}
	return out
}

// document is a JSON text that several editions validate and that is read when the first does.
type document func() (any, error)

func documentOf(body []byte) document {
	return sync.OnceValues(func() (any, error) { return jsonschema.UnmarshalJSON(bytes.NewReader(body)) })
}

// validate holds a JSON text against the schema at a pointer.
func (e *edition) validate(where, at string, doc document) []Violation {
	v, err := doc()
	if err != nil {
		return []Violation{{where, "", "is no JSON: " + err.Error(), e.name}}
	}
	return e.validateValue(where, at, v)
}

func (e *edition) validateValue(where, at string, v any) []Violation {
	err := e.schema(at).Validate(v)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []Violation{{where, "", err.Error(), e.name}}
	}
	var out []Violation
	for _, leaf := range leaves(invalid) {
		if choice, isChoice := leaf.ErrorKind.(*kind.OneOf); isChoice && len(choice.Subschemas) > 1 {
			continue // more than one fits: GitHub's choices overlap, as in an error with and without details
		}
		wrong := leaf.ErrorKind.LocalizedString(message.NewPrinter(language.English))
		at := index.ReplaceAllString("/"+strings.Join(leaf.InstanceLocation, "/"), "/*")
		if v := (Violation{where, at, wrong, e.name}); !v.explained() {
			out = append(out, v)
		}
	}
	return out
}

// index is a list's index in a pointer: of a hundred items one is told.
var index = regexp.MustCompile(`/[0-9]+\b`)

// leaves are the innermost reasons of an error. Of several schemas of which one should have fitted, the reasons are
// those of the nearest.
func leaves(err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(err.Causes) == 0 {
		return []*jsonschema.ValidationError{err}
	}
	var each [][]*jsonschema.ValidationError
	for _, cause := range err.Causes {
		each = append(each, leaves(cause))
	}
	switch err.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		depth := len(err.InstanceLocation)
		return slices.MinFunc(each, func(a, b []*jsonschema.ValidationError) int { return distance(a, depth) - distance(b, depth) })
	}
	return slices.Concat(each...)
}

// distance measures how far a value is from a schema of several: the wrong type says that another schema was meant.
func distance(reasons []*jsonschema.ValidationError, depth int) int {
	n := len(reasons)
	for _, r := range reasons {
		if _, isType := r.ErrorKind.(*kind.Type); isType && len(r.InstanceLocation) == depth {
			n += 100
		}
	}
	return n
}

func wrongf(where, pointer, format string, args ...any) Violation {
	return Violation{Where: where, Pointer: pointer, Wrong: fmt.Sprintf(format, args...)}
}
