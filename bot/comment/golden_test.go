package comment

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops/spec"
)

var update = flag.Bool("update", false, "write what the cases come out as")

// given is view.yaml of a case.
type given struct {
	View
	Grace       string
	RemindAfter string
	// Repeat makes so many VMs of the first row.
	Repeat int
}

// TestGolden runs testdata/*.txtar: view.yaml goes in; the comment, the checks and the closing remark come
// out. To add a case write its view.yaml and run the test with -update.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			v := load(t, archive)
			archive.Files = append(archive.Files[:1:1],
				txtar.File{Name: "comment.md", Data: []byte(Comment(v))},
				txtar.File{Name: "validate.txt", Data: []byte(checkText(Validate(v)))},
				txtar.File{Name: "approval.txt", Data: []byte(checkText(Approval(v)))},
				txtar.File{Name: "closing.md", Data: []byte(closingText(v))},
			)
			for name, notice := range map[string]func(View) (string, bool){"decided.md": Decided, "reminder.md": Reminder} {
				if body, due := notice(v); due {
					archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(body)})
				}
			}
			same(t, file, archive)
		})
	}
}

// same compares what came out with what is kept, or keeps it.
func same(t *testing.T, file string, archive *txtar.Archive) {
	t.Helper()
	slices.SortStableFunc(archive.Files[1:], func(a, b txtar.File) int {
		return cmp.Compare(slices.Index(order, a.Name), slices.Index(order, b.Name))
	})
	got := txtar.Format(archive)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// order is that of the texts in a case. Notices stand in it only where they are due.
var order = []string{"answers.yaml", "comment.md", "validate.txt", "approval.txt", "closing.md", "decided.md", "reminder.md", "reply.md"}

// answered is answers.yaml: a comment of alice unless it says otherwise.
type answered struct {
	To      Asked
	Answers []Answer
}

// TestReplies runs testdata/replies/*.txtar: view.yaml and answers.yaml go in, the reply comes out.
func TestReplies(t *testing.T) {
	t.Parallel()
	for _, file := range replies(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			v, a := load(t, archive), answers(t, archive)
			archive.Files = append(archive.Files[:2:2], txtar.File{Name: "reply.md", Data: []byte(Reply(v, a.To, a.Answers))})
			same(t, file, archive)
		})
	}
}

func replies(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/replies/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return files
}

func answers(t testing.TB, archive *txtar.Archive) answered {
	t.Helper()
	if len(archive.Files) < 2 || archive.Files[1].Name != "answers.yaml" {
		t.Fatal("a reply has its answers.yaml")
	}
	a := answered{To: Asked{Source: "comment", ID: 4711}}
	if err := yaml.UnmarshalStrict(archive.Files[1].Data, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestGroups runs testdata/groups/*.txtar: group.yaml goes in, the two checks come out.
func TestGroups(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/groups/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var g GroupView
			if err := yaml.UnmarshalStrict(archive.Files[0].Data, &g); err != nil {
				t.Fatal(err)
			}
			for i := range g.Changes {
				r := Row{Change: g.Changes[i].Change}
				identify(&r)
				g.Changes[i].Change = r.Change
				g.Report.Changes = append(g.Report.Changes, r.Change)
			}
			validate, approval := Group(g)
			archive.Files = append(archive.Files[:1:1], txtar.File{Name: "validate.txt", Data: []byte(checkText(validate))}, txtar.File{Name: "approval.txt", Data: []byte(checkText(approval))})
			same(t, file, archive)
		})
	}
}

func cases(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return files
}

func loadFile(t testing.TB, file string) View {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, archive)
}

// load makes the view of a case.
func load(t testing.TB, archive *txtar.Archive) View {
	t.Helper()
	if len(archive.Files) == 0 || archive.Files[0].Name != "view.yaml" {
		t.Fatal("a case begins with view.yaml")
	}
	data, err := os.ReadFile("testdata/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sample := parse(t, data)
	view := merged(sample["view"], parse(t, archive.Files[0].Data)).(map[string]any)
	if rows, ok := view["rows"].([]any); ok {
		for i := range rows {
			rows[i] = merged(sample["row"], rows[i])
		}
	}
	data, err = yaml.Marshal(view)
	if err != nil {
		t.Fatal(err)
	}
	var g given
	if err := yaml.UnmarshalStrict(data, &g); err != nil {
		t.Fatal(err)
	}
	return g.complete(t)
}

func parse(t testing.TB, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// merged is base with what over says differently; it changes neither.
func merged(base, over any) any {
	b, isMap := base.(map[string]any)
	o, both := over.(map[string]any)
	if !both {
		return over
	}
	out := map[string]any{}
	if isMap {
		for k, v := range b {
			out[k] = v
		}
	}
	for k, v := range o {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = merged(out[k], v)
	}
	return out
}

// complete fills in what follows from the paths.
func (g given) complete(t testing.TB) View {
	t.Helper()
	v := g.View
	v.Grace, v.RemindAfter = duration(t, g.Grace), duration(t, g.RemindAfter)
	for i := 1; i < g.Repeat; i++ {
		r := v.Rows[0]
		r.Change.Path = fmt.Sprintf("systems/shop/redis/prod-shop/%02d.yaml", i+1)
		v.Rows = append(v.Rows, r)
	}
	for i := range v.Rows {
		identify(&v.Rows[i])
		v.Report.Changes = append(v.Report.Changes, v.Rows[i].Change)
	}
	return v
}

func duration(t testing.TB, s string) time.Duration {
	t.Helper()
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func identify(r *Row) {
	c := &r.Change
	if ref, _, problems := spec.ParsePath(c.Path); !problems.Blocking() {
		c.Ref = ref
	}
	if c.Subject == "" {
		c.Subject = c.Ref.String()
	}
	sum := sha256.Sum256([]byte(c.Path))
	c.Digest = hex.EncodeToString(sum[:])
	c.Requirement.Operation = c.Operation
}

func checkText(c forge.Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\ntitle: %s\n\n%s", c.Name, c.Conclusion, c.Title, c.Summary)
	if len(c.Annotations) > 0 {
		fmt.Fprintf(&b, "\nannotations: %d\n", len(c.Annotations))
	}
	for _, a := range c.Annotations {
		fmt.Fprintf(&b, "%s %s:%d %s\n\t%s\n", a.Level, a.Path, a.Line, a.Title, strings.ReplaceAll(a.Message, "\n", "\n\t"))
	}
	return b.String()
}

func closingText(v View) string {
	body, due := Closing(v)
	if !due {
		return "(not due)\n"
	}
	return body
}
