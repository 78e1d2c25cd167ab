package domain

// Environment is the one isolation boundary: a namespace and a cluster belong to exactly one.
type Environment string

// The two environments. The empty Environment is that of things that have none: systems, services,
// the platform.
const (
	Test Environment = "test"
	Prod Environment = "prod"
)

// Operation is what a change does to a governed thing.
type Operation string

// The operations of the approval matrix.
const (
	CreateSystem   Operation = "CREATE_SYSTEM"
	ModifySystem   Operation = "MODIFY_SYSTEM"
	DeleteSystem   Operation = "DELETE_SYSTEM"
	CreateService  Operation = "CREATE_SERVICE"
	ModifyService  Operation = "MODIFY_SERVICE"
	DeleteService  Operation = "DELETE_SERVICE"
	CreateVM       Operation = "CREATE_VM"
	ModifyVM       Operation = "MODIFY_VM"
	DeleteVM       Operation = "DELETE_VM"
	StartVM        Operation = "START_VM"
	StopVM         Operation = "STOP_VM"
	RestartVM      Operation = "RESTART_VM"
	VNCAccess      Operation = "VNC_ACCESS"
	ChangePlatform Operation = "CHANGE_PLATFORM"
)

// Operations lists them all, in the order of the matrix.
func Operations() []Operation {
	return []Operation{
		CreateSystem, ModifySystem, DeleteSystem, CreateService, ModifyService, DeleteService,
		CreateVM, ModifyVM, DeleteVM, StartVM, StopVM, RestartVM, VNCAccess, ChangePlatform,
	}
}

// OnCluster reports whether the operation is about a virtual machine on a cluster: it has a plan, and a
// worker carries it out.
func (o Operation) OnCluster() bool {
	switch o {
	case CreateVM, ModifyVM, DeleteVM, StartVM, StopVM, RestartVM:
		return true
	}
	return false
}

// Power reports whether the operation is about nothing but whether a virtual machine runs.
func (o Operation) Power() bool { return o == StartVM || o == StopVM || o == RestartVM }

// Removes reports whether the operation ends what its path stands for.
func (o Operation) Removes() bool { return o == DeleteVM || o == DeleteService || o == DeleteSystem }

// RecordOnly reports whether the operation completes in the merge transaction: nothing outside the
// database changes, and nothing has to be waited for. A service or system goes after what it holds.
func (o Operation) RecordOnly() bool { return !o.OnCluster() && !o.Removes() }
