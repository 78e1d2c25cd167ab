// Package published holds what GitHub publishes about itself in a form that machines read, and holds the stand-in
// against it. It is for tests alone.
//
// [Start] runs a stand-in for a test; everything that this says and everything that it accepts goes through a
// [Watcher], which fails the test with the operation, the place in the JSON and what was wanted:
//
//   - answers: status, headers and body against GitHub's OpenAPI description, and no field that it does not describe
//     ([CheckAnswer]);
//   - requests that the stand-in accepted: query and body, which GitHub has to accept and to know as well;
//   - webhooks: headers and payload against GitHub's and Octokit's schemas ([CheckWebhook]).
//
// Two editions are asked, github.com and Enterprise Server, since the server has to work with both. What GitHub serves
// without describing it, and where its descriptions are wrong, is told in known.go and answer.go.
//
// [Events] has examples of every webhook. README.md says where the data comes from; `make generate-github` writes it
// anew, and has to when the stand-in gets a new route.
package published
