package e2e

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// What people see when a cluster refuses a request before anybody approves it.

// refused holds that a cluster's answer stops a pull request at a file, in so many words: nothing is asked for,
// planned or reserved.
func (w *world) refused(pr *forgetest.Pull, code, path string, words ...string) {
	w.t.Helper()
	check := w.problem(pr, code, path, 1)
	w.quiet()
	said := w.remarks(pr)[0].Body
	for _, part := range append(words, "asked again by itself") {
		if !strings.Contains(check.Summary, part) || !strings.Contains(said, part) {
			w.t.Errorf("#%d: %q is missing in the check\n%s\nor in the comment\n%s", pr.Number(), part, check.Summary, said)
		}
	}
	if c, _ := pr.Check("shepherd/approval"); c.Conclusion != "failure" || c.Title != "Waiting for valid changes" {
		w.t.Errorf("#%d: shepherd/approval is %s, %s", pr.Number(), c.Conclusion, c.Title)
	}
	w.untouched(pr)
	w.t.Logf("#%d %s\n%s", pr.Number(), pr.Title(), unfolded(said))
}

// askedAgain has what clusters answered be of a moment ago, and waits until the next sweep has had it judged anew,
// with nothing left to be mended.
func (w *world) askedAgain(pr *forgetest.Pull) {
	w.t.Helper()
	const age = `update pull_requests set report = regexp_replace(report::text, '"at": "20[^"]*"',
to_char(now() at time zone 'UTC' - interval '40 seconds', '"\"at\": \""YYYY-MM-DD"T"HH24:MI:SS"Z\""'), 'g')::jsonb`
	must(w.pool.Exec(w.t.Context(), age))(w)
	w.enqueue(jobs.SweepPullRequests{RepositoryID: w.Repo.ID()})
	w.check(pr, "shepherd/validate", "success")
	w.published(pr)
}

// unchanged holds that a virtual machine on the cluster is the one that it was.
func (w *world) unchanged(was *kubevirtv1.VirtualMachine) {
	w.t.Helper()
	now := w.vm(was.Name)
	if now.UID != was.UID || now.ResourceVersion != was.ResourceVersion {
		w.t.Errorf("%s was touched: %s %s, was %s %s", was.Name, now.UID, now.ResourceVersion, was.UID, was.ResourceVersion)
	}
}

// noNamespace plays the controller that ends namespaces, which the control plane has none of.
func (w *world) noNamespace(environments ...string) {
	w.t.Helper()
	for _, env := range environments {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.kubeNamespace(env)}}
		w.do(w.kube.Client().Delete(w.t.Context(), ns))
		w.do(w.kube.Client().Get(w.t.Context(), client.ObjectKeyFromObject(ns), ns))
		ns.Spec.Finalizers = nil
		w.do(w.kube.Client().SubResource("finalize").Update(w.t.Context(), ns))
		w.eventually("namespace "+ns.Name+" to be gone", func() bool {
			return apierrors.IsNotFound(w.kube.Client().Get(w.t.Context(), client.ObjectKeyFromObject(ns), ns))
		})
	}
}
