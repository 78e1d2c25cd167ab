package render

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// bases are the VMs of the corpus, unchanged.
func bases(f *testing.F) (out [][]byte) {
	f.Helper()
	files, err := filepath.Glob(corpusFolder + "/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no bases: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		data, err := yaml.YAMLToJSON(text)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

// FuzzCheck: whatever a change makes of a VM, if it decodes it is judged, and if it can be written it can be read.
func FuzzCheck(f *testing.F) {
	all := bases(f)
	mutations, err := os.ReadFile(corpusFolder + "/mutations.txt")
	if err != nil {
		f.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(mutations)) {
		if _, changes, found := strings.Cut(strings.TrimSpace(line), ": "); found && line[0] != '#' {
			f.Add(byte(n), changes, "v1.8.0")
			n++
		}
	}
	f.Fuzz(func(t *testing.T, base byte, changes, version string) {
		data, err := mutate(all[int(base)%len(all)], changes)
		if err != nil {
			return
		}
		vm := new(kubevirtv1.VirtualMachine)
		if json.Unmarshal(data, vm) != nil {
			return
		}
		k := KubeVirt{Version: version, GatesKnown: base > 127}
		for _, p := range Check(vm, Allowance{KubeVirt: k, Registries: []string{"quay.io/"}}) {
			if p.Message == "" || p.Code == "" {
				t.Errorf("a problem without words: %+v", p)
			}
		}
		m, err := manifest(vm)
		if err != nil {
			return // numbers that JSON does not hold
		}
		m.Kind = KindVirtualMachine
		if _, err := ToVM(m); err != nil {
			t.Errorf("written and not read: %v\n%s", err, m.JSON)
		}
	})
}

// FuzzImpact: any two objects have differences, which lead back from the one to the other, and an impact.
func FuzzImpact(f *testing.F) {
	all := bases(f)
	for i, from := range all {
		f.Add(from, all[(i+1)%len(all)], KindVirtualMachine)
	}
	f.Add([]byte(`{"data":{"userdata":"YQ=="}}`), []byte(`{}`), KindSecret)
	f.Add([]byte(`{"spec":{"storage":{"resources":{"requests":{"storage":"1Gi"}}}}}`),
		[]byte(`{"spec":{"storage":{"resources":{"requests":{"storage":"2"}}}}}`), KindDataVolume)
	f.Add([]byte(`{"spec":[]}`), []byte(`{"spec":{"template":null}}`), KindVirtualMachine)
	f.Fuzz(func(t *testing.T, before, after []byte, kind string) {
		var from, to map[string]any
		if json.Unmarshal(before, &from) != nil || json.Unmarshal(after, &to) != nil {
			return
		}
		differences := Differences(from, to)
		for _, on := range []ImpactContext{{}, {Running: true}, {Running: true, RestartPending: true, VM: from}} {
			changes, gravest := JudgeImpact(kind, differences, to, on)
			if (gravest == "") != (len(differences) == 0) {
				t.Errorf("%d differences, impact %q", len(differences), gravest)
			}
			for _, c := range changes {
				if len([]rune(c.From)) > maxShown || len([]rune(c.To)) > maxShown {
					t.Errorf("a value is not short: %+v", c)
				}
			}
		}
		if left := Differences(from, undo(to, differences)); len(left) > 0 {
			t.Errorf("undone, there is left: %s", cmp.Diff(from, undo(to, differences)))
		}
	})
}
