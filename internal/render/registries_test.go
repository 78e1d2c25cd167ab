package render

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// TestAllowedFrom: a prefix ends where a part of the image's name does.
func TestAllowedFrom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		registries, image string
		want              bool
	}{
		{"", "anything/at:all", true},
		{"quay.io", "quay.io/acme/ubuntu:24.04", true},
		{"quay.io/", "quay.io/acme/ubuntu:24.04", true},
		{"quay.io", "quay.io.evil.example/acme/ubuntu", false},
		{"quay.io", "quay.io:8443/acme/ubuntu", false},
		{"quay.io", "quay.io", false},
		{"quay.io:8443", "quay.io:8443/acme/ubuntu", true},
		{"quay.io/acme", "quay.io/acme/ubuntu:24.04", true},
		{"quay.io/acme", "quay.io/acme-evil/ubuntu", false},
		{"quay.io/acme", "quay.io/other/ubuntu", false},
		{"quay.io/acme", "evil.example/quay.io/acme/ubuntu", false},
		{"quay.io/acme/ubuntu", "quay.io/acme/ubuntu:24.04", true},
		{"quay.io/acme/ubuntu", "quay.io/acme/ubuntu@sha256:00", true},
		{"quay.io/acme/ubuntu", "quay.io/acme/ubuntu@evil.example/x", false},
		{"quay.io/acme/ubuntu:24.04", "quay.io/acme/ubuntu:24.04", true},
		{"quay.io/acme/ubuntu:24.04", "quay.io/acme/ubuntu:24.041", false},
		{"docker.io/library", "ubuntu:24.04", false},
		{"a.example b.example/c", "b.example/c/d", true},
	} {
		if got := allowedFrom(c.image, strings.Fields(c.registries)); got != c.want {
			t.Errorf("%s from %q: %v, want %v", c.image, c.registries, got, c.want)
		}
	}
	if allowedFrom("quay.io/a", []string{""}) {
		t.Error("an empty name allows everything")
	}
}

// TestRegistries: whichever way an image gets into a VM.
func TestRegistries(t *testing.T) {
	t.Parallel()
	kernel := map[string]any{inDomain + "firmware.kernelBoot.container": map[string]any{"image": "evil.example/kernel:1", "kernelPath": "/k"}}
	for name, c := range map[string]struct {
		apply  func(*Input)
		origin Origin
		field  string
	}{
		"imported":            {func(in *Input) {}, OriginTemplate, "image.containerDisk.image"},
		"ephemeral":           {func(in *Input) { in.Template.Image.ContainerDisk.Ephemeral = true }, OriginTemplate, "image.containerDisk.image"},
		"a disk of a cluster": {func(in *Input) { in.Template.Image = spec.Image{PVC: &spec.ObjectRef{Namespace: "a", Name: "b"}} }, "", ""},
		"allowed":             {func(in *Input) { in.Registries = []string{"quay.io/acme", "quay.io/containerdisks"} }, "", ""},
		"a kernel": {func(in *Input) {
			in.Size.SpecOverrides, in.Registries = kernel, []string{"quay.io"}
		}, OriginRendered, inDomain + "firmware.kernelBoot.container.image"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := example()
			in.Registries = []string{"quay.io/acme"}
			c.apply(&in)
			_, problems := Render(in)
			if c.field == "" {
				if len(problems) > 0 {
					t.Errorf("problems:\n%s", list(problems))
				}
				return
			}
			if len(problems) != 1 || problems[0].Code != domain.PolicyDenied || problems[0].Origin != c.origin || problems[0].Field != c.field {
				t.Errorf("problems:\n%s", list(problems))
			}
		})
	}
}
