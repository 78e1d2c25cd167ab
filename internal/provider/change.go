package provider

import (
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Action is what happened, or would happen, to an object.
type Action string

// An object is created, configured (changed) or left unchanged. Delete alone deletes, and Restart alone
// restarts.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Deleted    Action = "deleted"
	Restarted  Action = "restarted"
)

// Change is what happened to one object. UID and ResourceVersion are those after it; they are empty
// for what a preview would create and for what was absent already, and the last ones for what is deleted.
type Change struct {
	Kind, Namespace, Name string
	Action                Action
	UID, ResourceVersion  string
	// Fields are the paths that changed, without their values.
	Fields []string
	// Diffs are the same fields with their values; of a Secret without them. A list is one value.
	Diffs []FieldDiff
	// Object is the object as it is then, or would be; nil for a Secret and for what is deleted.
	Object map[string]any
	// Seen is how a VirtualMachine was before, without its instance.
	Seen Observation
	// Notes are sentences for people: what was kept although it differs, whose field was taken
	// over, what the API server warned of.
	Notes []string
}

// FieldDiff is a field with its value on the cluster and the one that it gets; nil is absent.
type FieldDiff struct {
	Path     []string
	From, To any
}

// String is the path as Fields has it.
func (d FieldDiff) String() string { return strings.Join(d.Path, ".") }

// ChangeSet is what happened to the objects of a VM, in order.
type ChangeSet []Change

// Changed reports whether anything was, or would be, written.
func (s ChangeSet) Changed() bool {
	for _, c := range s {
		if c.Action != Unchanged {
			return true
		}
	}
	return false
}

// VM returns the VirtualMachine's change. It reports false when the set ends before it, which is the
// case after an error.
func (s ChangeSet) VM() (Change, bool) {
	for _, c := range s {
		if c.Kind == vmKind.Kind {
			return c, true
		}
	}
	return Change{}, false
}

// String is one line an object, as kubectl would say it.
func (s ChangeSet) String() string {
	lines := make([]string, len(s))
	for i, c := range s {
		lines[i] = fmt.Sprintf("%s %s/%s %s", c.Kind, c.Namespace, c.Name, c.Action)
	}
	return strings.Join(lines, "\n")
}

func problem(code domain.Code, hint, format string, args ...any) domain.Problem {
	return domain.Problem{
		Code: code, Severity: domain.Error, Message: fmt.Sprintf(format, args...), Hint: hint,
	}
}
