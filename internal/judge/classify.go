package judge

import (
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// classify names the operation from the meaning of the change, not from git's words.
func classify(c *change) domain.Operation {
	added, removed := c.Accepted == nil, c.file.Head == nil
	pick := func(create, modify, remove domain.Operation) domain.Operation {
		switch {
		case removed:
			return remove
		case added:
			return create
		}
		return modify
	}
	switch c.Ref.Kind {
	case spec.KindSystem:
		return pick(domain.CreateSystem, domain.ModifySystem, domain.DeleteSystem)
	case spec.KindService:
		return pick(domain.CreateService, domain.ModifyService, domain.DeleteService)
	case spec.KindVirtualMachine:
		return pick(domain.CreateVM, modification(c.acceptedVM(), machine(c.doc)), domain.DeleteVM)
	case spec.KindConsoleAccess:
		return domain.VNCAccess
	}
	return domain.ChangePlatform
}

// modification tells a change of power from a change of anything else. Taking restartedAt out restarts
// nothing.
func modification(old, wanted *spec.VirtualMachine) domain.Operation {
	if old == nil || wanted == nil {
		return domain.ModifyVM
	}
	powered, restarted := *wanted, *wanted
	powered.Power, restarted.RestartedAt = old.Power, old.RestartedAt
	switch {
	case old.Power != wanted.Power && spec.Equal(powered, *old) && wanted.Power == spec.PowerRunning:
		return domain.StartVM
	case old.Power != wanted.Power && spec.Equal(powered, *old):
		return domain.StopVM
	case wanted.RestartedAt != "" && wanted.RestartedAt != old.RestartedAt && spec.Equal(restarted, *old):
		return domain.RestartVM
	}
	return domain.ModifyVM
}

// acceptedVM is the accepted spec of a VM; nil where there is none.
func (c *change) acceptedVM() *spec.VirtualMachine {
	vm, _ := c.accepted.(*spec.VirtualMachine)
	return vm
}

// machine is a VM as its canonical spec has it, so that nothing made from it depends on how the file
// is written; nil where the document is none.
func machine(doc *spec.Document) *spec.VirtualMachine {
	if doc == nil {
		return nil
	}
	decoded, _ := spec.Decode(doc.Ref.Kind, spec.Canonical(doc))
	vm, _ := decoded.(*spec.VirtualMachine)
	return vm
}
