package service

import (
	"encoding/json"
	"errors"
	"fmt"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/render"
)

// asking is what an event asks for beyond the objects of its plan.
type asking struct {
	restarts bool
	retains  bool       // of a deletion: the disks stay
	power    spec.Power // what the VM was to do before; empty for a new one
}

// asked reads what an event asks for, from the spec that was accepted before and the one that was wanted:
// the approver's where one was planned.
func asked(e *ent.Event, t *ent.Ticket) (a asking, err error) {
	payload, err := approval.ParsePayload(e.Payload)
	if err != nil {
		return a, jobs.Never(err)
	}
	var before, wanted spec.VirtualMachine
	if err := read(payload.Accepted, &before); err != nil {
		return a, jobs.Never(fmt.Errorf("read the accepted spec of %s: %w", e.Subject, err))
	}
	op := domain.Operation(e.Operation)
	if op == domain.DeleteVM {
		if len(payload.Accepted) == 0 {
			return a, jobs.Never(unfit(e.Path, "what becomes of the disks of "+e.Subject+" is not recorded"))
		}
		a.retains = before.EffectiveDeletionPolicy() == spec.RetainDisks
		return a, nil
	}
	source := payload.Wanted
	if len(t.ModifiedSpec) > 0 {
		if source, err = json.Marshal(t.ModifiedSpec); err != nil {
			return a, jobs.Never(fmt.Errorf("read the planned spec of %s: %w", e.Subject, err))
		}
	}
	if err := read(source, &wanted); err != nil {
		return a, jobs.Never(fmt.Errorf("read the wanted spec of %s: %w", e.Subject, err))
	}
	a.power = before.Power
	moved := wanted.RestartedAt != "" && wanted.RestartedAt != before.RestartedAt
	a.restarts = op == domain.RestartVM || op == domain.ModifyVM && moved
	return a, nil
}

func read(data json.RawMessage, vm *spec.VirtualMachine) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, vm)
}

// powerOf is what the VirtualMachine among manifests says of its power.
func powerOf(ms []render.Manifest) (spec.Power, error) {
	for _, m := range ms {
		if m.Kind != render.KindVirtualMachine {
			continue
		}
		var vm struct {
			Spec struct {
				RunStrategy kubevirtv1.VirtualMachineRunStrategy `json:"runStrategy"`
			} `json:"spec"`
		}
		if err := json.Unmarshal(m.JSON, &vm); err != nil {
			return "", fmt.Errorf("the manifest of %s cannot be read", m.Name)
		}
		if vm.Spec.RunStrategy == kubevirtv1.RunStrategyHalted {
			return spec.PowerStopped, nil
		}
		return spec.PowerRunning, nil
	}
	return "", errors.New("there is no VirtualMachine among its objects")
}

// planned refuses a plan that is not one for the event's VM, or that holds nothing to apply.
func planned(w approval.Work) error {
	switch deletes := w.Event.Operation == string(domain.DeleteVM); {
	case w.Plan.Path != w.Event.Path:
		return invalid(w, fmt.Sprintf("the plan of %s is for %s", w.VM.Name, w.Plan.Path))
	case w.Plan.Cluster != w.VM.Cluster:
		return invalid(w, fmt.Sprintf("the plan of %s is for cluster %q, the VM belongs to %s", w.VM.Name, w.Plan.Cluster, w.VM.Cluster))
	case !deletes && len(w.Manifests) == 0:
		return invalid(w, fmt.Sprintf("the plan of %s holds nothing to apply", w.VM.Name))
	}
	for _, m := range w.Manifests {
		if m.Namespace != w.VM.KubernetesNamespace || m.Kind == render.KindVirtualMachine && m.Name != w.VM.Name {
			return invalid(w, fmt.Sprintf("the plan of %s is about %s %s/%s", w.VM.Name, m.Kind, m.Namespace, m.Name))
		}
	}
	return nil
}

// invalid ends an event whose plan cannot be carried out as it is stored.
func invalid(w approval.Work, why string) error { return jobs.Never(unfit(w.Event.Path, why)) }

func unfit(path, why string) domain.Problem {
	return domain.Problem{
		Code: domain.PlanInvalid, Severity: domain.Error, Path: path, Message: why, Hint: "ask whoever runs Shepherd",
	}
}

// stored makes an error about what the database holds one that no repetition changes; one of the database
// itself passes.
func stored(err error) error {
	var p domain.Problem
	if errors.As(err, &p) {
		return jobs.Never(err)
	}
	return err
}
