package render

import (
	"errors"
	"fmt"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// runStrategyOf is Always or Halted: power belongs to git, and only these two never change by themselves.
func runStrategyOf(power spec.Power) (kubevirtv1.VirtualMachineRunStrategy, bool) {
	switch power {
	case spec.PowerRunning:
		return kubevirtv1.RunStrategyAlways, true
	case spec.PowerStopped:
		return kubevirtv1.RunStrategyHalted, true
	}
	return kubevirtv1.RunStrategyHalted, false
}

// WithPower returns the manifests of a VM with another power and everything else as it is, byte for byte.
// It fails on a power that there is none of, and where there is not exactly one VirtualMachine.
func WithPower(manifests []Manifest, power spec.Power) ([]Manifest, error) {
	strategy, known := runStrategyOf(power)
	if !known {
		return nil, fmt.Errorf("power is %q, neither running nor stopped", power)
	}
	out := make([]Manifest, 0, len(manifests))
	machines := 0
	for _, m := range manifests {
		if m.Kind == KindVirtualMachine {
			machines++
			object, err := m.object()
			if err != nil {
				return nil, err
			}
			vm, ok := object["spec"].(map[string]any)
			if !ok {
				return nil, errors.New("the VirtualMachine " + m.Name + " has no spec")
			}
			vm["runStrategy"] = string(strategy)
			if m, err = fromMap(object); err != nil {
				return nil, fmt.Errorf("write manifest %s %s: %w", m.Kind, m.Name, err)
			}
		}
		out = append(out, m)
	}
	if machines != 1 {
		return nil, fmt.Errorf("the objects hold %d VirtualMachines instead of one", machines)
	}
	return out, nil
}
