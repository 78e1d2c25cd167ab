package e2e

import (
	"fmt"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// An address is one VM's: while it is asked for, and afterwards.
func TestAddressIsClaimed(t *testing.T) {
	t.Parallel()
	backend := func(o *stage.Options) {
		o.Files["platform/networks/backend.yaml"] = []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Network\nspec:\n  environment: test\n" +
			"  attachment: {namespace: networks, name: backend}\n  addresses: 10.1.0.0/16\n")
	}
	w := setup{
		alone:      true,
		stage:      []func(*stage.Options){backend},
		kubeconfig: func(w *world) []byte { return w.attached("networks", "backend") },
	}.world(t)
	w.structure("shop", "redis")
	file := func(index string) (string, forgetest.Files) {
		path := vmPath("shop", "redis", "test-shop/"+index)
		return path, forgetest.Files{path: append(stage.VM("small", "with an address"), "  networks: [{name: backend, ip: 10.1.0.5}]\n"...)}
	}
	_, files := file("01")
	first := w.ask("first", files)
	w.published(first)
	path, files := file("02")
	second := w.ask("second", files)
	c := w.problem(second, "DUPLICATE_PENDING_REQUEST", path, 1)
	for _, words := range []string{"address 10.1.0.5 of network backend", fmt.Sprintf("#%d", first.Number())} {
		if !strings.Contains(c.Summary, words) {
			t.Errorf("no %q in\n%s", words, c.Summary)
		}
	}
	w.show(second, "that wants the same address")
	w.approve(w.Bob, first)
	w.merge(first, "squash")
	w.eventually("the address to be taken", func() bool {
		c, _ := second.Check("shepherd/validate")
		return c.Conclusion == "failure" && strings.Contains(c.Summary, "ADDRESS_TAKEN")
	})
	w.show(second, "whose address is taken")
}
