package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const platformPolicy = `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: Policy
spec:
  approvals:
    - name: two-for-prod
      operations: [CREATE_VM]
      environments: [prod]
      approvals: 2
  rules:
    - name: small-in-test
      effect: deny
      expression: change.environment == "test" && size.cores > 4
      message: in test a VM has at most four cores
    - name: say-why
      effect: warn
      expression: change.operation == "CREATE_VM" && size(request.reason) < 10
      message: say in a few words what the VM is for
`

// asks is the beginning of a case about a VM of a size in a namespace.
func asks(size, namespace string) string {
	return `A VM of size ` + size + `.
-- facts.yaml --
change:
  operation: CREATE_VM
  path: systems/shop/redis/` + namespace + `/01.yaml
  wanted: {template: ubuntu-24.04, size: ` + size + `}
request: {reason: winter sale 2026}
author: {login: alice, id: 7, roles: [operator]}
`
}

// policyTests runs the command on a checkout with these cases and files. What it prints says REPO for the
// checkout.
func policyTests(t *testing.T, files map[string]string, args ...string) (out output, dir string) {
	t.Helper()
	all := map[string]string{"platform/policies/house.yaml": platformPolicy}
	for path, content := range files {
		all[path] = content
	}
	dir = checkout(t, all)
	out = shepherd(t.Context(), nil, append([]string{"policy", "test", filepath.Join(dir, "policy-tests")}, args...)...)
	out.stdout = strings.ReplaceAll(out.stdout, dir, "REPO")
	out.stderr = strings.ReplaceAll(out.stderr, dir, "REPO")
	return out, dir
}

func (o output) code() int {
	if o.err == nil {
		return 0
	}
	return exitCode(o.err)
}

// same compares what was printed, word by word.
func (o output) same(t *testing.T, code int, stdout string) {
	t.Helper()
	if diff := cmp.Diff(stdout, strings.ReplaceAll(o.stdout, "REPO/policy-tests/..", "REPO")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if o.code() != code {
		t.Errorf("exit code %d, want %d: %v\n%s", o.code(), code, o.err, o.stderr)
	}
}

func TestPolicyTestPasses(t *testing.T) {
	t.Parallel()
	out, _ := policyTests(t, map[string]string{
		"policy-tests/prod.txtar":       asks("medium", "prod-shop") + "-- expect.yaml --\nverdict: allow\napprovals: 2\nfrom: []\nconfirm: none\nwarn: []\n",
		"policy-tests/test/large.txtar": asks("large", "test-shop") + "size: {name: large, cores: 16}\n-- expect.yaml --\nverdict: deny\ndeny: [small-in-test]\ncodes: [POLICY_DENIED]\n",
		"policy-tests/README.md":        "not a case",
	})
	out.same(t, 0, `testing the built-in policy and 1 policy file of REPO/platform
ok    prod: A VM of size medium.
ok    test/large: A VM of size large.
2 cases: 2 ok, 0 failed, 0 unreadable
`)
}

func TestPolicyTestFails(t *testing.T) {
	t.Parallel()
	out, _ := policyTests(t, map[string]string{
		"policy-tests/good.txtar": asks("medium", "prod-shop") + "-- expect.yaml --\nverdict: allow\n",
		"policy-tests/wrong.txtar": strings.Replace(asks("medium", "prod-shop"), "winter sale 2026", "sale", 1) +
			"-- expect.yaml --\nverdict: deny\ndeny: [small-in-test]\nwarn: []\ncodes: []\napprovals: 1\nfrom: [approver]\nconfirm: name\n",
	})
	out.same(t, 1, `testing the built-in policy and 1 policy file of REPO/platform
ok    good: A VM of size medium.
FAIL  wrong: A VM of size medium.
      verdict: expected deny, got warn
      deny: expected [small-in-test], got []
      warn: expected [], got [say-why]
      from: expected [approver], got []
      codes: expected [], got [POLICY_DENIED]
      approvals: expected 1, got 2
      confirm: expected name, got none
      what the policy says:
        needs approval – CREATE_VM: prod-shop-shop-redis-01
          ok – permission: vm:create on shop in prod
            ok – author: alice is operator everywhere in test and prod (facts.yaml)
          needs approval: 2 approvals by people who may approve, by rule two-for-prod (platform/policies/house.yaml)
          warning – rules
            warning – say-why: say in a few words what the VM is for
        problem: warning systems/shop/redis/prod-shop/01.yaml: POLICY_DENIED: say in a few words what the VM is for
2 cases: 1 ok, 1 failed, 0 unreadable
`)
	out.fails(t, "1 case failed")
}

// A rule that cannot be evaluated denies, and still its case fails: nobody meant that.
func TestPolicyTestBrokenRule(t *testing.T) {
	t.Parallel()
	out, _ := policyTests(t, map[string]string{
		"platform/policies/usage.yaml": strings.NewReplacer(
			"size.cores > 4", "usage.namespace.after.vms > 20", "small-in-test", "not-too-many").Replace(platformPolicy),
		"policy-tests/usage.txtar": asks("medium", "test-shop") + "-- expect.yaml --\nverdict: deny\ndeny: [not-too-many]\n",
	})
	if !strings.Contains(out.stdout, "      broken: expected [], got [not-too-many]\n") ||
		!strings.Contains(out.stdout, "the usage of this change is not known") || out.code() != 1 {
		t.Errorf("%d\n%s", out.code(), out.stdout)
	}
}

// A rule that does not compile is said with its file and line, and no case can hide it.
func TestPolicyTestRuleWithError(t *testing.T) {
	t.Parallel()
	out, _ := policyTests(t, map[string]string{
		"platform/policies/typo.yaml": strings.NewReplacer("size.cores > 4", "size.coers > 4", "small-in-test", "typo").Replace(platformPolicy),
		"policy-tests/typo.txtar":     asks("medium", "prod-shop") + "-- expect.yaml --\nverdict: deny\nbroken: [typo]\n",
	})
	out.fails(t, "the platform's rules have errors", "error: platform/policies/typo.yaml:12: POLICY_INVALID: rule typo: 1:37: undefined field 'coers'")
	if out.code() != 1 || !strings.HasSuffix(out.stdout, "1 case: 1 ok, 0 failed, 0 unreadable\n") {
		t.Errorf("%d\n%s", out.code(), out.stdout)
	}
}

func TestPolicyTestBrokenPlatform(t *testing.T) {
	t.Parallel()
	out, _ := policyTests(t, map[string]string{
		"platform/policies/house.yaml": strings.Replace(platformPolicy, "effect: warn", "effct: warn", 1),
		"policy-tests/a.txtar":         asks("medium", "prod-shop") + "-- expect.yaml --\nverdict: allow\n",
	})
	out.fails(t, "the platform cannot be read", "platform/policies/house.yaml:15")
	if out.code() != 1 {
		t.Errorf("exit code %d", out.code())
	}
}

// What cannot be read is said with its file and line, and the other cases run all the same.
func TestPolicyTestUnreadable(t *testing.T) {
	t.Parallel()
	expect := "-- expect.yaml --\nverdict: allow\n"
	bad := map[string]struct{ content, want string }{
		"nothing-expected": {asks("medium", "prod-shop"), "nothing-expected.txtar: nothing is expected: add a part expect.yaml, or run with --update"},
		"no-verdict":       {asks("medium", "prod-shop") + "-- expect.yaml --\napprovals: 1\n", `no-verdict.txtar:10: verdict is "" and has to be allow, warn or deny`},
		"unknown-key":      {strings.Replace(asks("medium", "prod-shop"), "  wanted:", "  wnated:", 1) + expect, `unknown-key.txtar:6: facts.yaml: json: unknown field "wnated"`},
		"no-yaml":          {strings.Replace(asks("medium", "prod-shop"), "{reason: winter sale 2026}", "{reason", 1) + expect, "no-yaml.txtar:"},
		"operation":        {strings.Replace(asks("medium", "prod-shop"), "CREATE_VM", "CREATE_VMS", 1) + expect, `operation.txtar:3: operation "CREATE_VMS" is not known`},
		"environment":      {strings.Replace(asks("medium", "prod-shop"), "change:\n", "change:\n  environment: staging\n", 1) + expect, `environment "staging" is neither test nor prod`},
		"path":             {strings.Replace(asks("medium", "prod-shop"), "/01.yaml", "/1.yaml", 1) + expect, `change.path "systems/shop/redis/prod-shop/1.yaml" is no path`},
		"role":             {strings.Replace(asks("medium", "prod-shop"), "[operator]", "[wizard]", 1) + expect, `role "wizard" is not known`},
		"part":             {asks("medium", "prod-shop") + "-- expected.yaml --\n", `part.txtar:10: a case has no part "expected.yaml"`},
		"part-twice":       {asks("medium", "prod-shop") + expect + expect, "the part expect.yaml is there twice"},
		"empty":            {"", "empty.txtar: the case has neither facts.yaml nor request.yaml"},
		"both":             {asks("medium", "prod-shop") + "-- request.yaml --\n" + expect, "a case is made of facts.yaml or of files"},
		"own-platform": {asks("medium", "prod-shop") + "-- platform/sizes/tiny.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec:\n  memory: 1Gi\n  cores: many\n" + expect,
			"own-platform.txtar:14: platform/sizes/tiny.yaml: "},
		"confirm": {asks("medium", "prod-shop") + expect + "confirm: twice\n", `confirm is "twice" and has to be none, digest or name`},
		"loosen":  {asks("medium", "prod-shop") + expect + "-- server.yaml --\nallowLoosen: [CREATE]\n", `operation "CREATE" is not known`},
	}
	files := map[string]string{"policy-tests/zz-good.txtar": asks("medium", "prod-shop") + expect}
	for name, b := range bad {
		files["policy-tests/"+name+".txtar"] = b.content
	}
	out, _ := policyTests(t, files)
	for name, b := range bad {
		if !strings.Contains(out.stdout, b.want) || !strings.Contains(out.stdout, "ERROR REPO/policy-tests/"+name+".txtar") {
			t.Errorf("%s: it does not say %s", name, b.want)
		}
	}
	if out.code() != 2 || !strings.Contains(out.stdout, "ok    zz-good") || !strings.HasSuffix(out.stdout, "16 cases: 1 ok, 0 failed, 15 unreadable\n") {
		t.Errorf("exit code %d\n%s", out.code(), out.stdout)
	}
}

func TestPolicyTestUsage(t *testing.T) {
	t.Parallel()
	dir := checkout(t, map[string]string{"policy-tests/.gitkeep": ""})
	cases := filepath.Join(dir, "policy-tests")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"policy", "test"}, "give one folder of cases"},
		{[]string{"policy", "test", cases, cases}, "give one folder of cases"},
		{[]string{"policy", "test", "--fast", cases}, "unknown flag: --fast"},
		{[]string{"policy", "tset"}, `there is no command "tset"`},
		{[]string{"policy", "test", filepath.Join(dir, "nowhere")}, "nowhere: no such file"},
		{[]string{"policy", "test", cases}, "-- facts.yaml --"},
		{[]string{"policy", "test", "--platform", cases, cases}, "there is no platform/ in "},
	} {
		out := shepherd(t.Context(), nil, tt.args...)
		out.fails(t, tt.want)
		if out.code() != 2 {
			t.Errorf("%v: exit code %d", tt.args, out.code())
		}
	}
	if got := shepherd(t.Context(), nil, "policy").ok(t); !strings.Contains(got, "shepherd policy test DIR") {
		t.Error(got)
	}
	if got := exitCode(errors.New("any other")); got != 1 {
		t.Errorf("any other error ends with %d", got)
	}
}

// The case that the command shows to somebody who has none is one.
func TestPolicyTestSmallestCase(t *testing.T) {
	t.Parallel()
	_, content, _ := strings.Cut(smallestCase, ".txtar:\n\n")
	out, _ := policyTests(t, map[string]string{"policy-tests/small-in-test.txtar": content})
	if out.err != nil {
		t.Errorf("%v\n%s", out.err, out.stdout)
	}
}

// The rules of another checkout, and cases that lie in none.
func TestPolicyTestPlatform(t *testing.T) {
	t.Parallel()
	house := checkout(t, map[string]string{"platform/policies/house.yaml": platformPolicy})
	cases := t.TempDir()
	write(t, cases, ".git", "gitdir: elsewhere\n") // keeps the search for platform/ inside
	write(t, cases, "a.txtar", asks("medium", "prod-shop")+"-- expect.yaml --\nverdict: allow\napprovals: 2\n")
	for _, dir := range []string{house, house + "/platform", house + "/platform/"} {
		shepherd(t.Context(), nil, "policy", "test", cases, "--platform", dir).ok(t)
	}
	out := shepherd(t.Context(), nil, "policy", "test", cases)
	if !strings.Contains(out.stdout, "testing the built-in policy alone") || !strings.Contains(out.stdout, "FAIL  a") || out.code() != 1 {
		t.Errorf("%d\n%s", out.code(), out.stdout)
	}
}

// What the server's configuration says holds for all cases, until one says something else.
func TestPolicyTestServer(t *testing.T) {
	t.Parallel()
	loose := strings.Replace(platformPolicy, "approvals: 2", "approvals: 0", 1)
	out, _ := policyTests(t, map[string]string{
		"platform/policies/house.yaml": loose,
		"policy-tests/server.yaml":     "allowLoosen: [CREATE_VM]\nadministrators: [{login: root, id: 1}]\n",
		"policy-tests/loose.txtar":     asks("medium", "prod-shop") + "-- expect.yaml --\nverdict: allow\napprovals: 0\n",
		"policy-tests/own.txtar":       asks("medium", "prod-shop") + "-- server.yaml --\n-- expect.yaml --\nverdict: warn\napprovals: 1\n",
		"policy-tests/root.txtar": strings.Replace(asks("medium", "prod-shop"), "{login: alice, id: 7, roles: [operator]}", "{login: root, id: 1}", 1) +
			"-- expect.yaml --\nverdict: allow\n",
	})
	out.ok(t)
	out, _ = policyTests(t, map[string]string{"policy-tests/server.yaml": "allowLoosen: []\nadmins: []\n", "policy-tests/a.txtar": ""})
	out.fails(t, `server.yaml:2: server.yaml: json: unknown field "admins"`)
	if out.code() != 2 {
		t.Errorf("exit code %d", out.code())
	}
}

// --update writes what the policy says where nothing is expected yet, and touches no other case.
func TestPolicyTestUpdate(t *testing.T) {
	t.Parallel()
	only := asks("medium", "prod-shop") + "-- expect.yaml --\nverdict: allow\n"
	out, dir := policyTests(t, map[string]string{"policy-tests/new.txtar": asks("medium", "prod-shop"), "policy-tests/only.txtar": only}, "--update")
	out.ok(t)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, "policy-tests", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got := read("new.txtar"); !strings.HasPrefix(got, asks("medium", "prod-shop")+"-- verdict.txt --\nneeds approval – CREATE_VM: prod-shop-shop-redis-01\n") {
		t.Error(got)
	}
	if got := read("only.txtar"); got != only {
		t.Error(got)
	}
	// The policy changes: the case fails, and shows the line.
	write(t, dir, "platform/policies/house.yaml", strings.Replace(platformPolicy, "approvals: 2", "approvals: 3", 1))
	cases := filepath.Join(dir, "policy-tests")
	out = shepherd(t.Context(), nil, "policy", "test", cases)
	if !strings.Contains(out.stdout, "        -   needs approval: 2 approvals") || !strings.Contains(out.stdout, "        +   needs approval: 3 approvals") || out.code() != 1 {
		t.Errorf("%d\n%s", out.code(), out.stdout)
	}
	shepherd(t.Context(), nil, "policy", "test", cases, "--update").ok(t)
	shepherd(t.Context(), nil, "policy", "test", cases).ok(t)
	if got := shepherd(t.Context(), nil, "policy", "test", cases, "-v").ok(t); !strings.Contains(got, "ok    only: A VM of size medium.\n      what the policy says:\n        needs approval") {
		t.Error(got)
	}
}

// The built-in policy's own cases are cases as anybody's.
func TestPolicyTestBuiltIn(t *testing.T) {
	t.Parallel()
	got := shepherd(t.Context(), nil, "policy", "test", filepath.Join("..", "..", "policies", "cases")).ok(t)
	if !strings.Contains(got, "testing the built-in policy alone") || !strings.HasSuffix(got, " 0 failed, 0 unreadable\n") {
		t.Error(got)
	}
}
