package pgtest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// errNotInstalled tells what to do on a machine without PostgreSQL.
var errNotInstalled = errors.New("no PostgreSQL found: run `make postgres` to install it, or set DATABASE_URL to a server on which databases may be created")

// folders are where distributions keep the server's programs, which are rarely on the PATH.
var folders = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // RPM packages
	"/opt/homebrew/opt/postgresql@*/bin", // macOS
	"/usr/local/opt/postgresql@*/bin",    // macOS on Intel
	"/usr/libexec/postgresql*",           // Alpine
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// installation is a PostgreSQL on this machine and the account to run it under.
type installation struct {
	bin string
	// account is nil for the account of this process. It is set for root, under which PostgreSQL
	// refuses to run.
	account *syscall.Credential
}

// findInstallation prefers the PATH, then the newest version.
func findInstallation() (*installation, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	return &installation{bin: bin, account: account}, nil
}

// Binaries returns the directory of the PostgreSQL that servers are started from. The error, when there
// is none, says what to do.
func Binaries() (dir string, err error) {
	candidates := filepath.SplitList(os.Getenv("PATH"))
	var found []string
	for _, pattern := range folders {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for PostgreSQL: %w", err)
		}
		found = append(found, matches...)
	}
	slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	for _, dir := range append(candidates, found...) {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return filepath.Abs(dir)
		}
	}
	return "", errNotInstalled
}

// version returns the first number in a path, 0 when there is none.
func version(path string) float64 {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	for _, d := range digits {
		if n, err := strconv.ParseFloat(d, 64); err == nil {
			return n
		}
	}
	return 0
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// serverAccount returns the account that the server has to run under, nil for our own.
func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("read account %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no account postgres or nobody to run it under")
}

// command prepares a program of the installation to run in dir under the server's account, with an
// environment that does not reach it from outside (PGDATA, PGPORT, a locale).
func (in *installation) command(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + in.bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if lib := os.Getenv("LD_LIBRARY_PATH"); lib != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+lib)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: in.account}
	return cmd
}

// own hands a directory and what is in it to the server's account.
func (in *installation) own(dir string) error {
	if in.account == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(in.account.Uid), int(in.account.Gid))
	})
}

// reaches reports whether the server's account may enter every folder on the way to dir.
func (in *installation) reaches(dir string) bool {
	if in.account == nil {
		return true
	}
	for d := filepath.Dir(dir); ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return false
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		mine := ok && st.Uid == in.account.Uid && info.Mode().Perm()&0o100 != 0
		if !mine && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}
