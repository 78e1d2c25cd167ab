// Package judge is the brain: from the platform in force, what was accepted, what a head asks for and
// what the world holds, it makes a report. It is pure; a judging can run as often as anybody likes and
// says the same of the same input.
//
// Read judge.go and classify.go (a file becomes a change), planned.go (an approver's choice takes its place),
// structure.go, vm.go, modify.go, power.go, remove.go, console.go and platform.go (what each kind of change has
// to hold), batch.go and moves.go (what all changes together have to hold), plan.go and suggest.go (what would be
// applied, and where), consult.go (what the policy says) and claims.go (who was first).
package judge
