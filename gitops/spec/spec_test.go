package spec

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

// wantDigest was computed with sha256sum from
// {"accepted":null,"environment":"prod","identity":"systems/shop/redis/prod-shop/01.yaml","operation":"CREATE_VM",
// "wanted":{"disk":"120Gi","networks":[{"name":"backend"},{"ip":"10.0.0.7","name":"storage"}],"power":"running",
// "reason":"a second replica for the winter sale","size":"medium","template":"ubuntu-24.04"}} without its line breaks.
const wantDigest = "7ce515c1bc2ddf1ca3da2fc6244a106cae95b7f073751d2cc560e0fe40ecf685"

const redis = "systems/shop/redis/prod-shop/01.yaml"

const redisFile = `# who this is stands in the path
apiVersion: kubevirt-shepherd.io/v1alpha1
kind: VirtualMachine
spec:
  template: ubuntu-24.04
  size: medium
  disk: 120Gi
  power: running
  reason: a second replica for the winter sale
  networks:
  - name: backend
  - {name: storage, ip: 10.0.0.7}
`

func mustRef(tb testing.TB, path string) Ref {
	tb.Helper()
	ref, governed, problems := ParsePath(path)
	if !governed || problems.Blocking() {
		tb.Fatalf("%s: governed %v, %v", path, governed, problems)
	}
	return ref
}

func mustParse(tb testing.TB, path, text string) *Document {
	tb.Helper()
	doc, problems := Parse(mustRef(tb, path), []byte(text))
	if doc == nil {
		tb.Fatalf("%s: %v", path, problems)
	}
	return doc
}

func codes(problems domain.Problems) (list []domain.Code) {
	for _, p := range problems {
		list = append(list, p.Code)
	}
	return list
}

func TestPosition(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, redis, redisFile)
	size := mustParse(t, "platform/sizes/a.yaml", "apiVersion: "+APIVersion+"\nkind: InstanceSize\nspec:\n  cores: 1\n  memory: 1Gi\n  specOverrides:\n    a.b: 1\n")
	tests := []struct {
		doc          *Document
		field        string
		line, column int
	}{
		{doc, "spec.disk", 7, 9},
		{doc, "spec.networks", 10, 3},
		{doc, "spec.networks[0]", 11, 5},
		{doc, "spec.networks[1].ip", 12, 25},
		{doc, "spec.networks[1].mac", 12, 5},
		{doc, "spec.networks[2].ip", 10, 3},
		{doc, "spec.deletionPolicy", 4, 1},
		{doc, "spec", 4, 1},
		{doc, "kind", 3, 7},
		{doc, "", 2, 1},
		{doc, "spec.networks[", 10, 3},
		{doc, "spec.networks[-1]", 10, 3},
		{size, `spec.specOverrides["a.b"]`, 7, 10},
		{&Document{}, "spec", 0, 0},
	}
	for _, tt := range tests {
		if line, column := tt.doc.Position(tt.field); line != tt.line || column != tt.column {
			t.Errorf("%q is at %d:%d, want %d:%d", tt.field, line, column, tt.line, tt.column)
		}
	}
	want := domain.Problem{Code: domain.DiskShrink, Severity: domain.Error, Path: redis, Line: 7, Column: 9, Message: "m", Hint: "h"}
	if got := doc.Problem(domain.DiskShrink, domain.Error, "spec.disk", "m", "h"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What a message calls a field can be looked up again.
func TestStep(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"plain", "a.b", "a\nb", `"`, "[0]", "ü", "@team"} {
		name, index, rest := nextStep(step(key))
		if name != key || index != -1 || rest != "" || strings.Contains(step(key), "\n") {
			t.Errorf("%q became %q and came back as %q, %d, %q", key, step(key), name, index, rest)
		}
	}
}

func TestAs(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, redis, redisFile)
	if vm, ok := As[VirtualMachine](doc); !ok || vm.Disk != "120Gi" || vm.Networks[1].IP != "10.0.0.7" {
		t.Errorf("got %+v, %v", vm, ok)
	}
	if _, ok := As[System](doc); ok {
		t.Error("a VM is no System")
	}
	if _, ok := As[System](nil); ok {
		t.Error("nothing is no System")
	}
}

// Editors on Windows end lines with \r\n, and some begin a file with a byte order mark.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, redis, redisFile)
	windows := mustParse(t, redis, "\ufeff"+strings.ReplaceAll(redisFile, "\n", "\r\n"))
	if !Equal(doc, windows) {
		t.Errorf("%s differs from %s", Canonical(windows), Canonical(doc))
	}
	if line, column := windows.Position("spec.disk"); line != 7 || column != 9 {
		t.Errorf("disk is at %d:%d", line, column)
	}
}

func TestParseModifiedSpec(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec string
		want       []domain.Code
	}{
		{"complete", "{template: ubuntu-24.04, size: large, power: running, reason: r}", nil},
		{"as JSON", `{"template":"ubuntu-24.04","size":"large","power":"running","reason":"r"}`, nil},
		{"required left out", "{template: ubuntu-24.04, power: running}", []domain.Code{domain.RequiredFieldRemoved, domain.RequiredFieldRemoved}},
		{"moved", "{template: u, size: s, power: running, reason: r, namespace: x, name: y}", []domain.Code{domain.NamespaceImmutable, domain.NamespaceImmutable}},
		{"of another service", "{template: u, size: s, power: running, reason: r, service: x, system: y, index: 2}", []domain.Code{domain.ServiceImmutable, domain.ServiceImmutable, domain.ServiceImmutable}},
		{"labelled", "{template: u, size: s, power: running, reason: r, labels: {}}", []domain.Code{domain.ForbiddenField}},
		{"misspelt", "{template: u, size: s, power: running, reasn: r}", []domain.Code{domain.UnknownField}},
		{"no group", "text", []domain.Code{domain.YAMLInvalid}},
		{"empty", "", []domain.Code{domain.YAMLInvalid}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, problems := ParseModifiedSpec(mustRef(t, redis), []byte(tt.spec))
			if diff := cmp.Diff(tt.want, codes(problems)); diff != "" || (doc != nil) != (tt.want == nil) {
				t.Errorf("document %v (-want +got):\n%s", doc, diff)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, redis, redisFile)
	vm, _ := As[VirtualMachine](doc)
	same := *vm
	same.Disk, same.SSHKeys = "122880Mi", []string{}
	for name, s := range map[string]any{"document": doc, "pointer": vm, "value": *vm, "another unit": &same, "stored": json.RawMessage(Canonical(doc))} {
		if !Equal(doc, s) {
			t.Errorf("%s: %s differs from %s", name, Canonical(s), Canonical(doc))
		}
	}
	if vm.Disk != "120Gi" || same.Disk != "122880Mi" {
		t.Error("Canonical changed its input")
	}
	for name, s := range map[string]any{"nil": nil, "no document": (*Document)(nil), "no spec": (*VirtualMachine)(nil), "no JSON": json.RawMessage(nil)} {
		if got := string(Canonical(s)); got != "null" {
			t.Errorf("%s: got %s", name, got)
		}
	}
	broken := Canonical(json.RawMessage(`{"a":`))
	if !json.Valid(broken) || string(broken) == "null" || Equal(json.RawMessage(`{"a":`), json.RawMessage(`{"b":`)) {
		t.Errorf("broken JSON came out as %s", broken)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	if s, err := Decode(KindSystem, []byte("null")); s != nil || err != nil {
		t.Errorf("null: %v, %v", s, err)
	}
	for name, tt := range map[string]struct {
		kind Kind
		json string
	}{"unknown kind": {"Pod", "{}"}, "unknown field": {KindSystem, `{"name":"x"}`}, "no JSON": {KindSystem, `{`}} {
		if s, err := Decode(tt.kind, []byte(tt.json)); err == nil {
			t.Errorf("%s: got %v", name, s)
		}
	}
}

// The digest is what approvals are given for: it may never change by itself.
func TestDigest(t *testing.T) {
	t.Parallel()
	doc := mustParse(t, redis, redisFile)
	change := Change{Operation: domain.CreateVM, Ref: doc.Ref, Environment: domain.Prod, Wanted: doc}
	digest := Digest(change)
	if Digest8(digest) != digest[:8] || Digest8("abc") != "abc" {
		t.Errorf("short form of %s is %s", digest, Digest8(digest))
	}
	if digest != wantDigest {
		t.Errorf("got %s, want %s", digest, wantDigest)
	}
	stored := change
	stored.Wanted = json.RawMessage(Canonical(doc))
	if Digest(stored) != digest {
		t.Error("the stored spec has another digest")
	}
	vm, _ := As[VirtualMachine](doc)
	other := *vm
	other.Power = PowerStopped
	seen := map[string]string{digest: "the change"}
	for name, c := range map[string]Change{
		"operation":   {domain.ModifyVM, doc.Ref, domain.Prod, nil, doc},
		"identity":    {domain.CreateVM, mustRef(t, "systems/shop/redis/prod-shop/02.yaml"), domain.Prod, nil, doc},
		"environment": {domain.CreateVM, doc.Ref, domain.Test, nil, doc},
		"accepted":    {domain.CreateVM, doc.Ref, domain.Prod, doc, doc},
		"wanted":      {domain.CreateVM, doc.Ref, domain.Prod, nil, &other},
		"none":        {domain.CreateVM, doc.Ref, domain.Prod, nil, nil},
		"broken":      {domain.CreateVM, doc.Ref, domain.Prod, nil, json.RawMessage("{")},
	} {
		d := Digest(c)
		if earlier, ok := seen[d]; ok {
			t.Errorf("%s has the digest of %s", name, earlier)
		}
		seen[d] = name
	}
}

func TestForgeFile(t *testing.T) {
	t.Parallel()
	ref := mustRef(t, ".github/workflows/ci.yaml")
	a, problems := Parse(ref, []byte("on: push\n"))
	b, _ := Parse(ref, []byte("on:  push\n"))
	if a == nil || len(problems) > 0 || Equal(a, b) || !Equal(a, a) {
		t.Errorf("%s and %s, %v", Canonical(a), Canonical(b), problems)
	}
}

// Small files that unfold into large ones, and files nested beyond reason, cost little.
func TestBoundedTime(t *testing.T) {
	t.Parallel()
	laughs := "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 20 {
		laughs += strings.ReplaceAll(strings.ReplaceAll("bN: &aN [*aM, *aM, *aM, *aM, *aM, *aM, *aM, *aM, *aM, *aM]\n", "N", string(rune('b'+i))), "M", map[bool]string{true: "0", false: string(rune('a' + i))}[i == 0])
	}
	fill := func(s string) string { return strings.Repeat(s, MaxBytes/len(s)) }
	for name, text := range map[string]string{
		"billion laughs":   laughs,
		"itself":           "a: &a [*a, *a]\n",
		"flow lists":       fill("["),
		"flow maps":        fill("{a: "),
		"block lists":      fill("- "),
		"questions":        fill("? "),
		"one long line":    "a: " + strings.Repeat("x", MaxBytes-3),
		"many keys":        fill("a:\n"),
		"many documents":   fill("---\n"),
		"anchors":          fill("&a "),
		"comments":         fill("#\n"),
		"quotes":           fill(`"\`),
		"indentation":      deeper(),
		"too many bytes":   strings.Repeat("a", MaxBytes+1),
		"not UTF-8":        "a: \xff\n",
		"a null character": "a: \x00\n",
		"UTF-16":           "\xff\xfea\x00:\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			doc, problems := Parse(mustRef(t, redis), []byte(text))
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %s", took)
			}
			if doc != nil || !problems.Blocking() || len(problems) > 2*maxProblems {
				t.Errorf("got %v, %d problems", doc, len(problems))
			}
			told(t, problems)
		})
	}
}

func deeper() string {
	var b strings.Builder
	for i := 0; b.Len()+i+4 < MaxBytes; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestTags proves that every tag of every type means something, and that its example keeps its rule.
func TestTags(t *testing.T) {
	t.Parallel()
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem())
		case reflect.Struct:
			for _, f := range shapeOf(typ).fields {
				checkTag(t, typ, f)
				visit(typ.Field(f.index).Type)
			}
		}
	}
	for _, kind := range Kinds() {
		visit(reflect.TypeOf(newSpec(kind)).Elem())
	}
	if newSpec("Pod") != nil || Schema("Pod") != nil {
		t.Error("a Pod is no kind")
	}
}

func checkTag(t *testing.T, typ reflect.Type, f field) {
	if _, ok := formats[f.rule.format]; !ok && f.rule.format != "" {
		t.Errorf("%s.%s has the unknown format %s", typ.Name(), f.name, f.rule.format)
	}
	field := typ.Field(f.index)
	if f.rule.example == "" || field.Type.Kind() == reflect.Slice {
		return
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(f.rule.example), &node); err != nil {
		t.Fatal(err)
	}
	d := &decoder{}
	d.value(node.Content[0], node.Content[0], reflect.New(field.Type).Elem(), &f.rule, f.name)
	if len(d.problems) > 0 {
		t.Errorf("the example of %s.%s breaks its rule: %v", typ.Name(), f.name, d.problems)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"small", "medium", "large", "large-gpu"}
	for name, want := range map[string]string{"medum": "medium", "MEDIUM": "medium", "larg": "large", "lage": "large", "xyz": "", "": "", "smal": "small"} {
		if got, ok := Nearest(name, names); got != want || ok != (want != "") {
			t.Errorf("nearest to %q is %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, candidates := range [][]string{{"prod-a", "prod-b"}, {"prod-b", "prod-a"}} {
		if got, _ := Nearest("prod-c", candidates); got != "prod-a" {
			t.Errorf("of equally near ones in the order %v it is %q", candidates, got)
		}
	}
	if got, want := Suggest("medum", names), `did you mean "medium"? known are large, large-gpu, medium, small`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Suggest("x", nil); got != "there are none yet" {
		t.Errorf("got %s", got)
	}
	if got := Suggest("nothing", strings.Split("abcdefghijklmno", "")); !strings.HasSuffix(got, "i, j and 5 more") {
		t.Errorf("got %s", got)
	}
}

func TestEnums(t *testing.T) {
	t.Parallel()
	for typ, values := range maps.All(enums) {
		if len(values) < 2 || typ.Kind() != reflect.String {
			t.Errorf("%s: %v", typ, values)
		}
	}
}
