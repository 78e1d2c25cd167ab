// Package policies holds the policy that every Shepherd starts from: the approval matrix and the
// built-in rules, as the spec of a Policy document each. The cases folder shows what they decide; its
// files are run by the tests of internal/policy.
package policies

import "embed"

// Files holds the default policies, one YAML file each.
//
//go:embed *.yaml
var Files embed.FS
