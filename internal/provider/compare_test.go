package provider

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func paths(diffs []FieldDiff) []string {
	var all []string
	for _, d := range diffs {
		all = append(all, d.String())
	}
	return all
}

// liveText is an object of which we applied a and list, and somebody else theirs.
const liveText = `
metadata:
  name: x
  resourceVersion: "5"
  managedFields:
  - {manager: kubevirt-shepherd, operation: Apply, fieldsV1: {"f:spec": {"f:a": {}, "f:list": {}, "f:map": {"f:b": {}}}}}
  - {manager: other, operation: Update, fieldsV1: {"f:spec": {"f:theirs": {}, "f:map": {"f:c": {}}}}}
spec: {a: 1, list: [{name: x}], map: {b: 1, c: 1}, theirs: 1}
status: {phase: old}
`

func TestSaysNothingNew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       bool
	}{
		{"the same", "spec: {a: 1, list: [{name: x}], map: {b: 1}}", true},
		{"with a value of theirs", "spec: {a: 1, list: [{name: x}], map: {b: 1}, theirs: 1}", true},
		{"another value", "spec: {a: 2, list: [{name: x}], map: {b: 1}}", false},
		{"a new field", "spec: {a: 1, list: [{name: x}], map: {b: 1}, new: {}}", false},
		{"a field of ours left out", "spec: {list: [{name: x}], map: {b: 1}}", false},
		{"a nested field of ours left out", "spec: {a: 1, list: [{name: x}], map: {}}", false},
		{"a list of ours left out", "spec: {a: 1, map: {b: 1}}", false},
		{"another item", "spec: {a: 1, list: [{name: y}], map: {b: 1}}", false},
		{"fewer items", "spec: {a: 1, list: [], map: {b: 1}}", false},
		{"a map for a value", "spec: {a: {b: 1}, list: [{name: x}], map: {b: 1}}", false},
	}
	for _, tt := range tests {
		if got := saysNothingNew(object(t, liveText), object(t, tt.body)); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	stranger := object(t, strings.Replace(liveText, FieldManager, "kubectl", 1))
	if saysNothingNew(stranger, object(t, tests[0].body)) {
		t.Error("an object that we never applied is taken as done")
	}
}

func TestChangedFieldsAreThoseThatWeMeant(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, result string
		want               []string
	}{
		{"nothing", "spec: {a: 1}", "spec: {a: 1, list: [{name: x}], map: {b: 1, c: 1}, theirs: 1}", nil},
		{"what we sent", "spec: {a: 2}", "spec: {a: 2, list: [{name: x}], map: {b: 1, c: 1}, theirs: 1}", []string{"spec.a"}},
		{"what a webhook made up", "spec: {a: 1}", "spec: {a: 1, list: [{name: x}], map: {b: 1, c: 1}, theirs: 1, serial: random}", nil},
		{"what a webhook made up in theirs", "spec: {a: 1}", "spec: {a: 1, list: [{name: x}], map: {b: 1, c: 2}, theirs: 2}", nil},
		{"what we stopped sending", "spec: {a: 1}", "spec: {a: 1, map: {c: 1}, theirs: 1}", []string{"spec.list", "spec.map.b"}},
		{"a whole map", "spec: {new: {x: 1}}", "spec: {a: 1, list: [{name: x}], map: {b: 1, c: 1}, theirs: 1, new: {x: 1, y: 2}}", []string{"spec.new"}},
		{"bookkeeping", "metadata: {resourceVersion: '5'}", "metadata: {name: x, resourceVersion: '6', generation: 2}\nspec: {a: 1, list: [{name: x}], map: {b: 1, c: 1}, theirs: 1}\nstatus: {}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			result := object(t, tt.result)
			if _, ok := result.Object["metadata"]; !ok {
				result.SetName("x")
			}
			if diff := cmp.Diff(tt.want, paths(changedFields(object(t, liveText), object(t, tt.body), result))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOtherOwners(t *testing.T) {
	t.Parallel()
	live := object(t, liveText)
	for path, want := range map[string]string{
		"spec": "other", "spec.theirs": "other", "spec.map": "other", "spec.map.b": "", "spec.a": "", "spec.none.deep": "", "status": "",
	} {
		if got := strings.Join(otherOwners(live, strings.Split(path, ".")), " "); got != want {
			t.Errorf("%s is owned by %q, want %q", path, got, want)
		}
	}
}

// counter counts requests by method.
type counter struct {
	next          http.RoundTripper
	reads, writes atomic.Int64
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		c.reads.Add(1)
	} else {
		c.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

func (c *counter) WrappedRoundTripper() http.RoundTripper { return c.next }

func TestWhatChangesNothingCostsOneReadAnObject(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	count := &counter{next: b.http.Transport}
	b.http.Transport = count
	b.apply(target, m)
	if reads, writes := count.reads.Load(), count.writes.Load(); reads != 3 || writes != 0 {
		t.Errorf("%d reads and %d other requests for 3 objects", reads, writes)
	}
}
