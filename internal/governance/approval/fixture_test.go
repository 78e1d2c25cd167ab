package approval

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
	"kv-shepherd.io/shepherd/internal/storetest"
)

const repositoryID = 42

var clock = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

// world is a database of its own with a gateway on it.
type world struct {
	*testing.T
	pool  *pgxpool.Pool
	db    *store.DB
	queue *jobs.Queue
	g     *Gateway
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool := storetest.Open(t)
	queue, err := jobs.NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	db := store.New(pool)
	w := &world{T: t, pool: pool, db: db, queue: queue, g: New(db, queue, now)}
	w.ok(db.Repository.Create().SetID(repositoryID).SetBranch("main").SetCursor("c0").Exec(t.Context()))
	for _, number := range []int{7, 8} {
		w.pull(number)
	}
	for _, cluster := range []string{"east", "west"} {
		w.ok(db.Cluster.Create().SetID(cluster).SetUID("uid-" + cluster).SetKubeconfig([]byte{}).SetKeyID("k").Exec(t.Context()))
	}
	return w
}

func now() time.Time { return clock }

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// pull writes the row that routing makes.
func (w *world) pull(number int) {
	w.Helper()
	w.ok(w.db.PullRequest.Create().SetID(number).SetWanted(1).Exec(w.Context()))
}

var systemRef = spec.Ref{Kind: spec.KindSystem, System: "shop"}

// newVM is the change that asks for a VM of service redis.
func newVM(index int, edits ...func(*judge.Change)) judge.Change {
	ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: index}
	c := judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.VMName(), Operation: domain.CreateVM, Environment: domain.Prod,
		Wanted: json.RawMessage(`{"reason":"a <second> replica","size":"medium","template":"ubuntu"}`),
		Digest: "digest-" + ref.Instance(), Reason: "a <second> replica",
		Verdict:     policy.Verdict{Rule: "create", Outcome: policy.Allow},
		Requirement: policy.Requirement{Operation: domain.CreateVM, Approvals: 1, Rule: "create"},
		Claims:      []string{"vm:" + ref.VMName(), "index:redis/" + ref.Instance()},
		Document:    []byte("spec:\n  size: medium # kept\n"),
		Plan: &judge.Plan{
			Choice: judge.Choice{Cluster: "east", StorageClass: "fast"}, Template: "ubuntu", TemplateVersion: 3, Size: "medium",
			KubernetesNamespace: "k-prod-shop", TemplateSnapshot: &spec.Template{Status: "active"}, SizeSnapshot: &spec.InstanceSize{Cores: 2, Memory: "4Gi"},
			EffectiveDigest: "effective-" + ref.Instance(),
			Manifests: []render.Manifest{{
				APIVersion: "kubevirt.io/v1", Kind: render.KindVirtualMachine, Namespace: "k-prod-shop", Name: ref.VMName(), JSON: []byte(`{"kind":"VirtualMachine"}`),
			}},
		},
	}
	for _, e := range edits {
		e(&c)
	}
	return c
}

func digest(d string) func(*judge.Change) { return func(c *judge.Change) { c.Digest = d } }
func cluster(name string) func(*judge.Change) {
	return func(c *judge.Change) { c.Plan.Cluster, c.Plan.EffectiveDigest = name, "effective-on-"+name }
}
func free(c *judge.Change) { c.Requirement.Approvals = 0 }
func invalid(c *judge.Change) {
	c.Plan = nil
	c.Problems = domain.Problems{{Code: domain.SizeUnknown, Severity: domain.Error, Message: "no such size"}}
}

// newSystem is a change that is only recorded.
func newSystem(approvals int) judge.Change {
	return judge.Change{
		Ref: systemRef, Path: systemRef.Path(), Subject: "shop", Operation: domain.CreateSystem, Wanted: json.RawMessage(`{"description":"the shop"}`),
		Digest: "digest-shop", Requirement: policy.Requirement{Operation: domain.CreateSystem, Approvals: approvals, Rule: "create-system"},
		Claims: []string{"system:shop"}, Document: []byte("spec: {description: the shop}\n"),
	}
}

func pullOf(number int) Pull {
	return Pull{
		Number: number, Title: "more redis", URL: fmt.Sprintf("https://forge.test/org/spec/pull/%d", number),
		Author: audit.Actor{ID: ada.ID, Login: ada.Login}, HeadSHA: fmt.Sprintf("head%d", number-6), BaseRef: "main", State: "open",
	}
}

func submission(number int, changes ...judge.Change) Submission {
	return Submission{Pull: pullOf(number), Judged: 1, Report: judge.Report{Head: "head1", Platform: "rules", Governed: true, Changes: changes}}
}

func (w *world) submit(number int, changes ...judge.Change) {
	w.Helper()
	w.ok(w.g.Submit(w.Context(), submission(number, changes...)))
}

// ticket is the newest ticket of a path, with all that hangs on it.
func (w *world) ticket(path string) *ent.Ticket {
	w.Helper()
	t, err := w.db.Ticket.Query().Where(ticket.Path(path)).Order(ent.Desc(ticket.FieldID)).
		WithEvent().WithPlan(func(q *ent.PlanQuery) { q.WithHeads() }).WithDecisions().WithClaims().First(w.Context())
	w.ok(err)
	return t
}

func (w *world) publish(number int, paths ...string) {
	w.Helper()
	w.ok(w.g.Publish(w.Context(), number, planIDs(w, paths...), published))
}

// decided is an outcome on the newest ticket of a path.
func (w *world) decided(path string, o Outcome) []Decided {
	w.Helper()
	t := w.ticket(path)
	return []Decided{{Ticket: t.ID, Path: path, Plan: t.PlanID, Outcome: o}}
}

func approval(reviews ...Review) Outcome {
	o := Outcome{Status: domain.TicketApproved}
	for _, r := range reviews {
		o.Votes = append(o.Votes, Vote{Review: r, Counts: true})
	}
	return o
}

func refusal(r Review) Outcome { return Outcome{Status: domain.TicketRejected, Veto: &r} }

func (w *world) decide(path string, o Outcome) {
	w.Helper()
	w.ok(w.g.Decide(w.Context(), w.ticket(path).PullRequest, w.decided(path, o)))
}

// approved submits and approves the changes of a pull request.
func (w *world) approved(number int, changes ...judge.Change) {
	w.Helper()
	w.submit(number, changes...)
	for _, c := range changes {
		if c.Requirement.Approvals > 0 {
			w.decide(c.Path, approval(approves(11, alice)))
		}
	}
}

// span takes the changes of a pull request over, with their newest tickets.
func (w *world) span(number int, from, to string, changes ...judge.Change) Span {
	w.Helper()
	s := Span{Repository: repositoryID, From: from, To: to, Pull: pullOf(number)}
	for _, c := range changes {
		m := Merged{Change: c}
		if c.Requirement.Approvals > 0 {
			m.Ticket = w.ticket(c.Path).ID
		}
		s.Merged = append(s.Merged, m)
	}
	return s
}

// merged brings the changes from nothing to their jobs.
func (w *world) merged(number int, from, to string, changes ...judge.Change) {
	w.Helper()
	w.approved(number, changes...)
	w.ok(w.g.Merge(w.Context(), w.span(number, from, to, changes...)))
}

func (w *world) started(path string) Work {
	w.Helper()
	work, err := w.g.Start(w.Context(), w.ticket(path).EventID)
	w.ok(err)
	return work
}

var answer = Applied{UID: "uid-1", ResourceVersion: "101", Summary: "VirtualMachine: created"}

func (w *world) vm(path string) *ent.VM {
	w.Helper()
	row, err := w.db.VM.Query().Where(vm.Path(path)).Only(w.Context())
	w.ok(err)
	return row
}

func (w *world) sql(query string, args ...any) {
	w.Helper()
	_, err := w.pool.Exec(w.Context(), query, args...)
	w.ok(err)
}

// texts runs a query of one text column.
func (w *world) texts(query string, args ...any) (out []string) {
	w.Helper()
	w.ok(w.db.Rows(w.Context(), query, args, func(rows pgx.Rows) error {
		out = append(out, "")
		return rows.Scan(&out[len(out)-1])
	}))
	return out
}

// claims are the keys that are taken, with who has them.
func (w *world) claims() []string {
	w.Helper()
	return w.texts(`select id || ' #' || pull_request from claims order by id`)
}

// states are the path, status and event of every ticket, oldest first.
func (w *world) states(number int) []string {
	w.Helper()
	return w.texts(`select t.subject || ' ' || t.status || ' ' || e.status || coalesce(nullif(' ' || e.error_code, ' '), '')
from tickets t join events e on e.id = t.event_id where t.pull_request = $1 order by t.id`, number)
}

// dump is all that the database holds, table by table and row by row.
func (w *world) dump() string {
	w.Helper()
	var parts []string
	for _, table := range w.texts(`select tablename::text from pg_tables where schemaname = 'public' order by 1`) {
		parts = append(parts, fmt.Sprintf(`select '%[1]s:' || coalesce(string_agg(E'\n  ' || t::text, '' order by t::text), '') from "%[1]s" t`, table))
	}
	return strings.Join(w.texts(strings.Join(parts, " union all ")+" order by 1"), "\n")
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// trail is the audit log after an entry: action, actor, subject, whether ticket and event are named, and
// the parameters.
func (w *world) trail(after int64) string {
	w.Helper()
	lines := w.texts(`select concat_ws(' ', action_code, performed_by, nullif(subject, ''), nullif(environment, ''), '#' || pull_request,
 case when ticket_id <> '' then 'ticket' end, case when event_id <> '' then 'event' end, params::text) from audit_log where id > $1 order by id`, after)
	return uuids.ReplaceAllString(strings.Join(lines, "\n"), "<id>")
}

// queued are the jobs after a job: kind, queue, arguments.
func (w *world) queued(after int64) string {
	w.Helper()
	lines := w.texts(`select kind || ' ' || queue || ' ' || args::text from river_job where id > $1 order by id`, after)
	return uuids.ReplaceAllString(strings.Join(lines, "\n"), "<id>")
}

func (w *world) last(table string) (id int64) {
	w.Helper()
	w.ok(w.pool.QueryRow(w.Context(), "select coalesce(max(id), 0) from "+table).Scan(&id))
	return id
}

func (w *world) eventIs(path string, want event.Status) {
	w.Helper()
	if got := w.ticket(path).Edges.Event.Status; got != want {
		w.Errorf("the event of %s is %s, want %s", path, got, want)
	}
}

func planIDs(w *world, paths ...string) (ids []uuid.UUID) {
	w.Helper()
	for _, p := range paths {
		ids = append(ids, w.ticket(p).PlanID)
	}
	return ids
}
