package e2e

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// A size that says otherwise than the clusters' instance type is refused before requests count by it, and passes
// once it is mended.
func TestSizeThatIsNotItsInstancetype(t *testing.T) {
	t.Parallel()
	name := ""
	rules := func(o *stage.Options) {
		o.Files["platform/roles/alice.yaml"] = bindRole("platform-admin", "alice", "101")
	}
	w := setup{alone: true, stage: []func(*stage.Options){rules}, kubeconfig: func(w *world) []byte {
		name = w.prefix + ".medium"
		it := &instancetypev1beta1.VirtualMachineClusterInstancetype{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: instancetypev1beta1.VirtualMachineInstancetypeSpec{
				CPU: instancetypev1beta1.CPUInstancetype{Guest: 1}, Memory: instancetypev1beta1.MemoryInstancetype{Guest: resource.MustParse("2Gi")},
			},
		}
		if err := w.kube.Client().Create(t.Context(), it); err != nil {
			t.Fatal(err)
		}
		return w.kube.Kubeconfig()
	}}.world(t)
	path := sizeFolder + "typed.yaml"
	size := func(cores, memory string) forgetest.Files {
		return forgetest.Files{path: platformFile("InstanceSize", "  cores: "+cores+"\n  memory: "+memory+"\n  instancetype: {name: "+name+"}\n")}
	}
	pr := w.ask("typed", size("2", "4Gi"))
	check := w.problem(pr, "PLAN_INVALID", path, 1)
	for _, words := range []string{"size typed says 2 cores and 4Gi", "has 1 core and 2Gi", "limits would count wrongly"} {
		if !strings.Contains(check.Summary, words) {
			t.Errorf("no %q in\n%s", words, check.Summary)
		}
	}
	w.push("typed", size("1", "2Gi"))
	w.eventually("the mended size to pass", func() bool {
		c, _ := pr.Check("shepherd/validate")
		return c.Conclusion == "success"
	})
}
