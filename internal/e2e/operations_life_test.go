package e2e

import (
	"strings"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// The whole life of a machine in test, a pull request a step.
func TestLifeOfAMachine(t *testing.T) {
	t.Parallel()
	w := newPlant(t, (*world).expands)
	const name = "test-shop-shop-redis-01"
	path, class := vmPath("shop", "redis", "test-shop/01"), w.prefix
	const key = "sshKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKjGmzIp+bwGi5Nl7sqC6kLp5rQEkG7VXFSkfn7Ht4 alice]"

	files := machines("shop", "redis")
	files[path] = machine("size: small", "power: running", key)
	pr := w.decided("create", files)
	w.vm(name)
	w.boots(name)
	w.told(pr, "Applied and running", "✅ running", "How to reach what runs", "virtctl -n "+w.kubeNamespace("test")+" ssh --username USER vm/"+name, "an SSH key of the file")
	w.booked(pr, name, "CREATE_VM")
	w.booked(pr, "shop", "CREATE_SYSTEM")
	w.booked(pr, "shop/redis", "CREATE_SERVICE")
	if got := w.disks("test"); got != name+"-root 100Gi" {
		t.Errorf("disks %s", got)
	}

	// A larger size, which shows when the machine is started anew.
	pr = w.decided("larger", forgetest.Files{path: machine("size: medium", "power: running", key)})
	w.eventually("the memory", func() bool { return w.vm(name).Spec.Template.Spec.Domain.Memory.Guest.String() == "4Gi" })
	w.is(name, kubevirtv1.VirtualMachineStatusRunning, kubevirtv1.VirtualMachineCondition{
		Type: kubevirtv1.VirtualMachineRestartRequired, Status: "True", Message: "a non-live-updatable field was changed in the template spec"})
	w.told(pr, "Applied and running", "small → medium", "✅ changed, running", "pending restart: a non-live-updatable field was changed")
	w.booked(pr, name, "MODIFY_VM")

	// A data disk more, which then grows, and never shrinks.
	disk := func(size string) []byte {
		return machine("size: medium", "power: running", key, "disks: [{name: data, size: "+size+", storageClass: "+class+"}]")
	}
	pr = w.decided("disk", forgetest.Files{path: disk("10Gi")})
	w.eventually("the disk", func() bool { return strings.Contains(w.disks("test"), name+"-data 10Gi") })
	w.is(name, kubevirtv1.VirtualMachineStatusRunning)
	w.told(pr, "Applied and running")
	w.booked(pr, name, "MODIFY_VM")
	if n := len(w.vm(name).Spec.Template.Spec.Volumes); n != 3 {
		t.Errorf("%d volumes, want root, cloud-init and data", n)
	}
	w.bound("test", name+"-data", class, "10Gi")
	pr = w.decided("grown", forgetest.Files{path: disk("20Gi")})
	w.is(name, kubevirtv1.VirtualMachineStatusRunning)
	w.told(pr, "Applied and running", "the disk grows from 10Gi to 20Gi")
	w.booked(pr, name, "MODIFY_VM")
	if got := w.claimSize("test", name+"-data"); got != "20Gi" {
		t.Errorf("the claim is %s", got)
	}
	shrunk := w.ask("shrunk", forgetest.Files{path: disk("15Gi")})
	w.problem(shrunk, "DISK_SHRINK", path, 9)

	// Power: nobody approves it in test, and the bot merges it.
	stopped := w.replace(disk("20Gi"), "power: running", "power: stopped")
	pr = w.ask("stop", forgetest.Files{path: stopped})
	w.merged(pr)
	w.eventually("the order to stop", func() bool { return w.strategy(name) == kubevirtv1.RunStrategyHalted })
	w.halts(name)
	w.told(pr, "Stopped", "✅ stopped")
	w.booked(pr, name, "STOP_VM")
	w.status(name, "STOPPED")
	pr = w.ask("start", forgetest.Files{path: disk("20Gi")})
	w.merged(pr)
	w.eventually("the order to start", func() bool { return w.strategy(name) == kubevirtv1.RunStrategyAlways })
	w.boots(name)
	w.told(pr, "Started", "✅ running", "How to reach what runs")
	w.booked(pr, name, "START_VM")
	pr = w.ask("restart", forgetest.Files{path: append(disk("20Gi"), "  restartedAt: 2026-01-01T00:00:00Z\n"...)})
	w.merged(pr)
	w.eventually("the order to restart", func() bool { return len(w.vm(name).Status.StateChangeRequests) == 2 })
	w.halts(name)
	w.boots(name)
	w.told(pr, "Restarted", "✅ restarted")
	w.booked(pr, name, "RESTART_VM")

	w.diesInTest(name, path)
}

// diesInTest is the end: approved and confirmed, with its disks, and the index stays used.
func (w *plant) diesInTest(name, path string) {
	w.t.Helper()
	pr := w.ask("delete", forgetest.Files{path: nil})
	w.approve(w.Bob, pr)
	lines := w.toConfirm(pr)
	w.standing(pr, "action_required", "approved and not confirmed")
	w.obeys(w.Alice, pr, strings.Join(lines, "\n"))
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.told(pr, "Deleted", "✅ deleted")
	w.booked(pr, name, "DELETE_VM")
	w.absent(name)
	w.status(name, "DELETED")
	if got := w.disks("test"); got != "" {
		w.t.Errorf("disks are left: %s", got)
	}
	w.wantActs(name, "CREATE_VM COMPLETED/COMPLETED", "MODIFY_VM COMPLETED/COMPLETED", "MODIFY_VM COMPLETED/COMPLETED",
		"MODIFY_VM COMPLETED/COMPLETED", "STOP_VM COMPLETED/COMPLETED", "START_VM COMPLETED/COMPLETED",
		"RESTART_VM COMPLETED/COMPLETED", "DELETE_VM COMPLETED/COMPLETED")
	again := w.ask("again", forgetest.Files{path: machine("size: small", "power: running")})
	w.problem(again, "INDEX_TAKEN", path, 1)
	elsewhere := vmPath("shop", "redis", "prod-shop/01")
	w.problem(w.ask("elsewhere", forgetest.Files{elsewhere: machine("size: small", "power: running")}), "INDEX_TAKEN", elsewhere, 1)
}
