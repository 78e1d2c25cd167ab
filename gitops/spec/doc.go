// Package spec is the format of the spec repository: which paths are governed and what identity each
// stands for, how a document is read strictly and with positions, when two documents mean the same,
// and what a platform/ folder as a whole says.
//
// The package is pure: bytes and names in, values and problems out. Whatever people may have written,
// no function panics, and each answers in bounded time; what is wrong comes back as domain.Problems
// that name the place and the way out. The rules that fields keep (required, enumerations, bounds,
// formats) are written once, as tags of the Go types; the reader and the JSON Schemas both use them.
//
// Read in this order: types.go and platform_types.go (what can be said), path.go (where), parse.go and
// decode.go (how it is read), rules.go (what fields keep), canonical.go (when two are equal),
// platform.go (the rules of a whole platform).
package spec
