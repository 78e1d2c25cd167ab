// Package artifact keeps what is expensive to make (a compiled control plane, an initialised
// database directory) outside the clone, so that it is made once for a machine and not once for a
// checkout. Every artifact is a directory named after what it is and a key that changes with
// whatever went into it; it appears whole or not at all, and a lock keeps two processes from
// making the same one.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// unusedFor is how long an artifact of an older key is kept after its last use.
const unusedFor = 7 * 24 * time.Hour

// Root returns the directory that holds the artifacts: SHEPHERD_CACHE where it is set, else
// .cache/shepherd in the home directory. It is not created.
func Root() (string, error) {
	if dir := os.Getenv("SHEPHERD_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory (or set SHEPHERD_CACHE): %w", err)
	}
	return filepath.Join(home, ".cache", "shepherd"), nil
}

// Make returns the directory of the artifact name with key. When there is none yet, build is
// called with an empty directory to fill, which takes its place when build returns nil. Other
// processes that ask for an artifact of this name wait until it is there, or ctx is done.
func Make(ctx context.Context, name, key string, build func(ctx context.Context, dir string) error) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name+"-"+key)
	if used(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", fmt.Errorf("create the cache directory: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(root, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(dir) {
		return dir, nil
	}
	if err := fill(ctx, dir, build); err != nil {
		return "", fmt.Errorf("make %s: %w", name, err)
	}
	return dir, prune(root, name)
}

// used reports whether dir exists, and notes that it is in use.
func used(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

func fill(ctx context.Context, dir string, build func(ctx context.Context, dir string) error) error {
	draft := dir + ".draft"
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return err
	}
	if err := build(ctx, draft); err != nil {
		return errors.Join(err, os.RemoveAll(draft))
	}
	return os.Rename(draft, dir)
}

// prune removes the artifacts of a name that nobody has used for a while; without it every change
// of a tool would leave its old binary behind for good.
func prune(root, name string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), name+"-") {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if time.Since(info.ModTime()) < unusedFor {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// lock takes an exclusive lock on a file. The kernel releases it when the process ends, however it
// ends, so a lock is never left behind.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for %s: %w", path, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
