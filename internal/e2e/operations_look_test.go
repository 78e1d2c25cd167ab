package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// What becomes of operations, as people and auditors see it.

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// expands makes a storage class whose claims can grow, called like the world's prefix.
func (w *world) expands() {
	w.t.Helper()
	yes := true
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: w.prefix}, Provisioner: "example.com/disks", AllowVolumeExpansion: &yes}
	w.do(w.kube.Client().Create(w.t.Context(), class))
	w.t.Cleanup(func() { _ = w.kube.Client().Delete(context.Background(), class) })
}

// machine is the file of a machine of which a test says all that matters.
func machine(lines ...string) []byte {
	out := "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n  template: ubuntu-24.04\n  reason: for a test\n"
	return []byte(out + "  " + strings.Join(lines, "\n  ") + "\n")
}

// decided asks for something, has Bob approve it, and merges it.
func (w *plant) decided(branch string, files forgetest.Files) *forgetest.Pull {
	w.t.Helper()
	pr := w.approved(branch, files)
	w.merge(pr, "merge")
	return pr
}

// told waits until the comment and the closing remark begin with a headline, and returns both.
func (w *plant) told(pr *forgetest.Pull, headline string, parts ...string) (body, closing string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("#%d to end with %q", pr.Number(), headline), func() bool {
		said := w.remarks(pr)
		if len(said) == 0 || !strings.HasPrefix(said[0].Body, "<!-- shepherd -->\n**"+headline) {
			return false
		}
		body, closing = said[0].Body, ""
		for _, s := range said[1:] {
			if strings.HasPrefix(s.Body, "<!-- shepherd: the end") {
				closing = s.Body
			}
		}
		return closing != ""
	})
	if _, text, _ := strings.Cut(closing, "\n"); !strings.HasPrefix(text, "@alice **"+headline) {
		w.t.Errorf("#%d: the closing remark begins otherwise than the comment:\n%s", pr.Number(), closing)
	}
	w.t.Logf("#%d %s\n%s\n%s", pr.Number(), pr.Title(), unfolded(body), closing)
	for _, part := range parts {
		if !strings.Contains(body, part) {
			w.t.Errorf("#%d: the comment does not say %q:\n%s", pr.Number(), part, body)
		}
	}
	return body, closing
}

// unfolded is what people see of a comment without opening anything.
func unfolded(body string) string {
	out, _, _ := strings.Cut(body, "<details>")
	return out
}

// acts are the events of a subject, oldest first, with their tickets: "CREATE_VM COMPLETED/COMPLETED".
func (w *plant) acts(subject string) []string {
	w.t.Helper()
	return w.strings(`select concat_ws(' ', e.operation, e.status || '/' || t.status, nullif(e.error_code, ''))
from events e join tickets t on t.event_id = e.id where e.subject = $1 order by e.created_at`, subject)
}

func (w *plant) wantActs(subject string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.acts(subject)); diff != "" {
		w.t.Errorf("what was done to %s (-want +got):\n%s", subject, diff)
	}
}

// booked holds that the books say the same of one change, from its submission to its end: ticket and
// event completed, the plan of the ticket published where somebody approved it, and each step in the
// trail once.
func (w *plant) booked(pr *forgetest.Pull, subject, operation string) {
	w.t.Helper()
	got := w.strings(`select concat_ws(' ', e.operation, e.status, t.status, e.merge_commit, t.requester_login)
from events e join tickets t on t.event_id = e.id join plans p on p.id = t.plan_id
where e.pull_request = $1 and e.subject = $2 and e.finished_at is not null and (t.approvals_required = 0 or p.published_at is not null and t.decided_by_login = 'bob')`, pr.Number(), subject)
	if want := fmt.Sprintf("%s COMPLETED COMPLETED %s alice", operation, pr.MergeCommitSHA()); !slices.Equal(got, []string{want}) {
		w.t.Errorf("#%d %s: the books say %q, want %q", pr.Number(), subject, got, want)
	}
	steps := []string{"CHANGE_ACCEPTED", "EXECUTION_COMPLETED"}
	if strings.HasSuffix(operation, "_VM") {
		steps = append(steps, "EXECUTION_STARTED")
	}
	for _, step := range steps {
		if n := w.count(`select count(*) from audit_log where action_code = $1 and subject = $2 and pull_request = $3`, step, subject, pr.Number()); n != 1 {
			w.t.Errorf("#%d %s: %s %d times in the trail", pr.Number(), subject, step, n)
		}
	}
	if n := w.count(`select count(*) from claims where pull_request = $1`, pr.Number()); n != 0 {
		w.t.Errorf("#%d: %d claims are left", pr.Number(), n)
	}
}

// status waits until a machine is known to be in a state.
func (w *plant) status(name, want string) {
	w.t.Helper()
	w.eventually(name+" to be known as "+want, func() bool {
		return w.count(`select count(*) from vms where name = $1 and status = $2`, name, want) == 1
	})
}

// confirmLine is what a comment gives to be copied, without the marks of code.
var confirmLine = regexp.MustCompile("`(/confirm [^`]+)`")

// toConfirm waits for the lines that the comment gives to be copied.
func (w *world) toConfirm(pr *forgetest.Pull) (lines []string) {
	w.t.Helper()
	body := w.comment(pr, "`/confirm ")
	for _, m := range confirmLine.FindAllStringSubmatch(body, -1) {
		lines = append(lines, m[1])
	}
	return lines
}

// says writes a comment, waits until it is dealt with, and returns the reaction and the reply.
func (w *plant) says(u *forgetest.User, pr *forgetest.Pull, text string) (reaction, reply string) {
	w.t.Helper()
	said := must(u.Comment(pr, text))(w.world)
	w.quiet()
	for _, c := range pr.Comments() {
		switch {
		case c.ID == said.ID:
			reaction = strings.Join(c.Reactions, " ")
		case strings.HasPrefix(c.Body, fmt.Sprintf("<!-- shepherd: reply to comment %d -->", said.ID)):
			reply = c.Body
		}
	}
	w.t.Logf("#%d %s: %s\n%s %s", pr.Number(), u.Login(), text, reaction, reply)
	return reaction, reply
}

// refuses holds that a comment was not obeyed, and why.
func (w *plant) refuses(u *forgetest.User, pr *forgetest.Pull, text string, why ...string) {
	w.t.Helper()
	reaction, reply := w.says(u, pr, text)
	if reaction != "confused" {
		w.t.Errorf("#%d %s: %s: reaction %q", pr.Number(), u.Login(), text, reaction)
	}
	for _, part := range why {
		if !strings.Contains(reply, part) {
			w.t.Errorf("#%d %s: %s: the reply does not say %q:\n%s", pr.Number(), u.Login(), text, part, reply)
		}
	}
}

// obeys holds that a comment was obeyed.
func (w *plant) obeys(u *forgetest.User, pr *forgetest.Pull, text string) (reply string) {
	w.t.Helper()
	reaction, reply := w.says(u, pr, text)
	if reaction != "+1" {
		w.t.Errorf("#%d %s: %s: reaction %q, reply %s", pr.Number(), u.Login(), text, reaction, reply)
	}
	return reply
}

// standing waits until nothing is under way, and holds that the approval check says so.
func (w *plant) standing(pr *forgetest.Pull, conclusion, why string) {
	w.t.Helper()
	w.quiet()
	if c, _ := pr.Check("shepherd/approval"); c.Conclusion != conclusion {
		w.t.Errorf("#%d, %s: shepherd/approval is %s (%s), want %s", pr.Number(), why, c.Conclusion, c.Title, conclusion)
	}
}
