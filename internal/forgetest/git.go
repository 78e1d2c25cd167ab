package forgetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// gitRunner runs the git binary, always with a fixed argument list and an environment of its own.
type gitRunner struct {
	bin     string
	backend string // git-http-backend
	env     []string
}

func newGitRunner(home string) (*gitRunner, error) {
	bin, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	out, err := exec.Command(bin, "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("ask git for its programs: %w", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return nil, fmt.Errorf("find git-http-backend: %w", err)
	}
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
	}
	return &gitRunner{bin: bin, backend: backend, env: env}, nil
}

// gitError is a git command that answered with a code other than 0.
type gitError struct {
	args []string
	code int
	out  []byte
	err  string
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: exit %d: %s", e.args[0], e.code, strings.TrimSpace(e.err))
}

func (g *gitRunner) run(dir string, stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command(g.bin, append([]string{"--git-dir=" + dir}, args...)...)
	cmd.Env = g.env
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return out.Bytes(), &gitError{args: args, code: exit.ExitCode(), out: out.Bytes(), err: errOut.String()}
		}
		return nil, fmt.Errorf("run git %s: %w", args[0], err)
	}
	return out.Bytes(), nil
}

// bareConfig keeps every object loose and in place, so that the store can read it without git, refuses pushes to
// the references that belong to the forge, and lets any commit be fetched by its id.
const bareConfig = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	logAllRefUpdates = false
[gc]
	auto = 0
[receive]
	autogc = false
	unpackLimit = 100000
	hideRefs = refs/pull
[fetch]
	unpackLimit = 100000
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[http]
	receivepack = true
[maintenance]
	auto = false
`

// initBare writes an empty bare repository. It needs no process.
func initBare(dir, branch string) error {
	for _, d := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return fmt.Errorf("make repository: %w", err)
		}
	}
	files := map[string]string{"HEAD": "ref: refs/heads/" + branch + "\n", "config": bareConfig}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("make repository: %w", err)
		}
	}
	return nil
}

// listRefs reads the references under heads and tags from disk.
func (g *gitRunner) listRefs(dir string) (map[string]string, error) {
	out, err := g.run(dir, nil, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
	if err != nil {
		return nil, fmt.Errorf("list references: %w", err)
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if sha, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			refs[name] = sha
		}
	}
	return refs, nil
}

// updateRef moves one reference, only if it still is where the caller thinks. Empty old: it must not exist. Empty
// new: delete it.
func (g *gitRunner) updateRef(dir, ref, oldSHA, newSHA string) error {
	var err error
	switch {
	case newSHA == "":
		_, err = g.run(dir, nil, "update-ref", "-d", ref, oldSHA)
	case oldSHA == "":
		_, err = g.run(dir, nil, "update-ref", ref, newSHA, zeroSHA)
	default:
		_, err = g.run(dir, nil, "update-ref", ref, newSHA, oldSHA)
	}
	if err != nil {
		return fmt.Errorf("move %s: %w", ref, err)
	}
	return nil
}

const zeroSHA = "0000000000000000000000000000000000000000"

func lines(out []byte) []string {
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool { return l == "" })
}

// mergeBase finds the best common ancestor, "" when there is none.
func (s *Server) mergeBase(r *repository, a, b string) (string, error) {
	if a == b {
		return a, nil
	}
	return remember(r, "merge-base "+a+" "+b, func() (string, error) {
		if r.store.leadsTo(b, a, 30) {
			return a, nil
		}
		out, err := s.git.run(r.dir, nil, "merge-base", a, b)
		var ge *gitError
		if errors.As(err, &ge) && ge.code == 1 {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("find merge base: %w", err)
		}
		return strings.TrimSpace(string(out)), nil
	})
}

// isAncestor tells whether old is reachable from new.
func (s *Server) isAncestor(r *repository, oldSHA, newSHA string) bool {
	base, err := s.mergeBase(r, oldSHA, newSHA)
	return err == nil && base == oldSHA
}

// commitsBetween lists the commits in head and not in base, oldest first.
func (s *Server) commitsBetween(r *repository, base, head string) ([]string, error) {
	return remember(r, "rev-list "+base+" "+head, func() ([]string, error) {
		if line, straight := r.store.straightLine(base, head, 60); straight {
			return line, nil
		}
		args := []string{"rev-list", "--topo-order", "--reverse", head}
		if base != "" {
			args = append(args, "^"+base)
		}
		out, err := s.git.run(r.dir, nil, args...)
		if err != nil {
			return nil, fmt.Errorf("list commits: %w", err)
		}
		return lines(out), nil
	})
}

// mergeTrees merges two commits and gives the tree. ok is false on conflict.
func (s *Server) mergeTrees(r *repository, ours, theirs string) (tree string, ok bool, err error) {
	key := "merge-tree " + ours + " " + theirs
	tree, err = remember(r, key, func() (string, error) {
		out, err := s.git.run(r.dir, nil, "merge-tree", "--write-tree", "--no-messages", ours, theirs)
		var ge *gitError
		if errors.As(err, &ge) && (ge.code == 1 || strings.Contains(ge.err, "unrelated histories")) {
			return "conflict", nil
		}
		if err != nil {
			return "", fmt.Errorf("merge trees: %w", err)
		}
		return strings.TrimSpace(string(out)), nil
	})
	return tree, err == nil && tree != "conflict", err
}

// resolve turns a branch, tag, full reference or commit id into a commit id; ok is false when there is none.
func (r *repository) resolve(ref string) (sha string, ok bool) {
	if ref == "" || ref == "HEAD" {
		ref = r.defaultBranch
	}
	for _, prefix := range []string{"", "refs/", "refs/heads/", "refs/tags/"} {
		if sha := r.refs[prefix+ref]; sha != "" {
			return sha, true
		}
	}
	if isSHA(ref) {
		if kind, _, err := r.store.read(ref); err == nil && kind == "commit" {
			return ref, true
		}
	}
	return "", false
}

func isSHA(s string) bool {
	if len(s) != 40 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}
