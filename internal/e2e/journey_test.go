package e2e

import (
	"strings"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// The whole way: asked for, judged, published, not approved by who may not, approved, merged, applied,
// running, told.
func TestJourney(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Approval.Grace = config.Duration(time.Second) }}.world(t)
	pr := w.ask("shop", twoVMs())
	w.check(pr, "shepherd/validate", "success")
	w.check(pr, "shepherd/approval", "action_required")
	w.comment(pr, "prod-shop-shop-redis-02")

	w.approve(w.Carol, pr)
	w.comment(pr, "carol")
	if c, _ := pr.Check("shepherd/approval"); c.Conclusion != "action_required" {
		t.Fatalf("after a review that does not count, approval is %s", c.Conclusion)
	}
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	if n := w.count("select count(*) from river_job where kind = 'event_job'"); n != 0 {
		t.Fatalf("%d cluster jobs before the merge", n)
	}
	w.merge(pr, "merge")

	for env, name := range map[string]string{"test": "test-shop-shop-redis-01", "prod": "prod-shop-shop-redis-02"} {
		if got := w.vm(name).Labels["kubevirt-shepherd.io/environment"]; got != env {
			t.Errorf("%s: environment label %q", name, got)
		}
		if err := kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key(name), kubevirtv1.VirtualMachineStatusRunning); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("both VMs to be known as running", func() bool {
		return w.count("select count(*) from vms where status = 'RUNNING'") == 2
	})
	w.eventually("the closing remark", func() bool { return len(w.remarks(pr)) == 2 })
	body := w.comment(pr, "running")
	if strings.Contains(body, "⏳") {
		t.Errorf("the comment still waits:\n%s", body)
	}
	if n := w.count("select count(*) from events where status = 'COMPLETED'"); n != 4 {
		t.Errorf("%d events completed, want 4", n)
	}
	if n := w.count("select count(*) from plans where 4 * pg_column_size(manifests) > 3 * octet_length(manifests)"); n != 0 {
		t.Errorf("the specs of %d plans are not kept compressed", n)
	}
	if n := len(w.Forge.Unhandled()); n != 0 {
		t.Errorf("%d calls that the stand-in does not know: %v", n, w.Forge.Unhandled())
	}
}
