package provider

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirt "kubevirt.io/api/core/v1"
)

var (
	strategyField = []string{"spec", "runStrategy"}
	runningField  = []string{"spec", "running"} // what it was called before; KubeVirt refuses both at once
)

// settlePower decides about runStrategy: an operation about power sets it, any other keeps the
// cluster's. Leaving it out would not do: a field that its only owner stops sending is removed.
func (s *step) settlePower() {
	inGit, _, _ := unstructured.NestedString(s.want.Object, strategyField...)
	is := runStrategy(s.live)
	wanted := inGit
	if !s.target.Power && !s.target.Creating && is != "" {
		wanted = is
	}
	if wanted == "" {
		return
	}
	if said, ok, _ := unstructured.NestedBool(s.live.Object, runningField...); ok && !hasStrategy(s.live) {
		s.settleRunning(said, wanted)
		is = fmt.Sprintf("%s (running: %t)", is, said)
	} else {
		_ = unstructured.SetNestedField(s.body.Object, wanted, strategyField...)
	}
	if wanted != inGit {
		s.note("power drift: runStrategy is %s on the cluster and %s in git; kept", words(is), inGit)
	}
}

// settleRunning says a runStrategy to a VM that has the older field. Somebody else's field cannot be
// taken off by an apply, only be given a value; that makes it ours, and then it falls away.
func (s *step) settleRunning(is bool, strategy string) {
	owners := otherOwners(s.live, runningField)
	if owns(owned(s.live), runningField) && len(owners) == 0 {
		_ = unstructured.SetNestedField(s.body.Object, strategy, strategyField...)
		return
	}
	unstructured.RemoveNestedField(s.body.Object, strategyField...)
	wanted := strategy != string(kubevirt.RunStrategyHalted)
	if wanted != is || owns(owned(s.live), runningField) {
		_ = unstructured.SetNestedField(s.body.Object, wanted, runningField...)
	}
	if wanted != is {
		s.note("the cluster's VM has the older field running, set to %t for runStrategy %s", wanted, strategy)
	}
}

// runStrategy is a VM's runStrategy, also where it is said with the older field; "" for neither.
func runStrategy(vm *unstructured.Unstructured) string {
	if hasStrategy(vm) {
		strategy, _, _ := unstructured.NestedString(vm.Object, strategyField...)
		return strategy
	}
	running, ok, _ := unstructured.NestedBool(vm.Object, runningField...)
	switch {
	case !ok:
		return ""
	case running:
		return string(kubevirt.RunStrategyAlways)
	}
	return string(kubevirt.RunStrategyHalted)
}

func hasStrategy(vm *unstructured.Unstructured) bool {
	_, ok, _ := unstructured.NestedString(vm.Object, strategyField...)
	return ok
}
