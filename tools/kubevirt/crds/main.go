// Command crds writes the custom resource definitions that Shepherd meets, one in a file.
//
//	crds -out DIR
//
// The file VERSION in DIR says of which versions they are.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/tools/kubevirt/definitions"
)

// modules are those whose versions identify the definitions.
var modules = []string{"kubevirt.io/kubevirt", "kubevirt.io/containerized-data-importer"}

func main() {
	out := flag.String("out", "", "directory to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "crds:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	if out == "" {
		return errors.New("-out is missing")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	crds, err := definitions.Met()
	if err != nil {
		return err
	}
	for _, crd := range crds {
		if err := write(out, crd); err != nil {
			return fmt.Errorf("write %s: %w", crd.Name, err)
		}
	}
	return writeVersions(out)
}

func write(out string, crd *extv1.CustomResourceDefinition) error {
	text, err := marshal(crd)
	if err != nil {
		return err
	}
	name := strings.ToLower(crd.Spec.Names.Kind) + ".yaml"
	return os.WriteFile(filepath.Join(out, name), text, 0o644)
}

// marshal leaves out the status and the creation time: both are the server's to write, but the Go
// types always print them.
func marshal(crd *extv1.CustomResourceDefinition) ([]byte, error) {
	text, err := yaml.Marshal(crd)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return yaml.Marshal(fields)
}

// writeVersions notes the versions of the modules that the definitions come from.
func writeVersions(out string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the program does not know its modules")
	}
	var text bytes.Buffer
	for _, path := range modules {
		for _, m := range info.Deps {
			if m.Path == path {
				fmt.Fprintf(&text, "%s %s\n", m.Path, m.Version)
			}
		}
	}
	return os.WriteFile(filepath.Join(out, "VERSION"), text.Bytes(), 0o644)
}
