package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
)

func newHistory(s *settings) *cobra.Command {
	var diffs bool
	cmd := &cobra.Command{
		Use: "history VM", Short: "Tell why a virtual machine exists: its line of the audit log, and its revisions", Args: cobra.ExactArgs(1),
		Long: "Tell why a virtual machine exists: its line of the audit log, and its revisions, which are what its cluster was given.\n\n" +
			"With --diff each revision is followed by what it changed in the objects. Secrets are shown by a digest.",
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
			return history(cmd.Context(), cmd.OutOrStdout(), store.New(pool), args[0], diffs)
		},
	}
	cmd.Flags().BoolVar(&diffs, "diff", false, "show what each revision changed")
	return cmd
}

func history(ctx context.Context, out io.Writer, db *store.DB, subject string, diffs bool) error {
	if err := trail(ctx, out, db, subject); err != nil {
		return err
	}
	revisions, err := revisionsOf(ctx, db, subject)
	if err != nil {
		return err
	}
	return printRevisions(out, revisions, diffs)
}

// trail prints what the audit log says of something.
func trail(ctx context.Context, out io.Writer, db *store.DB, subject string) error {
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
		fmt.Fprintf(out, "%s  %-20s %-16s #%d  ticket …%s  %s\n", at.UTC().Format(time.RFC3339), action, by, number, ticket, params)
		return nil
	})
	if err == nil && lines == 0 {
		return fmt.Errorf("nothing is known of %q", subject)
	}
	return err
}

// revision is one thing that a cluster was given for a VM.
type revision struct {
	Number             int64
	At                 time.Time
	Operation          string
	PullRequest        int
	Ticket             string
	AskedBy, DecidedBy string
	Manifests          []render.Manifest
}

func revisionsOf(ctx context.Context, db *store.DB, vm string) (out []revision, err error) {
	const query = `select r.number, r.created_at, e.operation, e.pull_request, right(t.id::text, 8), e.requested_by_login, t.decided_by_login, p.manifests
from vm_revisions r join vms v on v.id = r.vm_id join events e on e.id = r.event_id join tickets t on t.event_id = e.id join plans p on p.id = r.plan_id
where v.name = $1 order by r.number`
	err = db.Rows(ctx, query, []any{vm}, func(row pgx.Rows) error {
		var r revision
		var manifests []byte
		if err := row.Scan(&r.Number, &r.At, &r.Operation, &r.PullRequest, &r.Ticket, &r.AskedBy, &r.DecidedBy, &manifests); err != nil {
			return fmt.Errorf("read the revisions of %s: %w", vm, err)
		}
		if len(manifests) > 0 {
			if err := json.Unmarshal(manifests, &r.Manifests); err != nil {
				return fmt.Errorf("read revision %d of %s: %w", r.Number, vm, err)
			}
		}
		out = append(out, r)
		return nil
	})
	return out, err
}
