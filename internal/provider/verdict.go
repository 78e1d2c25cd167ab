package provider

import (
	"fmt"
	"strings"
	"time"

	kubevirt "kubevirt.io/api/core/v1"
)

// StickyAfter is how long an error state is forgiven: while a VM starts, KubeVirt passes through some
// that end by themselves.
const StickyAfter = 2 * time.Minute

// State is how a VM is doing, measured by what was asked for.
type State string

// The states. StatePending and StateUnknown are to be looked at again.
const (
	StateRunning         State = "running"
	StateStopped         State = "stopped"
	StatePending         State = "pending"
	StateFailed          State = "failed"
	StateRestartRequired State = "restartRequired"
	StateUnknown         State = "unknown"
	// The states of a VM that was deleted: JudgeDeletion alone gives them.
	StateDeleting State = "deleting"
	StateGone     State = "gone"
	StatePresent  State = "present"
)

// Verdict is a State and a sentence for people, with KubeVirt's words where it said something.
type Verdict struct {
	State   State
	Message string
}

// errorStates are the printable statuses in which a VM does not get further by itself.
var errorStates = map[kubevirt.VirtualMachinePrintableStatus]bool{
	kubevirt.VirtualMachineStatusCrashLoopBackOff: true,
	kubevirt.VirtualMachineStatusUnschedulable:    true,
	kubevirt.VirtualMachineStatusErrImagePull:     true,
	kubevirt.VirtualMachineStatusImagePullBackOff: true,
	kubevirt.VirtualMachineStatusPvcNotFound:      true,
	kubevirt.VirtualMachineStatusDataVolumeError:  true,
}

// Judge says how a VM is doing. wantRunning is what git asks for; since is how long the VM has been
// seen like this (who keeps no track passes the time since it was applied), and decides when an error
// state is no longer forgiven. Judge is pure: the same observation gives the same verdict.
func Judge(o Observation, wantRunning bool, since time.Duration) Verdict {
	status := kubevirt.VirtualMachinePrintableStatus(o.PrintableStatus)
	switch {
	case !o.Exists:
		return Verdict{StateUnknown, "the VM is not on the cluster"}
	case o.Deleting:
		return Verdict{StatePending, "the VM is being deleted"}
	case o.PrintableStatus == "":
		return Verdict{StatePending, "KubeVirt has not reported yet"}
	case o.FailureMessage != "" || errorStates[status]:
		return o.judgeError(since)
	case o.Ready && wantRunning && o.Seen > 0 && o.Seen < o.Generation && since < StickyAfter:
		return Verdict{StatePending, "the VM runs, and KubeVirt has not looked at the change yet"}
	case o.RestartRequired && o.Ready && wantRunning:
		return Verdict{StateRestartRequired, o.say("applied, pending restart", kubevirt.VirtualMachineRestartRequired)}
	case wantRunning:
		return o.judgeRunning(status)
	}
	return o.judgeStopped(status)
}

// JudgeDeletion says how far the deletion of a VM is: StateGone, StateDeleting, which is to be looked
// at again, or StatePresent when the cluster was not asked. A VM under the name with another uid than
// the deleted one's is somebody else's, and ours is gone; without a uid any VM counts as ours.
func JudgeDeletion(o Observation, uid string) Verdict {
	switch {
	case !o.Exists:
		return Verdict{StateGone, "the VM is gone"}
	case uid != "" && o.UID != uid:
		return Verdict{StateGone, "the VM is gone, and another one has its name"}
	case o.Deleting && len(o.Finalizers) > 0:
		return Verdict{StateDeleting, "the VM is being deleted and waits for " + strings.Join(o.Finalizers, ", ")}
	case o.Deleting:
		return Verdict{StateDeleting, "the VM is being deleted"}
	}
	return Verdict{StatePresent, "the VM is still there, and its deletion was not asked for"}
}

func (o Observation) judgeError(since time.Duration) Verdict {
	message := o.FailureMessage
	if message == "" {
		message = o.say(o.PrintableStatus, kubevirt.VirtualMachineReady)
	}
	if since < StickyAfter {
		return Verdict{StatePending, message}
	}
	return Verdict{StateFailed, message}
}

func (o Observation) judgeRunning(status kubevirt.VirtualMachinePrintableStatus) Verdict {
	switch status {
	case kubevirt.VirtualMachineStatusRunning, kubevirt.VirtualMachineStatusMigrating:
		if o.Ready {
			return Verdict{StateRunning, "the VM is running"}
		}
		return Verdict{StatePending, o.say("the VM runs and is not ready", kubevirt.VirtualMachineReady)}
	case kubevirt.VirtualMachineStatusStopped:
		if o.reported() && o.RunStrategy == string(kubevirt.RunStrategyHalted) {
			return Verdict{StateStopped, "the VM was asked to run and is stopped: its runStrategy is Halted on the cluster"}
		}
		return Verdict{StatePending, "the VM has not started yet"}
	}
	return o.judgeOther(status)
}

func (o Observation) judgeStopped(status kubevirt.VirtualMachinePrintableStatus) Verdict {
	switch status {
	case kubevirt.VirtualMachineStatusStopped:
		if o.reported() {
			return Verdict{StateStopped, "the VM is stopped"}
		}
		return Verdict{StatePending, "KubeVirt has not reported yet"}
	case kubevirt.VirtualMachineStatusRunning, kubevirt.VirtualMachineStatusMigrating:
		if o.RunStrategy != "" && o.RunStrategy != string(kubevirt.RunStrategyHalted) {
			return Verdict{StateRunning, fmt.Sprintf("the VM was asked to stop and runs: its runStrategy is %s on the cluster", words(o.RunStrategy))}
		}
		return Verdict{StatePending, "the VM has not stopped yet"}
	}
	return o.judgeOther(status)
}

// judgeOther is about the states that are neither: on their way, or none that we know.
func (o Observation) judgeOther(status kubevirt.VirtualMachinePrintableStatus) Verdict {
	switch status {
	case kubevirt.VirtualMachineStatusProvisioning, kubevirt.VirtualMachineStatusStarting,
		kubevirt.VirtualMachineStatusStopping, kubevirt.VirtualMachineStatusTerminating,
		kubevirt.VirtualMachineStatusPaused, kubevirt.VirtualMachineStatusWaitingForVolumeBinding,
		kubevirt.VirtualMachineStatusWaitingForReceiver:
		return Verdict{StatePending, o.say("KubeVirt says "+o.PrintableStatus, kubevirt.VirtualMachineReady)}
	}
	return Verdict{StateUnknown, o.say("KubeVirt says "+words(o.PrintableStatus), kubevirt.VirtualMachineReady)}
}

// reported tells a status that KubeVirt wrote from the default of the CRD, which is Stopped too: the
// controller always writes conditions.
func (o Observation) reported() bool { return len(o.Conditions) > 0 }

// say adds a condition's message to a sentence.
func (o Observation) say(sentence string, kind kubevirt.VirtualMachineConditionType) string {
	if message := o.condition(kind).Message; message != "" {
		return sentence + ": " + message
	}
	return sentence
}
