package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
)

func newRepo(s *settings) *cobra.Command {
	cmd := &cobra.Command{Use: "repo", Short: "Look after the spec repository"}
	var by string
	baseline := &cobra.Command{
		Use: "baseline SHA", Short: "Accept a commit's platform and structure as the start", Args: cobra.ExactArgs(1),
		Long: "Accept a commit's platform, systems and services as the start. Nothing is applied.\n\n" +
			"This is done once on day one, and again after the branch's history was rewritten.",
		RunE: func(cmd *cobra.Command, args []string) error {
			sha, err := gitops.ParseSHA(args[0])
			if err != nil {
				return err
			}
			return s.baseline(cmd, string(sha), by)
		},
	}
	baseline.Flags().StringVar(&by, "by", "operator", "who does it, for the audit log")
	cmd.AddCommand(baseline)
	return cmd
}

func (s *settings) baseline(cmd *cobra.Command, sha, by string) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	log, err := logger(cfg, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	a, err := app.NewAside(cmd.Context(), cfg, log)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := a.Baseline()
	if err != nil {
		return err
	}
	result, problems, err := b.Set(cmd.Context(), sha, audit.Actor{Login: by})
	printProblems(cmd, problems)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "baseline %s: platform accepted, %d systems, %d services\n", result.Commit, result.Systems, result.Services)
	for _, path := range result.Recognised {
		fmt.Fprintf(cmd.OutOrStdout(), "recognised: %s (a live machine is just what it asks for)\n", path)
	}
	for _, path := range result.Waiting {
		fmt.Fprintf(cmd.OutOrStdout(), "not accepted: %s (nobody approved it here; take it back, then ask for it in a pull request)\n", path)
	}
	return nil
}

func printProblems(cmd *cobra.Command, problems domain.Problems) {
	for _, p := range problems.Sorted() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", p.Severity, p.Error())
	}
}
