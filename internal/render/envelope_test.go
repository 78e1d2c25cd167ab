package render

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
)

func mustRender(t *testing.T, in Input) []Manifest {
	t.Helper()
	ms, problems := Render(in)
	if problems.Blocking() {
		t.Fatal(list(problems))
	}
	return ms
}

func mustDigest(t *testing.T, choice any, ms []Manifest) string {
	t.Helper()
	digest, err := EffectiveDigest(choice, ms)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

var envelope = Envelope{
	Ticket: "01JD5", Creator: "renovate[bot]", PullRequest: "https://forge.example/o/r/pull/7",
	MergeCommit: "0123abcd", ChangeDigest: "c0ffee", EffectiveDigest: "f00d", Event: "ev-1", Sequence: 12,
}

func TestEnvelopeIsNoPartOfTheDigest(t *testing.T) {
	t.Parallel()
	ms := mustRender(t, example())
	want := mustDigest(t, "east", ms)
	wrapped := make([]Manifest, 0, len(ms))
	for _, m := range ms {
		w, err := WithEnvelope(m, envelope)
		if err != nil {
			t.Fatal(err)
		}
		if string(w.JSON) == string(m.JSON) {
			t.Errorf("%s %s has no envelope", m.Kind, m.Name)
		}
		wrapped = append(wrapped, w)
	}
	if got := mustDigest(t, "east", wrapped); got != want {
		t.Errorf("digest with envelopes %s, without %s", got, want)
	}
}

func TestEnvelopeOfVM(t *testing.T) {
	t.Parallel()
	ms := mustRender(t, example())
	plain := ms[len(ms)-1]
	wrapped, err := WithEnvelope(plain, envelope)
	if err != nil {
		t.Fatal(err)
	}
	vm, err := ToVM(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	before, err := ToVM(plain)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		AnnotationTicket: "01JD5", AnnotationCreator: "renovate[bot]", AnnotationEvent: "ev-1", AnnotationSequence: "12",
		AnnotationPullRequest: "https://forge.example/o/r/pull/7", AnnotationMergeCommit: "0123abcd",
		AnnotationChangeDigest: "c0ffee", AnnotationEffectiveDigest: "f00d",
	}
	for key, value := range before.Annotations {
		want[key] = value
	}
	if diff := cmp.Diff(want, vm.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if vm.Labels[AnnotationTicket] != "01JD5" {
		t.Errorf("the ticket is no label: %v", vm.Labels)
	}
	if creator, found := vm.Labels[AnnotationCreator]; found {
		t.Errorf("%q is a label, which Kubernetes refuses", creator)
	}
	if diff := cmp.Diff(before.Spec, vm.Spec); diff != "" {
		t.Errorf("the envelope changed the spec:\n%s", diff)
	}
}

// TestEnvelopeIsReplaced: a second one leaves nothing of the first.
func TestEnvelopeIsReplaced(t *testing.T) {
	t.Parallel()
	m := mustRender(t, example())[0]
	first, err := WithEnvelope(m, envelope)
	if err != nil {
		t.Fatal(err)
	}
	later := Envelope{Ticket: "01JD6", Creator: "alice", Sequence: 13}
	second, err := WithEnvelope(first, later)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := WithEnvelope(m, later)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(direct.JSON), string(second.JSON)); diff != "" {
		t.Errorf("over an envelope (-want +got):\n%s", diff)
	}
	none, err := WithEnvelope(first, Envelope{})
	if err != nil || string(none.JSON) != string(m.JSON) {
		t.Errorf("an empty envelope leaves %s (%v)", none.JSON, err)
	}
}

// TestDigestCovers: whatever would be applied otherwise is another plan.
func TestDigestCovers(t *testing.T) {
	t.Parallel()
	base := mustDigest(t, map[string]string{"cluster": "east"}, mustRender(t, example()))
	if len(base) != 64 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Errorf("digest %q is no SHA-256", base)
	}
	seen := map[string]string{base: "the example", mustDigest(t, map[string]string{"cluster": "west"}, mustRender(t, example())): "another cluster"}
	for name, change := range map[string]func(*Input){
		"power":         func(in *Input) { in.VM.Power = spec.PowerStopped },
		"disk":          func(in *Input) { in.VM.Disk = "120Gi" },
		"key":           func(in *Input) { in.SystemSSHKeys = nil },
		"storage class": func(in *Input) { in.StorageClass = "slow" },
		"cloud-init":    func(in *Input) { in.Template.CloudInit += "\n" },
		"namespace":     func(in *Input) { in.KubernetesNamespace = "other" },
		"index":         func(in *Input) { in.Ref.Index = 8 },
		"version":       func(in *Input) { in.TemplateVersion = 3 },
		"cores":         func(in *Input) { in.Size.Cores = 8 },
	} {
		in := example()
		change(&in)
		digest := mustDigest(t, map[string]string{"cluster": "east"}, mustRender(t, in))
		if other, taken := seen[digest]; taken {
			t.Errorf("%s has the digest of %s", name, other)
		}
		seen[digest] = name
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	broken := Manifest{Kind: KindVirtualMachine, Name: "a", JSON: []byte("{")}
	if _, err := EffectiveDigest(nil, []Manifest{broken}); err == nil {
		t.Error("a broken manifest has a digest")
	}
	if _, err := EffectiveDigest(math.NaN(), nil); err == nil {
		t.Error("a choice that is no JSON has a digest")
	}
	if _, err := WithEnvelope(broken, envelope); err == nil {
		t.Error("a broken manifest has an envelope")
	}
	if _, err := ToVM(broken); err == nil {
		t.Error("a broken manifest is a VM")
	}
	if _, err := ToVM(mustRender(t, example())[0]); err == nil {
		t.Error("a Secret is a VM")
	}
}

func TestToVMIsStrict(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"spec":{"template":{"spec":{"domain":{"cpu":{"modle":"x"},"devices":{}}}}}}`,
		`{"spec":{"template":{"spec":{"domain":{"CPU":{},"devices":{}}}}}}`,
		`{"spec":{"template":{"spec":{"networks":[{"name":"a","pod":{"cidr":"x"}}],"domain":{"devices":{}}}}}}`,
		`{"spec":{"templates":{}}}`,
		`{"spec":{"runStrategy":"Always","runStrategy":"Halted"}}`,
	} {
		if _, err := ToVM(Manifest{Kind: KindVirtualMachine, Name: "a", JSON: []byte(text)}); err == nil {
			t.Errorf("%s was decoded", text)
		}
	}
	good := `{"spec":{"template":{"spec":{"domain":{"devices":{"gpus":[{"name":"a","claimName":"b"}]}}}}}}`
	if _, err := ToVM(Manifest{Kind: KindVirtualMachine, Name: "a", JSON: []byte(good)}); err != nil {
		t.Errorf("%s: %v", good, err)
	}
}
