package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/store"
)

func newMigrate(s *settings) *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Move the database's schema"}
	var all bool
	down := &cobra.Command{
		Use: "down", Short: "Take back the last migration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.migrator(cmd, func(ctx context.Context, m *store.Migrator) error {
				return list(cmd, "taken back")(m.Down(ctx, all))
			})
		},
	}
	down.Flags().BoolVar(&all, "all", false, "take back every migration: all data is lost")
	cmd.AddCommand(&cobra.Command{
		Use: "up", Short: "Apply what is pending", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.migrator(cmd, func(ctx context.Context, m *store.Migrator) error { return list(cmd, "applied")(m.Up(ctx)) })
		},
	}, down, &cobra.Command{
		Use: "status", Short: "Show what is applied and what is pending", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.migrator(cmd, func(ctx context.Context, m *store.Migrator) error { return status(ctx, cmd, m) })
		},
	})
	return cmd
}

func (s *settings) migrator(cmd *cobra.Command, do func(context.Context, *store.Migrator) error) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	pool, err := app.OpenStore(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := store.NewMigrator(pool)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }() // the pool goes next
	return do(cmd.Context(), m)
}

func list(cmd *cobra.Command, what string) func([]string, error) error {
	return func(names []string, err error) error {
		for _, n := range names {
			fmt.Fprintln(cmd.OutOrStdout(), what, n)
		}
		if err == nil && len(names) == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to do")
		}
		return err
	}
}

func status(ctx context.Context, cmd *cobra.Command, m *store.Migrator) error {
	states, err := m.Status(ctx)
	if err != nil {
		return err
	}
	for _, s := range states {
		when := "pending"
		if !s.AppliedAt.IsZero() {
			when = s.AppliedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%-22s %s\n", when, s.Name)
	}
	return nil
}
