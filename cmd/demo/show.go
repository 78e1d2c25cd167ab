package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/render"
)

// logLines is how much of the server's log is shown when a step fails.
const logLines = 20

// introduce says what is about to be seen, and what of it is not real.
func (d *demo) introduce() {
	d.lines("", d.paint(bold, "A first day with Shepherd"),
		"",
		"PostgreSQL, the kube-apiservers, git over HTTP and the server are real. Two things are played:",
		"the forge is a stand-in for GitHub, and where KubeVirt would run the machines, the demo writes",
		"the status that KubeVirt would report. Everything listens on loopback and goes away at the end.")
	reason := ""
	if d.options.clusters == 0 {
		d.options.clusters, reason = affordable()
	} else if d.options.clusters == 1 {
		reason = "One kube-apiserver stands for both clusters, as asked for."
	}
	if reason != "" {
		d.lines("", "", d.paint(yellow, reason))
	}
}

// showComment shows the comment whole.
func (d *demo) showComment(context.Context) error {
	d.heading("The bot's comment on pull request #1, as posted", "On the page, what follows ▾ is folded.")
	d.lines(d.bar(), d.markdown(d.comment(), false)...)
	return nil
}

// bar stands left of what somebody else has written.
func (d *demo) bar() string { return d.paint(dim, "│ ") }

// showEnd shows what came of the day.
func (d *demo) showEnd(ctx context.Context) error {
	d.heading("The same comment now, edited in place", "Folded as on the page, where ▸ opens.")
	d.lines(d.bar(), d.markdown(d.comment(), true)...)
	d.heading("The bot's closing remark", "A comment of its own, because edits notify nobody.")
	d.lines(d.bar(), d.markdown(d.closing(), true)...)
	for _, show := range []func(context.Context) error{d.showEvents, d.showAudit, d.showObjects, d.showVM} {
		if err := show(ctx); err != nil {
			return err
		}
	}
	return nil
}

const eventsQuery = `
select e.subject, e.operation, e.requested_by_login, t.approvals_required || ' needed', coalesce(nullif(t.decided_by_login, ''), '-'),
  e.status, '…' || right(t.id::text, 8), '…' || right(e.id::text, 8), coalesce(v.cluster, '-'), coalesce(v.status, '-'), coalesce(v.uid, '-')
from events e join tickets t on t.event_id = e.id left join vms v on v.name = e.subject
order by e.created_at, e.subject`

func (d *demo) showEvents(ctx context.Context) error {
	d.heading("Events and their tickets", "Why a machine exists: who asked, who decided, what came of it, and the uid that the cluster gave it.")
	return d.query(ctx, []string{"SUBJECT", "OPERATION", "ASKED BY", "APPROVALS", "DECIDED BY", "EVENT", "TICKET ID", "EVENT ID", "CLUSTER", "VM", "UID IN THE CLUSTER"}, eventsQuery)
}

const auditQuery = `
select to_char(performed_at, 'HH24:MI:SS.MS'), action_code, performed_by, coalesce(nullif(subject, ''), '-'),
  coalesce(nullif(environment, ''), '-'), case pull_request when 0 then '-' else '#' || pull_request end,
  case ticket_id when '' then '-' else '…' || right(ticket_id, 8) end
from audit_log order by id`

func (d *demo) showAudit(ctx context.Context) error {
	d.heading("The audit log", "Append-only: the database refuses to change or delete a row. Times are UTC.")
	return d.query(ctx, []string{"AT", "ACTION", "BY", "SUBJECT", "ENVIRONMENT", "PULL REQUEST", "TICKET ID"}, auditQuery)
}

// query prints the rows of a query, every column of which is text.
func (d *demo) query(ctx context.Context, header []string, query string) error {
	rows, err := d.db.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	table, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]string, error) {
		cells := make([]string, len(header))
		into := make([]any, len(header))
		for i := range cells {
			into[i] = &cells[i]
		}
		return cells, row.Scan(into...)
	})
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	for _, cells := range table {
		for i := range cells {
			cells[i] = printable(cells[i])
		}
	}
	d.lines("", d.table(append([][]string{header}, table...))...)
	return nil
}

func (d *demo) showObjects(ctx context.Context) error {
	d.heading("In the clusters", "What kubectl prints. The namespaces were not there before: shepherd made them in time.")
	for _, m := range machines {
		c := d.clusterOf(m.environment)
		for _, get := range []struct{ what, path string }{
			{"namespace " + m.namespace, "/api/v1/namespaces/" + m.namespace},
			{"datavolume -n " + m.namespace, "/apis/cdi.kubevirt.io/v1beta1/namespaces/" + m.namespace + "/datavolumes"},
			{"vm -n " + m.namespace, "/apis/kubevirt.io/v1/namespaces/" + m.namespace + "/virtualmachines"},
		} {
			rows, err := c.kubectl(ctx, get.path)
			if err != nil {
				return err
			}
			d.lines("", d.paint(dim, fmt.Sprintf("$ kubectl --kubeconfig %s get %s -L %s", filepath.Base(c.kubeconfig), get.what, render.LabelEnvironment)))
			d.lines("", append(aligned(rows), "")...)
		}
	}
	return nil
}

func (d *demo) showVM(ctx context.Context) error {
	m := machines[1]
	d.heading("Who "+m.name+" is", "The head of its YAML: identity in the labels, the way here in the annotations. Both follow from the file's path and the reviews.")
	vm, err := d.clusterOf(m.environment).vm(ctx, m)
	if err != nil {
		return err
	}
	lines, err := head(vm)
	for i, line := range lines {
		lines[i] = strings.Replace(line, render.Prefix, d.paint(cyan, render.Prefix), 1)
	}
	d.lines("", lines...)
	return err
}

// help says what is known when a step has failed.
func (d *demo) help(s step) {
	if d.server != nil {
		d.lines("", "", d.paint(bold, "The last lines of the server's log"))
		d.lines("  ", d.server.lastLines(logLines)...)
	}
	d.lines("", "", d.paint(bold, "What to do next"))
	if s.hint != "" {
		d.lines("  ", s.hint)
	}
	d.lines("  ", "Try again: nothing is left over from this run. When it fails again, please open an issue with all of the above.")
}

// affordable is how many control planes there is memory for, and the reason where it is not two.
func affordable() (clusters int, reason string) {
	free, ok := availableMemory()
	if ok && free < 2*memoryPerCluster {
		return 1, fmt.Sprintf("Memory is short (%d MiB available): one kube-apiserver stands for both clusters.", free>>20)
	}
	return 2, ""
}

// memoryPerCluster is what a control plane takes, with room for the server beside it.
const memoryPerCluster = 768 << 20

// availableMemory is what Linux believes programs can still have.
func availableMemory() (bytes int64, ok bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10, true
		}
	}
	return 0, false
}
