package oracle

import "slices"

// Person is somebody at the forge, by login.
type Person string

// The people, each for what they may.
const (
	Alice Person = "alice" // the author; asks for machines
	Frank Person = "frank" // asks for machines, and approves everywhere
	Bob   Person = "bob"   // approves everywhere
	Erin  Person = "erin"  // approves in test
	Rita  Person = "rita"  // approves everywhere, while she is a member of a team
	Carol Person = "carol" // may only look
	Dave  Person = "dave"  // a platform administrator
	Adam  Person = "adam"  // another one
	Robot Person = "robot" // no person at all
)

// Kind is what is done to one governed file.
type Kind string

// The kinds of changes. A machine is switched from on to off or back.
const (
	CreateTest    Kind = "create a machine in test"
	CreateProd    Kind = "create a machine in prod"
	CreateService Kind = "create the service of the machines"
	SwitchTest    Kind = "switch a machine in test"
	SwitchProd    Kind = "switch a machine in prod"
	DeleteTest    Kind = "delete a machine in test"
	DeleteProd    Kind = "delete a machine in prod"
)

// Prod reports whether the change is one of prod.
func (k Kind) Prod() bool { return k == CreateProd || k == SwitchProd || k == DeleteProd }

// Writes reports whether the file can say different things, and not only one.
func (k Kind) Writes() bool { return k == CreateTest || k == CreateProd || k == CreateService }

// Machine reports whether it creates one.
func (k Kind) Machine() bool { return k == CreateTest || k == CreateProd }

// Deletes reports whether the change is a deletion, which is confirmed.
func (k Kind) Deletes() bool { return k == DeleteTest || k == DeleteProd }

// mayAsk reports whether somebody has the permission that a change takes.
func (s *State) mayAsk(p Person) bool { return slices.Contains([]Person{Alice, Frank, Dave, Adam}, p) }

// mayApprove reports whether somebody holds the approve permission for a change. A platform administrator passes
// every check of permission.
func (s *State) mayApprove(p Person, k Kind) bool {
	switch p {
	case Bob, Frank, Dave, Adam:
		return true
	case Erin:
		return !k.Prod()
	case Rita:
		return !s.left
	}
	return false
}

// required is how many approvals a change needs.
func (s *State) required(k Kind) int {
	switch k {
	case CreateService, SwitchTest:
		return 0
	}
	if k == CreateProd && s.setup.Strict {
		return 2
	}
	return 1
}
