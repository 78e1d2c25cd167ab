package gitops

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// What can be wrong with a question, told apart with errors.Is.
var (
	// ErrNoCommit: the mirror does not have the commit. Fetch first.
	ErrNoCommit = errors.New("commit not in the mirror")
	// ErrNoRef: the server (Fetch) or the mirror (Branch, Ref) has no such reference.
	ErrNoRef = errors.New("no such reference")
	// ErrNotFound: the commit is there, and has nothing at this path.
	ErrNotFound = errors.New("no such file")
	// ErrDirectory: the path is a folder where a file is wanted.
	ErrDirectory = errors.New("is a directory")
	// ErrSymlink and ErrSubmodule: see LinkError.
	ErrSymlink   = errors.New("is a symbolic link")
	ErrSubmodule = errors.New("is a submodule")
	// ErrTooLarge: more bytes, files, commits or changes than the caller's or the mirror's limit.
	ErrTooLarge = errors.New("too large")
	// ErrMalformed: a tree or commit that cannot be read in exactly one way.
	ErrMalformed = errors.New("malformed git object")
	// ErrUnrelated: two commits without a common ancestor.
	ErrUnrelated = errors.New("unrelated histories")
	// ErrRewritten: a branch no longer contains the commit it once was at.
	ErrRewritten = errors.New("history was rewritten")
	// ErrUnauthorized: the server wants other credentials.
	ErrUnauthorized = errors.New("git server refused the credentials")
	// ErrDamaged: the mirror's files are damaged; the next Fetch replaces them.
	ErrDamaged = errors.New("damaged mirror")
	// ErrInUse: another process has the mirror's folder open.
	ErrInUse = errors.New("mirror is in use by another process")
	// ErrClosed: the mirror was closed.
	ErrClosed = errors.New("mirror is closed")
)

// LinkError says which component of a path is a symbolic link or a submodule. It is ErrSymlink or
// ErrSubmodule.
type LinkError struct {
	Path string // up to and with the component
	Mode Mode   // Symlink or Submodule
}

// Error implements error.
func (e *LinkError) Error() string { return fmt.Sprintf("%q %v", e.Path, e.Unwrap()) }

// Unwrap gives ErrSymlink or ErrSubmodule.
func (e *LinkError) Unwrap() error {
	if e.Mode == Submodule {
		return ErrSubmodule
	}
	return ErrSymlink
}

// RemoteError is an answer of the git server other than 200. It is ErrUnauthorized for 401 and 403.
// 404 means that the repository is not there or must not be seen.
type RemoteError struct {
	Status     int
	RetryAfter time.Duration // how long the server asked to wait, or 0
}

// Error implements error.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("git server answered %d %s", e.Status, http.StatusText(e.Status))
}

// Is reports that 401 and 403 are ErrUnauthorized.
func (e *RemoteError) Is(target error) bool {
	return target == ErrUnauthorized && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}
