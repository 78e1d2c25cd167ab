package audit_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

func open(t *testing.T) (*pgxpool.Pool, *store.DB) {
	t.Helper()
	pool := storetest.Open(t)
	return pool, store.New(pool)
}

func appendAll(t *testing.T, db *store.DB, entries ...audit.Entry) error {
	t.Helper()
	return db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, entries...) })
}

func TestAppend(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	ticket, event := uuid.New(), uuid.New()
	err := appendAll(t, db,
		audit.Entry{Action: audit.ApprovalApproved, Actor: audit.Actor{ID: 7, Login: "alice"}, Subject: "a-vm", Environment: "prod",
			PullRequest: 3, Ticket: ticket, Event: event, Params: map[string]any{"id": int64(math.MaxInt64)}},
		audit.Entry{Action: audit.BaselineSet})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.AuditLog.Query().Order().All(t.Context())
	if err != nil || len(rows) != 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	type line struct {
		Action, By, Subject, Environment, Ticket, Event string
		Actor                                           int64
		PullRequest                                     int
	}
	var got []line
	for _, r := range rows {
		got = append(got, line{r.ActionCode, r.PerformedBy, r.Subject, r.Environment, r.TicketID, r.EventID, r.ActorID, r.PullRequest})
		if r.PerformedAt.IsZero() {
			t.Errorf("%s has no time", r.ActionCode)
		}
	}
	want := []line{
		{"APPROVAL_APPROVED", "alice", "a-vm", "prod", ticket.String(), event.String(), 7, 3},
		{"BASELINE_SET", "shepherd", "", "", "", "", 0, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever the shape and the spelling, what is named as a secret does not reach the trail.
func TestRedaction(t *testing.T) {
	t.Parallel()
	pool, db := open(t)
	type login struct {
		User     string `json:"user"`
		Password string `json:"passWord"`
	}
	const hush = "hunter2"
	params := map[string]any{
		"why": "kept", "PASSWORD": hush, "webhookSecret": hush, "api-key": hush, "Api_Key": hush, "private key": hush, "x.auth.Token": hush,
		"Authorization": "Bearer " + hush, "kubeConfig": map[string]any{"clusters": hush}, "Set-Cookie": hush, "sshPassphrase": []string{hush},
		"deep":   map[string]any{"list": []any{map[string]any{"Credentials": hush, "name": "kept"}, "kept"}},
		"typed":  map[string]string{"token": hush, "name": "kept"},
		"many":   []map[string]any{{"passwd": hush}, {"n": int64(math.MaxInt64)}},
		"struct": login{"kept", hush},
		"ptr":    &login{"kept", hush},
	}
	if err := appendAll(t, db, audit.Entry{Action: audit.ClusterAdded, Params: params}); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := pool.QueryRow(t.Context(), "select params::text from audit_log").Scan(&text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, hush) {
		t.Errorf("a secret is in the trail: %s", text)
	}
	if got := strings.Count(text, audit.Redacted); got != 15 {
		t.Errorf("%d values are redacted: %s", got, text)
	}
	if got := strings.Count(text, `"kept"`); got != 6 {
		t.Errorf("%d harmless values are left: %s", got, text)
	}
	if !strings.Contains(text, "9223372036854775807") {
		t.Errorf("a large number lost digits: %s", text)
	}
	if params["PASSWORD"] != hush {
		t.Error("the caller's map was changed")
	}
}

// An entry that cannot be written stops its transaction: nothing happens without a trail.
func TestAppendFails(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	err := db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Effect.Create().SetID("done").Exec(ctx); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Entry{Action: audit.ClusterAdded, Params: map[string]any{"f": func() {}}})
	})
	if err == nil || !strings.Contains(err.Error(), "append CLUSTER_ADDED") {
		t.Errorf("got %v", err)
	}
	if err := appendAll(t, db, audit.Entry{}); err == nil {
		t.Error("an entry without an action was written")
	}
	for what, count := range map[string]func(context.Context) (int, error){"effects": db.Effect.Query().Count, "entries": db.AuditLog.Query().Count} {
		if n, err := count(t.Context()); err != nil || n != 0 {
			t.Errorf("%d %s are left (%v)", n, what, err)
		}
	}
}
