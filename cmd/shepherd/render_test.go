package main

import (
	"strings"
	"testing"
)

const machineFile = "systems/shop/redis/test-shop/01.yaml"

// The objects come out as kubectl would take them, with the keys of the system.
func TestRender(t *testing.T) {
	t.Parallel()
	dir := checkout(t, map[string]string{
		"systems/shop/system.yaml": system + "  sshKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKjGmzIp+bwGi5Nl7sqC6kLp5rQEkG7VXFSkfn7Ht4 alice]\n",
		machineFile:                vm,
	})
	out := shepherd(t.Context(), nil, "render", "--dir", dir, "--storage-class", "fast", machineFile).ok(t)
	for _, want := range []string{
		"kind: Secret\n", "kind: DataVolume\n", "kind: VirtualMachine\n", "name: test-shop-shop-redis-01\n", "storageClassName: fast\n", "runStrategy: Always\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n---\n"); n+1 != strings.Count("\n"+out, "\napiVersion: ") {
		t.Errorf("%d separators:\n%s", n, out)
	}
	if again := shepherd(t.Context(), nil, "render", "-C", dir, "--storage-class", "fast", "./"+machineFile).ok(t); again != out {
		t.Error("another text the second time")
	}
}

// What is wrong is said where it is, and nothing is printed.
func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, content, say string }{
		"no such file":   {"systems/shop/redis/test-shop/02.yaml", vm, "PATH_INVALID"},
		"size":           {machineFile, strings.Replace(vm, "medium", "medum", 1), machineFile + ":5: SIZE_UNKNOWN"},
		"template":       {machineFile, strings.Replace(vm, "ubuntu-24.04", "ubuntu", 1), "TEMPLATE_UNKNOWN"},
		"disk too large": {machineFile, vm + "  disk: 900Gi\n", machineFile + ":8: DISK_OUT_OF_RANGE"},
		"unknown field":  {machineFile, vm + "  diks: 90Gi\n", "UNKNOWN_FIELD"},
		"namespace":      {"systems/shop/redis/test-nowhere/01.yaml", vm, "NAMESPACE_UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := c.path
			if name == "no such file" {
				c.path = machineFile
			}
			out := shepherd(t.Context(), nil, "render", "-C", checkout(t, map[string]string{c.path: c.content}), ask)
			out.fails(t, c.say)
			if out.stdout != "" {
				t.Errorf("it prints:\n%s", out.stdout)
			}
		})
	}
	shepherd(t.Context(), nil, "render", "-C", "/nowhere/at/all", machineFile).fails(t, "open the checkout")
}
