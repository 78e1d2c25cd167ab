package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/gitops/spec"
)

func newSchema() *cobra.Command {
	var names []string
	for _, k := range spec.Kinds() {
		names = append(names, string(k))
	}
	var dir string
	cmd := &cobra.Command{
		Use: "schema KIND", Short: "Print the JSON Schema of a kind of document, for editors", Args: cobra.ExactArgs(1), ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range names {
				if !strings.EqualFold(name, args[0]) {
					continue
				}
				schema, err := schemaOf(spec.Kind(name), dir)
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(schema)
				return err
			}
			return fmt.Errorf("there is no kind %q: %s", args[0], spec.Suggest(args[0], names))
		},
	}
	cmd.Flags().StringVarP(&dir, "dir", "C", "", "a checkout of the spec repository whose templates, sizes and networks the schema lists")
	return cmd
}

// schemaOf is a kind's schema, with the names of a checkout's platform where one is given.
func schemaOf(kind spec.Kind, dir string) ([]byte, error) {
	if dir == "" {
		return spec.Schema(kind), nil
	}
	c, _, err := readCheckout(dir)
	if err != nil {
		return nil, err
	}
	platform, _ := spec.LoadPlatform(c.platform) // what is wrong with it, validate says
	return spec.SchemaFor(kind, platform), nil
}
