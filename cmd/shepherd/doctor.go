package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/doctor"
)

func newDoctor(s *settings) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look whether everything around a server is as it has to be, and say how to put it right", Args: cobra.NoArgs,
		Long: "Look at the configuration, the database, the App with its webhook and permissions, the governed branch's protection, clocks and clusters.\n\n" +
			"Nothing is changed. It needs no running server, but says when none is at work. It ends with 1 when something is wrong, with 0 when there are warnings alone.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("--output is text or json, not %q", format)
			}
			cfg, err := s.load()
			if err != nil {
				return err
			}
			facts, err := app.Examine(cmd.Context(), cfg, slog.New(slog.DiscardHandler)) // what is wrong is a finding
			if err != nil {
				return err
			}
			findings := doctor.Examine(facts)
			if err := printFindings(cmd.OutOrStdout(), findings, format); err != nil {
				return err
			}
			if n := doctor.Count(findings, doctor.Wrong); n > 0 {
				return fmt.Errorf("%s to be put right", plural(n, "error"))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return cmd
}

// printFindings prints what was found, under its area, each with its fix.
func printFindings(w io.Writer, findings []doctor.Finding, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(findings)
	}
	area := ""
	for _, f := range findings {
		if f.Area != area {
			area = f.Area
			fmt.Fprintln(w, area)
		}
		fmt.Fprintf(w, "  %-7s  %s\n", f.Level, strings.Join(strings.Fields(f.Text), " "))
		if f.Fix != "" {
			fmt.Fprintf(w, "           → %s\n", f.Fix)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s, %s\n", plural(doctor.Count(findings, doctor.Wrong), "error"), plural(doctor.Count(findings, doctor.Warning), "warning"))
	return err
}
