package forgetest

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// store reads and writes the objects of one repository. Loose objects are read directly, which spares a process for
// each; what is packed is asked of git.
type store struct {
	dir string
	git *gitRunner

	mu      sync.Mutex
	commits map[string]*commit
}

func newStore(dir string, g *gitRunner) *store {
	return &store{dir: dir, git: g, commits: map[string]*commit{}}
}

var errNoObject = errors.New("no such object")

func (st *store) path(sha string) string { return filepath.Join(st.dir, "objects", sha[:2], sha[2:]) }

// read returns an object's kind and content, or errNoObject.
func (st *store) read(sha string) (kind string, data []byte, err error) {
	if !isSHA(sha) {
		return "", nil, errNoObject
	}
	f, err := os.Open(st.path(sha))
	if errors.Is(err, os.ErrNotExist) {
		return st.readPacked(sha)
	}
	if err != nil {
		return "", nil, fmt.Errorf("open object: %w", err)
	}
	defer f.Close()
	z, err := zlib.NewReader(f)
	if err != nil {
		return "", nil, fmt.Errorf("read object %s: %w", sha, err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		return "", nil, fmt.Errorf("read object %s: %w", sha, err)
	}
	head, data, _ := bytes.Cut(raw, []byte{0})
	kind, _, _ = strings.Cut(string(head), " ")
	return kind, data, nil
}

func (st *store) readPacked(sha string) (string, []byte, error) {
	packs, err := os.ReadDir(filepath.Join(st.dir, "objects", "pack"))
	if err != nil || len(packs) == 0 {
		return "", nil, errNoObject
	}
	kind, err := st.git.run(st.dir, nil, "cat-file", "-t", sha)
	if err != nil {
		return "", nil, errNoObject
	}
	k := strings.TrimSpace(string(kind))
	data, err := st.git.run(st.dir, nil, "cat-file", k, sha)
	if err != nil {
		return "", nil, fmt.Errorf("read packed object %s: %w", sha, err)
	}
	return k, data, nil
}

// write stores an object and returns its id.
func (st *store) write(kind string, data []byte) (string, error) {
	raw := append([]byte(fmt.Sprintf("%s %d\x00", kind, len(data))), data...)
	sum := sha1.Sum(raw)
	sha := hex.EncodeToString(sum[:])
	path := st.path(sha)
	if _, err := os.Stat(path); err == nil {
		return sha, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("store object: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new")
	if err != nil {
		return "", fmt.Errorf("store object: %w", err)
	}
	z := zlib.NewWriter(f)
	_, err = z.Write(raw)
	err = errors.Join(err, z.Close(), f.Close(), os.Chmod(f.Name(), 0o444), os.Rename(f.Name(), path))
	if err != nil {
		return "", fmt.Errorf("store object: %w", err)
	}
	return sha, nil
}

// treeEntry is one line of a tree. mode is written without leading zeros, as git stores it.
type treeEntry struct {
	mode string
	name string
	sha  string
}

func (e treeEntry) isTree() bool { return e.mode == "40000" }

// kind is the object type that goes with the mode.
func (e treeEntry) kind() string {
	switch e.mode {
	case "40000":
		return "tree"
	case "160000":
		return "commit"
	}
	return "blob"
}

// tree reads a tree's entries. The empty id stands for the empty tree.
func (st *store) tree(sha string) ([]treeEntry, error) {
	if sha == "" {
		return nil, nil
	}
	kind, data, err := st.read(sha)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", sha, err)
	}
	if kind != "tree" {
		return nil, fmt.Errorf("%s is a %s, not a tree", sha, kind)
	}
	var out []treeEntry
	for len(data) > 0 {
		head, rest, ok := bytes.Cut(data, []byte{0})
		if !ok || len(rest) < 20 {
			return nil, fmt.Errorf("tree %s is damaged", sha)
		}
		mode, name, _ := strings.Cut(string(head), " ")
		out = append(out, treeEntry{mode: mode, name: name, sha: hex.EncodeToString(rest[:20])})
		data = rest[20:]
	}
	return out, nil
}

func (st *store) writeTree(entries []treeEntry) (string, error) {
	key := func(e treeEntry) string {
		if e.isTree() {
			return e.name + "/"
		}
		return e.name
	}
	slices.SortFunc(entries, func(a, b treeEntry) int { return strings.Compare(key(a), key(b)) })
	var buf bytes.Buffer
	for _, e := range entries {
		id, err := hex.DecodeString(e.sha)
		if err != nil {
			return "", fmt.Errorf("tree entry %s: %w", e.name, err)
		}
		fmt.Fprintf(&buf, "%s %s\x00%s", e.mode, e.name, id)
	}
	return st.write("tree", buf.Bytes())
}

// lookup finds a path in a tree.
func (st *store) lookup(tree, path string) (treeEntry, bool, error) {
	entry := treeEntry{mode: "40000", sha: tree}
	if path == "" {
		return entry, true, nil
	}
	for part := range strings.SplitSeq(path, "/") {
		if !entry.isTree() {
			return treeEntry{}, false, nil
		}
		entries, err := st.tree(entry.sha)
		if err != nil {
			return treeEntry{}, false, err
		}
		i := slices.IndexFunc(entries, func(e treeEntry) bool { return e.name == part })
		if i < 0 {
			return treeEntry{}, false, nil
		}
		entry = entries[i]
	}
	return entry, true, nil
}

// pathEdit is a change of one path: another entry, or none when sha is empty.
type pathEdit struct {
	mode string
	sha  string
}

// edit applies changes by path to a tree and returns the new tree, "" if nothing is left.
func (st *store) edit(tree string, edits map[string]pathEdit) (string, error) {
	entries, err := st.tree(tree)
	if err != nil {
		return "", err
	}
	here, below := splitEdits(edits)
	for name, sub := range below {
		i := slices.IndexFunc(entries, func(e treeEntry) bool { return e.name == name && e.isTree() })
		old := ""
		if i >= 0 {
			old = entries[i].sha
		}
		sha, err := st.edit(old, sub)
		if err != nil {
			return "", err
		}
		here[name] = pathEdit{mode: "40000", sha: sha}
	}
	entries = slices.DeleteFunc(entries, func(e treeEntry) bool { _, changed := here[e.name]; return changed })
	for name, e := range here {
		if e.sha != "" {
			entries = append(entries, treeEntry{mode: e.mode, name: name, sha: e.sha})
		}
	}
	if len(entries) == 0 {
		return "", nil
	}
	return st.writeTree(entries)
}

func splitEdits(edits map[string]pathEdit) (here map[string]pathEdit, below map[string]map[string]pathEdit) {
	here, below = map[string]pathEdit{}, map[string]map[string]pathEdit{}
	for path, e := range edits {
		name, rest, deeper := strings.Cut(path, "/")
		if !deeper {
			here[name] = e
			continue
		}
		if below[name] == nil {
			below[name] = map[string]pathEdit{}
		}
		below[name][rest] = e
	}
	return here, below
}

// emptyTree writes and names the tree without entries.
func (st *store) emptyTree() (string, error) { return st.write("tree", nil) }
