package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/domain"
)

// seeds hands every input of the golden cases in a folder to add.
func seeds(f *testing.F, folder string, add func(txtar.File)) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds in %s: %v", folder, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range inputs(txtar.Parse(data)) {
			add(file)
		}
	}
}

// told fails when a problem is not fit to be shown.
func told(t *testing.T, problems domain.Problems) {
	t.Helper()
	for _, p := range problems {
		if p.Code == "" || p.Severity == "" || p.Message == "" || p.Hint == "" {
			t.Errorf("a problem says too little: %+v", p)
		}
		if strings.ContainsAny(p.Message+p.Hint, "\n\r\x00\x1b\u202e") || len(p.Message) > 1000 {
			t.Errorf("a problem cannot be shown: %+q", p)
		}
	}
}

func FuzzParse(f *testing.F) {
	seeds(f, "documents", func(file txtar.File) { f.Add(file.Name, file.Data) })
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		ref, governed, problems := ParsePath(path)
		if !governed || problems.Blocking() || ref.Kind == KindForge {
			return
		}
		doc, problems := Parse(ref, data)
		told(t, problems)
		if (doc == nil) != problems.Blocking() {
			t.Fatalf("document %v with %v", doc, problems)
		}
		if doc == nil {
			return
		}
		rewritten(t, ref, doc)
	})
}

// rewritten holds what is right for every document: its canonical form is stable, is the same after
// the document was stored, and after its file was written anew.
func rewritten(t *testing.T, ref Ref, doc *Document) {
	t.Helper()
	canonical := Canonical(doc)
	stored, err := Decode(ref.Kind, canonical)
	if err != nil {
		t.Fatalf("decode %s: %v", canonical, err)
	}
	if diff := cmp.Diff(string(canonical), string(Canonical(stored))); diff != "" {
		t.Fatalf("the stored spec differs: %s", diff)
	}
	file, err := yaml.Marshal(map[string]any{"apiVersion": APIVersion, "kind": ref.Kind, "spec": stored})
	if err != nil {
		t.Fatal(err)
	}
	if len(file) > MaxBytes {
		return
	}
	again, problems := Parse(ref, file)
	if again == nil || !Equal(doc, again) {
		t.Fatalf("the file written anew differs: %v\n%s\n%s\n%s", problems, canonical, Canonical(again), file)
	}
}

func FuzzParsePath(f *testing.F) {
	seeds(f, "paths", func(file txtar.File) {
		for _, path := range strings.Fields(string(file.Data)) {
			f.Add(path)
		}
	})
	f.Fuzz(func(t *testing.T, path string) {
		ref, governed, problems := ParsePath(path)
		told(t, problems)
		switch {
		case !governed && (ref != Ref{} || len(problems) > 0):
			t.Fatalf("%q is not governed, but %+v %v", path, ref, problems)
		case problems.Blocking() && ref != Ref{}:
			t.Fatalf("%q has an identity in spite of %v", path, problems)
		case governed && !problems.Blocking() && ref.Path() != path:
			t.Fatalf("%q came back as %q", path, ref.Path())
		}
		for _, p := range problems {
			suggestion, ok := strings.CutPrefix(p.Hint, `did you mean "`)
			if !ok {
				continue
			}
			if _, governed, found := ParsePath(strings.TrimSuffix(suggestion, `"?`)); !governed || found.Blocking() {
				t.Fatalf("%q: the suggestion %q is not valid itself: %v", path, suggestion, found)
			}
		}
	})
}

func FuzzCloudInit(f *testing.F) {
	seeds(f, "documents", func(file txtar.File) {
		if _, text, ok := strings.Cut(string(file.Data), "cloudInit: |\n"); ok {
			f.Add(strings.ReplaceAll(text, "\n    ", "\n"))
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		problems := CheckCloudInit(text)
		told(t, problems)
		if problems.Blocking() {
			return
		}
		if !strings.HasPrefix(text, cloudConfig) {
			t.Fatalf("%q was taken", text)
		}
		// The one rule that an accepted text may never break, told in the simplest way.
		var fields map[string]any
		if yaml.Unmarshal([]byte(text), &fields) == nil {
			if password, ok := fields["password"].(string); ok && !hashed(password) {
				t.Fatalf("the password in %q was not found", text)
			}
		}
	})
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"120Gi", "0.5Ti", "1G", "1024M", "999999999999Pi", "0Ki", "1.001k", "500m", "4", "0.5", "12e3", "-1Gi", "1 Gi", "120GB", "１Gi", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, canonical := range []func(string) string{canonicalBytes, canonicalAmount} {
			if once := canonical(s); canonical(once) != once {
				t.Fatalf("%q → %q → %q", s, once, canonical(once))
			}
		}
		if q, p := Bytes(s); p == nil {
			again, problem := Bytes(q.String())
			if q.Sign() <= 0 || q.Cmp(maxAmount) > 0 || problem != nil || q.Cmp(again) != 0 {
				t.Fatalf("%q was taken as %s", s, q.String())
			}
		} else if p.Message == "" || p.Hint == "" {
			t.Fatalf("%q: %+v", s, p)
		}
	})
}
