package kubetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/tools/artifact"
)

// binaryName is the name of the artifact and of the file in it.
const binaryName = "controlplane"

// kubernetesVersion finds the version in the go.mod of tools/controlplane.
var kubernetesVersion = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)\s*$`)

// Build returns the path of the control plane's binary, compiling it when the cache does not hold one
// of these sources and this Go version. That takes minutes, and is said on standard error.
func Build(ctx context.Context) (path string, err error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	version, err := goVersion(ctx, source)
	if err != nil {
		return "", err
	}
	key, err := sourceKey(source, version)
	if err != nil {
		return "", fmt.Errorf("read the sources of the control plane: %w", err)
	}
	dir, err := artifact.Make(ctx, binaryName, key, func(ctx context.Context, dir string) error {
		return compile(ctx, source, filepath.Join(dir, binaryName))
	})
	return filepath.Join(dir, binaryName), err
}

// sourceDir finds tools/controlplane: beside this file, or above the working directory for a binary
// that was built elsewhere or without file names.
func sourceDir() (string, error) {
	var candidates []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		candidates = append(candidates, filepath.Dir(file))
	}
	if dir, err := os.Getwd(); err == nil {
		candidates = append(candidates, dir)
	}
	for _, dir := range candidates {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			source := filepath.Join(dir, "tools", "controlplane")
			if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
				return source, nil
			}
		}
	}
	return "", errors.New("the sources of the control plane are not here: run from a clone, or set SHEPHERD_TEST_KUBECONFIG")
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

// sourceKey returns a digest of everything that goes into the binary.
func sourceKey(dir, goVersion string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	files = append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	sum := sha256.New()
	fmt.Fprintln(sum, goVersion, runtime.GOOS, runtime.GOARCH)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, filepath.Base(name), len(text))
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

func compile(ctx context.Context, source, out string) error {
	flags, err := linkerFlags(source)
	if err != nil {
		return err
	}
	stop := announce(os.Stderr)
	defer stop()
	var output bytes.Buffer
	cmd := goCommand(ctx, source, "build", "-buildvcs=false", "-ldflags", flags, "-o", out, ".")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// linkerFlags sets the version that the server tells its clients; kubectl refuses one without.
func linkerFlags(source string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", err
	}
	m := kubernetesVersion.FindSubmatch(mod)
	if m == nil {
		return "", errors.New("go.mod does not name a version of k8s.io/kubernetes")
	}
	const variable = " -X k8s.io/component-base/version."
	return fmt.Sprintf("-s -w"+variable+"gitVersion=%s"+variable+"gitMajor=%s"+variable+"gitMinor=%s", m[1], m[2], m[3]), nil
}

// announce says what is going on, and again from time to time until stop is called.
func announce(w io.Writer) (stop func()) {
	start := time.Now()
	fmt.Fprintln(w, "building the test control plane, about 5 minutes the first time")
	ticker, done := time.NewTicker(30*time.Second), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(w, "still building the test control plane (%s)\n", time.Since(start).Round(time.Second))
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
