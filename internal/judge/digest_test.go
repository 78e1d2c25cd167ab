package judge

import (
	"maps"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/policy"
)

// one judges a request of a single change.
func one(t *testing.T, in Input) Change {
	t.Helper()
	report := Judge(in)
	if len(report.Changes) != 1 {
		t.Fatalf("%d changes, want one", len(report.Changes))
	}
	return report.Changes[0]
}

func TestChangeDigest(t *testing.T) {
	t.Parallel()
	const accepted = "-- accepted/" + vmPath + " --\n"
	const head = "-- head/" + vmPath + " --\n"
	base := one(t, inputOf(t, head+vmFile))
	stopped := strings.Replace(vmFile, "running", "stopped", 1)
	for name, tt := range map[string]struct {
		text string
		same bool
	}{
		"another layout": {head + "# a cache\nkind: VirtualMachine\napiVersion: kubevirt-shepherd.io/v1alpha1\n" +
			"spec: {reason: 'a second cache', power: \"running\", disk: 122880Mi, size: medium, template: ubuntu-24.04}\n", true},
		"an empty list":     {head + vmFile + "  sshKeys: []\n", true},
		"another size":      {head + strings.Replace(vmFile, "medium", "small", 1), false},
		"another reason":    {head + strings.Replace(vmFile, "second", "third", 1), false},
		"the default disk":  {head + strings.Replace(vmFile, "  disk: 120Gi\n", "", 1), false},
		"something before":  {accepted + strings.Replace(vmFile, "medium", "cheap", 1) + head + vmFile, false},
		"another before":    {accepted + stopped + head + vmFile, false},
		"the environment":   {strings.ReplaceAll(head+vmFile+"-- accepted/platform/namespaces/prod-shop.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Namespace\nspec: {environment: ENV}\n", "ENV", "test"), false},
		"another identity":  {strings.Replace(head, "02", "03", 1) + vmFile, false},
		"another author":    {"-- request.yaml --\nauthor: {login: mallory, id: 6666}\n" + head + vmFile, true},
		"another platform":  {head + vmFile + "-- accepted/platform/sizes/medium.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 4, memory: 4Gi}\n", true},
		"no cluster for it": {"-- request.yaml --\nclusters: {}\n" + head + vmFile, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := one(t, inputOf(t, tt.text)); (got.Digest == base.Digest) != tt.same {
				t.Errorf("digests %s of %s and %s of %s; same: want %v",
					spec.Digest8(base.Digest), base.Operation, spec.Digest8(got.Digest), got.Operation, tt.same)
			}
		})
	}
}

// TestAcceptedIsPartOfTheDigest asks for the same content on top of different accepted ones.
func TestAcceptedIsPartOfTheDigest(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	for _, before := range []string{
		vmFile, strings.Replace(vmFile, "running", "stopped", 1), strings.Replace(vmFile, "medium", "cheap", 1),
		vmFile + "  restartedAt: 2026-01-01T00:00:00Z\n",
	} {
		in := inputOf(t, "-- accepted/"+vmPath+" --\n"+before+"-- head/"+vmPath+" --\n"+vmFile+"  sshKeys: []\n")
		if before == vmFile {
			if report := Judge(in); len(report.Changes) != 0 || !report.Governed {
				t.Errorf("an empty list is a change: %+v", report)
			}
			continue
		}
		c := one(t, in)
		if other, seen := digests[c.Digest]; seen {
			t.Errorf("%s and %s share a digest", other, c.Operation)
		}
		digests[c.Digest] = string(c.Operation)
	}
	if len(digests) != 3 {
		t.Errorf("%d digests, want 3: %v", len(digests), digests)
	}
}

func TestEffectiveDigest(t *testing.T) {
	t.Parallel()
	const clusterB = "-- accepted/platform/clusters/prod-b.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Cluster\n" +
		"spec: {environment: prod, status: active, storageClass: fast}\n"
	const both = "clusters:\n  prod-a: {healthy: true}\n  prod-b: {healthy: true}\n"
	platform := func(path, kind, body string) string {
		return "-- accepted/platform/" + path + " --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: " + kind + "\nspec: " + body + "\n"
	}
	const head = "-- head/" + vmPath + " --\n"
	base := one(t, inputOf(t, head+vmFile)).Plan
	for name, tt := range map[string]struct {
		text string
		same bool
	}{
		"another layout":      {head + strings.Replace(vmFile, "120Gi", "122880Mi", 1), true},
		"another reason":      {head + strings.Replace(vmFile, "second", "third", 1), true},
		"another author":      {"-- request.yaml --\nauthor: {login: root, id: 1}\n" + head + vmFile, true},
		"a pusher":            {"-- request.yaml --\npushers: {" + vmPath + ": [{login: root, id: 1}]}\n" + head + vmFile, true},
		"a draft from a fork": {"-- request.yaml --\ndraft: true\nfork: true\n" + head + vmFile, true},
		"a cluster beside it": {"-- request.yaml --\n" + both + "homes: {redis/prod-shop: prod-a}\n" + clusterB + head + vmFile, true},
		"another cluster":     {"-- request.yaml --\n" + both + "homes: {redis/prod-shop: prod-b}\n" + clusterB + head + vmFile, false},
		"the storage class":   {platform("clusters/prod-a.yaml", "Cluster", "{environment: prod, status: active, storageClass: slow}") + head + vmFile, false},
		"a weight":            {platform("clusters/prod-a.yaml", "Cluster", "{environment: prod, status: active, storageClass: fast, weight: 7}") + head + vmFile, true},
		"the template's version": {platform("templates/ubuntu-24.04/v2.yaml", "Template", `{status: deprecated, image: {containerDisk: {image: "quay.io/containerdisks/ubuntu:24.04"}}}`) +
			platform("templates/ubuntu-24.04/v3.yaml", "Template", `{status: active, image: {containerDisk: {image: "quay.io/containerdisks/ubuntu:24.04"}}}`) + head + vmFile, false},
		"the template's image":     {platform("templates/ubuntu-24.04/v2.yaml", "Template", `{status: active, image: {containerDisk: {image: "quay.io/other:24.04"}}}`) + head + vmFile, false},
		"the size's memory":        {platform("sizes/medium.yaml", "InstanceSize", "{cores: 2, memory: 8Gi}") + head + vmFile, false},
		"the size's range alone":   {platform("sizes/medium.yaml", "InstanceSize", "{cores: 2, memory: 4Gi, disk: {max: 900Gi}}") + head + vmFile, false},
		"another size":             {platform("sizes/other.yaml", "InstanceSize", "{cores: 2, memory: 8Gi}") + head + vmFile, true},
		"the namespace's own name": {platform("namespaces/prod-shop.yaml", "Namespace", "{environment: prod, kubernetesName: shop-vms}") + head + vmFile, false},
		"the system's keys": {"-- accepted/systems/shop/system.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: System\nspec:\n  description: the web shop\n" +
			"  sshKeys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH8VN1bNNJRnJhSUOuXt/GmjWqLIbTjCYJTu0IV2dCFI alice\"]\n" + head + vmFile, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := Judge(inputOf(t, tt.text))
			if len(report.Changes) != 1 || report.Changes[0].Plan == nil {
				t.Fatalf("no plan: %v", report.AllProblems())
			}
			if got := report.Changes[0].Plan.EffectiveDigest; (got == base.EffectiveDigest) != tt.same {
				t.Errorf("effective digests %.8s and %.8s; same: want %v", base.EffectiveDigest, got, tt.same)
			}
		})
	}
}

// TestEnvelopeIsNoPartOfThePlan changes everything by which a pull request is known.
func TestEnvelopeIsNoPartOfThePlan(t *testing.T) {
	t.Parallel()
	in := requestOf(t, vmFile)
	want := one(t, in)
	in.Head, in.PlatformCommit, in.Number = "other", "other", 99
	in.Author = policy.Person{ID: 1, Login: "root"}
	in.World.Claims = map[string]Claim{"vm:else": {PullRequest: 3}}
	in.World.Indexes = maps.Clone(in.World.Indexes)
	in.World.Indexes["redis"] = append(in.World.Indexes["redis"], 77)
	got := one(t, in)
	if got.Digest != want.Digest || got.Plan.EffectiveDigest != want.Plan.EffectiveDigest {
		t.Errorf("digests %s, %s; want %s, %s", got.Digest, got.Plan.EffectiveDigest, want.Digest, want.Plan.EffectiveDigest)
	}
	if manifests(t, Report{Changes: []Change{got}}) != manifests(t, Report{Changes: []Change{want}}) {
		t.Error("the objects differ")
	}
}
