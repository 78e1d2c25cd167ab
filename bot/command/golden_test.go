package command

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The golden cases are txtar archives in testdata/comments. Each section is a comment; the section "= name"
// after it says what it commands. testdata/README.md tells how to add one.
func TestComments(t *testing.T) {
	t.Parallel()
	for _, path := range archives(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := txtar.Parse(data)
			out := &txtar.Archive{Comment: in.Comment}
			for _, f := range comments(in) {
				result := txtar.File{Name: "= " + f.Name, Data: []byte(written(t, Parse(body(t, f))))}
				out.Files = append(out.Files, f, result)
			}
			got := txtar.Format(out)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(data), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func archives(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "comments", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	return paths
}

func comments(in *txtar.Archive) (files []txtar.File) {
	for _, f := range in.Files {
		if !strings.HasPrefix(f.Name, "= ") {
			files = append(files, f)
		}
	}
	return files
}

// body is the comment: as it stands, or one Go string where the name says so, for what cannot be seen.
func body(t testing.TB, f txtar.File) string {
	t.Helper()
	if !strings.HasSuffix(f.Name, "(as a Go string)") {
		return string(f.Data)
	}
	s, err := strconv.Unquote(strings.TrimSpace(string(f.Data)))
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return s
}

// all hands every comment of the golden cases to add.
func all(t testing.TB, add func(name, body string)) {
	t.Helper()
	count := 0
	for _, path := range archives(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range comments(txtar.Parse(data)) {
			count++
			add(filepath.Base(path)+": "+f.Name, body(t, f))
		}
	}
	if count < 40 {
		t.Fatalf("only %d golden cases", count)
	}
}

// written is one line for each thing that a comment says.
func written(t *testing.T, p Parsed) string {
	t.Helper()
	var b strings.Builder
	line := func(word string, v any) {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		b.WriteString(word + " ")
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range p.Commands {
		line("command", c)
	}
	for _, u := range p.Unknown {
		line("unknown", u)
	}
	for _, problem := range p.Problems {
		line("problem", problem)
	}
	if p.CarriesPlan {
		b.WriteString("carries a plan\n")
	}
	if b.Len() == 0 {
		b.WriteString("nothing\n")
	}
	return b.String()
}
