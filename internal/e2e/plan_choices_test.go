package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// planWith is the comment that plans something.
func planWith(lines ...string) string {
	return "/plan\n```shepherd\n" + strings.Join(lines, "\n") + "\n```"
}

// choicePlatform has something to choose from: three clusters of test, one of them cordoned, and three
// versions of the template.
func choicePlatform() forgetest.Files {
	return forgetest.Files{
		"platform/clusters/test-2.yaml":           clusterFile("test", "active"),
		"platform/clusters/test-3.yaml":           clusterFile("test", "cordoned"),
		"platform/templates/ubuntu-24.04/v1.yaml": templateFile("deprecated", "qemu-guest-agent"),
		"platform/templates/ubuntu-24.04/v2.yaml": templateFile("active", "podman"),
		"platform/templates/ubuntu-24.04/v3.yaml": templateFile("draft", "docker"),
		"platform/networks/backend.yaml":          []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Network\nspec:\n  environment: test\n  pod: true\n"),
		"platform/templates/debian-13/v1.yaml":    bytes.ReplaceAll(templateFile("active", "podman"), []byte("ubuntu:24.04"), []byte("debian:13")),
	}
}

// newChoices is a court with a platform to choose from, and a storage class of its own.
func newChoices(t testing.TB, change func(*config.Config)) *court {
	t.Helper()
	return newCourt(t, courtOptions{config: change, files: choicePlatform(), clusters: []string{"test-2", "test-3"}, before: func(w *world) {
		class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: w.storageClass()}, Provisioner: "example.org/disks"}
		w.do(w.kube.Client().Create(t.Context(), class))
	}})
}

func (w *world) storageClass() string { return w.prefix + "-fast" }

// ticketOf is a column of the one open ticket about a machine.
func (c *court) ticketOf(subject, column string) string {
	c.t.Helper()
	got := c.strings(`select coalesce(`+column+`::text, '') from tickets where subject = $1 and status in ('PENDING_APPROVAL', 'APPROVED', 'COMPLETED')`, subject)
	if len(got) != 1 {
		c.t.Fatalf("%d tickets of %s", len(got), subject)
	}
	return got[0]
}

// payload is what an event was submitted with, byte for byte.
func (c *court) payload(subject string) string {
	c.t.Helper()
	return strings.Join(c.strings(`select payload::text || ' ' || id::text from events where subject = $1`, subject), "\n")
}

// An approver chooses another cluster, storage class and version than was suggested; what they chose is
// published, approved and applied.
func TestPlanChooses(t *testing.T) {
	t.Parallel()
	c := newChoices(t, nil)
	c.structure("shop", "redis")
	const name = "test-shop-shop-redis-01"
	pr := c.approved("shop", c.one("test-shop/01", "small"))
	payload := c.payload(name)
	suggested := c.ticketOf(name, "selected_cluster")
	other := map[string]string{"test-1": "test-2", "test-2": "test-1"}[suggested]

	reply := c.talk(c.Bob, pr, planWith("cluster: "+other, "storageClass: "+c.storageClass(), "templateVersion: 1", "reason: the other one has room"))
	c.wantText("the reply", reply, "taken, and judged now", "cluster `"+other+"`", "storage class `"+c.storageClass()+"`", "template version 1", "The file stays as it is.", "A plan is no approval")
	c.stands(pr, "action_required", "nobody has seen the new plan")
	for column, want := range map[string]string{
		"selected_cluster": other, "selected_storage_class": c.storageClass(), "selected_template_version": "1",
		"modification_reason": "the other one has room", "modified_spec": "", "status": "PENDING_APPROVAL",
	} {
		if got := c.ticketOf(name, column); got != want {
			t.Errorf("the ticket's %s is %q, want %q", column, got, want)
		}
	}
	if got := c.payload(name); got != payload {
		t.Errorf("the event is\n%s\nwas\n%s", got, payload)
	}
	c.says(pr, "bob: cluster `"+other+"`", "because `the other one has room`", "bob changed the plan", "Cluster `"+other+"`", "version 1")
	c.approve(c.Bob, pr) // who planned may approve
	c.stands(pr, "success", "the plan is approved")

	// The choice stands while the request does, and goes with it.
	c.push("shop", forgetest.Files{"README.md": []byte("about\n")})
	c.stands(pr, "success", "after a push without meaning")
	c.merge(pr, "merge")
	c.once(name)
	if got := c.strings(`select v.cluster || ' ' || p.template_version from vms v join plans p on p.id = v.applied_plan where v.name = $1`, name); len(got) != 1 || got[0] != other+" 1" {
		t.Errorf("the machine is on %v", got)
	}
	if got := c.classOf(name + "-root"); got != c.storageClass() {
		t.Errorf("its disk is of %q", got)
	}

	second := c.ask("second", c.one("test-shop/02", "small"))
	c.published(second)
	c.talk(c.Bob, second, planWith("templateVersion: 1"))
	c.says(second, "template version 1")
	c.push("second", c.one("test-shop/02", "medium"))
	c.stands(second, "action_required", "another request")
	c.unsaid(second, "template version 1")
	if got := c.ticketOf("test-shop-shop-redis-02", "selected_template_version"); got != "2" {
		t.Errorf("version %s", got)
	}

	// An existing machine stays where it is, and keeps the image that it was made from.
	grow := c.ask("grow", c.one("test-shop/01", "medium"))
	c.published(grow)
	for plan, code := range map[string]string{
		"cluster: " + suggested: "PLAN_INVALID",
		"storageClass: slow":    "PLAN_INVALID",
		"modifiedSpec: {template: debian-13, size: medium, power: running}\nreason: another one":               "TEMPLATE_FIXED",
		"modifiedSpec: {template: ubuntu-24.04, size: small, power: stopped, reason: for a test}\nreason: off": "PLAN_INVALID",
		"modifiedSpec: {template: ubuntu-24.04, size: small, power: running, reason: for a test}\nreason: no":  "PLAN_INVALID",
	} {
		reply := c.talk(c.Bob, grow, planWith(plan))
		c.wantText(plan, reply, "not done", code)
	}
	c.wantText("the reply", c.talk(c.Bob, grow, planWith("templateVersion: 2")), "template version 2")
}

// classOf is the storage class of a disk on the cluster.
func (c *court) classOf(disk string) string {
	c.t.Helper()
	volume := &unstructured.Unstructured{}
	volume.SetGroupVersionKind(schema.GroupVersionKind{Group: "cdi.kubevirt.io", Version: "v1beta1", Kind: "DataVolume"})
	key := client.ObjectKey{Namespace: c.kubeNamespace("test"), Name: disk}
	c.do(c.kube.Client().Get(c.t.Context(), key, volume))
	for _, kind := range []string{"storage", "pvc"} {
		if class, ok, _ := unstructured.NestedString(volume.Object, "spec", kind, "storageClassName"); ok {
			return class
		}
	}
	return ""
}

// What cannot be planned is refused with a reason, and changes nothing.
func TestPlansThatAreRefused(t *testing.T) {
	t.Parallel()
	c := newChoices(t, nil)
	c.structure("shop", "redis")
	const name = "test-shop-shop-redis-01"
	pr := c.approved("shop", c.one("test-shop/01", "small"))
	spec := func(fields string) string { return planWith("modifiedSpec: {"+fields+"}", "reason: because") }
	const whole = "template: ubuntu-24.04, size: small, power: running"
	cases := []struct{ plan, code string }{
		{planWith("clutser: test-2"), "PLAN_INVALID"},
		{planWith("cluster: test-2", "modifiedSpec: [a]"), "PLAN_INVALID"},
		{planWith("cluster: nowhere"), "NO_ELIGIBLE_CLUSTER"},
		{planWith("cluster: prod-1"), "ENVIRONMENT_MISMATCH"},
		{planWith("cluster: test-3"), "CLUSTER_CORDONED"},
		{planWith("storageClass: slow"), "STORAGE_CLASS_UNKNOWN"},
		{planWith("templateVersion: 9"), "TEMPLATE_UNKNOWN"},
		{planWith("templateVersion: 3"), "TEMPLATE_NOT_ACTIVE"},
		{spec(whole + ", namespace: prod-shop"), "NAMESPACE_IMMUTABLE"},
		{spec(whole + ", service: other"), "SERVICE_IMMUTABLE"},
		{spec(whole + ", index: 2"), "SERVICE_IMMUTABLE"},
		{spec("template: ubuntu-24.04, power: running"), "REQUIRED_FIELD_REMOVED"},
		{spec("template: fedora, size: small, power: running"), "TEMPLATE_UNKNOWN"},
		{spec("template: ubuntu-24.04, size: huge, power: running"), "SIZE_UNKNOWN"},
		{spec("template: ubuntu-24.04, size: small, disk: 1Ti, power: running"), "DISK_OUT_OF_RANGE"},
		{planWith("vms:", "  prod-shop-shop-redis-09: {cluster: prod-1}"), "PLAN_INVALID"},
		{"/plan", "PLAN_INVALID"},
	}
	for len(cases) > 0 {
		some := cases[:min(len(cases), 9)]
		cases = cases[len(some):]
		var text []string
		for _, p := range some {
			text = append(text, p.plan)
		}
		reply := c.talk(c.Bob, pr, strings.Join(text, "\n\n"))
		for i, p := range some {
			marker := fmt.Sprintf("\n%d. ", i+1)
			_, rest, found := strings.Cut(reply, marker)
			answer, _, _ := strings.Cut(rest, fmt.Sprintf("\n%d. ", i+2))
			if !found || !strings.Contains(answer, p.code) || !strings.Contains(answer, "not done") {
				t.Errorf("%s is answered with\n%s\nwant %s", p.plan, answer, p.code)
			}
		}
		if got := c.reactions(pr, strings.Join(text, "\n\n")); len(got) != 1 || got[0] != "confused" {
			t.Errorf("reactions %v", got)
		}
	}
	c.stands(pr, "success", "nothing of it was taken")
	if got := c.ticketOf(name, "planned"); got != "" {
		t.Errorf("planned: %s", got)
	}
	if n := c.trailOf(pr, "PLAN_CHANGED"); n != 0 {
		t.Errorf("%d plans in the trail", n)
	}

	// Who may not is told so once, with a reason.
	for _, u := range []*forgetest.User{c.Carol, c.Alice} {
		text := planWith("cluster: test-2", "reason: "+u.Login()+" would like it")
		reply := c.talk(u, pr, text)
		c.wantText("the reply", reply, "not done", "PERMISSION_DENIED")
		if got := c.reactions(pr, text); len(got) != 1 || got[0] != "confused" {
			t.Errorf("%s: reactions %v", u.Login(), got)
		}
	}
	c.stands(pr, "success", "nobody who may has planned")

	// In a pull request with several machines each is named.
	files := c.one("test-shop/02", "small")
	files[vmPath("shop", "redis", "test-shop/03")] = stage.VM("small", "the third")
	several := c.ask("several", files)
	c.published(several)
	reply := c.talk(c.Bob, several, planWith("cluster: test-2"))
	c.wantText("the reply", reply, "PLAN_INVALID", "2 VMs")
	c.talk(c.Bob, several, planWith("vms:", "  test-shop-shop-redis-02: {templateVersion: 1}", "  test-shop-shop-redis-03: {cluster: test-2}"))
	if a, b := c.ticketOf("test-shop-shop-redis-02", "selected_template_version"), c.ticketOf("test-shop-shop-redis-03", "selected_cluster"); a != "1" || b != "test-2" {
		t.Errorf("version %s, cluster %s", a, b)
	}
}
