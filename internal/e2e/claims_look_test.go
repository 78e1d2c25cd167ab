package e2e

import (
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// show prints what people read on a pull request, for those who want to read it: SHEPHERD_E2E_SHOW=1.
func (w *world) show(pr *forgetest.Pull, when string) {
	w.t.Helper()
	if os.Getenv("SHEPHERD_E2E_SHOW") == "" {
		return
	}
	w.quiet()
	w.t.Logf("=== #%d %s", pr.Number(), when)
	for _, name := range []string{"shepherd/validate", "shepherd/approval"} {
		if c, ok := pr.Check(name); ok {
			w.t.Logf("%s %s: %s\n%s", name, c.Conclusion, c.Title, c.Summary)
		}
	}
	for _, c := range w.comments(pr) {
		w.t.Logf("comment:\n%s", c.Body)
	}
}

// on waits until the plans that a pull request has on show are published, tickets or not.
func (w *world) on(pr *forgetest.Pull) {
	w.t.Helper()
	w.eventually("the plans to be on show", func() bool {
		return w.count(`select count(*) from plans p join plan_heads h on h.plan_id = p.id where p.pull_request = $1 and h.sha = $2 and p.published_at is not null`,
			pr.Number(), pr.HeadSHA()) > 0 &&
			w.count(`select count(*) from plans p join plan_heads h on h.plan_id = p.id where p.pull_request = $1 and h.sha = $2 and p.published_at is null`,
				pr.Number(), pr.HeadSHA()) == 0
	})
}

// stand waits until a pull request's tickets have these states.
func (w *world) stand(pr *forgetest.Pull, want ...string) {
	w.t.Helper()
	var got []string
	w.eventually("the tickets to be "+strings.Join(want, ", "), func() bool {
		got = w.statuses(pr)
		return slices.Equal(got, want)
	})
}

// holds are the keys that a pull request has claimed, of a kind.
func (w *world) holds(pr *forgetest.Pull, kind string) []string {
	w.t.Helper()
	return w.strings(`select id from claims where pull_request = $1 and id like $2 || ':%' order by id`, pr.Number(), kind)
}

// told waits until the one comment says something, and returns it.
func (w *world) told(pr *forgetest.Pull, texts ...string) string {
	w.t.Helper()
	var body string
	w.eventually("the comment to say "+strings.Join(texts, ", "), func() bool {
		remarks := w.remarks(pr)
		if len(remarks) == 0 {
			return false
		}
		body = remarks[0].Body
		return !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(body, s) })
	})
	return body
}

// one is the files of one VM.
func one(path, size, reason string) forgetest.Files {
	return forgetest.Files{path: stage.VM(size, reason)}
}

// recorded has a pull request of one file merged that needs nobody's approval.
func (w *world) recorded(path string, content []byte, branch string) {
	w.t.Helper()
	pr := w.ask("make-"+branch, forgetest.Files{path: content})
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "squash")
	w.eventually(path+" to be accepted", func() bool { return w.count(`select count(*) from accepted where id = $1`, path) == 1 })
}

// foreign makes a virtual machine that is nobody's of ours.
func (w *world) foreign(name string) *kubevirtv1.VirtualMachine {
	w.t.Helper()
	key := w.key(name)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: key.Namespace}}
	if err := w.kube.Client().Create(w.t.Context(), ns); err != nil && !apierrors.IsAlreadyExists(err) {
		w.t.Fatal(err)
	}
	vm := &kubevirtv1.VirtualMachine{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	halted := kubevirtv1.RunStrategyHalted
	vm.Spec.RunStrategy, vm.Spec.Template = &halted, &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	w.do(w.kube.Client().Create(w.t.Context(), vm))
	return vm
}
