// Package judge is the brain: from the platform in force, what was accepted, what a head asks for and
// what the world holds, it makes a report. It is pure; a judging can run as often as anybody likes and
// says the same of the same input.
//
// Read judge.go (a file becomes a change), structure.go and vm.go (what each kind of change has to
// hold), batch.go (what all changes together have to hold), plan.go and suggest.go (what would be
// applied, and where).
package judge
