package approval

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/grant"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// grant lets the author use the console of a VM for as long as was asked for, from the merge on. Where
// the request is removed, what it gave is taken back. A new request of the same person for the same VM
// takes the place of the former.
func (g *Gateway) grant(ctx context.Context, tx *store.Tx, s Span, c judge.Change, t *ent.Ticket) error {
	now := g.now()
	ended, err := tx.Grant.Update().Where(grant.Path(c.Path), grant.RevokedAtIsNil(), grant.ExpiresAtGT(now)).
		SetRevokedAt(now).SetRevokedBy(s.Pull.Author.Login).Save(ctx)
	if err != nil {
		return fmt.Errorf("end the grants of %s: %w", c.Path, err)
	}
	if c.Wanted == nil {
		return audit.Append(ctx, tx, entry(t, audit.ConsoleRevoked, s.Pull.Author, map[string]any{"vm": c.VM, "grants": ended}))
	}
	until := now.Add(c.Grant)
	err = tx.Grant.Create().SetTicketID(t.ID).SetEventID(t.EventID).SetPath(c.Path).SetVM(c.VM).SetEnvironment(string(c.Environment)).
		SetPersonID(s.Pull.Author.ID).SetPersonLogin(s.Pull.Author.Login).SetPullRequest(s.Pull.Number).
		SetGrantedAt(now).SetExpiresAt(until).Exec(ctx)
	if err != nil {
		return fmt.Errorf("grant the console of %s: %w", c.VM, err)
	}
	return audit.Append(ctx, tx, entry(t, audit.ConsoleGranted, s.Pull.Author, map[string]any{"vm": c.VM, "until": until.UTC()}))
}
