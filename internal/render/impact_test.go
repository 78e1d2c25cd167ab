package render

import (
	gocmp "cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render/impacttest"
)

func kubevirt(version string, gates ...string) func(*ImpactContext) {
	return func(on *ImpactContext) {
		on.KubeVirt = KubeVirt{Version: version, FeatureGates: gates, GatesKnown: true}
	}
}

func stopped(on *ImpactContext) { on.Running = false }

func staged(on *ImpactContext) { on.KubeVirt.RolloutStrategy = "Stage" }

func stuck(on *ImpactContext) { on.NotMigratable = true }

// elsewhere are changes of impacttest where something else holds than on a running VM of the newest KubeVirt.
var elsewhere = []struct {
	name, like string
	on         func(*ImpactContext)
	want       Impact
}{
	{"sockets on arm64", "more sockets", func(on *ImpactContext) { on.Architecture = "arm64" }, ImpactRestart},
	{"sockets when staged", "more sockets", staged, ImpactRestart},
	{"sockets when a restart is pending", "more sockets", func(on *ImpactContext) { on.RestartPending = true }, ImpactRestart},
	{"sockets of a VM that cannot be migrated", "more sockets", stuck, ImpactRestart},
	{"memory of a VM that cannot be migrated", "more memory", stuck, ImpactRestart},
	{"node selector when staged", "node selector", staged, ImpactRestart},
	{"new hot-pluggable disk before 1.9", "new hot-pluggable disk", kubevirt("v1.8.2"), ImpactRestart},
	{"new hot-pluggable disk with the gate", "new hot-pluggable disk", kubevirt("v1.7.0", "DeclarativeHotplugVolumes"), ImpactLive},
	{"new hot-pluggable disk, plugged by request", "new hot-pluggable disk", kubevirt("v1.9.0", "HotplugVolumes"), ImpactRestart},
	{"other attachment on 1.8", "other attachment", kubevirt("v1.8.0"), ImpactRestart},
	{"other attachment on 1.8 with the gate", "other attachment", kubevirt("v1.8.0", "LiveUpdateNADRef"), ImpactMigrates},
	{"other attachment on 1.7", "other attachment", kubevirt("v1.7.0", "LiveUpdateNADRef"), ImpactRestart},
	{"started", "started", stopped, ImpactLive},
	{"stopped VM", "less of everything", stopped, ImpactNone},
}

func TestImpactOfVM(t *testing.T) {
	t.Parallel()
	for _, c := range impacttest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			judged(t, c, ImpactContext{Running: true})
		})
	}
}

func TestImpactElsewhere(t *testing.T) {
	t.Parallel()
	for _, e := range elsewhere {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(impacttest.Cases, func(c impacttest.Case) bool { return c.Name == e.like })
			if i < 0 {
				t.Fatalf("there is no case %s", e.like)
			}
			on, c := ImpactContext{Running: true}, impacttest.Cases[i]
			e.on(&on)
			c.Want, c.All = string(e.want), ""
			judged(t, c, on)
		})
	}
}

// judged holds what is said of a change to what its case wants.
func judged(t *testing.T, c impacttest.Case, on ImpactContext) {
	t.Helper()
	vm := renderedVM(t)
	if c.From != nil {
		c.From(vm, &vm.Spec.Template.Spec)
	}
	from := asObject(t, vm)
	c.Change(vm, &vm.Spec.Template.Spec)
	to := asObject(t, vm)
	changes, gravest := JudgeImpact(KindVirtualMachine, Differences(from, to), to, on)
	if i := slices.IndexFunc(changes, func(f FieldChange) bool { return f.Path == c.Path }); i < 0 || string(changes[i].Impact) != c.Want {
		t.Errorf("changes %+v\nwant %s at %s", changes, c.Want, c.Path)
	}
	if want := gocmp.Or(c.All, c.Want); string(gravest) != want {
		t.Errorf("gravest is %s, want %s", gravest, want)
	}
}

func asObject(t *testing.T, object any) map[string]any {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImpactOfOthers(t *testing.T) {
	t.Parallel()
	storage := func(size string) string {
		return `{"spec":{"storage":{"resources":{"requests":{"storage":"` + size + `"}}}}}`
	}
	claim := func(size string) string { return `{"spec":{"resources":{"requests":{"storage":"` + size + `"}}}}` }
	agent := `{"spec":{"template":{"spec":{"domain":{},"accessCredentials":[{"sshPublicKey":{"propagationMethod":{"qemuGuestAgent":{"users":["a"]}}}}]}}}}`
	cases := []struct {
		name, kind, from, to string
		on                   ImpactContext
		want                 Impact
	}{
		{"disk grows", KindDataVolume, storage("1Gi"), storage("2Gi"), ImpactContext{Running: true}, ImpactLive},
		{"claim grows", "PersistentVolumeClaim", claim("1Gi"), claim("2Gi"), ImpactContext{Running: true}, ImpactLive},
		{"disk of a stopped VM grows", KindDataVolume, storage("1Gi"), storage("2Gi"), ImpactContext{}, ImpactNone},
		{"disk grows where the guest is not told", KindDataVolume, storage("1Gi"), storage("2Gi"),
			ImpactContext{Running: true, KubeVirt: KubeVirt{Version: "v1.8.1", GatesKnown: true}}, ImpactIgnored},
		{"disk grows where the guest may be told", KindDataVolume, storage("1Gi"), storage("2Gi"),
			ImpactContext{Running: true, KubeVirt: KubeVirt{Version: "v1.8.1"}}, ImpactLive},
		{"disk that grew before", KindDataVolume, `{"metadata":{"annotations":{"kubevirt-shepherd.io/disk-size":"2Gi"}}}`,
			`{"metadata":{"annotations":{"kubevirt-shepherd.io/disk-size":"3Gi"}}}`, ImpactContext{Running: true}, ImpactLive},
		{"disk is the same", KindDataVolume, storage("1Gi"), storage("1024Mi"), ImpactContext{Running: true}, ImpactNone},
		{"disk shrinks", KindDataVolume, storage("2Gi"), storage("1Gi"), ImpactContext{Running: true}, ImpactIgnored},
		{"disk's source", KindDataVolume, `{"spec":{"source":{"blank":{}}}}`, `{"spec":{"source":{"http":{}}}}`, ImpactContext{Running: true}, ImpactIgnored},
		{"claim's class", "PersistentVolumeClaim", `{"spec":{}}`, `{"spec":{"storageClassName":"a"}}`, ImpactContext{}, ImpactIgnored},
		{"disk's label", KindDataVolume, `{}`, `{"metadata":{"labels":{"a":"b"}}}`, ImpactContext{Running: true}, ImpactNone},
		{"user data", KindSecret, `{"data":{"userdata":"YQ=="}}`, `{"data":{"userdata":"Yg=="}}`, ImpactContext{Running: true}, ImpactIgnored},
		{"network data", KindSecret, `{}`, `{"data":{"networkdata":"Yg=="}}`, ImpactContext{Running: true}, ImpactIgnored},
		{"user data of a stopped VM", KindSecret, `{"data":{"userdata":"YQ=="}}`, `{"data":{"userdata":"Yg=="}}`, ImpactContext{}, ImpactNone},
		{"key", KindSecret, `{"data":{}}`, `{"data":{"key-1":"YQ=="}}`, ImpactContext{Running: true}, ImpactRestart},
		{"key by the agent", KindSecret, `{"data":{}}`, `{"data":{"key-1":"YQ=="}}`,
			ImpactContext{Running: true, VM: mustObject(agent)}, ImpactLive},
		{"secret's label", KindSecret, `{}`, `{"metadata":{"labels":{"a":"b"}}}`, ImpactContext{Running: true}, ImpactNone},
		{"status", KindVirtualMachine, `{"status":{"a":1}}`, `{"metadata":{"uid":"x"}}`, ImpactContext{Running: true}, ""},
		{"unreadable VM", KindVirtualMachine, `{"spec":{"template":{"spec":7}}}`, `{"spec":{"template":{"spec":8}}}`, ImpactContext{Running: true}, ImpactRestart},
		{"service", "Service", `{}`, `{"spec":{}}`, ImpactContext{Running: true}, ImpactNone},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			to := mustObject(c.to)
			changes, got := JudgeImpact(c.kind, Differences(mustObject(c.from), to), to, c.on)
			if got != c.want {
				t.Errorf("impact %q, want %q: %+v", got, c.want, changes)
			}
		})
	}
}

func mustObject(text string) map[string]any {
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		panic(err)
	}
	return out
}

// TestShort: what people see of values fits on a line and tells no secrets.
func TestShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, ""}, {"", `""`}, {"4Gi", "4Gi"}, {float64(4), "4"}, {true, "true"}, {map[string]any{}, "{}"},
		{"a\nb\x1b[31m\u202e", "a b [31m "},
		{strings.Repeat("é", 61), strings.Repeat("é", 59) + "…"},
		{[]any{"a", map[string]any{"k": "v"}}, `["a",{"k":"v"}]`},
		{func() {}, "(not shown)"},
	} {
		if got := Short(c.value); got != c.want {
			t.Errorf("Short(%v) is %q, want %q", c.value, got, c.want)
		}
	}
}

func TestImpactHidesSecrets(t *testing.T) {
	t.Parallel()
	const secret = "aHVudGVyMg=="
	for _, c := range []struct{ kind, from, to string }{
		{KindSecret, `{"data":{"password":"` + secret + `"}}`, `{"data":{}}`},
		{KindSecret, `{}`, `{"data":{"password":"` + secret + `"}}`},
		{KindVirtualMachine, `{"spec":{"template":{"spec":{"domain":{},"volumes":[]}}}}`,
			`{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
		{KindVirtualMachine, `{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"x"}}]}}}}`,
			`{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
		{KindVirtualMachine, `{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c"},{"name":"c"}]}}}}`,
			`{"spec":{"template":{"spec":{"domain":{},"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
		{KindVirtualMachine, `{}`,
			`{"spec":{"template":{"spec":{"volumes":[{"name":"c","cloudInitNoCloud":{"userData":"` + secret + `"}}]}}}}`},
	} {
		to := mustObject(c.to)
		changes, _ := JudgeImpact(c.kind, Differences(mustObject(c.from), to), to, ImpactContext{Running: true})
		for _, change := range changes {
			if strings.Contains(change.From+change.To, secret) || change.From+change.To == "" {
				t.Errorf("%s: %+v", c.kind, change)
			}
		}
		if len(changes) == 0 {
			t.Errorf("%s: no changes", c.to)
		}
	}
}

// TestJudgeManifests takes a VM from one size to another, as its requester would.
func TestJudgeManifests(t *testing.T) {
	t.Parallel()
	render := func(change func(*Input)) []Manifest {
		in := example()
		change(&in)
		ms, problems := Render(in)
		if problems.Blocking() {
			t.Fatal(list(problems))
		}
		return ms
	}
	// The pod's share stays, so that nothing but the guest's sockets and memory changes.
	share := func(in *Input) {
		in.Size.Overcommit = &spec.Overcommit{CPU: &spec.RequestLimit{Request: "1", Limit: "8"},
			Memory: &spec.RequestLimit{Request: "4Gi", Limit: "16Gi"}}
	}
	bigger := func(in *Input) { in.Size.Cores, in.Size.Memory = 8, "16Gi" }
	before := render(func(*Input) {})
	for _, c := range []struct {
		name   string
		before []Manifest
		after  []Manifest
		on     ImpactContext
		want   Impact
		lines  string
	}{
		{"nothing", before, before, ImpactContext{Running: true}, "", "Secret unchanged, DataVolume unchanged, DataVolume unchanged, VirtualMachine unchanged"},
		{"created", nil, before, ImpactContext{Running: true}, "", "Secret created, DataVolume created, DataVolume created, VirtualMachine created"},
		{"bigger, with its share of the node", before, render(bigger), ImpactContext{Running: true}, ImpactRestart, ""},
		{"bigger, in the same share", render(share), render(func(in *Input) { share(in); bigger(in) }), ImpactContext{Running: true}, ImpactMigrates, ""},
		{"bigger, stopped", before, render(bigger), ImpactContext{}, ImpactNone, ""},
		{"a key", before, render(func(in *Input) { in.SystemSSHKeys = nil }), ImpactContext{Running: true}, ImpactRestart,
			"Secret configured, DataVolume unchanged, DataVolume unchanged, VirtualMachine unchanged"},
		{"disk grows", before, render(func(in *Input) { in.VM.Disks[0].Size = "20Gi" }), ImpactContext{Running: true}, ImpactLive,
			"Secret unchanged, DataVolume unchanged, DataVolume configured, VirtualMachine unchanged"},
		{"disk left out and kept", before, render(func(in *Input) { in.VM.Disks = nil }), ImpactContext{Running: true}, ImpactRestart,
			"Secret unchanged, DataVolume unchanged, VirtualMachine configured"},
		{"disk left out and deleted", before, render(func(in *Input) { in.VM.Disks = nil }), ImpactContext{Running: true, DestroysDisks: true}, ImpactDestroys,
			"Secret unchanged, DataVolume unchanged, VirtualMachine configured, DataVolume deleted"},
		{"all deleted", before, nil, ImpactContext{DestroysDisks: true}, ImpactDestroys,
			"Secret deleted, DataVolume deleted, DataVolume deleted, VirtualMachine deleted"},
		{"stopped", before, render(func(in *Input) { in.VM.Power = spec.PowerStopped }), ImpactContext{Running: true}, ImpactLive, ""},
	} {
		objects, got, err := JudgeManifests(c.before, c.after, c.on)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, want %q: %+v, %v", c.name, got, c.want, objects, err)
		}
		var lines []string
		for _, o := range objects {
			lines = append(lines, o.Kind+" "+o.Action)
		}
		if c.lines != "" {
			if diff := cmp.Diff(c.lines, strings.Join(lines, ", ")); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
	}
	broken := []Manifest{{Kind: KindSecret, Name: "a", JSON: []byte("{")}}
	if _, _, err := JudgeManifests(broken, nil, ImpactContext{}); err == nil {
		t.Error("a broken manifest before is read")
	}
	if _, _, err := JudgeManifests(nil, broken, ImpactContext{}); err == nil {
		t.Error("a broken manifest after is read")
	}
}

func TestKubeVirtOf(t *testing.T) {
	t.Parallel()
	if got := KubeVirtOf("v1.9.0", nil); got.GatesKnown || got.Version != "v1.9.0" {
		t.Errorf("without capabilities: %+v", got)
	}
	known := domain.Capabilities{FeatureGates: []string{"HostDisk"}, RolloutStrategy: "Stage"}
	if got := KubeVirtOf("v1.9.0", &known); !got.GatesKnown || !got.named("HostDisk") || !got.staged() {
		t.Errorf("with capabilities: %+v", got)
	}
	known.Unknown = []string{"Node", "KubeVirt"}
	if got := KubeVirtOf("v1.9.0", &known); got.GatesKnown {
		t.Errorf("unread: %+v", got)
	}
}
