// Package deploy holds what installing Shepherd needs beside the program: a spec repository to start
// from, as files that the tests and the demo use too.
package deploy

import (
	"embed"
	"io/fs"
)

//go:embed all:spec-repository
var files embed.FS

// SpecRepository is the spec repository to start from.
func SpecRepository() fs.FS {
	sub, err := fs.Sub(files, "spec-repository")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return sub
}
