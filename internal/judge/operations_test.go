package judge

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
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

// TestTakeable: a duplicate that waits can be taken over, unless anything else is wrong.
func TestTakeable(t *testing.T) {
	t.Parallel()
	const claims = "-- request.yaml --\nclaims: {vm:prod-shop-shop-redis-02: {pullRequest: 12, status: PENDING_APPROVAL}}\n"
	for name, tt := range map[string]struct {
		change func(*Input)
		want   bool
	}{
		"it waits":             {func(*Input) {}, true},
		"a draft":              {func(in *Input) { in.Draft = true }, false},
		"a fork":               {func(in *Input) { in.Fork = true }, false},
		"nobody else asks":     {func(in *Input) { in.World.Claims = nil }, false},
		"too many":             {func(in *Input) { in.Rate = Rate{Limit: 1, Used: 1} }, false},
		"another is wrong too": {func(in *Input) { in.Files = append(in.Files, File{Path: "systems/shop/system.yaml"}) }, false},
		"it is approved": {func(in *Input) {
			in.World.Claims = map[string]Claim{"vm:prod-shop-shop-redis-02": {PullRequest: 12, Status: domain.TicketApproved}}
		}, false},
	} {
		in := inputOf(t, claims+"-- head/"+vmPath+" --\n"+vmFile)
		tt.change(&in)
		report := Judge(in)
		if got := report.Takeable(); got != tt.want || got && (report.Submittable() || !report.Blocking()) {
			t.Errorf("%s: takeable %v, want %v: %v", name, got, tt.want, report.AllProblems())
		}
	}
}

// TestConfirmed: the first word for the very digest counts, and only where one is asked for.
func TestConfirmed(t *testing.T) {
	t.Parallel()
	in := inputOf(t, "-- request.yaml --\nauthor: {login: dora, id: 1006}\n-- head/removed.txt --\n"+firstPath+"\n-- head/"+vmPath+" --\n"+vmFile)
	report := Judge(in)
	if !report.Unconfirmed() || !report.Submittable() {
		t.Fatalf("an unconfirmed deletion: %v", report.AllProblems())
	}
	in.Confirmed = map[string][]Confirmation{}
	for _, c := range report.Changes {
		in.Confirmed[c.Path] = []Confirmation{{Digest: c.Digest[:8], By: "short"}, {Digest: c.Digest, By: "dora"}, {Digest: c.Digest, By: "root"}}
	}
	report = Judge(in)
	var who []string
	for _, c := range report.Changes {
		who = append(who, c.Confirmed)
	}
	if diff := cmp.Diff([]string{"", "dora"}, who); diff != "" || report.Unconfirmed() {
		t.Errorf("confirmed by (-want +got):\n%s", diff)
	}
}

// TestWaived: a rule that takes the place of an approval changes nothing else of the verdict.
func TestWaived(t *testing.T) {
	t.Parallel()
	const size = "-- head/platform/sizes/huge.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 4, memory: 8Gi}\n"
	const warns = "-- accepted/platform/policies/p.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Policy\nspec:\n" +
		"  rules: [{name: note, effect: EFFECT, expression: 'change.operation == \"CHANGE_PLATFORM\"', message: mind that}]\n"
	for name, tt := range map[string]struct {
		author, text string
		want         policy.Outcome
	}{
		"alone":            {"{login: root, id: 1}", "", policy.Allow},
		"with a warning":   {"{login: root, id: 1}", strings.Replace(warns, "EFFECT", "warn", 1), policy.Warn},
		"against a rule":   {"{login: root, id: 1}", strings.Replace(warns, "EFFECT", "deny", 1), policy.Deny},
		"no administrator": {"{login: alice, id: 1001}", "", policy.Deny},
	} {
		c := one(t, inputOf(t, "-- request.yaml --\nsoloAdmin: true\nauthor: "+tt.author+"\n"+size+tt.text))
		if c.Verdict.Outcome != tt.want || c.Requirement.Approvals != 0 || c.Requirement.Rule != ruleSoloAdmin || len(c.Approvers) != 0 {
			t.Errorf("%s: %s with %+v, want %s", name, c.Verdict.Outcome, c.Requirement, tt.want)
		}
		if got := c.Verdict.Denied(); got != c.Problems.Blocking() {
			t.Errorf("%s: denied %v, problems %v", name, got, c.Problems)
		}
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
