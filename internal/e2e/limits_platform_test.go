package e2e

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/stage"
)

// The server allows images of other registries than the template's: the request is refused at its template.
func TestRegistryThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Policy.Registries = []string{"registry.example.com/acme"} }}.world(t)
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	check := w.problem(pr, "POLICY_DENIED", vmPath("shop", "redis", "test-shop/01"), 4)
	if !strings.Contains(check.Summary, "registry.example.com/acme") {
		t.Errorf("the check does not say what is allowed:\n%s", check.Summary)
	}
}

// A size needs a feature gate that the clusters say is off: nobody is asked to approve what they would refuse.
func TestGateThatIsOff(t *testing.T) {
	t.Parallel()
	w := setup{kubeVirt: true, stage: []func(*stage.Options){func(o *stage.Options) {
		o.Files["platform/sizes/odd.yaml"] = platformFile("InstanceSize",
			"  cores: 1\n  memory: 2Gi\n  specOverrides:\n    spec.template.spec.domain.devices.autoattachVSOCK: true\n")
	}}}.world(t)
	path := vmPath("shop", "redis", "test-shop/01")
	files := machines("shop", "redis", "test-shop/01")
	files[path] = stage.VM("odd", "a machine that talks to its node")
	check := w.problem(w.ask("odd", files), "NO_ELIGIBLE_CLUSTER", path, 5)
	if !strings.Contains(check.Summary, "test-1 does not have KubeVirt's feature gate VSOCK for size odd") {
		t.Errorf("the check does not name the gate and the cluster:\n%s", check.Summary)
	}
}
