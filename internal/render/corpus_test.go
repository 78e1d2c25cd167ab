package render

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The corpus is every base of testdata/corpus under every change of mutations.txt. What KubeVirt itself says
// about each is in verdicts.txt.gz, written by its own admission code (tools/kubevirt/verdicts):
//
//go:generate go test . -run ^TestCorpus$ -update
const (
	corpusFolder = "testdata/corpus"
	verdictFile  = corpusFolder + "/verdicts.txt.gz"
)

// specimen is one VM of the corpus.
type specimen struct {
	base, mutation string
	json           []byte
}

func (s specimen) name() string { return s.base + "/" + s.mutation }

// sum tells a verdict on this very VM from one on an older form of it.
func (s specimen) sum() string {
	sum := sha256.Sum256(s.json)
	return hex.EncodeToString(sum[:4])
}

func corpus(t *testing.T) []specimen {
	t.Helper()
	files, err := filepath.Glob(corpusFolder + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bases: %v", err)
	}
	mutations, err := os.ReadFile(corpusFolder + "/mutations.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []specimen
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mutations)) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			name, changes, _ := strings.Cut(line, ":")
			data, err := mutate(text, strings.TrimSpace(changes))
			if err != nil {
				t.Fatalf("%s on %s: %v", name, base, err)
			}
			out = append(out, specimen{base, name, data})
		}
	}
	return out
}

// mutate makes the changes path = JSON; path = JSON to a VM in YAML.
func mutate(text []byte, changes string) ([]byte, error) {
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	for _, change := range strings.Split(changes, "; ") {
		if change == "" {
			continue
		}
		path, literal, found := strings.Cut(change, " = ")
		if !found {
			return nil, fmt.Errorf("%q is no path = JSON", change)
		}
		var value any
		if err := json.Unmarshal([]byte(literal), &value); err != nil {
			return nil, fmt.Errorf("%s: %w", change, err)
		}
		if err := setPath(object, path, value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(object)
}

// kubevirtVerdict is what KubeVirt says about a specimen: nothing when it takes it, or whether the VM itself or
// only the instance made of it is refused, and why.
type kubevirtVerdict struct{ sum, outcome string }

func (v kubevirtVerdict) refused() bool { return v.outcome != "" }

func readVerdicts(t *testing.T) map[string]kubevirtVerdict {
	t.Helper()
	file, err := os.Open(verdictFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]kubevirtVerdict{}
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		sum, outcome, _ := strings.Cut(rest, "\t")
		out[name] = kubevirtVerdict{sum, outcome}
	}
	return out
}

// writeVerdicts asks KubeVirt's code, which is built from a module of its own.
func writeVerdicts(t *testing.T, all []specimen) {
	t.Helper()
	var in, out, text bytes.Buffer
	for _, s := range all {
		in.Write(append(s.json, '\n'))
	}
	ask := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "run", "./verdicts")
	ask.Dir, ask.Env = "../../tools/kubevirt", append(os.Environ(), "GOWORK=off")
	ask.Stdin, ask.Stdout, ask.Stderr = &in, &out, os.Stderr
	if err := ask.Run(); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(&out)
	for _, s := range all {
		var v struct {
			Undecodable  string
			VM, Instance []string
		}
		if err := answers.Decode(&v); err != nil {
			t.Fatal(err)
		}
		outcome := ""
		switch {
		case v.Undecodable != "":
			outcome = "undecodable: " + v.Undecodable
		case len(v.VM) > 0:
			outcome = "vm: " + v.VM[0]
		case len(v.Instance) > 0:
			outcome = "instance: " + v.Instance[0]
		}
		outcome = strings.Join(strings.Fields(outcome), " ")
		fmt.Fprintf(&text, "%s\t%s\t%s\n", s.name(), s.sum(), outcome[:min(len(outcome), 200)])
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(text.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(verdictFile, zipped.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// corpusAllowance is that of a platform with one shared network, on the newest KubeVirt as it is installed.
var corpusAllowance = Allowance{
	Networks: []string{"networks/vlan-7"},
	KubeVirt: KubeVirt{GatesKnown: true},
}

// ours is Check's verdict: the errors, or why the VM cannot be read.
func ours(s specimen) (problems Problems, unreadable error) {
	vm := new(kubevirtv1.VirtualMachine)
	if err := decodeStrict(s.json, vm); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(Check(vm, corpusAllowance), func(p Problem) bool { return p.Severity != domain.Error }), nil
}

// TestCorpus holds Check's verdict on each VM to KubeVirt's own. Each difference is explained in differences,
// and each explanation is needed.
func TestCorpus(t *testing.T) {
	t.Parallel()
	all := corpus(t)
	if *update {
		writeVerdicts(t, all)
	}
	verdicts := readVerdicts(t)
	needed, counts := map[string]bool{}, map[string]int{}
	for _, s := range all {
		kubevirt, known := verdicts[s.name()]
		if !known || kubevirt.sum != s.sum() {
			t.Fatalf("there is no verdict on %s as it is now: run go generate", s.name())
		}
		problems, unreadable := ours(s)
		refused := len(problems) > 0 || unreadable != nil
		key := s.name()
		if _, own := differences[key]; !own {
			key = s.mutation
		}
		explained, found := differences[key]
		switch {
		case refused == kubevirt.refused():
			counts["agree"]++
		case !found:
			t.Errorf("%s: KubeVirt says %q, Check says %v %s", s.name(), kubevirt.outcome, unreadable, list(problems))
		default:
			needed[key] = true
			counts[explained.class]++
			if got := classOf(refused, problems, unreadable); got != explained.class {
				t.Errorf("%s: the difference is %s, explained as %s:\n%s", s.name(), got, explained.class, list(problems))
			}
		}
	}
	for key := range differences {
		if !needed[key] {
			t.Errorf("the explanation of %q is not needed any more", key)
		}
	}
	if len(all) < 300 {
		t.Errorf("the corpus has %d VMs only", len(all))
	}
	t.Logf("%d VMs: %v", len(all), counts)
}

// The classes of differences.
const (
	byPolicy = "stricter by policy"       // KubeVirt takes it, Shepherd does not want it
	wontRun  = "stricter, cannot start"   // KubeVirt takes it, and it fails later or does not do what it says
	byHand   = "stricter about the words" // KubeVirt drops or ignores what it does not know
	laxer    = "laxer"                    // left to the cluster's dry-run
)

func classOf(refused bool, problems Problems, unreadable error) string {
	policy := func(p Problem) bool { return p.Code == domain.PolicyDenied }
	switch {
	case !refused:
		return laxer
	case unreadable != nil:
		return byHand
	case slices.ContainsFunc(problems, policy):
		return byPolicy
	}
	return wontRun
}
