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
// Faults (lost, doubled, late and reordered deliveries, failing REST calls, a shifted clock) are switched on with
// [Server.SetDeliveryFaults], [Server.Fail] and [Server.SetClock]. [Server.Calls] has every REST request, so that
// tests can hold the product to a number of calls; [Server.Unhandled] has those this server does not know.
package forgetest
