package e2e

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// What machines lean on stays as it is, and the pull request says where and why.
func TestPlatformLifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	pr := w.approved("shop", machines("shop", "redis", "test-shop/01"))
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01")
	const cluster, namespace = "platform/clusters/test-1.yaml", "platform/namespaces/test-shop.yaml"
	template, size := w.onMain(templatePath), w.onMain(sizeFolder+"small.yaml")
	change := func(path, old, with string) forgetest.Files {
		return forgetest.Files{path: w.replace(w.onMain(path), old, with)}
	}
	for branch, tt := range map[string]struct {
		files forgetest.Files
		code  string
		path  string
		line  int
	}{
		"content":     {change(templatePath, "ubuntu:24.04", "ubuntu:24.10"), "TEMPLATE_IMMUTABLE", templatePath, 6},
		"gone":        {forgetest.Files{templatePath: nil}, "TEMPLATE_IMMUTABLE", templatePath, 1},
		"back":        {change(templatePath, "status: active", "status: draft"), "TEMPLATE_LIFECYCLE", templatePath, 4},
		"hardware":    {change(sizeFolder+"small.yaml", "memory: 2Gi", "memory: 4Gi"), "SIZE_IN_USE", sizeFolder + "small.yaml", 6},
		"size-gone":   {forgetest.Files{sizeFolder + "small.yaml": nil}, "SIZE_IN_USE", sizeFolder + "small.yaml", 1},
		"cluster-env": {change(cluster, "environment: test", "environment: prod"), "ENVIRONMENT_MISMATCH", cluster, 4},
		"ns-env":      {change(namespace, "environment: test", "environment: prod"), "ENVIRONMENT_MISMATCH", namespace, 4},
		"ns-name":     {change(namespace, w.kubeNamespace("test"), "elsewhere"), "NAMESPACE_IMMUTABLE", namespace, 5},
		"ns-gone":     {forgetest.Files{namespace: nil}, "DELETE_RESTRICTED", namespace, 1},
		"rule":        {forgetest.Files{policyPath: platformFile("Policy", "  rules:\n    - name: typo\n      effect: deny\n      expression: change.operatoin == \"CREATE_VM\"\n      message: no\n")}, "POLICY_INVALID", policyPath, 7},
		"rules":       {forgetest.Files{policyPath: platformFile("Policy", "  rules:\n    - name: typo\n      effect: deny\n      expression: |-\n        change.operation == \"CREATE_VM\" &&\n        sise.cores > 1\n      message: no\n")}, "POLICY_INVALID", policyPath, 9},
		"role":        {forgetest.Files{"platform/roles/x.yaml": bindRole("emperor", "dave", "104")}, "YAML_INVALID", "platform/roles/x.yaml", 4},
		"mixed":       {forgetest.Files{sizeFolder + "odd.yaml": size, vmPath("shop", "redis", "test-shop/02"): stage.VM("odd", "both at once")}, "MIXED_CHANGE", "", 0},
	} {
		pr := w.asks(w.Dave, branch, tt.files)
		w.problem(pr, tt.code, tt.path, tt.line)
		w.quiet()
		w.untouched(pr)
		w.do(w.Dave.Close(pr))
	}

	// Comments and order say nothing: no change, and nothing that stands in the way of others.
	same := w.asks(w.Dave, "same", forgetest.Files{
		sizeFolder + "small.yaml": append([]byte("# the smallest\n"), size...),
		templatePath:              w.replace(template, "  description: Ubuntu 24.04 LTS\n", ""),
	})
	w.problem(same, "TEMPLATE_IMMUTABLE", "", 0)
	must(w.Dave.Commit(w.Repo, "same", "", forgetest.Files{templatePath: append([]byte("# as published\n"), template...)}, "only a remark"))(w)
	w.check(same, "shepherd/approval", "success")
	w.merge(same, "squash")
	w.noQuarantine()
	if c, _ := same.Check("shepherd/approval"); !strings.Contains(c.Title, "Nothing changes") {
		t.Errorf("the title is %s", c.Title)
	}

	// The forge's own files are rules as well, whoever brings them.
	codeowners := w.ask("owners", forgetest.Files{"CODEOWNERS": []byte("* @alice\n"), ".github/workflows/x.yaml": []byte("on: push\n")})
	w.problem(codeowners, "PERMISSION_DENIED", "CODEOWNERS", 1)
	w.quiet()
	w.untouched(codeowners)
	w.administer("ours", forgetest.Files{"CODEOWNERS": []byte("* @dave\n"), ".github/workflows/x.yaml": []byte("on: push\n"),
		sizeFolder + "tiny.yaml": w.replace(size, "memory: 2Gi", "memory: 1Gi")})
	next := w.approved("tiny", forgetest.Files{vmPath("shop", "redis", "test-shop/02"): stage.VM("tiny", "a tiny one")})
	w.merge(next, "merge")
	w.once("test-shop-shop-redis-02")
	w.noQuarantine()
}
