package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// moduleFolder is where a module of KubeVirt's lies, as the module in folder requires it.
func moduleFolder(t *testing.T, folder, module string) string {
	t.Helper()
	ask := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	ask.Dir, ask.Env = folder, append(os.Environ(), "GOWORK=off")
	out, err := ask.Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("%s is not there (run go mod download in %s): %v", module, folder, err)
	}
	return dir
}

// documents are the JSON documents of YAML or JSON files.
func documents(t *testing.T, pattern string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing at %s: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		for {
			var document json.RawMessage
			if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			kind, _ := mustObject(string(document))["kind"].(string)
			out[filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file)+"/"+kind] = document
		}
	}
	return out
}

// asVM is the VirtualMachine of a document; one around an instance; or nil for other kinds.
func asVM(t *testing.T, data []byte) []byte {
	t.Helper()
	var object struct {
		Kind     string
		Metadata struct {
			Name                string
			Labels, Annotations map[string]string
		}
		Spec json.RawMessage
	}
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	switch object.Kind {
	case "VirtualMachine":
		return data
	case "VirtualMachineInstance":
		out, err := json.Marshal(map[string]any{
			"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": map[string]any{"name": object.Metadata.Name},
			"spec": map[string]any{"runStrategy": "Always", "template": map[string]any{
				"metadata": map[string]any{"labels": object.Metadata.Labels, "annotations": object.Metadata.Annotations},
				"spec":     object.Spec}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return nil
}

var hugeNumbers = regexp.MustCompile(`\b1844674407370955\d{4}\b`)

// TestPublishedTypes reads the documents with every field set that KubeVirt keeps for each release, strictly, and
// writes them again without loss.
func TestPublishedTypes(t *testing.T) {
	t.Parallel()
	all := documents(t, moduleFolder(t, ".", "kubevirt.io/api")+"/apitesting/testdata/*/kubevirt.io.v1.VirtualMachine*.json")
	if len(all) < 4 {
		t.Errorf("only %d documents", len(all))
	}
	for name, data := range all {
		// The numbers of unsigned fields are larger than any integer that JSON's readers agree on.
		machine := hugeNumbers.ReplaceAll(asVM(t, data), []byte("7"))
		vm := new(kubevirtv1.VirtualMachine)
		if err := decodeStrict(machine, vm); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		Check(vm, Allowance{}) // has problems, and does not fail
		again, err := manifest(vm)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(mustObject(string(machine))["spec"], mustObject(string(again.JSON))["spec"]); diff != "" {
			t.Errorf("%s is not the same after reading (-published +written):\n%s", name, diff)
		}
	}
}

// Why Check refuses some of KubeVirt's published samples.
const (
	bothSay = "it says guest memory and an instance type, which KubeVirt itself refuses"
	shows   = "it shows what only the platform may give: host disks and devices, sidecars, priorities, other namespaces' networks"
)

// sampleProblems are the samples that Check refuses.
var sampleProblems = map[string]string{
	"examples/vm-cirros-clarge.yaml/VirtualMachine":                        bothSay,
	"examples/vm-cirros-clarge-virtio.yaml/VirtualMachine":                 bothSay,
	"examples/vm-cirros-clarge-windows.yaml/VirtualMachine":                bothSay,
	"examples/vm-cirros-cluster-csmall.yaml/VirtualMachine":                bothSay,
	"examples/vm-cirros-csmall.yaml/VirtualMachine":                        bothSay,
	"examples/vm-windows-clarge-windows.yaml/VirtualMachine":               bothSay,
	"examples/vm-cirros-with-sidecar-hook-configmap.yaml/VirtualMachine":   shows,
	"examples/vm-priorityclass.yaml/VirtualMachine":                        shows,
	"examples/vmi-host-disk.yaml/VirtualMachineInstance":                   shows,
	"examples/vmi-sriov.yaml/VirtualMachineInstance":                       shows,
	"examples/vmi-usb.yaml/VirtualMachineInstance":                         shows,
	"examples/vmi-with-sidecar-hook-configmap.yaml/VirtualMachineInstance": shows,
	"examples/vmi-with-sidecar-hook.yaml/VirtualMachineInstance":           shows,
}

// codeOf is the code of the problems that a reason stands for.
func codeOf(reason string) domain.Code {
	switch reason {
	case bothSay:
		return domain.PlanInvalid
	case shows:
		return domain.PolicyDenied
	}
	return ""
}

// TestPublishedSamples finds nothing wrong with the VMs and instances that KubeVirt publishes as examples, apart from
// what is listed.
func TestPublishedSamples(t *testing.T) {
	t.Parallel()
	all := documents(t, moduleFolder(t, "../../tools/kubevirt", "kubevirt.io/kubevirt")+"/examples/*.yaml")
	n, needed := 0, map[string]bool{}
	for name, data := range all {
		machine := asVM(t, data)
		if machine == nil {
			continue
		}
		n++
		vm := new(kubevirtv1.VirtualMachine)
		if err := decodeStrict(machine, vm); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		vm.Namespace = "shop"
		problems := slices.DeleteFunc(Check(vm, Allowance{}), func(p Problem) bool { return p.Severity != domain.Error })
		needed[name] = len(problems) > 0
		for _, p := range problems {
			if p.Code != codeOf(sampleProblems[name]) {
				t.Errorf("%s:\n%s", name, list(problems))
			}
		}
		if m, err := manifest(vm); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if again, err := ToVM(m); err != nil || !cmp.Equal(vm.Spec, again.Spec) {
			t.Errorf("%s is not the same after writing: %v\n%s", name, err, cmp.Diff(vm.Spec, again.Spec))
		}
	}
	for name := range sampleProblems {
		if !needed[name] {
			t.Errorf("there is nothing wrong with %s any more", name)
		}
	}
	if n < 20 {
		t.Errorf("only %d samples", n)
	}
	t.Logf("%d samples", n)
}
