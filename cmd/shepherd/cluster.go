package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/service"
)

// maxKubeconfig bounds what is read of a kubeconfig.
const maxKubeconfig = 1 << 20

func newCluster(s *settings) *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Keep the credentials of target clusters"}
	cmd.AddCommand(newClusterAdd(s), newClusterCheck(s), newClusterRemove(s), newClusterRotate(s), &cobra.Command{
		Use: "list", Short: "List the clusters and what was last seen there", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.clusters(cmd, func(c *service.Clusters) error { return listClusters(cmd, c) })
		},
	})
	return cmd
}

func newClusterAdd(s *settings) *cobra.Command {
	var file, by string
	cmd := &cobra.Command{
		Use: "add NAME --kubeconfig FILE", Short: "Try credentials and store them encrypted, or replace a cluster's", Args: cobra.ExactArgs(1),
		Long: "Try credentials and store them encrypted.\n\nNAME is that of platform/clusters/NAME.yaml in the spec repository, which gives the cluster its environment.\n" +
			"The cluster is pinned by the uid of its kube-system namespace: later credentials of that name have to lead to the same one.",
		RunE: func(cmd *cobra.Command, args []string) error {
			kubeconfig, err := readFile(cmd, file)
			if err != nil {
				return err
			}
			return s.clusters(cmd, func(c *service.Clusters) error {
				facts, err := c.Add(cmd.Context(), args[0], kubeconfig, audit.Actor{Login: by})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "cluster %s: Kubernetes %s, KubeVirt %s, uid %s\n", args[0], facts.KubernetesVersion, orNone(facts.KubeVirtVersion), facts.UID)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&file, "kubeconfig", "", "kubeconfig with inline credentials, - for standard input")
	cmd.Flags().StringVar(&by, "by", "operator", "who does it, for the audit log")
	_ = cmd.MarkFlagRequired("kubeconfig") // it is there
	return cmd
}

func readFile(cmd *cobra.Command, file string) ([]byte, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the kubeconfig: %w", err)
		}
		defer func() { _ = f.Close() }() // read only
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxKubeconfig))
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return data, nil
}

func (s *settings) clusters(cmd *cobra.Command, do func(*service.Clusters) error) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	log, err := logger(cfg, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	pool, err := app.OpenStore(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	c, _, err := app.NewClusters(cfg, pool, log)
	if err != nil {
		return err
	}
	return do(c)
}

func listClusters(cmd *cobra.Command, c *service.Clusters) error {
	rows, err := c.List(cmd.Context())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tHEALTH\tKUBERNETES\tKUBEVIRT\tDEFAULT STORAGE CLASS\tCAN\tUID\tNOTE")
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join([]string{
			r.ID, string(r.Health), r.KubernetesVersion, orNone(r.KubevirtVersion), orNone(r.DefaultStorageClass), orNone(can(r.Capabilities)), r.UID,
			orNone(note(r, time.Now())),
		}, "\t"))
	}
	return w.Flush()
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
