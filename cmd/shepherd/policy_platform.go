package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

func countPolicies(files map[string][]byte) (n int) {
	for path := range files {
		if strings.HasPrefix(path, "platform/policies/") {
			n++
		}
	}
	return n
}

// repository is the checkout whose platform/ is tested; empty when there is none.
func (t *policyTest) repository() (string, error) {
	if t.platform != "" {
		dir := filepath.Clean(t.platform)
		if !isDir(filepath.Join(dir, "platform")) {
			dir = filepath.Dir(dir)
			if filepath.Base(t.platform) != "platform" || !isDir(t.platform) {
				return "", fmt.Errorf("there is no platform/ in %s", t.platform)
			}
		}
		return dir, nil
	}
	dir, err := filepath.Abs(t.dir)
	if err != nil {
		return "", fmt.Errorf("find the spec repository: %w", err)
	}
	for here := t.dir; ; here, dir = filepath.Join(here, ".."), filepath.Dir(dir) {
		if isDir(filepath.Join(dir, "platform")) {
			return here, nil
		}
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil || dir == filepath.Dir(dir) {
			return "", nil
		}
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readPlatform reads the governed files of a checkout's platform/.
func readPlatform(repository string) (files map[string][]byte, problems domain.Problems, err error) {
	root, err := os.OpenRoot(repository)
	if err != nil {
		return nil, nil, fmt.Errorf("open the checkout: %w", err)
	}
	defer func() { _ = root.Close() }() // read only
	files = map[string][]byte{}
	err = fs.WalkDir(root.FS(), "platform", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, governed, found := spec.ParsePath(path)
		if !governed {
			return nil
		}
		if found.Blocking() {
			problems = append(problems, found...)
			return nil
		}
		data, found := readGoverned(root, path, d)
		problems = append(problems, found...)
		if !found.Blocking() {
			files[path] = data
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the platform: %w", err)
	}
	return files, problems, nil
}
