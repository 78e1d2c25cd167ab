package main

import (
	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/store"
)

func newServe(s *settings) *cobra.Command {
	var migrate bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Take webhooks and work on them until stopped", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			cfg, err := s.load()
			if err != nil {
				return err
			}
			log, err := logger(cfg, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if migrate {
				pool, err := app.OpenStore(ctx, cfg)
				if err != nil {
					return err
				}
				_, err = store.Migrate(ctx, pool)
				pool.Close()
				if err != nil {
					return err
				}
			}
			a, err := app.New(ctx, cfg, log)
			if err != nil {
				return err
			}
			defer a.Close()
			return a.Serve(ctx, func(addr string) { log.InfoContext(ctx, "serving", "address", addr) })
		},
	}
	cmd.Flags().BoolVar(&migrate, "migrate", false, "apply pending migrations first")
	return cmd
}
