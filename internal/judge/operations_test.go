package judge

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// TestEveryOperationHasACase wants a case for each row of the matrix and each environment that can be
// submitted, and one that is refused.
func TestEveryOperationHasACase(t *testing.T) {
	t.Parallel()
	type row struct {
		operation   domain.Operation
		environment domain.Environment
	}
	submitted, refused := map[row]bool{}, map[domain.Operation]bool{}
	for _, path := range casePaths(t) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, twin := range []bool{false, true} {
			report := Judge(caseInput(t, archive, twin))
			for _, c := range report.Changes {
				submitted[row{c.Operation, c.Environment}] = submitted[row{c.Operation, c.Environment}] || report.Submittable()
				refused[c.Operation] = refused[c.Operation] || c.Problems.Blocking()
			}
		}
	}
	for _, op := range domain.Operations() {
		environments := []domain.Environment{""}
		if op.OnCluster() || op == domain.VNCAccess {
			environments = []domain.Environment{domain.Test, domain.Prod}
		}
		for _, env := range environments {
			if !submitted[row{op, env}] {
				t.Errorf("no case submits %s %s", op, env)
			}
		}
		if !refused[op] {
			t.Errorf("no case refuses %s", op)
		}
	}
}

const firstPath = "systems/shop/redis/prod-shop/01.yaml"

// firstVM is the VM that the start has, with other lines in place of its own.
func firstVM(replace ...string) string {
	return strings.NewReplacer(replace...).Replace(`apiVersion: kubevirt-shepherd.io/v1alpha1
kind: VirtualMachine
spec:
  template: ubuntu-24.04
  size: medium
  power: running
  reason: the first cache
`)
}

// made is the plan that a VM of this file was created by, and in what it is now known of it.
func made(t *testing.T, in Input) *Plan {
	t.Helper()
	m, ok := in.World.Machines["prod-shop-shop-redis-01"]
	if !ok {
		t.Fatal("the VM of the start is not there")
	}
	return m.Plan
}

// TestPowerChangesNothingElse holds starts and stops to the recorded objects, and a restart to their bytes.
func TestPowerChangesNothingElse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ from, to, strategy string }{
		"stop":    {firstVM(), firstVM("running", "stopped"), "Halted"},
		"start":   {firstVM("running", "stopped"), firstVM(), "Always"},
		"restart": {firstVM(), firstVM() + "  restartedAt: 2026-01-01T00:00:00Z\n", "Always"},
	} {
		in := inputOf(t, "-- accepted/"+firstPath+" --\n"+tt.from+"-- head/"+firstPath+" --\n"+tt.to)
		was, c := made(t, in), one(t, in)
		if c.Plan == nil {
			t.Fatalf("%s: no plan: %v", name, c.Problems)
		}
		for i, m := range c.Plan.Manifests {
			if m.Kind != render.KindVirtualMachine || name == "restart" {
				if !bytes.Equal(m.JSON, was.Manifests[i].JSON) {
					t.Errorf("%s changes %s %s", name, m.Kind, m.Name)
				}
				continue
			}
			before, err := render.ToVM(was.Manifests[i])
			if err != nil {
				t.Fatal(err)
			}
			after, err := render.ToVM(m)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(*after.Spec.RunStrategy); got != tt.strategy {
				t.Errorf("%s: the strategy is %s, want %s", name, got, tt.strategy)
			}
			after.Spec.RunStrategy = before.Spec.RunStrategy
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%s changes more (-recorded +planned):\n%s", name, diff)
			}
		}
		if diff := cmp.Diff(was.TemplateSnapshot, c.Plan.TemplateSnapshot) + cmp.Diff(was.SizeSnapshot, c.Plan.SizeSnapshot); diff != "" {
			t.Errorf("%s takes other snapshots:\n%s", name, diff)
		}
	}
}

// TestEffectiveDigestIsOfTheState: what is there afterwards has one digest, whatever brought it about.
func TestEffectiveDigestIsOfTheState(t *testing.T) {
	t.Parallel()
	plan := func(from, to string) (before, after string) {
		in := inputOf(t, "-- accepted/"+firstPath+" --\n"+from+"-- head/"+firstPath+" --\n"+to)
		c := one(t, in)
		if c.Plan == nil {
			t.Fatalf("no plan: %v", c.Problems)
		}
		return made(t, in).EffectiveDigest, c.Plan.EffectiveDigest
	}
	stopped := firstVM("running", "stopped")
	running, off := plan(firstVM(), stopped)
	created, on := plan(stopped, firstVM())
	if off != created || on != running || on == off {
		t.Errorf("running %.8s, stopped %.8s; created stopped %.8s, started %.8s", running, off, created, on)
	}
	if _, same := plan(firstVM(), firstVM("first", "very first")); same != running {
		t.Errorf("another reason makes another plan: %.8s, was %.8s", same, running)
	}
	restarted := firstVM() + "  restartedAt: 2026-01-01T00:00:00Z\n"
	if _, again := plan(firstVM(), restarted); again == running {
		t.Error("a restart has the digest of what was there")
	}
	seen := map[string]string{}
	for name, to := range map[string]string{"a size": firstVM("medium", "cheap"), "a disk": firstVM() + "  disk: 200Gi\n", "a key": firstVM() +
		"  sshKeys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH8VN1bNNJRnJhSUOuXt/GmjWqLIbTjCYJTu0IV2dCFI alice\"]\n"} {
		_, digest := plan(firstVM(), to)
		if other, taken := seen[digest]; taken || digest == running {
			t.Errorf("%s has the digest of another plan %s", name, other)
		}
		seen[digest] = name
	}
}

// TestDeletionDigest covers where the VM is and what becomes of its disks, and nothing that only a cluster
// knows.
func TestDeletionDigest(t *testing.T) {
	t.Parallel()
	deletion := func(file string, change func(*Machine)) string {
		in := inputOf(t, "-- accepted/"+firstPath+" --\n"+file+"-- head/removed.txt --\n"+firstPath+"\n")
		m := in.World.Machines["prod-shop-shop-redis-01"]
		change(&m)
		in.World.Machines["prod-shop-shop-redis-01"] = m
		c := one(t, in)
		if c.Plan == nil {
			t.Fatalf("no plan: %v", c.Problems)
		}
		return c.Plan.EffectiveDigest
	}
	same := func(*Machine) {}
	want := deletion(firstVM(), same)
	for name, tt := range map[string]struct {
		file   string
		change func(*Machine)
		same   bool
	}{
		"the uid":               {firstVM(), func(m *Machine) { m.UID = "another" }, true},
		"the status":            {firstVM(), func(m *Machine) { m.Status = domain.VMFailed }, true},
		"the reason":            {firstVM("first", "very first"), same, true},
		"what is the default":   {firstVM() + "  deletionPolicy: delete\n", same, true},
		"the disks are kept":    {firstVM() + "  deletionPolicy: retain\n", same, false},
		"the cluster":           {firstVM(), func(m *Machine) { m.Cluster = "prod-b" }, false},
		"the namespace's place": {firstVM(), func(m *Machine) { m.KubernetesNamespace = "else" }, false},
	} {
		if got := deletion(tt.file, tt.change); (got == want) != tt.same {
			t.Errorf("%s: digests %.8s and %.8s; same: want %v", name, want, got, tt.same)
		}
	}
}

// TestOrder: what others build on comes first, and goes last.
func TestOrder(t *testing.T) {
	t.Parallel()
	in := inputOf(t, `-- head/systems/wiki/system.yaml --
-- head/systems/wiki/pages/service.yaml --
-- head/systems/wiki/pages/prod-shop/01.yaml --
-- head/access/prod-shop-shop-redis-01/alice.yaml --
-- head/platform/sizes/huge.yaml --
-- head/removed.txt --
systems/shop/system.yaml
systems/shop/redis/service.yaml
systems/shop/redis/prod-shop/01.yaml
`)
	var got []domain.Operation
	for _, c := range Judge(in).Changes {
		got = append(got, c.Operation)
	}
	want := []domain.Operation{
		domain.CreateSystem, domain.CreateService, domain.CreateVM, domain.VNCAccess, domain.ChangePlatform,
		domain.DeleteVM, domain.DeleteService, domain.DeleteSystem,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
}

// TestClocks: without a clock nothing is in the future; with one, other clocks may be a little ahead.
func TestClocks(t *testing.T) {
	t.Parallel()
	in := inputOf(t, "-- head/"+firstPath+" --\n"+firstVM()+"  restartedAt: 2026-11-24T09:30:00Z\n")
	at := instant("2026-11-24T09:30:00Z")
	for name, tt := range map[string]struct {
		behind  int // minutes
		refused bool
	}{"now": {0, false}, "later": {-600, false}, "just ahead": {5, false}, "ahead": {6, true}} {
		in.Now = at.Add(-time.Duration(tt.behind) * time.Minute)
		if got := Judge(in).Blocking(); got != tt.refused {
			t.Errorf("%s: refused %v", name, got)
		}
	}
	in.Now = time.Time{}
	if Judge(in).Blocking() {
		t.Error("refused without a clock")
	}
}

// TestFirst bounds what is said of what stands in the way.
func TestFirst(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f"}
	for n, want := range map[int]string{1: "a", 5: "a, b, c, d, e", 6: "a, b, c, d, e and 1 more"} {
		if got := first(names[:n]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNextIsNeeded: a platform that was not read as the head would have it is not moved.
func TestNextIsNeeded(t *testing.T) {
	t.Parallel()
	in := inputOf(t, "-- request.yaml --\nauthor: {login: root, id: 1}\n-- head/platform/sizes/huge.yaml --\n"+
		"apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 4, memory: 8Gi}\n")
	if Judge(in).Blocking() {
		t.Fatal("refused")
	}
	in.Next = nil
	if problems := Judge(in).AllProblems(); len(problems) != 1 || problems[0].Code != domain.PlanInvalid {
		t.Errorf("got %v", problems)
	}
}

// TestSubmittedAndLeftAlone: a VM that has a ticket and differs no more is gone, unless it is accepted.
func TestSubmittedAndLeftAlone(t *testing.T) {
	t.Parallel()
	const elsewhere = "systems/shop/redis/test-shop/02.yaml"
	for name, tt := range map[string]struct {
		change func(*World)
		moved  bool
	}{
		"it was never accepted": {func(*World) {}, true},
		"its name is taken":     {func(w *World) { w.Names["prod-shop-shop-redis-02"] = vmPath }, false},
		"by another file":       {func(w *World) { w.Names["prod-shop-shop-redis-02"] = "else" }, true},
		"it is there":           {func(w *World) { w.Machines["prod-shop-shop-redis-02"] = Machine{Path: vmPath} }, false},
		"it was removed":        {func(w *World) { w.Machines["prod-shop-shop-redis-02"] = Machine{Path: vmPath, Removed: true} }, true},
	} {
		in := inputOf(t, "-- request.yaml --\nsubmitted: ["+vmPath+"]\n-- head/"+elsewhere+" --\n"+vmFile)
		tt.change(&in.World)
		moved := slices.ContainsFunc(one(t, in).Problems, func(p domain.Problem) bool { return p.Code == domain.NamespaceImmutable })
		if moved != tt.moved {
			t.Errorf("%s: moved %v", name, moved)
		}
	}
}

// TestAnothersMachine: a machine of the same name that belongs to another file is not this VM.
func TestAnothersMachine(t *testing.T) {
	t.Parallel()
	in := inputOf(t, "-- head/"+firstPath+" --\n"+firstVM("first", "very first"))
	m := in.World.Machines["prod-shop-shop-redis-01"]
	m.Path = "systems/shop/redis/prod/01.yaml"
	in.World.Machines["prod-shop-shop-redis-01"] = m
	c := one(t, in)
	if c.Plan != nil || len(c.Problems) != 1 || c.Problems[0].Code != domain.PlanInvalid {
		t.Errorf("plan %v with %v", c.Plan, c.Problems)
	}
}

// TestRecordedPlanUnreadable: a power operation on objects that are not there is refused.
func TestRecordedPlanUnreadable(t *testing.T) {
	t.Parallel()
	in := inputOf(t, "-- head/"+firstPath+" --\n"+firstVM("running", "stopped"))
	m := in.World.Machines["prod-shop-shop-redis-01"]
	plan := *m.Plan
	plan.Manifests, m.Plan = nil, &plan
	in.World.Machines["prod-shop-shop-redis-01"] = m
	c := one(t, in)
	if c.Plan != nil || len(c.Problems) != 1 || c.Problems[0].Code != domain.PlanInvalid {
		t.Errorf("plan %v with %v", c.Plan, c.Problems)
	}
}
