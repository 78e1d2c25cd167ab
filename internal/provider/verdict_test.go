package provider

import (
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	ready := Condition{"Ready", "True", "", ""}
	notReady := Condition{"Ready", "False", "VMINotExists", "VMI does not exist"}
	restart := Condition{"RestartRequired", "True", "", "a non-live-updatable field was changed"}
	vm := func(status, strategy string, conditions ...Condition) Observation {
		o := Observation{Exists: true, PrintableStatus: status, RunStrategy: strategy, Conditions: conditions}
		for _, c := range conditions {
			o.Ready = o.Ready || c == ready
			o.RestartRequired = o.RestartRequired || c == restart
		}
		return o
	}
	failing := vm("Stopped", "Always", notReady)
	failing.FailureMessage = "exceeded quota: vms"
	deleting := vm("Running", "Always", ready)
	deleting.Deleting = true
	unseen, seen := vm("Running", "Always", ready), vm("Running", "Always", ready)
	unseen.Generation, unseen.Seen, seen.Generation, seen.Seen = 3, 2, 3, 3
	long := StickyAfter + time.Second
	tests := []struct {
		name    string
		o       Observation
		running bool
		since   time.Duration
		want    Verdict
	}{
		{"absent", Observation{}, true, long, Verdict{StateUnknown, "the VM is not on the cluster"}},
		{"no status is not stopped", vm("", "Halted"), false, long, Verdict{StatePending, "KubeVirt has not reported yet"}},
		{"the CRD's default is not stopped", vm("Stopped", "Halted"), false, long, Verdict{StatePending, "KubeVirt has not reported yet"}},
		{"stopped as asked", vm("Stopped", "Halted", notReady), false, 0, Verdict{StateStopped, "the VM is stopped"}},
		{"not stopped yet", vm("Running", "Halted", ready), false, 0, Verdict{StatePending, "the VM has not stopped yet"}},
		{"stopping", vm("Stopping", "Halted", notReady), false, 0, Verdict{StatePending, "KubeVirt says Stopping: VMI does not exist"}},
		{"runs though stopped in git", vm("Running", "Always", ready), false, long,
			Verdict{StateRunning, "the VM was asked to stop and runs: its runStrategy is Always on the cluster"}},
		{"running", vm("Running", "Always", ready), true, 0, Verdict{StateRunning, "the VM is running"}},
		{"changed a moment ago", unseen, true, 0, Verdict{StatePending, "the VM runs, and KubeVirt has not looked at the change yet"}},
		{"changed, and never looked at", unseen, true, long, Verdict{StateRunning, "the VM is running"}},
		{"changed and looked at", seen, true, 0, Verdict{StateRunning, "the VM is running"}},
		{"migrating", vm("Migrating", "Always", ready), true, long, Verdict{StateRunning, "the VM is running"}},
		{"running, not ready", vm("Running", "Always", Condition{"Ready", "False", "", "probe fails"}), true, 0,
			Verdict{StatePending, "the VM runs and is not ready: probe fails"}},
		{"not started yet", vm("Stopped", "Always", notReady), true, 0, Verdict{StatePending, "the VM has not started yet"}},
		{"asked to run, halted on the cluster", vm("Stopped", "Halted", notReady), true, long,
			Verdict{StateStopped, "the VM was asked to run and is stopped: its runStrategy is Halted on the cluster"}},
		{"pending restart", vm("Running", "Always", ready, restart), true, long,
			Verdict{StateRestartRequired, "applied, pending restart: a non-live-updatable field was changed"}},
		{"stopped needs no restart", vm("Stopped", "Halted", notReady, restart), false, 0, Verdict{StateStopped, "the VM is stopped"}},
		{"starting", vm("Starting", "Always"), true, long, Verdict{StatePending, "KubeVirt says Starting"}},
		{"disk is filled", vm("Provisioning", "Always"), true, long, Verdict{StatePending, "KubeVirt says Provisioning"}},
		{"paused", vm("Paused", "Always"), true, long, Verdict{StatePending, "KubeVirt says Paused"}},
		{"no node, just now", vm("ErrorUnschedulable", "Always", Condition{"Ready", "False", "", "0/3 nodes"}), true, StickyAfter - 1,
			Verdict{StatePending, "ErrorUnschedulable: 0/3 nodes"}},
		{"no node, for long", vm("ErrorUnschedulable", "Always", Condition{"Ready", "False", "", "0/3 nodes"}), true, StickyAfter,
			Verdict{StateFailed, "ErrorUnschedulable: 0/3 nodes"}},
		{"disk failed", vm("DataVolumeError", "Halted"), false, long, Verdict{StateFailed, "DataVolumeError"}},
		{"claim missing", vm("ErrorPvcNotFound", "Always"), true, long, Verdict{StateFailed, "ErrorPvcNotFound"}},
		{"crashing", vm("CrashLoopBackOff", "Always"), true, long, Verdict{StateFailed, "CrashLoopBackOff"}},
		{"image", vm("ErrImagePull", "Always"), true, long, Verdict{StateFailed, "ErrImagePull"}},
		{"image, backing off", vm("ImagePullBackOff", "Always"), true, long, Verdict{StateFailed, "ImagePullBackOff"}},
		{"failure in KubeVirt's words, just now", failing, true, 0, Verdict{StatePending, "exceeded quota: vms"}},
		{"failure in KubeVirt's words", failing, true, long, Verdict{StateFailed, "exceeded quota: vms"}},
		{"going", deleting, true, long, Verdict{StatePending, "the VM is being deleted"}},
		{"KubeVirt does not know", vm("Unknown", "Always"), true, long, Verdict{StateUnknown, "KubeVirt says Unknown"}},
		{"a state of a later KubeVirt", vm("Hibernating", "Always"), true, long, Verdict{StateUnknown, "KubeVirt says Hibernating"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Judge(tt.o, tt.running, tt.since); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}
