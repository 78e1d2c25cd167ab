// Package bot is the journey of a request, a file a step:
//
//	intake.go        a webhook is verified, stored and queued; nothing else happens while the forge waits
//	                 intake_bounds.go says how much anybody can make it hold
//	route.go         a stored webhook becomes observations, and a wish to look at a pull request or the branch
//	hear.go          what people write is searched for commands, which are kept as first said
//	judge.go         a pull request is recomputed from the forge and from git, and submitted
//	world.go         what a judging has to know of the database and the platform; machines.go: of the machines
//	request.go       what people have chosen, confirmed and asked for lately
//	preview.go       clusters are asked, by dry-runs, what would be applied to them
//	people.go        who the author and the pushers are to the policy: their teams
//	contributors.go  who made each change, from pushes.go and commits
//	decide.go        reviews are weighed, for every ticket
//	veto.go          reviews that ask for changes stop them, until they are taken back or lifted
//	alike.go         a review of another head counts where that said the same
//	takeover.go      what another pull request only waits for goes to the one that was approved
//	tell.go          checks and the comment say what the database holds; plans are thereby published
//	deploy.go        what a merge brings to a cluster is announced as a deployment of the forge
//	view.go          what there is to say, gathered
//	effect.go        what is done at the forge is noted before and after; where nobody knows, it is looked for
//	invite.go        those who can decide are asked for a review, and reminded
//	answer.go        commands are carried out and answered: docket.go says which, planning.go is /plan, overtaken.go what comes late
//	close.go         a pull request that is closed, or was merged with another one, ends what it asked for
//	automatic.go     what nobody has to decide is merged by the bot
//	group.go         a merge queue is told whether what it is about to merge was approved
//	merge.go         the governed branch is followed in spans; gate.go: what was merged is held to what was approved
//	undo.go          quarantined content is offered to be taken back, and asked for again
//	sweep.go         pull requests that moved without a webhook's telling are found
//	redeliver.go     webhooks that the forge sent and that never came are fetched from it; what it has forgotten is read in comments
//	prune.go         webhooks that were acted on long ago are deleted
//	                 prune_effects.go: so are notes that nothing looks up any more
//	baseline.go      a commit is accepted as the start; recognise.go finds the machines that live already
//
// From a merge on, jobs carry events to internal/service, which applies plans to clusters; the bot
// only tells what became of them. What a comment asks for is read by bot/command, what people read is
// written by bot/comment, the words of a forge are bot/forge. Judging itself is internal/judge, the
// transactions are internal/governance/approval.
//
// Every step can run at any time and twice: webhooks are hints, git and the forge are the truth.
package bot
