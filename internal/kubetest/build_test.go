package kubetest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSourceKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := program{sources: []string{"cmd"}}
	key := func(goVersion string) string {
		t.Helper()
		k, err := p.key(dir, goVersion)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("go.mod", "module x")
	write("go.sum", "")
	if err := os.MkdirAll(filepath.Join(dir, "cmd", "part"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("cmd/main.go", "package main")
	write("cmd/part/part.go", "package part")
	first := key("go1.26.0")
	if again := key("go1.26.0"); again != first {
		t.Errorf("the same sources have the keys %s and %s", first, again)
	}
	if other := key("go1.26.1"); other == first {
		t.Error("another Go version has the same key")
	}
	for _, name := range []string{"cmd/main.go", "cmd/part/part.go", "go.mod", "go.sum"} {
		before := key("go1.26.0")
		write(name, "changed "+name)
		if key("go1.26.0") == before {
			t.Errorf("the key does not depend on %s", name)
		}
	}
	before := key("go1.26.0")
	write("other.go", "package other")
	if key("go1.26.0") != before {
		t.Error("the key depends on what does not go in")
	}
}

func TestKubernetesFlags(t *testing.T) {
	t.Parallel()
	flags, err := kubernetesFlags([]byte("module x\n\nrequire (\n\tk8s.io/api v0.40.0\n\tk8s.io/kubernetes v1.40.3\n)\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"version.gitVersion=v1.40.3", "version.gitMajor=1 ", "version.gitMinor=40"} {
		if !strings.Contains(flags+" ", want) {
			t.Errorf("flags %q lack %q", flags, want)
		}
	}
	if flags, err := kubernetesFlags([]byte("module x\n")); err == nil {
		t.Errorf("without a version of Kubernetes the flags are %q", flags)
	}
}

func TestControlPlaneEndsOnSignal(t *testing.T) {
	t.Parallel()
	p := &controlPlane{dir: t.TempDir()}
	if _, err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.process.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v, want success", err)
	}
}

func TestControlPlaneReportsItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "etcd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &controlPlane{dir: dir}
	_, err := p.start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "start etcd") {
		t.Errorf("a control plane whose data cannot be written gave %v, want its own words", err)
	}
}
