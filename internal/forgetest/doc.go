// Package forgetest is a stand-in for GitHub: a stateful HTTP server that the real go-github client, real git and
// the product's own webhook intake talk to. It is the forge of the integration tests and of the demo.
//
// One [Server] holds people, organisations, teams, repositories (real bare git repositories), pull requests,
// reviews, comments, checks, statuses, deployments, a GitHub App and webhooks. It answers
//
//   - the REST interface under /api/v3, as GitHub Enterprise Server does, with GitHub's status codes, error bodies,
//     pagination, ETags, rate limits and permission rules;
//   - git's smart HTTP protocol at /{owner}/{name}.git;
//   - signed webhooks, delivered from an ordered queue, listed and redelivered;
//   - plain pages for people at /{owner}/{name}/pull/{number}.
//
// State is in memory, guarded by one mutex; git objects are on disk. Every change goes through the same operations,
// whether it comes by REST, by git push or from the Go interface in which tests act as people:
//
//	srv, err := forgetest.New(forgetest.Options{Dir: dir})
//	err = srv.Listen("127.0.0.1:0")
//	repo := srv.Repository("acme", "vms")
//	alice, bob := srv.User("alice"), srv.User("bob")
//	repo.SetPermission(alice, "write")
//	_, err = alice.Commit(repo, "add-vm", "main", forgetest.Files{"vm.yaml": []byte("...")}, "add a VM")
//	pr, err := alice.OpenPull(repo, "add a VM", "add-vm", "main", "", false)
//	_, err = bob.Approve(pr)
//
// # Held to GitHub
//
// Tests start it with published.Start, which holds every answer, every accepted request and every webhook against what
// GitHub publishes about itself. What that cannot see, how things behave over time, follows the texts of GitHub's
// description: pages by cursor and by the repository's id, redirects from former names, deliveries that are forgotten
// after three days, a check suite that waits after "Re-run", the forms of the limits, tokens that are no fixed length.
//
// # Unlike GitHub
//
// Deliberately, since no test of the product needs it:
//
//   - Mergeability is known at once; GitHub says null at first. A closed or draft pull request is like any other in it.
//   - There are no assignees, milestones, locked conversations, auto-merge, rulesets beyond required checks and reviews,
//     code owners, environments, workflows, projects or packages, and so none of their webhooks; labels and reactions are
//     simple. Of the pull_request actions assigned, unassigned, milestoned, demilestoned, locked, unlocked and those of
//     auto-merge are never sent.
//   - A person's bare login is its noreply address; commits are not signed and not verified.
//   - Limits count requests only, not their cost in points or at the same time; callers without a token are refused
//     and not counted. GitHub may answer the hour's limit with 403 or 429: this server does so with 403, and with both
//     as a [Fault].
//   - Search, GraphQL, media types other than JSON, GitHub's HTML rendering and the older preview headers are missing.
//     Requests without a User-Agent are reported by the observer, not refused.
//   - Comparisons and commits are not paged by files: they have their first 300.
//   - A transferred repository, and one that was deleted, cannot be had; a renamed one can.
//   - Webhooks are sent as JSON, once, and wait 10 seconds; they are not throttled.
//
// Faults (lost, doubled, late and reordered deliveries, failing REST calls, a shifted clock) are switched on with
// [Server.SetDeliveryFaults], [Server.Fail] and [Server.SetClock]. [Server.Calls] has every REST request, so that
// tests can hold the product to a number of calls; [Server.Unhandled] has those this server does not know.
package forgetest
