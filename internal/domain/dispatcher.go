package domain

import (
	"context"
	"fmt"
)

// The types of domain events.
const (
	SystemCreated            = "SYSTEM_CREATED"
	SystemModified           = "SYSTEM_MODIFIED"
	SystemDeletionRequested  = "SYSTEM_DELETION_REQUESTED"
	ServiceCreated           = "SERVICE_CREATED"
	ServiceModified          = "SERVICE_MODIFIED"
	ServiceDeletionRequested = "SERVICE_DELETION_REQUESTED"
	VMCreationRequested      = "VM_CREATION_REQUESTED"
	VMModifyRequested        = "VM_MODIFY_REQUESTED"
	VMDeletionRequested      = "VM_DELETION_REQUESTED"
	VMStartRequested         = "VM_START_REQUESTED"
	VMStopRequested          = "VM_STOP_REQUESTED"
	VMRestartRequested       = "VM_RESTART_REQUESTED"
	VNCAccessRequested       = "VNC_ACCESS_REQUESTED"
	PlatformChanged          = "PLATFORM_CHANGED"
)

// EventType names the domain event by what was asked for.
func EventType(o Operation) string {
	return map[Operation]string{
		CreateSystem: SystemCreated, ModifySystem: SystemModified, DeleteSystem: SystemDeletionRequested,
		CreateService: ServiceCreated, ModifyService: ServiceModified, DeleteService: ServiceDeletionRequested,
		CreateVM: VMCreationRequested, ModifyVM: VMModifyRequested, DeleteVM: VMDeletionRequested,
		StartVM: VMStartRequested, StopVM: VMStopRequested, RestartVM: VMRestartRequested,
		VNCAccess: VNCAccessRequested, ChangePlatform: PlatformChanged,
	}[o]
}

// Handler carries out one type of event, named by its id. It has to be able to run twice.
type Handler func(ctx context.Context, eventID string) error

// Dispatcher finds the handler of an event's type.
type Dispatcher struct{ handlers map[string]Handler }

// NewDispatcher needs a handler for every type that is ever queued.
func NewDispatcher(handlers map[string]Handler) *Dispatcher { return &Dispatcher{handlers} }

// UnknownEventError says that no handler carries out a type: an event from another version.
type UnknownEventError struct{ Type string }

func (e UnknownEventError) Error() string {
	return fmt.Sprintf("no handler for events of type %q", e.Type)
}

// Terminal says that trying again does not help.
func (UnknownEventError) Terminal() bool { return true }

// Dispatch runs the handler of the type.
func (d *Dispatcher) Dispatch(ctx context.Context, eventType, eventID string) error {
	h, ok := d.handlers[eventType]
	if !ok {
		return UnknownEventError{eventType}
	}
	return h(ctx, eventID)
}
