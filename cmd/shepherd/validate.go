package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate [DIR]", Short: "Check a checkout of a spec repository, without a server", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			count, problems, err := validate(dir)
			if err != nil {
				return err
			}
			printProblems(cmd, problems)
			if problems.Blocking() {
				return errors.New("the spec repository has errors")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d governed files are valid\n", count)
			return nil
		},
	}
}

// validate reads every governed file of a checkout and the platform as a whole.
func validate(dir string) (count int, problems domain.Problems, err error) {
	c, problems, err := readCheckout(dir)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range c.files {
		_, found := spec.Parse(f.ref, f.data)
		problems = append(problems, found...)
	}
	loaded, found := spec.LoadPlatform(c.platform)
	compiler, err := policy.NewCompiler()
	if err != nil {
		return 0, nil, fmt.Errorf("prepare the rules: %w", err)
	}
	_, rules := compiler.CompilePlatform(loaded, policy.Options{})
	return c.count, slices.Concat(problems, found, rules), nil
}

// checkedOut is what a checkout of a spec repository has under governed paths.
type checkedOut struct {
	count    int               // of governed files, those that cannot be read among them
	platform map[string][]byte // by path
	files    []governedFile    // all others, in the order of their paths
}

type governedFile struct {
	ref  spec.Ref
	data []byte
}

// readCheckout reads every governed file; problems are those of paths and of reading.
func readCheckout(dir string) (c checkedOut, problems domain.Problems, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c, nil, fmt.Errorf("open the checkout: %w", err)
	}
	defer func() { _ = root.Close() }() // read only
	c.platform = map[string][]byte{}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.IsDir() && name == ".git" {
				return fs.SkipDir
			}
			return err
		}
		path := filepath.ToSlash(name)
		ref, governed, found := spec.ParsePath(path)
		if !governed {
			return nil
		}
		c.count++
		problems = append(problems, found...)
		if found.Blocking() {
			return nil
		}
		data, read := readGoverned(root, path, d)
		problems = append(problems, read...)
		switch {
		case read.Blocking():
		case ref.Platform():
			c.platform[path] = data
		default:
			c.files = append(c.files, governedFile{ref, data})
		}
		return nil
	})
	if err != nil {
		return c, nil, fmt.Errorf("read the checkout: %w", err)
	}
	return c, problems, nil
}

func readGoverned(root *os.Root, path string, d fs.DirEntry) ([]byte, domain.Problems) {
	bad := func(message, hint string) domain.Problems {
		return domain.Problems{{Code: domain.PathInvalid, Severity: domain.Error, Path: path, Message: message, Hint: hint}}
	}
	if !d.Type().IsRegular() {
		return nil, bad("it is no regular file", "put a regular file there")
	}
	if info, err := d.Info(); err == nil && info.Size() > spec.MaxBytes {
		return nil, bad(fmt.Sprintf("the file is larger than %d KiB", spec.MaxBytes>>10), "a governed file is a short document")
	}
	data, err := root.ReadFile(path)
	if err != nil {
		return nil, bad("it cannot be read: "+err.Error(), "check its permissions")
	}
	return data, nil
}
