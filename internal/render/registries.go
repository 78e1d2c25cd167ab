package render

import (
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// CheckImage refuses a template's image that comes from none of the registries; without any, all are allowed.
func CheckImage(image spec.Image, registries []string) Problems {
	var problems Problems
	if disk := image.ContainerDisk; disk != nil && !allowedFrom(disk.Image, registries) {
		problems.add(domain.PolicyDenied, OriginTemplate, "image.containerDisk.image", "%s", notAllowed(disk.Image, registries))
	}
	return problems
}

func (r *renderer) checkRegistry(disk *spec.ContainerDisk) {
	r.problems = append(r.problems, CheckImage(spec.Image{ContainerDisk: disk}, r.in.Registries)...)
}

func notAllowed(image string, registries []string) string {
	return "the image " + image + " comes from none of the registries that the server's configuration allows: " + strings.Join(registries, ", ")
}

// allowedFrom reports whether an image is of one of the registries. Each is a registry, a path in one, or an image.
// A name without a registry is that of whichever one a node looks in, and matches only as it is written.
func allowedFrom(image string, registries []string) bool {
	return len(registries) == 0 || slices.ContainsFunc(registries, func(of string) bool {
		of = strings.TrimSuffix(of, "/")
		rest, found := strings.CutPrefix(image, of)
		switch {
		case !found || of == "":
			return false
		case strings.HasPrefix(rest, "/"):
			return true
		}
		// Behind a registry's own name stands a port, and with it another registry.
		return strings.Contains(of, "/") && (rest == "" || strings.ContainsAny(rest[:1], ":@") && !strings.Contains(rest, "/"))
	})
}
