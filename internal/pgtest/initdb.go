package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kv-shepherd.io/shepherd/tools/artifact"
)

// superuser is the role that initdb creates.
const superuser = "postgres"

// initFlags make the data directory small (it is copied for each server) and its sort order the
// same everywhere. The password keeps the other users of the machine out.
var initFlags = []string{
	"--username=" + superuser, "--pwfile=password", "--auth=scram-sha-256",
	"--encoding=UTF8", "--locale=C", "--no-sync", "--wal-segsize=1",
	"--pgdata=data",
}

// initialise fills dir with data, a fresh data directory, and password, that of its superuser.
func (in *installation) initialise(ctx context.Context, dir string) error {
	cached, err := in.initialised(ctx)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(cached)); err != nil {
		return fmt.Errorf("copy data directory: %w", err)
	}
	// The server refuses a data directory that others may read.
	if err := os.Chmod(filepath.Join(dir, "data"), 0o700); err != nil {
		return fmt.Errorf("copy data directory: %w", err)
	}
	if err := os.Chmod(filepath.Join(dir, "password"), 0o600); err != nil {
		return fmt.Errorf("copy data directory: %w", err)
	}
	return in.own(dir)
}

// initialised returns a cached directory with the result of initdb, which takes seconds to make.
func (in *installation) initialised(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(in.bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask postgres for its version: %w", err)
	}
	sum := sha256.Sum256([]byte(string(out) + in.bin + strings.Join(initFlags, " ")))
	return artifact.Make(ctx, "postgres", hex.EncodeToString(sum[:6]), in.initdb)
}

// initdb runs in a directory that the server's account can reach and moves the result to dir,
// which may be in root's home.
func (in *installation) initdb(ctx context.Context, dir string) error {
	work, err := in.tempDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	password := make([]byte, 16)
	rand.Read(password)
	if err := os.WriteFile(filepath.Join(work, "password"), []byte(hex.EncodeToString(password)), 0o600); err != nil {
		return err
	}
	if err := in.own(work); err != nil {
		return err
	}
	cmd := in.command(work, filepath.Join(in.bin, "initdb"), initFlags...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return os.CopyFS(dir, os.DirFS(work))
}

// tempDir creates a directory that the server's account owns and can reach; one in the TMPDIR of
// root may be neither.
func (in *installation) tempDir() (string, error) {
	for _, parent := range artifact.Scratch() {
		dir, err := os.MkdirTemp(parent, "pgtest-")
		if err != nil {
			continue
		}
		if in.reaches(dir) {
			return dir, in.own(dir)
		}
		if err := os.Remove(dir); err != nil {
			return "", err
		}
	}
	return "", errors.New("no directory for temporary files that the account of the server can reach")
}
