package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

const vmPath = "systems/shop/redis/prod-shop/02.yaml"

// vmFile is a request that can be submitted as it is.
const vmFile = `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: VirtualMachine
spec:
  template: ubuntu-24.04
  size: medium
  disk: 120Gi
  power: running
  reason: a second cache
`

// inputOf makes an input of the start and a case written as txtar.
func inputOf(t testing.TB, text string) Input {
	t.Helper()
	return caseInput(t, txtar.Parse([]byte(text)), false)
}

// requestOf is an input in which alice asks for one VM.
func requestOf(t testing.TB, file string) Input {
	t.Helper()
	return inputOf(t, "-- head/"+vmPath+" --\n"+file)
}

// eachCase runs a test on the input of every golden case.
func eachCase(t *testing.T, test func(t *testing.T, in Input)) {
	t.Helper()
	for _, path := range casePaths(t) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			test(t, caseInput(t, archive, false))
		})
	}
}

func asJSON(t testing.TB, r Report) []byte {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReportDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	eachCase(t, func(t *testing.T, in Input) {
		want := Judge(in)
		for seed := range uint64(5) {
			r := rand.New(rand.NewPCG(seed, 0))
			shuffled := in
			shuffled.Files, shuffled.Submitted = slices.Clone(in.Files), slices.Clone(in.Submitted)
			r.Shuffle(len(shuffled.Files), func(i, j int) {
				shuffled.Files[i], shuffled.Files[j] = shuffled.Files[j], shuffled.Files[i]
			})
			r.Shuffle(len(shuffled.Submitted), func(i, j int) {
				shuffled.Submitted[i], shuffled.Submitted[j] = shuffled.Submitted[j], shuffled.Submitted[i]
			})
			got := Judge(shuffled)
			if diff := cmp.Diff(string(asJSON(t, want)), string(asJSON(t, got))); diff != "" {
				t.Fatalf("another order, another report (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(manifests(t, want), manifests(t, got)); diff != "" {
				t.Fatalf("another order, other objects (-want +got):\n%s", diff)
			}
		}
	})
}

func TestInputStaysAsItIs(t *testing.T) {
	t.Parallel()
	eachCase(t, func(t *testing.T, in Input) {
		slices.Reverse(in.Files)
		slices.Reverse(in.Submitted)
		files, submitted := slices.Clone(in.Files), slices.Clone(in.Submitted)
		platform, world := fmt.Sprintf("%+v", in.Platform), worldText(t, in.World)
		Judge(in)
		if diff := cmp.Diff(files, in.Files) + cmp.Diff(submitted, in.Submitted) +
			cmp.Diff(platform, fmt.Sprintf("%+v", in.Platform)) + cmp.Diff(world, worldText(t, in.World)); diff != "" {
			t.Errorf("judging changed its input:\n%s", diff)
		}
	})
}

// worldText is all of a world, with what its pointers lead to.
func worldText(t testing.TB, w World) string {
	t.Helper()
	data, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Machines)) {
		if plan := w.Machines[name].Plan; plan != nil {
			for _, m := range plan.Manifests {
				data = append(append(data, '\n'), m.JSON...)
			}
		}
	}
	return string(data)
}

// TestConcurrentJudgings runs on one platform, policy set and world, as the bot does; the race detector
// is the judge here.
func TestConcurrentJudgings(t *testing.T) {
	t.Parallel()
	eachCase(t, func(t *testing.T, in Input) {
		want := asJSON(t, Judge(in))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if got := asJSON(t, Judge(in)); !bytes.Equal(want, got) {
					t.Errorf("two runs differ:\n%s\n%s", want, got)
				}
			})
		}
		wg.Wait()
	})
}

func TestReportRoundTrip(t *testing.T) {
	t.Parallel()
	eachCase(t, func(t *testing.T, in Input) {
		want := Judge(in)
		data := asJSON(t, want)
		var got Report
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		kept := []cmp.Option{
			cmpopts.IgnoreFields(Change{}, "Document"), cmpopts.IgnoreFields(Plan{}, "Manifests"), cmpopts.IgnoreFields(Trial{}, "Manifests", "Promise"), cmpopts.EquateEmpty(),
			cmp.FilterValues(func(a, b json.RawMessage) bool { return len(a)+len(b) > 0 }, // <, > and & may be escaped
				cmp.Transformer("canonical", func(raw json.RawMessage) string { return string(spec.Canonical(raw)) })),
		}
		if diff := cmp.Diff(want, got, kept...); diff != "" {
			t.Errorf("lost on the way through JSON (-want +got):\n%s", diff)
		}
		if again := asJSON(t, got); !bytes.Equal(data, again) {
			t.Errorf("another JSON the second time:\n%s\n%s", data, again)
		}
	})
}

// TestSubmittableIsComplete holds every report that becomes tickets to what a ticket needs.
func TestSubmittableIsComplete(t *testing.T) {
	t.Parallel()
	eachCase(t, func(t *testing.T, in Input) {
		report := Judge(in)
		checkReport(t, report)
		if report.Submittable() && (report.Draft || report.Fork || report.AllProblems().Blocking()) {
			t.Error("a report with an error, of a draft or from a fork is submittable")
		}
	})
}

func checkReport(t testing.TB, report Report) {
	t.Helper()
	for _, p := range report.AllProblems() {
		if p.Code == "" || p.Message == "" || p.Severity == "" {
			t.Errorf("an unfinished problem: %+v", p)
		}
		if p.Severity == domain.Error && p.Hint == "" && p.Code != domain.PolicyDenied { // a rule's message is its author's
			t.Errorf("nobody is told what to do: %+v", p)
		}
	}
	for _, c := range report.Changes {
		if len(c.Digest) != 64 || c.Path != c.Ref.Path() || c.Subject == "" {
			t.Errorf("an unfinished change: %+v", c)
		}
		if report.Submittable() {
			checkSubmittable(t, c)
		}
	}
}

func checkSubmittable(t testing.TB, c Change) {
	t.Helper()
	contested := slices.ContainsFunc(c.Problems, func(p domain.Problem) bool { return p.Code == domain.DuplicatePendingRequest })
	if c.Requirement.Rule == "" || c.Verdict.Denied() || len(c.Claims) == 0 && !contested {
		t.Errorf("submittable, but not complete: %+v", c)
	}
	if !c.Operation.OnCluster() {
		return
	}
	if c.Operation == domain.DeleteVM {
		if c.Plan == nil || c.Plan.Cluster == "" || len(c.Plan.EffectiveDigest) != 64 || len(c.Plan.Manifests) > 0 || len(c.Plan.Objects) == 0 {
			t.Errorf("a deletion without a complete plan: %+v", c)
		}
		return
	}
	if c.Plan == nil || c.Plan.Cluster == "" || len(c.Plan.EffectiveDigest) != 64 || len(c.Plan.Manifests) == 0 || c.Environment == "" {
		t.Fatalf("a VM without a complete plan: %+v", c)
	}
	vm := c.Plan.Manifests[len(c.Plan.Manifests)-1]
	if vm.Kind != string(spec.KindVirtualMachine) || vm.Name != c.Subject {
		t.Errorf("the last object is %s %s, want the VM %s", vm.Kind, vm.Name, c.Subject)
	}
	for _, m := range c.Plan.Manifests {
		if m.Namespace != c.Plan.KubernetesNamespace {
			t.Errorf("%s %s goes to %s, the plan says %s", m.Kind, m.Name, m.Namespace, c.Plan.KubernetesNamespace)
		}
	}
}

func TestIndexesRunOut(t *testing.T) {
	t.Parallel()
	in := requestOf(t, vmFile)
	for i := 1; i <= 9999; i++ {
		in.World.Indexes["redis"] = append(in.World.Indexes["redis"], i)
	}
	problems := Judge(in).AllProblems()
	if len(problems) != 1 || problems[0].Code != domain.IndexTaken || !strings.Contains(problems[0].Hint, "another service") {
		t.Errorf("got %v", problems)
	}
}

func TestReportChange(t *testing.T) {
	t.Parallel()
	report := Judge(requestOf(t, vmFile))
	if c, ok := report.Change(vmPath); !ok || c.Subject != "prod-shop-shop-redis-02" {
		t.Errorf("got %+v, %v", c, ok)
	}
	if c, ok := report.Change("systems/shop/redis/prod-shop/03.yaml"); ok {
		t.Errorf("got %+v for a path that has no change", c)
	}
}

// TestClaimKeys: what callers look up before a judging is what the judging claims.
func TestClaimKeys(t *testing.T) {
	t.Parallel()
	eachCase(t, func(t *testing.T, in Input) {
		for _, c := range Judge(in).Changes {
			looked := ClaimKeys(c.Ref, c.Document)
			if c.Planned != nil {
				looked = append(looked, AddressKeys(c.Planned.ModifiedSpec)...)
			}
			for _, key := range c.Claims {
				if !slices.Contains(looked, key) {
					t.Errorf("%s claims %s, which nobody looks up: %v", c.Path, key, looked)
				}
			}
			if c.Operation == domain.CreateVM && !c.Ahead && len(c.Claims) > 0 {
				if diff := cmp.Diff(c.Claims, looked[:len(c.Claims)]); diff != "" {
					t.Errorf("%s (-claimed +looked up):\n%s", c.Path, diff)
				}
			}
		}
	})
	broken := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 2}
	for name, tt := range map[string]struct {
		ref  spec.Ref
		head []byte
		want []string
	}{
		"a file that cannot be read": {broken, []byte("no VM"), []string{"vm:prod-shop-shop-redis-02", "index:redis/2"}},
		"a file that is removed":     {broken, nil, []string{"vm:prod-shop-shop-redis-02"}},
		"a file of the forge":        {spec.Ref{Kind: spec.KindForge, Name: "CODEOWNERS"}, nil, []string{"platform:CODEOWNERS"}},
		"a request for a console":    {spec.Ref{Kind: spec.KindConsoleAccess, Name: "vm", Login: "alice"}, nil, []string{"access:access/vm/alice.yaml"}},
	} {
		if diff := cmp.Diff(tt.want, ClaimKeys(tt.ref, tt.head)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestLimits: the limit itself is allowed, one more is not.
func TestLimits(t *testing.T) {
	t.Parallel()
	for n, refused := range map[int]bool{10: false, 11: true} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "-- head/systems/shop/redis/prod-shop/%02d.yaml --\n%s", i+2, vmFile)
		}
		in := inputOf(t, text.String())
		in.Limits = map[domain.Environment]Limits{domain.Prod: {Creates: 10}}
		if got := Judge(in); got.Blocking() != refused {
			t.Errorf("%d VMs: refused %v, want %v: %v", n, got.Blocking(), refused, got.AllProblems())
		}
	}
}
