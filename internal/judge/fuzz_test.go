package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// seeds hands the files that cases write at head to the fuzzer.
func seeds(f *testing.F) {
	f.Helper()
	for _, path := range casePaths(f) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasPrefix(file.Name, "head/") && !strings.HasSuffix(file.Name, "removed.txt") {
				f.Add(file.Data)
			}
		}
	}
	f.Add([]byte("\x00\xff"))
}

// FuzzJudge gives the path of a new VM, of one that is there, of a console and of the platform any content:
// there is always a report, it can be stored, every problem is complete and within the file, and what can be
// submitted has a plan.
func FuzzJudge(f *testing.F) {
	seeds(f)
	base := requestOf(f, vmFile)
	base.Next = &NextPlatform{Platform: base.Platform}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{
			vmPath, "systems/shop/redis/prod-shop/01.yaml", "systems/shop/system.yaml",
			"access/prod-shop-shop-redis-01/alice.yaml", "platform/sizes/medium.yaml", "platform/templates/ubuntu-24.04/v2.yaml",
		} {
			in := base
			accepted, there := base.Accepted[path]
			in.Files = []File{{Path: path, Head: &Content{Data: data}}}
			if there {
				in.Files[0].Tip = &Content{Data: envelope(t, path, accepted)}
			}
			fuzzed(t, in, path, data)
		}
	})
}

// envelope is a file that says what is accepted.
func envelope(t testing.TB, path string, accepted Accepted) []byte {
	t.Helper()
	ref, _, _ := spec.ParsePath(path)
	data, err := json.Marshal(map[string]any{"apiVersion": spec.APIVersion, "kind": ref.Kind, "spec": json.RawMessage(accepted.Spec)})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fuzzed(t *testing.T, in Input, path string, data []byte) {
	t.Helper()
	report := Judge(in)
	checkReport(t, report)
	lines := 1
	for _, ends := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // what YAML ends lines with
		lines += bytes.Count(data, []byte(ends))
	}
	for _, p := range report.AllProblems() {
		if p.Path != path || p.Line < 0 || p.Line > lines {
			t.Errorf("a problem outside of the file's %d lines: %+v", lines, p)
		}
	}
	if again := asJSON(t, Judge(in)); !bytes.Equal(again, asJSON(t, report)) {
		t.Errorf("two runs differ on %q", data)
	}
}

// FuzzPlanned gives any text to an approver: the change stays what it is, its problems have no line, and a
// report that can be submitted is complete.
func FuzzPlanned(f *testing.F) {
	f.Add([]byte(`{"disk":"130Gi","power":"running","reason":"a","size":"medium","template":"ubuntu-24.04"}`), "prod-a", "fast", 2)
	f.Add([]byte(`{"namespace":"test-shop"}`), "test-a", "", 0)
	f.Add([]byte(`null`), "", "gold", 9)
	base := inputOf(f, "-- head/"+vmPath+" --\n"+vmFile+"-- head/systems/shop/redis/prod-shop/01.yaml --\n"+
		strings.Replace(vmFile, "second", "first", 1))
	unplanned := Judge(base)
	f.Fuzz(func(t *testing.T, modified []byte, cluster, class string, version int) {
		in := base
		in.Planned = map[string]Planned{}
		for _, c := range unplanned.Changes {
			in.Planned[c.Path] = Planned{For: c.Digest, Cluster: cluster, StorageClass: class, TemplateVersion: version, ModifiedSpec: modified}
		}
		report := Judge(in)
		checkReport(t, report)
		for i, c := range report.Changes {
			if c.Digest != unplanned.Changes[i].Digest || c.Operation != unplanned.Changes[i].Operation || !c.Decides(c.Digest) {
				t.Errorf("a plan made another change of %s", c.Path)
			}
			for _, p := range c.Problems {
				if p.Path != c.Path || c.Ahead && p.Line != 0 {
					t.Errorf("a problem of a plan at a line: %+v", p)
				}
			}
			if report.Submittable() && c.Ahead == (c.PlannedDigest == c.Digest || c.PlannedDigest == "") {
				t.Errorf("ahead %v, planned digest %s of %s", c.Ahead, c.PlannedDigest, c.Digest)
			}
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{1, 200} {
		var creates, modifies, deletes strings.Builder
		for i := range n {
			path := fmt.Sprintf("systems/shop/redis/prod-shop/%02d.yaml", i+2)
			fmt.Fprintf(&creates, "-- head/%s --\n%s", path, vmFile)
			fmt.Fprintf(&modifies, "-- accepted/%s --\n%s-- head/%s --\n%s", path, vmFile, path, strings.Replace(vmFile, "120Gi", "200Gi", 1))
			fmt.Fprintf(&deletes, "-- accepted/%s --\n%s", path, vmFile)
		}
		deletes.WriteString("-- head/removed.txt --\n")
		for i := range n {
			fmt.Fprintf(&deletes, "systems/shop/redis/prod-shop/%02d.yaml\n", i+2)
		}
		for name, text := range map[string]string{"creates": creates.String(), "modifies": modifies.String(), "deletes": deletes.String()} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				in := inputOf(b, "-- request.yaml --\nauthor: {login: dora, id: 1006}\nlimits: {}\n"+text)
				in.Limits = nil
				if report := Judge(in); !report.Submittable() || len(report.Changes) != n {
					b.Fatalf("not what was meant: %v", report.AllProblems())
				}
				b.ReportAllocs()
				for b.Loop() {
					Judge(in)
				}
			})
		}
	}
}
