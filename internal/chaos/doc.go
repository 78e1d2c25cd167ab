// Package chaos holds a run of Shepherd in which everything goes wrong to what must be true at its end.
//
// Check is the checker. It knows what the forge did and says (its webhooks in the order in which things
// happened, its git, its comments, checks and deployments) and what the clusters were given and hold. It
// knows nothing of Shepherd's database and shares no code with what it checks: the rules of approval are
// said here a second time, for the operations that the run uses, in a few plain functions (rules.go).
//
// What it finds is one of
//
//	lost           merged, approved, and not applied; or quarantined without a word; or a check that is missing
//	twice          one merged change applied more than once, or an object made anew
//	unapproved     applied, or shown as ready to merge, without a valid approval
//	otherwise      on a cluster is something else than what was merged
//	said twice     a comment, check, deployment or undo is there more than once
//
// The run itself is in the tests: TestChaos, short in `make test`, long in `make chaos`.
package chaos
