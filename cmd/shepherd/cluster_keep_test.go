package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	rbacv1 "k8s.io/api/rbac/v1"

	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
)

var varying = regexp.MustCompile(`(?m)^  (uid|Kubernetes) .*$`)

// A cluster is added with credentials that may look and no more, checked, rotated and removed.
func TestClusterKeeping(t *testing.T) {
	t.Parallel()
	dsn, dir := pgtest.New(t), t.TempDir()
	old, fresh := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	environ := func(keys string) []string {
		return []string{"DATABASE_URL=" + dsn, "SHEPHERD_ENCRYPTION_KEYS=" + keys}
	}
	kube := kubetest.New(t)
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	write(t, dir, "few.yaml", string(kube.Restricted(t,
		rule("", "*", "*"), rule("kubevirt.io", "*", "*"), rule("cdi.kubevirt.io", "*", "*"), rule("subresources.kubevirt.io", "virtualmachines", "update"))))
	write(t, dir, "all.yaml", string(kube.Kubeconfig()))
	run := func(keys string, args ...string) output {
		return shepherd(t.Context(), environ(keys), append([]string{"cluster"}, args...)...)
	}
	shepherd(t.Context(), environ(old), "migrate", "up").ok(t)
	run(old, "add", "few", "--kubeconfig", filepath.Join(dir, "few.yaml")).ok(t)
	run(old, "add", "whole", "--kubeconfig", filepath.Join(dir, "all.yaml")).ok(t)

	const abilities = `  storage classes  -
  feature gates    -
  switched off     -
  rollout          -
  devices          -
  huge pages       -
  dedicated CPUs   -
  networks         -
  SR-IOV           -
  instance types   -
  preferences      -
`
	const whole = `cluster whole: healthy
  KubeVirt         -
  CDI              -
` + abilities + `  not known        KubeVirt, CDI
  permissions      all that are needed
  may also         * *.*: more than Shepherd needs
`
	const few = `cluster few: healthy
  KubeVirt         -
  CDI              -
` + abilities + `  not known        KubeVirt, CDI, StorageClass, NetworkAttachmentDefinition, VirtualMachineClusterInstancetype, VirtualMachineClusterPreference
  may not          get virtualmachineclusterinstancetypes.instancetype.kubevirt.io
  may not          list virtualmachineclusterinstancetypes.instancetype.kubevirt.io
  may not          list virtualmachineclusterpreferences.instancetype.kubevirt.io
  may not          get virtualmachineinstancetypes.instancetype.kubevirt.io
  may not          list network-attachment-definitions.k8s.cni.cncf.io
  may not          get storageclasses.storage.k8s.io
  may not          list storageclasses.storage.k8s.io
  may not          update virtualmachines.subresources.kubevirt.io/restart
  may also         delete namespaces: more than Shepherd needs
  may also         patch namespaces: more than Shepherd needs
  may also         create pods: more than Shepherd needs
  may also         create pods/exec: more than Shepherd needs
  may also         patch nodes: more than Shepherd needs
  may also         create serviceaccounts/token: more than Shepherd needs
  may also         impersonate users: more than Shepherd needs
  may also         delete kubevirts.kubevirt.io: more than Shepherd needs
  may also         patch kubevirts.kubevirt.io: more than Shepherd needs
`
	plain := func(o output) output {
		o.stdout = strings.ReplaceAll(varying.ReplaceAllString(o.stdout, "-"), "\n-\n-\n", "\n")
		return o
	}
	plain(run(old, "check", "whole")).same(t, 0, whole)
	plain(run(old, "check", "few")).same(t, 1, few)
	plain(run(old, "check")).same(t, 1, few+whole)
	run(old, "check").fails(t, "something is missing: few")
	run(old, "check", "none").fails(t, "something is missing: none")

	run(fresh+","+old, "rotate", "--by", "dave").same(t, 0, "cluster few: sealed with the first key\ncluster whole: sealed with the first key\n")
	run(fresh, "rotate").same(t, 0, "everything is sealed with the first key\n")
	plain(run(fresh, "check", "whole")).same(t, 0, whole)
	run(old, "check", "whole").fails(t, "something is missing: whole")

	run(fresh, "remove", "few", "--by", "dave").same(t, 0, "cluster few: removed\n")
	if got := run(fresh, "list").stdout; !strings.Contains(got, "CAN") || !strings.Contains(got, "NOTE") {
		t.Errorf("list: %s", got)
	}
	run(fresh, "remove", "few").fails(t, `there is no cluster "few"`)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `select action_code || ' ' || subject || ' ' || performed_by from audit_log order by id`)
	if err != nil {
		t.Fatal(err)
	}
	trail, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := "CLUSTER_ADDED few operator, CLUSTER_ADDED whole operator, CLUSTER_RESEALED few dave, CLUSTER_RESEALED whole dave, CLUSTER_REMOVED few dave"
	if got := strings.Join(trail, ", "); got != want {
		t.Errorf("trail %s", got)
	}
}
