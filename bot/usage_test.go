package bot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// vmFor is the path of a VM of service SYSTEM-web.
func vmFor(system, namespace, instance string) string {
	return "systems/" + system + "/" + system + "-web/" + namespace + "/" + instance + ".yaml"
}

// planned writes a plan of 2 cores, 4Gi and a root disk of 100Gi.
func (d *database) planned(path string, ephemeral bool) string {
	d.Helper()
	return d.sized(path, `{"cores": 2, "memory": "4Gi"}`, "100Gi", ephemeral)
}

func (d *database) sized(path, size, disk string, ephemeral bool) string {
	d.Helper()
	id := uuid.NewString()
	template := `{"image": {"containerDisk": {"image": "quay.io/a/b"}}}`
	if ephemeral {
		template = `{"image": {"containerDisk": {"image": "quay.io/a/b", "ephemeral": true}}}`
	}
	d.exec(`insert into plans (id, pull_request, path, change_digest, effective_digest, disk, size_snapshot, template_snapshot, created_at)
values ($1, 1, $2, 'd', 'e', $3, $4, $5, now())`, id, path, disk, size, template)
	return id
}

// lives writes an accepted VM; without a spec its file is gone from git.
func (d *database) lives(system, namespace, instance, status, specJSON string, ephemeral bool) {
	d.Helper()
	path := vmFor(system, namespace, instance)
	name := namespace + "-" + system + "-web-" + instance
	d.exec(`insert into vms (id, name, path, system, service, namespace, instance, environment, kubernetes_namespace, cluster, status, accepted_plan, created_by, created_by_login, created_at, updated_at)
values ($1, $2, $3, $4::varchar, $4::varchar || '-web', $5, $6, 'prod', 'k', 'east', $7, $8, 1, 'ada', now(), now())`,
		uuid.NewString(), name, path, system, namespace, instance, status, d.planned(path, ephemeral))
	if specJSON != "" {
		d.exec(`insert into accepted (id, kind, name, system, service, namespace, spec, document, commit, accepted_at)
values ($1, 'VirtualMachine', $2, $3::varchar, $3::varchar || '-web', $4, convert_to($5, 'UTF8'), '', 'c', now())`, path, name, system, namespace, specJSON)
	}
}

// asks writes the ticket of a pull request that creates a VM, so many minutes ago.
func (d *database) asks(number int, operation, system, namespace, instance, status, eventStatus string, minutes int) {
	d.Helper()
	path := vmFor(system, namespace, instance)
	event := uuid.NewString()
	d.exec(`insert into events (id, type, operation, subject, path, payload, requested_by, requested_by_login, pull_request, status, created_at)
values ($1, 'T', $2, 'vm', $3, '{"wanted": {"disks": [{"name": "data", "size": "10Gi"}]}}', 1, 'ada', $4, $5, now())`, event, operation, path, number, eventStatus)
	d.exec(`insert into tickets (id, pull_request, operation, path, subject, system, service, namespace, requester_id, requester_login, change_digest, status, created_at, updated_at, event_id, plan_id)
values ($1, $2, $3, $4, 'vm', $5::varchar, $5::varchar || '-web', $6, 1, 'ada', 'd', $7, now() - make_interval(mins => $8), now(), $9, $10)`,
		uuid.NewString(), number, operation, path, system, namespace, status, minutes, event, d.planned(path, false))
}

func amount(vms, cores int, memory, disk int64) policy.Amount {
	return policy.Amount{VMs: vms, Cores: cores, Memory: memory << 30, Disk: disk << 30}
}

// usageOf is what a judging of the pull request would know, were these the files.
func (d *database) usageOf(number int, paths ...string) map[string]policy.Amount {
	d.Helper()
	var files []judge.File
	for _, path := range paths {
		files = append(files, judge.File{Path: path})
	}
	got, _, _, err := lookUp(d.Context(), d.db, number, files, nil)
	d.ok(err)
	if got.Usage == nil {
		d.Error("the usage is not known")
	}
	return got.Usage
}

// What lives counts by its plan and its accepted disks, in its namespace and in its system, and nothing else does.
func TestUsageOfVMs(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.lives("shop", "prod-a", "01", "RUNNING", `{"disks": [{"name": "data", "size": "50Gi"}, {"name": "logs", "size": "5Gi"}]}`, false)
	d.lives("shop", "prod-a", "02", "STOPPED", `{"disks": null}`, true)
	d.lives("shop", "prod-b", "03", "CREATING", `{}`, false)
	d.lives("shop", "prod-a", "04", "DELETED", "", false)
	d.lives("shop", "prod-a", "05", "DELETING", "", false)
	d.lives("bank", "prod-a", "06", "RUNNING", `{}`, false)
	d.lives("bank", "prod-c", "07", "RUNNING", `{}`, false)
	want := map[string]policy.Amount{
		"namespace/prod-a": amount(4, 8, 16, 355), // 01, 02, 05, 06
		"system/shop":      amount(4, 8, 16, 355), // 01, 02, 03, 05
	}
	if diff := cmp.Diff(want, d.usageOf(7, vmFor("shop", "prod-a", "09"))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := d.usageOf(7, "systems/shop/system.yaml"); len(got) > 0 {
		t.Errorf("a change of no VM looked up %v", got)
	}
}

// New VMs of other pull requests count for those that come later, and not for those that were there first.
func TestUsageOfWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.asks(1, "CREATE_VM", "shop", "prod-a", "01", "PENDING_APPROVAL", "PENDING", 60)
	d.asks(2, "CREATE_VM", "shop", "prod-a", "02", "APPROVED", "PENDING", 50)
	d.asks(3, "CREATE_VM", "shop", "prod-a", "03", "CANCELLED", "CANCELLED", 40)
	d.asks(4, "CREATE_VM", "shop", "prod-a", "04", "APPROVED", "PROCESSING", 30) // merged: its VM counts
	d.asks(5, "MODIFY_VM", "shop", "prod-a", "05", "PENDING_APPROVAL", "PENDING", 20)
	d.exec(`insert into claims (id, pull_request, path, created_at) values ('vm:free', 6, 'p.yaml', now() - make_interval(mins => 55))`)
	for number, n := range map[int]int{1: 0, 2: 1, 6: 1, 7: 2, 0: 2} {
		want := map[string]policy.Amount{}
		if n > 0 {
			want["namespace/prod-a"] = amount(n, 2*n, int64(4*n), int64(110*n))
			want["system/shop"] = want["namespace/prod-a"]
		}
		if diff := cmp.Diff(want, d.usageOf(number, vmFor("shop", "prod-a", "09"))); diff != "" {
			t.Errorf("#%d: -want +got\n%s", number, diff)
		}
	}
}

// VMs that other pull requests are to change count by what they take more, where the change was asked for first;
// what they will take less is there until then.
func TestUsageOfWhatIsToGrow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size, disk, status, eventStatus string
		lives                           bool
		want                            policy.Amount // more
	}{
		"grows":             {`{"cores": 8, "memory": "8Gi"}`, "200Gi", "PENDING_APPROVAL", "PENDING", true, amount(0, 6, 4, 60)},
		"approved":          {`{"cores": 8, "memory": "8Gi"}`, "200Gi", "APPROVED", "PENDING", true, amount(0, 6, 4, 60)},
		"shrinks":           {`{"cores": 1, "memory": "2Gi"}`, "100Gi", "APPROVED", "PENDING", true, policy.Amount{}},
		"grows and shrinks": {`{"cores": 1, "memory": "8Gi"}`, "130Gi", "APPROVED", "PENDING", true, amount(0, 0, 4, 0)},
		"withdrawn":         {`{"cores": 8, "memory": "8Gi"}`, "200Gi", "CANCELLED", "CANCELLED", true, policy.Amount{}},
		"merged":            {`{"cores": 8, "memory": "8Gi"}`, "200Gi", "APPROVED", "PROCESSING", true, policy.Amount{}},
		"of a deleted VM":   {`{"cores": 8, "memory": "8Gi"}`, "200Gi", "APPROVED", "PENDING", false, policy.Amount{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			now, status := amount(1, 2, 4, 150), "RUNNING"
			if !tt.lives {
				now, status = policy.Amount{}, "DELETED"
			}
			d.lives("shop", "prod-a", "05", status, `{"disks": [{"name": "data", "size": "50Gi"}]}`, false)
			d.asks(5, "MODIFY_VM", "shop", "prod-a", "05", tt.status, tt.eventStatus, 20) // its data disk: 10Gi
			d.exec(`update tickets set plan_id = $1`, d.sized(vmFor("shop", "prod-a", "05"), tt.size, tt.disk, false))
			d.exec(`insert into claims (id, pull_request, path, created_at) values ('vm:early', 6, 'p.yaml', now() - make_interval(mins => 25))`)
			taken := policy.Amount{
				VMs: now.VMs, Cores: now.Cores + tt.want.Cores, Memory: now.Memory + tt.want.Memory, Disk: now.Disk + tt.want.Disk,
			}
			for number, amount := range map[int]policy.Amount{5: now, 6: now, 7: taken} {
				got := d.usageOf(number, vmFor("shop", "prod-a", "09"))
				if diff := cmp.Diff([]policy.Amount{amount, amount}, []policy.Amount{got["namespace/prod-a"], got["system/shop"]}); diff != "" {
					t.Errorf("#%d: -want +got\n%s", number, diff)
				}
			}
		})
	}
}

// The limits come from the accepted system.
func TestSystemLimits(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(`insert into accepted (id, kind, name, system, spec, document, commit, accepted_at)
values ('systems/shop/system.yaml', 'System', 'shop', 'shop', convert_to('{"description": "d", "limits": {"vms": 3, "disk": "1Ti"}}', 'UTF8'), '', 'c', now())`)
	got, _, _, err := lookUp(t.Context(), d.db, 7, []judge.File{{Path: vmFor("shop", "prod-a", "01")}}, nil)
	d.ok(err)
	three := 3
	if diff := cmp.Diff(map[string]*spec.Limits{"shop": {VMs: &three, Disk: "1Ti"}}, got.SystemLimits); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
