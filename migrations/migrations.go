// Package migrations holds the versioned schema: goose files (up and down in one), made by Atlas's
// engine from the ent schema (go run ./migrations/generate NAME) or written by hand where the
// database itself has to refuse something, and Atlas's checksum of the folder.
package migrations

import "embed"

// Files are the migrations in goose's format, with atlas.sum beside them.
//
//go:embed *.sql atlas.sum
var Files embed.FS
