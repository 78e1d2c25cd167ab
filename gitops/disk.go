package gitops

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// The mirror's folder is a bare repository that git can read, and a description that says it is ours
// to delete.
const (
	descriptionFile = "shepherd-mirror.json"
	refsFile        = "packed-refs"
	headFile        = "ref: refs/heads/main\n"
	configFile      = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
)

var errEmptyDir = errors.New("no mirror yet")

// description says what a folder mirrors. A mirror with another one cannot be used: other commits,
// or other files left out.
type description struct {
	URL     string `json:"url"`
	MaxBlob int64  `json:"maxBlob"`
}

func checkDescription(dir string, want description) error {
	raw, err := os.ReadFile(filepath.Join(dir, descriptionFile))
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return errEmptyDir
	}
	var have description
	if err := json.Unmarshal(raw, &have); err != nil {
		return fmt.Errorf("read %s: %w", descriptionFile, err)
	}
	if have.URL != want.URL || have.MaxBlob < want.MaxBlob {
		return fmt.Errorf("mirror of %s with files up to %d bytes", have.URL, have.MaxBlob)
	}
	return nil
}

// claimDir makes sure that the folder is a mirror or free to become one, and locks it.
func claimDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	ours := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == descriptionFile })
	if len(entries) > 0 && !ours {
		return nil, errors.New("the folder holds something else than a mirror")
	}
	return lockFile(filepath.Join(dir, descriptionFile))
}

// initDir empties the folder, of which the caller holds the lock, and lays out an empty repository.
// The description is written last: without it nothing is used.
func initDir(dir string, d description) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if err := os.Truncate(filepath.Join(dir, descriptionFile), 0); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == descriptionFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for _, sub := range []string{"objects/pack", "objects/info", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte(headFile), 0o600),
		os.WriteFile(filepath.Join(dir, "config"), []byte(configFile), 0o600),
		// In place, because the lock is on this very file.
		os.WriteFile(filepath.Join(dir, descriptionFile), append(raw, '\n'), 0o600))
}

// readRefs reads git's packed-refs file; there is none before the first fetch.
func readRefs(dir string) (map[string]plumbing.Hash, error) {
	tips := make(map[string]plumbing.Hash)
	raw, err := os.ReadFile(filepath.Join(dir, refsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return tips, nil
	}
	if err != nil {
		return nil, err
	}
	s := bufio.NewScanner(bytes.NewReader(raw))
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") || strings.HasPrefix(s.Text(), "^") {
			continue
		}
		id, name, _ := strings.Cut(s.Text(), " ")
		if !plumbing.IsHash(id) || checkRefName(name) != nil {
			return nil, fmt.Errorf("malformed line in %s", refsFile)
		}
		tips[name] = plumbing.NewHash(id)
	}
	return tips, s.Err()
}

// writeRefs replaces the file as a whole, so that a crash leaves the old one or the new one.
func writeRefs(dir string, tips map[string]plumbing.Hash) error {
	names := make([]string, 0, len(tips))
	for name := range tips {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString("# pack-refs with: sorted \n")
	for _, name := range names {
		fmt.Fprintf(&b, "%s %s\n", tips[name], name)
	}
	tmp := filepath.Join(dir, refsFile+".new")
	if err := os.WriteFile(tmp, b.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, refsFile))
}

// checkRefName accepts full reference names that are safe in a file of lines and in a request.
func checkRefName(name string) error {
	if !strings.HasPrefix(name, "refs/") || len(name) > 1024 || plumbing.ReferenceName(name).Validate() != nil {
		return fmt.Errorf("%.100q is not a full reference name", name)
	}
	return nil
}
