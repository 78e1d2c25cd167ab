package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/store"
)

func newHistory(s *settings) *cobra.Command {
	return &cobra.Command{
		Use: "history VM", Short: "Tell why a virtual machine exists: its line of the audit log", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := s.load()
			if err != nil {
				return err
			}
			pool, err := app.OpenStore(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer pool.Close()
			return history(cmd.Context(), cmd, store.New(pool), args[0])
		},
	}
}

func history(ctx context.Context, cmd *cobra.Command, db *store.DB, subject string) error {
	const query = `select performed_at, action_code, performed_by, pull_request, right(ticket_id, 8), coalesce(params::text, '') from audit_log where subject = $1 order by id`
	lines := 0
	err := db.Rows(ctx, query, []any{subject}, func(row pgx.Rows) error {
		var at time.Time
		var action, by, ticket, params string
		var number int
		if err := row.Scan(&at, &action, &by, &number, &ticket, &params); err != nil {
			return err
		}
		lines++
		fmt.Fprintf(cmd.OutOrStdout(), "%s  %-20s %-16s #%d  ticket …%s  %s\n", at.UTC().Format(time.RFC3339), action, by, number, ticket, params)
		return nil
	})
	if err == nil && lines == 0 {
		return fmt.Errorf("nothing is known of %q", subject)
	}
	return err
}
