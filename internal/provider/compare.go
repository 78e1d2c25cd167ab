package provider

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// bookkeeping is what the server writes by itself on every change.
var bookkeeping = [][]string{
	{"status"}, {"metadata", "managedFields"}, {"metadata", "resourceVersion"}, {"metadata", "generation"},
	{"metadata", "creationTimestamp"}, {"metadata", "uid"}, {"metadata", "selfLink"},
}

// changedFields returns the fields in which a dry-run's answer differs from the live object because
// of what was sent. Differences in fields that were neither sent nor ours before (what webhooks
// default, perhaps anew each time) do not count.
func changedFields(live, body, result *unstructured.Unstructured) []FieldDiff {
	ours := owned(live)
	var changed []FieldDiff
	visitDifferences(nil, live.Object, result.Object, func(d FieldDiff) {
		_, sent, _ := unstructured.NestedFieldNoCopy(body.Object, d.Path...)
		if sent || owns(ours, d.Path) {
			changed = append(changed, d)
		}
	})
	return changed
}

// saysNothingNew reports whether applying a body would surely change no field: the live object holds
// every value of it, and we own nothing that it leaves out. It may miss what only the server can tell
// (one quantity written in two ways), never the reverse.
func saysNothingNew(live, body *unstructured.Unstructured) bool {
	ours := owned(live)
	if ours == nil || !holds(live.Object, body.Object) {
		return false
	}
	// Not ours.All: its iterator goes on after the loop is left.
	all := true
	ours.Iterate(func(path fieldpath.Path) { all = all && mentions(body.Object, path) })
	return all
}

// holds reports whether every field of part is in whole with the same value; lists are values.
func holds(whole, part map[string]any) bool {
	for key, value := range part {
		is, ok := whole[key]
		if !ok {
			return false
		}
		left, leftMap := is.(map[string]any)
		right, rightMap := value.(map[string]any)
		if leftMap && rightMap {
			if !holds(left, right) {
				return false
			}
		} else if !reflect.DeepEqual(is, value) {
			return false
		}
	}
	return true
}

// mentions reports whether an object has the field that an owned path names, or the list around it.
func mentions(object map[string]any, path fieldpath.Path) bool {
	var at any = object
	for _, element := range path {
		if _, isList := at.([]any); isList {
			return true
		}
		fields, isMap := at.(map[string]any)
		if !isMap || element.FieldName == nil {
			return false
		}
		next, ok := fields[*element.FieldName]
		if !ok {
			return false
		}
		at = next
	}
	return true
}

func visitDifferences(path []string, a, b any, visit func(FieldDiff)) {
	if slices.ContainsFunc(bookkeeping, func(p []string) bool { return slices.Equal(p, path) }) {
		return
	}
	left, leftMap := a.(map[string]any)
	right, rightMap := b.(map[string]any)
	if !leftMap || !rightMap {
		if !reflect.DeepEqual(a, b) {
			visit(FieldDiff{path, a, b})
		}
		return
	}
	all := maps.Clone(left)
	maps.Copy(all, right)
	for _, key := range sortedKeys(all) {
		visitDifferences(append(slices.Clone(path), key), left[key], right[key], visit)
	}
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// owned is the set of fields that we applied, or nil if we never did.
func owned(o metav1.Object) *fieldpath.Set {
	for _, entry := range o.GetManagedFields() {
		if entry.Manager == FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			return fieldSet(entry)
		}
	}
	return nil
}

// otherOwners names the managers, but for us, that own a field or something below it.
func otherOwners(u *unstructured.Unstructured, path []string) []string {
	var managers []string
	for _, entry := range u.GetManagedFields() {
		if entry.Manager != FieldManager && owns(fieldSet(entry), path) {
			managers = append(managers, words(entry.Manager))
		}
	}
	slices.Sort(managers)
	return slices.Compact(managers)
}

// fieldSet is empty for an entry that does not parse: such an entry owns nothing.
func fieldSet(entry metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := &fieldpath.Set{}
	if entry.FieldsV1 == nil || set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) != nil {
		return &fieldpath.Set{}
	}
	return set
}

// owns reports whether a set holds a path or something below it.
func owns(set *fieldpath.Set, path []string) bool {
	if set == nil || len(path) == 0 {
		return set != nil
	}
	for _, name := range path[:len(path)-1] {
		below, ok := set.Children.Get(fieldpath.FieldNameElement(name))
		if !ok {
			return false
		}
		set = below
	}
	last := fieldpath.FieldNameElement(path[len(path)-1])
	below, ok := set.Children.Get(last)
	return set.Members.Has(last) || ok && !below.Empty()
}
