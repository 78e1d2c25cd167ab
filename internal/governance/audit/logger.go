// Package audit writes the append-only trail: who did what to which thing, why, and how it ended. An
// entry is written in the transaction of what it tells of, so that the two cannot disagree. The
// database refuses to change or remove one.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/store"
)

// Action is what an entry tells of.
type Action string

// The actions.
const (
	RequestSubmitted   Action = "REQUEST_SUBMITTED"
	RequestCancelled   Action = "REQUEST_CANCELLED"
	ApprovalApproved   Action = "APPROVAL_APPROVED"
	ApprovalRejected   Action = "APPROVAL_REJECTED"
	ApprovalWithdrawn  Action = "APPROVAL_WITHDRAWN"
	ApprovalBypassed   Action = "APPROVAL_BYPASSED"
	ChangeQuarantined  Action = "CHANGE_QUARANTINED"
	ChangeAccepted     Action = "CHANGE_ACCEPTED"
	PlanPublished      Action = "PLAN_PUBLISHED"
	ExecutionStarted   Action = "EXECUTION_STARTED"
	ExecutionCompleted Action = "EXECUTION_COMPLETED"
	ExecutionFailed    Action = "EXECUTION_FAILED"
	VMObserved         Action = "VM_OBSERVED"
	NamespaceCreated   Action = "NAMESPACE_CREATED"
	BaselineSet        Action = "BASELINE_SET"
	VMRecognised       Action = "VM_RECOGNISED"
	HistoryRewritten   Action = "HISTORY_REWRITTEN"
	ClusterAdded       Action = "CLUSTER_ADDED"
	ClusterHealth      Action = "CLUSTER_HEALTH"
	ClusterRemoved     Action = "CLUSTER_REMOVED"
	ClusterResealed    Action = "CLUSTER_RESEALED"
	CommentRestored    Action = "COMMENT_RESTORED"
	ClaimTakenOver     Action = "CLAIM_TAKEN_OVER"
	DeletionConfirmed  Action = "DELETION_CONFIRMED"
	HoldPlaced         Action = "HOLD_PLACED"
	HoldReleased       Action = "HOLD_RELEASED"
	PlanChanged        Action = "PLAN_CHANGED"
	PlatformMoved      Action = "PLATFORM_MOVED"
	ConsoleGranted     Action = "CONSOLE_GRANTED"
	ConsoleRevoked     Action = "CONSOLE_REVOKED"
	ExecutionRetried   Action = "EXECUTION_RETRIED"
	CommandRefused     Action = "COMMAND_REFUSED"
	TextEdited         Action = "TEXT_EDITED"
	MergedByShepherd   Action = "MERGED_BY_SHEPHERD"
)

// Actor is who did it. The zero Actor is Shepherd itself.
type Actor struct {
	ID    int64
	Login string
}

// Entry is one line of the trail.
type Entry struct {
	Action      Action
	Actor       Actor
	Subject     string // the VM, service, system or cluster
	Environment string
	PullRequest int
	Ticket      uuid.UUID
	Event       uuid.UUID
	// Params are further facts. Values under keys that name secrets are replaced before they are stored.
	Params map[string]any
}

// Append writes the entries in the caller's transaction.
func Append(ctx context.Context, tx *store.Tx, entries ...Entry) error {
	rows := make([]*ent.AuditLogCreate, len(entries))
	for i, e := range entries {
		var err error
		if rows[i], err = row(tx, e); err != nil {
			return fmt.Errorf("append %s to the audit log: %w", e.Action, err)
		}
	}
	if err := tx.AuditLog.CreateBulk(rows...).Exec(ctx); err != nil {
		return fmt.Errorf("append to the audit log: %w", err)
	}
	return nil
}

func row(tx *store.Tx, e Entry) (*ent.AuditLogCreate, error) {
	by := e.Actor.Login
	if by == "" {
		by = "shepherd"
	}
	r := tx.AuditLog.Create().SetActionCode(string(e.Action)).SetActorID(e.Actor.ID).SetPerformedBy(by).
		SetSubject(e.Subject).SetEnvironment(e.Environment).SetPullRequest(e.PullRequest)
	if e.Ticket != uuid.Nil {
		r.SetTicketID(e.Ticket.String())
	}
	if e.Event != uuid.Nil {
		r.SetEventID(e.Event.String())
	}
	if len(e.Params) == 0 {
		return r, nil
	}
	params, err := plain(e.Params)
	if err != nil {
		return nil, err
	}
	return r.SetParams(redact(params).(map[string]any)), nil
}

// plain turns parameters into what JSON makes of them, so that no Go type hides a key. Numbers keep all
// their digits.
func plain(params map[string]any) (out map[string]any, err error) {
	data, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return out, dec.Decode(&out)
}

// secretWords mark keys whose values never reach the trail, however deep they lie and however they are
// written.
var secretWords = []string{
	"password", "passwd", "passphrase", "secret", "token", "credential", "kubeconfig", "privatekey", "apikey", "authorization", "cookie",
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// Redacted stands in the place of a secret.
const Redacted = "[REDACTED]"

func redact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			if secretKey(key) {
				out[key] = Redacted
				continue
			}
			out[key] = redact(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = redact(v[i])
		}
		return out
	}
	return v
}

func secretKey(key string) bool {
	key = separators.Replace(strings.ToLower(key))
	for _, word := range secretWords {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}
