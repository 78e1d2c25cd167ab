package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/storetest"
)

const (
	idA = "00000000-0000-7000-8000-00000000000a"
	idB = "00000000-0000-7000-8000-00000000000b"
)

// The rows that the guards watch over, one of each.
var guarded = []string{
	`insert into events (id, type, operation, subject, path, payload, requested_by, requested_by_login, pull_request, created_at)
 values ('` + idA + `', 'VM_CREATION_REQUESTED', 'CREATE_VM', 'vm', 'p.yaml', '{"a": 1}', 1, 'ada', 7, now())`,
	`insert into plans (id, pull_request, path, change_digest, effective_digest, manifests, template_snapshot, size_snapshot, created_at)
 values ('` + idA + `', 7, 'p.yaml', 'd', 'e', '[]', '{"a": 1}', null, now())`,
	`insert into tickets (id, pull_request, operation, path, subject, requester_id, requester_login, change_digest, created_at, updated_at, event_id, plan_id)
 values ('` + idA + `', 7, 'CREATE_VM', 'p.yaml', 'vm', 1, 'ada', 'd', now(), now(), '` + idA + `', '` + idA + `')`,
	`insert into vms (id, name, path, system, service, namespace, instance, environment, kubernetes_namespace, cluster, accepted_plan, created_by, created_by_login, created_at, updated_at)
 values ('` + idA + `', 'vm', 'p.yaml', 's', 'r', 'n', '01', 'prod', 'k', 'east', '` + idA + `', 1, 'ada', now(), now())`,
	`insert into decisions (id, ticket_id, plan_id, review_id, reviewer_id, reviewer_login, verdict, created_at) values ('` + idA + `', '` + idA + `', '` + idA + `', 1, 2, 'bob', 'approve', now())`,
	`insert into pushes (id, delivery_id, ref, before, after, pusher_id, pusher_login, at) values ('` + idA + `', 'd', 'r', 'b', 'a', 1, 'ada', now())`,
	`insert into reviews (id, pull_request, reviewer_id, reviewer_login, state, commit_sha, submitted_at) values (1, 7, 2, 'bob', 'approved', 'c', now()), (2, 7, 2, 'bob', 'approved', 'c', now())`,
	`insert into indexes (service, number, vm, created_at) values ('r', 1, 'vm', now())`,
	`insert into audit_log (performed_at, action_code, performed_by) values (now(), 'X', 'ada')`,
	`insert into commands (id, source, source_id, ordinal, pull_request, author_id, author_login, verb, args, block, at)
 values ('` + idA + `', 'comment', 1, 0, 7, 1, 'ada', 'confirm', '["vm"]', 'cluster: east', now())`,
	`insert into confirmations (id, pull_request, path, subject, change_digest, person_id, person_login, command_id, at, created_at)
 values ('` + idA + `', 7, 'p.yaml', 'vm', 'd', 1, 'ada', '` + idA + `', now(), now())`,
	`insert into grants (id, ticket_id, event_id, path, vm, environment, person_id, person_login, pull_request, granted_at, expires_at)
 values ('` + idA + `', '` + idA + `', '` + idA + `', 'access/vm/ada.yaml', 'vm', 'prod', 1, 'ada', 7, now(), now() + interval '1 hour')`,
	`insert into deliveries (id, event, body, received_at) values ('d', 'push', '{}', now())`,
}

// What must never happen is refused by the database itself, with the reason; what has to happen is not.
func TestGuards(t *testing.T) {
	t.Parallel()
	const (
		payload  = "the payload of an event is immutable"
		identity = "the identity of a ticket is immutable"
		plan     = "a plan is immutable"
		machine  = "the identity of a VM is immutable"
		trail    = "the audit log is append-only"
		decision = "a decision is immutable"
		push     = "a push as delivered is immutable"
		review   = "a review as delivered is immutable"
		index    = "an index is used once"
		command  = "a command is immutable, and answered once"
		word     = "a confirmation is immutable"
		grant    = "a grant is immutable"
		webhook  = "a delivery is immutable"
	)
	pool := storetest.Open(t)
	for _, q := range guarded {
		if _, err := pool.Exec(t.Context(), q); err != nil {
			t.Fatalf("%v\n%s", err, q)
		}
	}
	for _, tt := range []struct{ sql, refused string }{
		{`update events set payload = '{"a": 2}'`, payload},
		{`update events set payload = '{"a":1}'`, payload}, // another spelling is another payload
		{`update events set type = 'SYSTEM_CREATED'`, payload},
		{`update events set operation = 'DELETE_VM'`, payload},
		{`update events set subject = 'other'`, payload},
		{`update events set path = 'other'`, payload},
		{`update events set requested_by = 9`, payload},
		{`update events set pull_request = 9`, payload},
		{`update events set status = 'PROCESSING', sequence = 1, merge_commit = 'c', error_message = 'm', processed_at = now()`, ""},

		{`update tickets set namespace = 'other'`, identity},
		{`update tickets set service = 'other'`, identity},
		{`update tickets set system = 'other'`, identity},
		{`update tickets set instance = '02'`, identity},
		{`update tickets set environment = 'test'`, identity},
		{`update tickets set path = 'other'`, identity},
		{`update tickets set subject = 'other'`, identity},
		{`update tickets set change_digest = 'other'`, identity},
		{`update tickets set requester_id = 9`, identity},
		{`update tickets set pull_request = 9`, identity},
		{`update tickets set status = 'APPROVED', modified_spec = '{}', selected_cluster = 'west', decided_by = 2`, ""},

		{`update plans set manifests = '[1]'`, plan},
		{`update plans set cluster = 'west'`, plan},
		{`update plans set storage_class = 'slow'`, plan},
		{`update plans set template = 'other'`, plan},
		{`update plans set template_version = 9`, plan},
		{`update plans set size = 'large'`, plan},
		{`update plans set disk = '200Gi'`, plan},
		{`update plans set pull_request = 9`, plan},
		{`update plans set path = 'other'`, plan},
		{`update plans set kubernetes_namespace = 'other'`, plan},
		{`update plans set template_snapshot = '{"a": 2}'`, plan},
		{`update plans set size_snapshot = '{}'`, plan},
		{`update plans set change_digest = 'other'`, plan},
		{`update plans set effective_digest = 'other'`, plan},
		{`update plans set published_at = now(), manifests = '[1]'`, plan},
		{`update plans set published_at = now()`, ""},
		{`update plans set published_at = now() + interval '1 hour'`, plan},
		{`update plans set published_at = null`, plan},
		{`update plans set size = 'large', disk = '200Gi', published_at = published_at`, plan},

		{`update vms set name = 'other'`, machine},
		{`update vms set path = 'other'`, machine},
		{`update vms set system = 'other'`, machine},
		{`update vms set service = 'other'`, machine},
		{`update vms set namespace = 'other'`, machine},
		{`update vms set instance = '02'`, machine},
		{`update vms set environment = 'test'`, machine},
		{`update vms set kubernetes_namespace = 'other'`, machine},
		{`update vms set status = 'RUNNING', uid = 'u', sequence = 2, applied_sequence = 2, accepted_plan = '` + idB + `'`, ""},

		{`update audit_log set performed_by = 'eve'`, trail},
		{`update audit_log set params = '{}'`, trail},
		{`delete from audit_log`, trail},
		{`truncate audit_log`, trail},

		{`update decisions set verdict = 'reject'`, decision},
		{`update decisions set text = 'other'`, decision},
		{`delete from decisions`, decision},

		{`update pushes set pusher_id = 9`, push},
		{`update pushes set at = now() + interval '1 hour'`, push},

		{`update reviews set state = 'changes_requested'`, review},
		{`update reviews set commit_sha = 'other'`, review},
		{`update reviews set body = 'other'`, review},
		{`update reviews set reviewer_id = 9`, review},
		{`update reviews set submitted_at = now() + interval '1 hour'`, review},
		{`update reviews set dismissed_by = 3, dismissed_by_forge = true where id = 1`, ""},
		{`update reviews set dismissed_by = 4 where id = 1`, review},
		{`update reviews set dismissed_by = 0 where id = 1`, review},
		{`update reviews set dismissed_by_forge = false where id = 1`, review},

		{`update commands set source = 'review'`, command},
		{`update commands set source_id = 9`, command},
		{`update commands set ordinal = 9`, command},
		{`update commands set pull_request = 9`, command},
		{`update commands set author_id = 9`, command},
		{`update commands set verb = 'hold'`, command},
		{`update commands set args = '["other"]'`, command},
		{`update commands set args = null`, command},
		{`update commands set block = 'cluster: west'`, command},
		{`update commands set at = now() + interval '1 hour'`, command},
		{`update commands set status = 'done', verb = 'hold'`, command},
		{`update commands set status = 'done', answer = '{"a": 1}', answered_at = now()`, ""},
		{`update commands set answer = '{"a": 2}'`, command},
		{`update commands set status = 'refused'`, command},
		{`update commands set status = 'received'`, command},

		{`update confirmations set change_digest = 'other'`, word},
		{`update confirmations set path = 'other'`, word},
		{`update confirmations set pull_request = 9`, word},
		{`update confirmations set person_id = 9`, word},
		{`update confirmations set command_id = '` + idB + `'`, word},
		{`update confirmations set at = now() + interval '1 hour'`, word},
		{`delete from confirmations`, word},

		{`update grants set expires_at = now() + interval '9 hours'`, grant},
		{`update grants set granted_at = now() + interval '1 hour'`, grant},
		{`update grants set person_id = 9`, grant},
		{`update grants set vm = 'other'`, grant},
		{`update grants set path = 'other'`, grant},
		{`update grants set environment = 'test'`, grant},
		{`update grants set ticket_id = '` + idB + `'`, grant},
		{`update grants set event_id = '` + idB + `'`, grant},
		{`update grants set revoked_at = now(), expires_at = now() + interval '9 hours'`, grant},
		{`update grants set revoked_at = now(), revoked_by = 'ada'`, ""},
		{`update grants set revoked_at = null`, grant},
		{`update grants set revoked_by = 'bob'`, grant},

		{`update indexes set vm = 'other'`, index},
		{`delete from indexes`, index},
		{`truncate indexes`, index},

		{`update deliveries set body = '{"a": 1}'`, webhook},
		{`update deliveries set status = 'routed', body = '{"a": 1}'`, webhook},
		{`update deliveries set event = 'pull_request'`, webhook},
		{`update deliveries set id = 'other'`, webhook},
		{`update deliveries set received_at = now() - interval '1 year'`, webhook},
		{`insert into deliveries (id, event, body, received_at) values ('d', 'push', '[]', now()) on conflict (id) do update set body = excluded.body`, webhook},
		{`update deliveries set status = 'routed', outcome = 'push'`, ""},
		{`delete from deliveries`, ""},
	} {
		_, err := pool.Exec(t.Context(), tt.sql)
		var pg *pgconn.PgError
		switch {
		case tt.refused == "" && err != nil:
			t.Errorf("%s: %v", tt.sql, err)
		case tt.refused != "" && (!errors.As(err, &pg) || pg.Code != "23000" || !strings.HasSuffix(pg.Message, "is refused: "+tt.refused)):
			t.Errorf("%s: got %v", tt.sql, err)
		}
	}
}

// What is history is never deleted, one row or all of it, and not even where there is none yet.
func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	reasons := map[string]string{
		"audit_log": "the audit log is append-only", "events": "an event is kept for ever", "tickets": "a ticket is kept for ever",
		"plans": "a plan is kept for ever", "pushes": "a push is kept for ever", "reviews": "a review is kept for ever",
		"decisions": "a decision is immutable", "commands": "a command is kept for ever",
		"confirmations": "a confirmation is immutable", "grants": "a grant is kept for ever",
	}
	empty, full := storetest.Open(t), storetest.Open(t)
	for _, q := range guarded {
		if _, err := full.Exec(t.Context(), q); err != nil {
			t.Fatalf("%v\n%s", err, q)
		}
	}
	for table, reason := range reasons {
		var rows int
		if err := full.QueryRow(t.Context(), "select count(*) from "+table).Scan(&rows); err != nil || rows == 0 {
			t.Errorf("%s has no row to lose (%v)", table, err)
		}
		for _, statement := range []string{"delete from " + table, "truncate " + table + " cascade"} {
			for state, pool := range map[string]*pgxpool.Pool{"empty": empty, "full": full} {
				_, err := pool.Exec(t.Context(), statement)
				var pg *pgconn.PgError
				if !errors.As(err, &pg) || pg.Code != "23000" || !strings.HasSuffix(pg.Message, "is refused: "+reason) {
					t.Errorf("%s, %s: got %v", statement, state, err)
				}
			}
		}
	}
}

// Keys that may exist once exist once.
func TestUniqueKeys(t *testing.T) {
	t.Parallel()
	pool := storetest.Open(t)
	for _, q := range guarded {
		if _, err := pool.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	second := func(q string) string { return strings.ReplaceAll(q, "('"+idA, "('"+idB) }
	event := second(guarded[0])
	if _, err := pool.Exec(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	twin := strings.Replace(second(guarded[2]), "now(), now(), '"+idA, "now(), now(), '"+idB, 1)
	for what, q := range map[string]string{
		"two pending tickets of a path":   twin,
		"two tickets of an event":         strings.Replace(second(guarded[2]), "p.yaml", "q.yaml", 1),
		"two machines of a name":          strings.Replace(second(guarded[3]), "p.yaml", "q.yaml", 1),
		"two machines of a path":          strings.Replace(second(guarded[3]), "'vm'", "'vm2'", 1),
		"an index twice":                  guarded[7],
		"a push twice":                    second(guarded[5]),
		"a review decided the same twice": second(guarded[4]),
		"a command twice":                 second(guarded[9]),
		"a command that confirms twice":   second(guarded[10]),
		"two grants of an event":          second(guarded[11]),
	} {
		_, err := pool.Exec(t.Context(), q)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "23505" {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := pool.Exec(t.Context(), `update tickets set status = 'CANCELLED'`); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), twin); err != nil {
		t.Errorf("a new ticket after the old one ended: %v", err)
	}
}
