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

// Supported reports whether this version carries the operation out. The others are judged up to
// their name and then refused with OperationUnsupported.
func (o Operation) Supported() bool {
	switch o {
	case CreateSystem, CreateService, CreateVM:
		return true
	}
	return false
}

// RecordOnly reports whether the operation completes in the merge transaction: nothing outside the
// database changes.
func (o Operation) RecordOnly() bool {
	switch o {
	case CreateSystem, ModifySystem, DeleteSystem, CreateService, ModifyService, DeleteService, ChangePlatform:
		return true
	}
	return false
}
