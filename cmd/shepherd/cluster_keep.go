package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/service"
)

func newClusterCheck(s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "check [NAME]", Short: "Look at a cluster, or at all, and say what the credentials may not do", Args: cobra.MaximumNArgs(1),
		Long: "Look at a cluster now, or at all of them: what is there, and what of deploy/cluster/rbac.yaml its credentials lack,\nand whether they may do what Shepherd never does.\n\n" +
			"Nothing is changed, neither there nor in the database. The exit code is 1 when a cluster cannot be used or a permission is missing.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.clusters(cmd, func(c *service.Clusters) error { return checkClusters(cmd.Context(), cmd.OutOrStdout(), c, args) })
		},
	}
}

func checkClusters(ctx context.Context, out io.Writer, c *service.Clusters, names []string) error {
	if len(names) == 0 {
		rows, err := c.List(ctx)
		if err != nil {
			return err
		}
		for _, r := range rows {
			names = append(names, r.ID)
		}
	}
	var wanting []string
	for _, name := range names {
		facts, missing, excess, err := c.Look(ctx, name)
		if err != nil {
			fmt.Fprintf(out, "cluster %s: %v\n", name, err)
			wanting = append(wanting, name)
			continue
		}
		health, message := service.Condition(facts)
		if printFacts(out, name, strings.TrimSpace(string(health)+" "+message), facts, missing, excess); len(missing) > 0 || message != "" {
			wanting = append(wanting, name)
		}
	}
	if len(wanting) > 0 {
		return errors.New("something is missing: " + strings.Join(wanting, ", "))
	}
	return nil
}

func printFacts(out io.Writer, name, health string, f provider.Facts, missing, excess []provider.Permission) {
	var classes []string
	for _, s := range f.StorageClasses {
		if s.Default {
			s.Name += " (default)"
		}
		classes = append(classes, s.Name)
	}
	fmt.Fprintf(out, "cluster %s: %s\n", name, health)
	lines := []ability{{"uid", f.UID}, {"Kubernetes", f.KubernetesVersion}, {"KubeVirt", f.KubeVirtVersion}, {"CDI", f.CDIVersion}, {"storage classes", strings.Join(classes, ", ")}}
	for _, line := range append(append(lines, abilities(f.Capabilities)...), ability{"not known", strings.Join(append(f.Unknown, f.Unread...), ", ")}) {
		fmt.Fprintf(out, "  %-16s %s\n", line.name, orNone(line.value))
	}
	for _, p := range missing {
		fmt.Fprintf(out, "  %-16s %s\n", "may not", p)
	}
	if len(missing) == 0 {
		fmt.Fprintf(out, "  %-16s %s\n", "permissions", "all that are needed")
	}
	for _, p := range excess {
		fmt.Fprintf(out, "  %-16s %s: more than Shepherd needs\n", "may also", p)
	}
}

func newClusterRemove(s *settings) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Forget a cluster on which no VM lives, and its credentials", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			queue, err := jobs.NewQueue()
			if err != nil {
				return err
			}
			return s.clusters(cmd, func(c *service.Clusters) error {
				if err := c.Remove(cmd.Context(), queue, args[0], audit.Actor{Login: by}); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "cluster %s: removed\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "operator", "who does it, for the audit log")
	return cmd
}

func newClusterRotate(s *settings) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use: "rotate", Short: "Seal all credentials with the first encryption key", Args: cobra.NoArgs,
		Long: "Seal the credentials of all clusters with the first of the encryption keys.\n\n" +
			"To replace a key: put the new one before the old one, restart the servers, rotate, take the old one away.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.clusters(cmd, func(c *service.Clusters) error {
				names, err := c.Reseal(cmd.Context(), audit.Actor{Login: by})
				if err != nil {
					return err
				}
				for _, name := range names {
					fmt.Fprintf(cmd.OutOrStdout(), "cluster %s: sealed with the first key\n", name)
				}
				if len(names) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "everything is sealed with the first key")
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "operator", "who does it, for the audit log")
	return cmd
}
