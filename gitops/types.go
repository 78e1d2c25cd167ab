package gitops

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// SHA is an object's id as forges write it: 40 lower-case hexadecimal digits.
type SHA string

// ParseSHA accepts exactly 40 hexadecimal digits, in either case.
func ParseSHA(s string) (SHA, error) {
	s = strings.ToLower(s)
	if !plumbing.IsHash(s) || len(s) != 40 {
		return "", fmt.Errorf("%.50q is not a commit id", s)
	}
	return SHA(s), nil
}

// Short is the first eight digits, for people.
func (s SHA) Short() string { return string(s[:min(8, len(s))]) }

// hash is the zero hash for what is no SHA: no object has it.
func (s SHA) hash() plumbing.Hash {
	if len(s) != 40 {
		return plumbing.ZeroHash
	}
	return plumbing.NewHash(string(s))
}

func fromHash(h plumbing.Hash) SHA { return SHA(h.String()) }

// Mode is what an entry of a tree is.
type Mode uint8

// The modes that git distinguishes. There is no zero mode.
const (
	Regular Mode = iota + 1
	Executable
	Symlink
	Submodule
	Directory
)

var modeNames = [...]string{"none", "regular", "executable", "symlink", "submodule", "directory"}

// String is the mode's English name.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "mode " + strconv.Itoa(int(m))
}

// IsFile reports whether the mode is that of a regular file, executable or not.
func (m Mode) IsFile() bool { return m == Regular || m == Executable }

func fromFileMode(m filemode.FileMode) Mode {
	switch m {
	case filemode.Dir:
		return Directory
	case filemode.Executable:
		return Executable
	case filemode.Symlink:
		return Symlink
	case filemode.Submodule:
		return Submodule
	default:
		return Regular
	}
}

// Blob is one side of a change: content by its id, and what it is. A submodule's id is a commit
// elsewhere.
type Blob struct {
	Hash SHA
	Mode Mode
}

// FileChange is a path at which two trees differ. Before is nil for an addition, After for a removal.
type FileChange struct {
	Path          string // as it is in git; it need not be UTF-8
	Before, After *Blob
}

// File is a path in a tree, with its content when it was asked for and is a regular file.
type File struct {
	Path string
	Blob
	Data []byte
}

// Person is how a commit names its author or committer: what the writer's own git was configured
// with, hence a claim and not an identity.
type Person struct {
	Name, Email string
	Time        time.Time
}

// Commit is a commit's content. Texts are valid UTF-8 without NUL, with U+FFFD in the place of what
// was not.
type Commit struct {
	SHA               SHA
	Tree              SHA
	Parents           []SHA
	Author, Committer Person
	Message           string
}

// Subject is the first line of the message.
func (c Commit) Subject() string {
	first, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return first
}

func fromCommit(c *object.Commit) Commit {
	parents := make([]SHA, len(c.ParentHashes))
	for i, p := range c.ParentHashes {
		parents[i] = fromHash(p)
	}
	return Commit{
		SHA: fromHash(c.Hash), Tree: fromHash(c.TreeHash), Parents: parents,
		Author: fromSignature(c.Author), Committer: fromSignature(c.Committer),
		Message: cleanText(c.Message),
	}
}

func fromSignature(s object.Signature) Person {
	return Person{Name: cleanText(s.Name), Email: cleanText(s.Email), Time: s.When}
}

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// BranchRef is the full name of a branch.
func BranchRef(branch string) string { return "refs/heads/" + branch }

// PullRef is the full name of a pull request's head, on GitHub and Gitea alike.
func PullRef(number int) string { return "refs/pull/" + strconv.Itoa(number) + "/head" }
