// Package policy decides whether a change may be made, by whom, and who has to agree. It is a pure
// function from facts to a verdict tree: [Evaluate] takes what was looked up elsewhere and returns a
// [Verdict] in which every rule that was asked stands with its inputs, its outcome and its words.
// Everything that people read about permissions and approvals is rendered from that tree.
//
// Three questions are answered:
//
//   - may the author and every pusher do this? ([Bindings], built from role bindings, owners and the
//     server's administrators);
//   - how many approvals does it need, from whom, and how is it confirmed? ([Approvals]);
//   - does a CEL rule of the platform forbid it or warn of it? ([Compiler], [Set]).
//
// Unknown means no: an unknown person, environment, rule or fact denies, and the verdict says so.
package policy
