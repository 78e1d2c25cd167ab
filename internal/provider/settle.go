package provider

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

// settle makes the body that is sent: the manifest, bound to the object as it was looked at, and with
// the cluster's own values where this change must not touch them.
func (s *step) settle() error {
	s.body = s.want.DeepCopy()
	if s.live == nil {
		s.body.SetResourceVersion(mustCreate)
		return nil
	}
	s.body.SetUID(s.live.GetUID())
	s.body.SetResourceVersion(s.live.GetResourceVersion())
	switch {
	case s.isVM():
		s.settlePower()
	case s.disk != nil:
		s.note("%s", s.growing)
	case s.want.GroupVersionKind() == dataVolumeKind:
		s.keepSize()
	}
	s.keepMarks()
	return s.keepLists()
}

// keepMarks sends the labels and annotations that the manifest leaves out and the object keeps.
func (s *step) keepMarks() {
	for _, part := range []string{"annotations", "labels"} {
		for _, key := range s.target.Kept {
			is, onCluster, _ := unstructured.NestedString(s.live.Object, "metadata", part, key)
			if _, said, _ := unstructured.NestedString(s.want.Object, "metadata", part, key); onCluster && !said {
				_ = unstructured.SetNestedField(s.body.Object, is, "metadata", part, key)
			}
		}
	}
}

// keepLists decides about every list of the spec. KubeVirt's lists are atomic: whoever sets one sets
// all of it, so forcing ours would unplug what was hot-plugged.
func (s *step) keepLists() error {
	var conflicts []string
	for _, path := range s.listPaths() {
		if conflict := s.keepList(path); conflict != "" {
			conflicts = append(conflicts, conflict)
		}
	}
	if len(conflicts) == 0 {
		return nil
	}
	return never(problem(domain.FieldConflict, "undo the change on the cluster, or take it into git, then retry",
		"%s: %s", about("apply", s.want), strings.Join(conflicts, "; ")), nil)
}

// keepList settles one list, and returns what is in conflict, or "".
func (s *step) keepList(path []string) string {
	is, onCluster, _ := unstructured.NestedFieldNoCopy(s.live.Object, path...)
	wanted, inGit, _ := unstructured.NestedFieldNoCopy(s.want.Object, path...)
	if !onCluster || (inGit && reflect.DeepEqual(is, wanted)) {
		return ""
	}
	others := otherOwners(s.live, path)
	if len(others) == 0 {
		return ""
	}
	if s.touches(path, wanted, inGit) {
		return fmt.Sprintf("%s was changed by %s: the cluster has %s, this change wants %s",
			strings.Join(path, "."), strings.Join(others, ", "), itemNames(is), itemNames(wanted))
	}
	_ = setNested(s.body.Object, is, path)
	if !covers(is, wanted) {
		s.note("kept %s as %s left it: %s", strings.Join(path, "."), strings.Join(others, ", "), itemNames(is))
	}
	return ""
}

// touches reports whether this change is about a list: it differs from what was applied last, or that
// is not known.
func (s *step) touches(path []string, wanted any, inGit bool) bool {
	if s.previous == nil {
		return true
	}
	before, had, _ := unstructured.NestedFieldNoCopy(s.previous.Object, path...)
	return had != inGit || !reflect.DeepEqual(before, wanted)
}

// listPaths are the lists of the manifest and of the one applied last.
func (s *step) listPaths() [][]string {
	paths := listsIn(s.want.Object["spec"], []string{"spec"})
	if s.previous == nil {
		return paths
	}
	for _, path := range listsIn(s.previous.Object["spec"], []string{"spec"}) {
		if !slices.ContainsFunc(paths, func(p []string) bool { return slices.Equal(p, path) }) {
			paths = append(paths, path)
		}
	}
	return paths
}

// takeOver notes whose plain fields are forced. A list among them was changed a moment ago or is
// owned in a way that keepLists does not see: it is never forced.
func (s *step) takeOver(causes []metav1.StatusCause) error {
	if s.disk != nil {
		return nil // the size of a claim is CDI's or the last grower's, and growing it takes nothing from them
	}
	var fields []string
	for _, cause := range causes {
		for _, list := range s.listPaths() {
			if strings.HasPrefix(cause.Field, "."+strings.Join(list, ".")) {
				return never(problem(domain.FieldConflict, "undo the change on the cluster, or take it into git, then retry",
					"%s: %s: %s", about("apply", s.want), strings.Join(list, "."), words(cause.Message)), nil)
			}
		}
		fields = append(fields, fmt.Sprintf("%s (%s)", words(strings.TrimPrefix(cause.Field, ".")), words(cause.Message)))
	}
	slices.Sort(fields)
	s.note("took over %s", strings.Join(slices.Compact(fields), ", "))
	return nil
}

// listsIn finds the outermost lists of a value, in the order of their paths.
func listsIn(v any, path []string) [][]string {
	switch v := v.(type) {
	case []any:
		return [][]string{path}
	case map[string]any:
		var found [][]string
		for _, key := range sortedKeys(v) {
			found = append(found, listsIn(v[key], append(slices.Clone(path), key))...)
		}
		return found
	}
	return nil
}

// covers reports whether is says everything that wanted says; more fields, as webhooks add them, do
// not matter, more items do.
func covers(is, wanted any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		fields, ok := is.(map[string]any)
		for key, value := range wanted {
			ok = ok && covers(fields[key], value)
		}
		return ok
	case []any:
		items, ok := is.([]any)
		ok = ok && len(items) == len(wanted)
		for i := range wanted {
			ok = ok && covers(items[i], wanted[i])
		}
		return ok
	}
	return reflect.DeepEqual(is, wanted)
}

// itemNames describes a list by its items' names: their content may be secret.
func itemNames(list any) string {
	items, _ := list.([]any)
	names := make([]string, len(items))
	for i, item := range items {
		fields, _ := item.(map[string]any)
		name, ok := fields["name"].(string)
		if !ok {
			name = fmt.Sprintf("#%d", i+1)
		}
		names[i] = words(name)
	}
	return "[" + strings.Join(names, " ") + "]"
}

// setNested stores a deep copy; unlike unstructured's own it takes lists of anything.
func setNested(object map[string]any, value any, path []string) error {
	return unstructured.SetNestedField(object, (&unstructured.Unstructured{
		Object: map[string]any{"value": value},
	}).DeepCopy().Object["value"], path...)
}
