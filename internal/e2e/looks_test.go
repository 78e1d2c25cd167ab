package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// What people see.

// eventually waits for what the system comes to by itself.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	w.eventuallyWithin(patience, what, ok)
}

func (w *world) eventuallyWithin(patience time.Duration, what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := stage.Wait(ctx, what, func() (bool, error) { return ok(), nil }); err != nil {
		w.t.Fatal(err)
	}
}

// quiet waits until nothing is under way: every webhook delivered, every job done. What is not there by
// then does not come.
func (w *world) quiet() {
	w.t.Helper()
	w.quietWithin(patience)
}

func (w *world) quietWithin(patience time.Duration) {
	w.t.Helper()
	// By the states that there are, which is asked of an index: what is over is not read.
	const busy = `select count(*) from river_job
where state in ('available', 'pending', 'retryable', 'running', 'scheduled') and kind not in ('heartbeat', 'verify_vm')`
	calm := func() bool {
		w.do(w.Forge.WaitIdle(w.t.Context()))
		return w.count(busy) == 0
	}
	w.eventuallyWithin(patience, "everything to be done", func() bool { return twice(calm) })
}

// twice reports whether it is calm, and still so a moment later: between a delivery and its job there is a moment of
// silence.
func twice(calm func() bool) bool {
	for range 2 {
		if !calm() {
			return false
		}
	}
	return true
}

// check waits until a check of the pull request's head has a conclusion.
func (w *world) check(pr *forgetest.Pull, name, conclusion string) forgetest.Check {
	w.t.Helper()
	var last forgetest.Check
	w.eventually(fmt.Sprintf("#%d: %s to be %s", pr.Number(), name, conclusion), func() bool {
		c, ok := pr.Check(name)
		last = c
		return ok && c.Conclusion == conclusion
	})
	return last
}

// problem waits until validation has failed with a code, at a file and line where one is given.
func (w *world) problem(pr *forgetest.Pull, code, path string, line int) forgetest.Check {
	w.t.Helper()
	c := w.check(pr, "shepherd/validate", "failure")
	if !strings.Contains(c.Summary, code) {
		w.t.Errorf("#%d: the check does not say %s:\n%s", pr.Number(), code, c.Summary)
	}
	at := func(a forgetest.Annotation) bool { return a.Path == path && a.StartLine == line && a.Title == code }
	if path != "" && !slices.ContainsFunc(c.Annotations, at) {
		w.t.Errorf("#%d: no annotation %s at %s:%d, but %+v", pr.Number(), code, path, line, c.Annotations)
	}
	return c
}

// comment waits until the bot's comments say something.
func (w *world) comment(pr *forgetest.Pull, text string) string {
	w.t.Helper()
	var body string
	w.eventually(fmt.Sprintf("a comment on #%d with %q", pr.Number(), text), func() bool {
		for _, c := range w.comments(pr) {
			body = c.Body
			if strings.Contains(body, text) {
				return true
			}
		}
		return false
	})
	return body
}

// comments are those of the bot.
func (w *world) comments(pr *forgetest.Pull) []forgetest.Comment {
	return pr.CommentsBy("shepherd[bot]")
}

// remarks are the comment and the closing remark: what the bot says without notifying anybody of a decision.
func (w *world) remarks(pr *forgetest.Pull) (out []forgetest.Comment) {
	for _, c := range w.comments(pr) {
		if !strings.HasPrefix(c.Body, "<!-- shepherd: approved") && !strings.HasPrefix(c.Body, "<!-- shepherd: rejected") {
			out = append(out, c)
		}
	}
	return out
}

// vm waits for a virtual machine on the cluster.
func (w *world) vm(name string) *kubevirtv1.VirtualMachine {
	w.t.Helper()
	vm := &kubevirtv1.VirtualMachine{}
	w.eventually("vm "+name, func() bool { return w.kube.Client().Get(w.t.Context(), w.key(name), vm) == nil })
	return vm
}

// key is where a VM lives: its name begins with its environment's namespace.
func (w *world) key(name string) client.ObjectKey {
	env, _, _ := strings.Cut(name, "-")
	return client.ObjectKey{Namespace: w.kubeNamespace(env), Name: name}
}

// absent holds that there is no such virtual machine.
func (w *world) absent(names ...string) {
	w.t.Helper()
	for _, name := range names {
		err := w.kube.Client().Get(w.t.Context(), w.key(name), &kubevirtv1.VirtualMachine{})
		if !apierrors.IsNotFound(err) {
			w.t.Errorf("vm %s is there (%v)", name, err)
		}
	}
}

// once waits until VMs are applied, and holds that each was applied a single time: one event, begun and
// ended once, and an object that nobody has touched since.
func (w *world) once(names ...string) {
	w.t.Helper()
	w.eventually("the events of "+strings.Join(names, ", "), func() bool {
		return w.count(`select count(*) from events where subject = any($1) and status = 'COMPLETED'`, names) >= len(names)
	})
	for _, name := range names {
		vm := w.vm(name)
		if vm.Generation != 1 {
			w.t.Errorf("%s: generation %d", name, vm.Generation)
		}
		for _, action := range []string{"CHANGE_ACCEPTED", "EXECUTION_STARTED", "EXECUTION_COMPLETED"} {
			if n := w.audited(action, name); n != 1 {
				w.t.Errorf("%s: %s %d times", name, action, n)
			}
		}
		const revisions = `select r.resource_version from vm_revisions r join vms v on v.id = r.vm_id where v.name = $1`
		if diff := cmp.Diff([]string{vm.ResourceVersion}, w.strings(revisions, name)); diff != "" {
			w.t.Errorf("%s was touched after it was applied (-on the cluster +applied):\n%s", name, diff)
		}
	}
}

// audited counts the lines of the trail about a subject.
func (w *world) audited(action, subject string) int {
	w.t.Helper()
	return w.count(`select count(*) from audit_log where action_code = $1 and subject = $2`, action, subject)
}

// untouched holds that a pull request has reserved, asked for and planned nothing.
func (w *world) untouched(pr *forgetest.Pull) {
	w.t.Helper()
	for _, table := range []string{"tickets", "events", "claims", "plans"} {
		if n := w.count(`select count(*) from `+table+` where pull_request = $1`, pr.Number()); n != 0 {
			w.t.Errorf("#%d: %d %s", pr.Number(), n, table)
		}
	}
}

// count runs a query that counts.
func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// strings runs a query that gives one column.
func (w *world) strings(query string, args ...any) []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), query, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// statuses are those of a pull request's tickets, by path, oldest first.
func (w *world) statuses(pr *forgetest.Pull) []string {
	w.t.Helper()
	return w.strings(`select status from tickets where pull_request = $1 order by path, created_at`, pr.Number())
}
