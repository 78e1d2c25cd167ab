package policy

import "kv-shepherd.io/shepherd/internal/domain"

// Permission is the right to do one kind of thing.
type Permission string

// The permissions. There are no wildcards: a role holds exactly what the table lists.
const (
	SystemRead      Permission = "system:read"
	SystemCreate    Permission = "system:create"
	SystemWrite     Permission = "system:write"
	SystemDelete    Permission = "system:delete"
	ServiceRead     Permission = "service:read"
	ServiceCreate   Permission = "service:create"
	ServiceWrite    Permission = "service:write"
	ServiceDelete   Permission = "service:delete"
	VMRead          Permission = "vm:read"
	VMCreate        Permission = "vm:create"
	VMOperate       Permission = "vm:operate"
	VMDelete        Permission = "vm:delete"
	VNCAccess       Permission = "vnc:access"
	ApprovalApprove Permission = "approval:approve"
	PlatformAdmin   Permission = "platform:admin"
)

// reach says where a binding has to hold for its role to give a permission.
type reach int

const (
	onSystem      reach = iota + 1 // on the system; systems and services have no environment
	inEnvironment                  // on the system and in the environment, which must be known
	whereAsked                     // on the system, and in the environment if the question names one
	anywhere                       // any binding at all gives it: what every member may do
	platformWide                   // a global binding, whatever the environment
)

// reaches lists every permission; one that is missing here is granted to nobody.
var reaches = map[Permission]reach{
	SystemRead:      onSystem,
	SystemCreate:    anywhere,
	SystemWrite:     onSystem,
	SystemDelete:    onSystem,
	ServiceRead:     onSystem,
	ServiceCreate:   onSystem,
	ServiceWrite:    onSystem,
	ServiceDelete:   onSystem,
	VMRead:          inEnvironment,
	VMCreate:        inEnvironment,
	VMOperate:       inEnvironment,
	VMDelete:        inEnvironment,
	VNCAccess:       inEnvironment,
	ApprovalApprove: whereAsked,
	PlatformAdmin:   platformWide,
}

// Role is a named set of permissions.
type Role string

// The roles.
const (
	RolePlatformAdmin Role = "platform-admin"
	RoleSystemAdmin   Role = "system-admin"
	RoleApprover      Role = "approver"
	RoleOperator      Role = "operator"
	RoleViewer        Role = "viewer"
)

// Roles lists them all, the widest first.
func Roles() []Role {
	return []Role{RolePlatformAdmin, RoleSystemAdmin, RoleApprover, RoleOperator, RoleViewer}
}

// rolePermissions is the table of roles. platform:admin passes every permission and scope check; that
// is the only thing it does, and it is not spelled out as a longer list.
var rolePermissions = map[Role][]Permission{
	RolePlatformAdmin: {PlatformAdmin},
	RoleSystemAdmin: {
		SystemRead, SystemCreate, SystemWrite, SystemDelete,
		ServiceRead, ServiceCreate, ServiceWrite, ServiceDelete,
		VMRead, VMCreate, VMOperate, VMDelete, VNCAccess,
	},
	RoleApprover: {SystemRead, SystemCreate, ServiceRead, VMRead, ApprovalApprove},
	RoleOperator: {SystemRead, SystemCreate, ServiceRead, VMRead, VMCreate, VMOperate, VNCAccess},
	RoleViewer:   {SystemRead, SystemCreate, ServiceRead, VMRead},
}

// Permissions returns what the role holds; nil for an unknown role.
func (r Role) Permissions() []Permission {
	return append([]Permission(nil), rolePermissions[r]...)
}

// Known reports whether the role is one of [Roles].
func (r Role) Known() bool { return rolePermissions[r] != nil }

// has reports whether the role gives the permission, platform:admin giving every known one.
func (r Role) has(perm Permission) bool {
	for _, p := range rolePermissions[r] {
		if p == perm || p == PlatformAdmin && reaches[perm] != 0 {
			return true
		}
	}
	return false
}

// operationPermissions is what an author and every pusher need for an operation.
var operationPermissions = map[domain.Operation]Permission{
	domain.CreateSystem:   SystemCreate,
	domain.ModifySystem:   SystemWrite,
	domain.DeleteSystem:   SystemDelete,
	domain.CreateService:  ServiceCreate,
	domain.ModifyService:  ServiceWrite,
	domain.DeleteService:  ServiceDelete,
	domain.CreateVM:       VMCreate,
	domain.ModifyVM:       VMCreate,
	domain.DeleteVM:       VMDelete,
	domain.StartVM:        VMOperate,
	domain.StopVM:         VMOperate,
	domain.RestartVM:      VMOperate,
	domain.VNCAccess:      VNCAccess,
	domain.ChangePlatform: PlatformAdmin,
}

// Needs returns the permission that an operation needs; ok is false for an unknown operation, which
// nobody may do.
func Needs(op domain.Operation) (perm Permission, ok bool) {
	perm, ok = operationPermissions[op]
	return perm, ok
}

// ApprovalNeeds returns the permission that somebody who approves the operation needs.
func ApprovalNeeds(op domain.Operation) Permission {
	if op == domain.ChangePlatform {
		return PlatformAdmin
	}
	return ApprovalApprove
}

// hasEnvironment reports whether the operation is done to something that lives in an environment.
func hasEnvironment(op domain.Operation) bool {
	return reaches[operationPermissions[op]] == inEnvironment
}

func knownEnvironment(e domain.Environment) bool { return e == domain.Test || e == domain.Prod }
