// Package schema holds the JSON Schemas of the spec repository's kinds, one file a kind. They are
// generated from the Go types of gitops/spec (go generate ./gitops/spec) and used through spec.Schema.
package schema

import "embed"

// Files are the schemas, named <Kind>.json.
//
//go:embed *.json
var Files embed.FS
