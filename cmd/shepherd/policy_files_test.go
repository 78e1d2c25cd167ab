package main

import (
	"strings"
	"testing"
)

const serviceFile = "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Service\nspec:\n  description: the cache\n"

// repository is what the cases start from: a system with one VM in prod.
const repository = "-- accepted/systems/shop/system.yaml --\n" + system + "  owners: [{login: olga, id: 20}]\n" +
	"-- accepted/systems/shop/redis/service.yaml --\n" + serviceFile +
	"-- accepted/systems/shop/redis/prod-shop/01.yaml --\n" + vm

const byAlice = "-- request.yaml --\nauthor: {login: alice, id: 101}\n"

// A pull request is judged as the server would, from nothing but files.
func TestPolicyTestFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, parts, expect string }{
		{"create", byAlice + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + vm,
			"verdict: allow\napprovals: 2\nconfirm: none\nchanges: {systems/shop/redis/prod-shop/02.yaml: {verdict: allow}}\n"},
		{"create-with-its-system", byAlice + "-- head/systems/shop/system.yaml --\n" + system + "-- head/systems/shop/redis/service.yaml --\n" + serviceFile +
			"-- head/systems/shop/redis/test-shop/01.yaml --\n" + vm,
			"verdict: allow\napprovals: 1\nchanges: {systems/shop/system.yaml: {verdict: allow, approvals: 0}}\n"},
		{"rule", byAlice + repository + "-- head/systems/shop/redis/test-shop/02.yaml --\n" + strings.Replace(vm, "medium", "huge", 1) +
			"-- platform/sizes/huge.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 16, memory: 16Gi}\n",
			"verdict: deny\ndeny: [small-in-test]\ncodes: [POLICY_DENIED]\n"},
		{"reason", byAlice + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + strings.Replace(vm, "a second replica", "replica", 1),
			"verdict: warn\nwarn: [say-why]\n"},
		{"validation", byAlice + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + vm + "  cluster: prod-1\n",
			"verdict: deny\ndeny: [FORBIDDEN_FIELD]\ncodes: [FORBIDDEN_FIELD]\n"},
		{"index-taken", byAlice + repository + "-- head/systems/shop/redis/test-shop/01.yaml --\n" + vm,
			"verdict: deny\ndeny: [INDEX_TAKEN]\n"},
		{"stranger", "-- request.yaml --\nauthor: {login: eve, id: 9}\n" + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + vm,
			"verdict: deny\ndeny: [author]\ncodes: [PERMISSION_DENIED]\n"},
		{"pusher", byAlice + "pushers: [{login: eve, id: 9}]\n" + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + vm,
			"verdict: deny\ndeny: [pusher]\ncodes: [PERMISSION_DENIED]\n"},
		{"stop", byAlice + repository + "-- head/systems/shop/redis/prod-shop/01.yaml --\n" + strings.Replace(vm, "running", "stopped", 1),
			"verdict: allow\napprovals: 1\n"},
		{"modify", byAlice + repository + "-- head/systems/shop/redis/prod-shop/01.yaml --\n" + strings.Replace(vm, "medium", "small", 1) + "-- server.yaml --\n",
			"verdict: allow\napprovals: 1\n"},
		{"reformatted", byAlice + repository + "-- head/systems/shop/redis/prod-shop/01.yaml --\n# the same\n" + vm, "verdict: allow\napprovals: 0\n"},
		{"delete", "-- request.yaml --\nauthor: {login: root, id: 1}\nremoved: [systems/shop/redis/prod-shop/01.yaml]\n-- server.yaml --\nadministrators: [{login: root, id: 1}]\n" + repository,
			"verdict: warn\nwarn: [disks-go-with-the-machine]\napprovals: 1\nconfirm: name\n"},
		{"delete-without-children", "-- request.yaml --\nauthor: {login: olga, id: 20}\nremoved: [systems/shop/redis/service.yaml]\n" + repository,
			"verdict: deny\ndeny: [DELETE_RESTRICTED]\nconfirm: digest\n"},
		{"no-cluster", byAlice + "unhealthy: [prod-1]\n" + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + vm,
			"verdict: deny\ndeny: [NO_ELIGIBLE_CLUSTER]\n"},
		{"hardware", byAlice + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + strings.Replace(vm, "medium", "gpu", 1) +
			"  disks: [{name: data, size: 10Gi, storageClass: gold}]\n" +
			"-- platform/sizes/gpu.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 1, memory: 1Gi, gpus: [{name: one, deviceName: a.b/c}]}\n",
			"verdict: allow\nwarn: []\napprovals: 2\n"},
		{"platform", "-- request.yaml --\nauthor: {login: root, id: 1}\n-- server.yaml --\nadministrators: [{login: root, id: 1}]\n" +
			"-- head/platform/sizes/tiny.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 1, memory: 1Gi}\n",
			"verdict: allow\napprovals: 1\n"},
		{"platform-rule-wrong", "-- request.yaml --\nauthor: {login: root, id: 1}\n-- server.yaml --\nadministrators: [{login: root, id: 1}]\n" +
			"-- head/platform/policies/typo.yaml --\n" + strings.Replace(platformPolicy, "size.cores", "size.coers", 1),
			"verdict: deny\ndeny: [POLICY_INVALID]\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, _ := policyTests(t, map[string]string{"policy-tests/a.txtar": tt.name + "\n" + tt.parts + "-- expect.yaml --\n" + tt.expect})
			if out.err != nil {
				t.Errorf("%v\n%s%s", out.err, out.stdout, out.stderr)
			}
		})
	}
}

func TestPolicyTestFilesFail(t *testing.T) {
	t.Parallel()
	out, _ := policyTests(t, map[string]string{
		"policy-tests/a.txtar": "Nobody needs to approve it.\n" + byAlice + repository + "-- head/systems/shop/redis/prod-shop/02.yaml --\n" + vm +
			"-- expect.yaml --\nverdict: allow\napprovals: 0\nchanges: {systems/shop/redis/prod-shop/02.yaml: {verdict: warn}, systems/shop/system.yaml: {verdict: allow}}\n",
	})
	out.same(t, 1, `testing the built-in policy and 1 policy file of REPO/platform
FAIL  a: Nobody needs to approve it.
      approvals: expected 0, got 2
      systems/shop/redis/prod-shop/02.yaml: verdict: expected warn, got allow
      changes: there is no change of systems/shop/system.yaml
      what the policy says:
        needs approval – CREATE_VM: prod-shop-shop-redis-02
          ok – permission: vm:create on shop in prod
            ok – author: alice is operator everywhere in test and prod (platform/roles/requesters.yaml)
          needs approval: 2 approvals by people who may approve, by rule two-for-prod (platform/policies/house.yaml)
1 case: 0 ok, 1 failed, 0 unreadable
`)
}

// Accepted files have to be right, as accepted files are.
func TestPolicyTestFilesUnreadable(t *testing.T) {
	t.Parallel()
	expect := "-- expect.yaml --\nverdict: allow\n"
	for name, tt := range map[string]struct{ content, want string }{
		"accepted-form": {byAlice + "-- accepted/systems/shop/system.yaml --\n" + system + "  owner: alice\n" + expect,
			"a.txtar:8: accepted/systems/shop/system.yaml: "},
		"accepted-path": {byAlice + "-- accepted/systems/Shop/system.yaml --\n" + system + expect, "a.txtar:4: accepted/systems/Shop/system.yaml: "},
		"accepted-size": {byAlice + strings.Replace(repository, "medium", "vast", 1) + expect, `there is no size "vast"`},
		"removed":       {byAlice + "removed: [systems/blog/system.yaml]\n" + repository + expect, "removed: systems/blog/system.yaml is not among the accepted files"},
		"platform":      {byAlice + "-- platform/sizes/tiny.yaml --\nkind: no\n" + expect, "a.txtar:4: platform/sizes/tiny.yaml: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _ := policyTests(t, map[string]string{"policy-tests/a.txtar": tt.content})
			if !strings.Contains(out.stdout, tt.want) || out.code() != 2 {
				t.Errorf("%d: want it to say %s\n%s%s", out.code(), tt.want, out.stdout, out.stderr)
			}
		})
	}
}
