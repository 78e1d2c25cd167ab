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
	return &cobra.Command{
		Use: "schema KIND", Short: "Print the JSON Schema of a kind of document, for editors", Args: cobra.ExactArgs(1), ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range names {
				if strings.EqualFold(name, args[0]) {
					_, err := cmd.OutOrStdout().Write(spec.Schema(spec.Kind(name)))
					return err
				}
			}
			return fmt.Errorf("there is no kind %q: %s", args[0], spec.Suggest(args[0], names))
		},
	}
}
