package kubetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/tools/artifact"
)

// program is what is compiled into the cache from a module of its own below tools.
type program struct {
	name     string   // of the artifact and of the module's directory
	title    string   // what people are told
	packages []string // of the module; each becomes a file of its last element's name
	sources  []string // directories of the module, with all below, that go into them
	minutes  int      // to compile it on a small machine, the first time
	flags    func(mod []byte) (string, error)
}

var (
	controlPlaneProgram = program{
		name: "controlplane", title: "the test control plane", minutes: 5,
		packages: []string{"."}, sources: []string{"."}, flags: kubernetesFlags,
	}
	kubeVirtProgram = program{
		name: "kubevirt", title: "KubeVirt for tests", minutes: 3,
		packages: []string{"./stack", "./virt-controller"},
		sources:  []string{"stack", "virt-controller", "definitions", "stubs"},
		flags:    func([]byte) (string, error) { return "-s -w", nil },
	}
)

// kubernetesVersion finds the version in the go.mod of tools/controlplane.
var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)\s*$`)

// Build returns the path of the control plane's binary, compiling it when the cache does not hold one
// of these sources and this Go version. That takes minutes, and is said on standard error.
func Build(ctx context.Context) (path string, err error) {
	dir, err := controlPlaneProgram.build(ctx)
	return filepath.Join(dir, "controlplane"), err
}

// BuildKubeVirt returns the path of the binary that runs KubeVirt, compiling it, and what it needs
// beside it, as Build does.
func BuildKubeVirt(ctx context.Context) (path string, err error) {
	dir, err := kubeVirtProgram.build(ctx)
	return filepath.Join(dir, "stack"), err
}

// build returns the directory with the binaries.
func (p program) build(ctx context.Context) (dir string, err error) {
	source, err := sourceDir(p.name)
	if err != nil {
		return "", err
	}
	version, err := goVersion(ctx, source)
	if err != nil {
		return "", err
	}
	key, err := p.key(source, version)
	if err != nil {
		return "", fmt.Errorf("read the sources of %s: %w", p.title, err)
	}
	return artifact.Make(ctx, p.name, key, func(ctx context.Context, dir string) error {
		return p.compile(ctx, source, dir)
	})
}

// sourceDir finds a module below tools: from beside this file, or above the working directory for a
// binary that was built elsewhere or without file names.
func sourceDir(name string) (string, error) {
	var candidates []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		candidates = append(candidates, filepath.Dir(file))
	}
	if dir, err := os.Getwd(); err == nil {
		candidates = append(candidates, dir)
	}
	for _, dir := range candidates {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			source := filepath.Join(dir, "tools", name)
			if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
				return source, nil
			}
		}
	}
	return "", fmt.Errorf("tools/%s is not here: run from a clone, or set SHEPHERD_TEST_KUBECONFIG", name)
}

// goCommand prepares a go command in a module of its own, out of reach of a workspace and of flags
// that are meant for the main module.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	return cmd
}

func goVersion(ctx context.Context, dir string) (string, error) {
	out, err := goCommand(ctx, dir, "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// key returns a digest of everything that goes into the binaries.
func (p program) key(source, goVersion string) (string, error) {
	files := []string{"go.mod", "go.sum"}
	tree := os.DirFS(source)
	for _, dir := range p.sources {
		err := fs.WalkDir(tree, dir, func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && (path.Ext(name) == ".go" || path.Base(name) == "go.mod") {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	sum := sha256.New()
	fmt.Fprintln(sum, goVersion, runtime.GOOS, runtime.GOARCH)
	for _, name := range files {
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, name, len(text))
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// compile writes the binaries to a directory.
func (p program) compile(ctx context.Context, source, dir string) error {
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return err
	}
	flags, err := p.flags(mod)
	if err != nil {
		return err
	}
	stop := p.announce(os.Stderr)
	defer stop()
	args := []string{"build", "-buildvcs=false", "-ldflags", flags, "-o", dir + string(filepath.Separator)}
	cmd := goCommand(ctx, source, append(args, p.packages...)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// kubernetesFlags sets the version that the server tells its clients; kubectl refuses one without.
func kubernetesFlags(mod []byte) (string, error) {
	m := kubernetesVersion.FindSubmatch(mod)
	if m == nil {
		return "", errors.New("go.mod does not name a version of k8s.io/kubernetes")
	}
	const variable = " -X k8s.io/component-base/version."
	return fmt.Sprintf("-s -w"+variable+"gitVersion=%s"+variable+"gitMajor=%s"+variable+"gitMinor=%s", m[1], m[2], m[3]), nil
}

// announce says what is going on, and again from time to time until stop is called.
func (p program) announce(w io.Writer) (stop func()) {
	start := time.Now()
	fmt.Fprintf(w, "building %s, about %d minutes the first time\n", p.title, p.minutes)
	ticker, done := time.NewTicker(30*time.Second), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(w, "still building %s (%s)\n", p.title, time.Since(start).Round(time.Second))
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}
