package e2e

import (
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

const (
	sizeFolder   = "platform/sizes/"
	templatePath = "platform/templates/ubuntu-24.04/v1.yaml"
	policyPath   = "platform/policies/shop.yaml"
)

// platformFile is a document of the platform.
func platformFile(kind, fields string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: " + kind + "\nspec:\n" + fields)
}

// bindRole binds one person to a role in test and prod.
func bindRole(role, login, id string) []byte {
	fields := "  role: " + role + "\n  people:\n    - login: " + login + "\n      id: " + id + "\n"
	if role != "platform-admin" {
		fields += "  allowedEnvironments: [test, prod]\n"
	}
	return platformFile("RoleBinding", fields)
}

// withErin binds a second platform administrator, in git.
func withErin(o *stage.Options) {
	o.Files["platform/roles/administrators.yaml"] = bindRole("platform-admin", "erin", "105")
}

func (w *world) erin() *forgetest.User {
	u := w.Forge.UserWithID("erin", 105)
	w.Repo.SetPermission(u, "write")
	return u
}

// asks opens a pull request as somebody.
func (w *world) asks(u *forgetest.User, branch string, files forgetest.Files) *forgetest.Pull {
	w.t.Helper()
	must(u.Commit(w.Repo, branch, "main", files, "change "+branch))(w)
	return must(u.OpenPull(w.Repo, "Change "+branch, branch, "main", "", false))(w)
}

// moved waits until the rules in force are those of a commit.
func (w *world) moved(commit string) {
	w.t.Helper()
	w.eventually("the platform to move to "+commit, func() bool {
		return w.count(`select count(*) from repository where platform_commit = $1`, commit) == 1
	})
}

// administer brings a change of the platform in force: Dave asks, Erin agrees.
func (w *world) administer(branch string, files forgetest.Files) {
	w.t.Helper()
	pr := w.asks(w.Dave, branch, files)
	w.approve(w.erin(), pr)
	w.moved(w.merge(pr, "squash"))
}

// onMain is a file of the branch, which has to be there.
func (w *world) onMain(path string) []byte {
	w.t.Helper()
	content, ok := w.Repo.File("main", path)
	if !ok {
		w.t.Fatalf("main has no %s", path)
	}
	return content
}

// The rules change when another administrator agrees, and only then; whoever waits is judged by the new
// ones at once, without a push.
func TestPlatformChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	erin := w.erin()
	w.structure("shop", "redis")
	one, two := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "test-shop/02")

	waits := w.ask("waits", forgetest.Files{one: stage.VM("large", "a large one")})
	w.problem(waits, "SIZE_UNKNOWN", one, 5)
	w.quiet()
	w.untouched(waits)

	large := w.asks(w.Dave, "large", forgetest.Files{sizeFolder + "large.yaml": platformFile("InstanceSize", "  cores: 4\n  memory: 8Gi\n")})
	w.published(large)
	if c, _ := large.Check("shepherd/approval"); !strings.Contains(c.Summary, "erin") || strings.Contains(c.Summary, "bob") {
		t.Errorf("who may approve:\n%s", c.Summary)
	}
	w.approve(w.Bob, large) // approves machines, not rules
	w.comment(large, "bob")
	w.quiet()
	w.check(large, "shepherd/approval", "action_required")
	w.approve(erin, large)
	w.check(large, "shepherd/approval", "success")
	commit := w.merge(large, "rebase")
	w.moved(commit)
	if n := w.audited("PLATFORM_MOVED", "platform"); n != 1 {
		t.Errorf("PLATFORM_MOVED %d times", n)
	}
	w.comment(large, "in force")
	w.published(waits)

	// Rules and roles in one pull request: what has one approval needs another one now.
	approvedOnce := w.approved("once", forgetest.Files{two: stage.VM("small", "approved by one")})
	w.administer("two-eyes", forgetest.Files{
		policyPath:                     platformFile("Policy", "  approvals:\n    - name: four-eyes\n      operations: [CREATE_VM]\n      environments: [test]\n      approvals: 2\n"),
		"platform/roles/more.yaml":     bindRole("approver", "carol", "103"),
		".github/CODEOWNERS":           []byte("platform/ @dave\n"),
		"platform/roles/viewers.yaml":  nil,
		sizeFolder + "huge-board.yaml": platformFile("InstanceSize", "  cores: 8\n  memory: 32Gi\n"),
	})
	w.check(approvedOnce, "shepherd/approval", "action_required")
	w.eventually("the ticket to be open again", func() bool { return slices.Equal(w.statuses(approvedOnce), []string{"PENDING_APPROVAL"}) })
	w.approve(w.Carol, approvedOnce)
	w.check(approvedOnce, "shepherd/approval", "success")
	w.approve(w.Bob, waits)
	w.approve(w.Carol, waits)
	w.check(waits, "shepherd/approval", "success")

	// What was agreed on from a template that is archived has to be asked for otherwise.
	w.administer("archive", forgetest.Files{templatePath: w.replace(w.onMain(templatePath), "status: active", "status: archived")})
	w.problem(waits, "TEMPLATE_UNKNOWN", one, 4)
	commit = w.bypass(waits)
	w.stopped(commit, "TEMPLATE_UNKNOWN", one)
	w.absent("test-shop-shop-redis-01")
	undo := w.undo(commit)
	w.administer("v2", forgetest.Files{"platform/templates/ubuntu-24.04/v2.yaml": w.replace(w.onMain(templatePath), "status: archived", "status: active")})
	w.check(approvedOnce, "shepherd/validate", "success")
	w.check(undo, "shepherd/approval", "success")
}

// An administrator who is alone needs somebody else, or the server's leave.
func TestTheOnlyAdministrator(t *testing.T) {
	t.Parallel()
	for _, solo := range []bool{false, true} {
		t.Run(map[bool]string{false: "off", true: "on"}[solo], func(t *testing.T) {
			t.Parallel()
			w := setup{config: func(c *config.Config) { c.Approval.SoloAdmin = solo }}.world(t)
			path := sizeFolder + "large.yaml"
			pr := w.asks(w.Dave, "large", forgetest.Files{path: platformFile("InstanceSize", "  cores: 4\n  memory: 8Gi\n")})
			if solo {
				w.check(pr, "shepherd/approval", "success")
				w.moved(w.merge(pr, "merge"))
				if got := w.strings(`select performed_by || ' ' || (params->>'rule') from audit_log where action_code = 'CHANGE_ACCEPTED' and subject = 'large'`); len(got) != 1 || !strings.Contains(got[0], "soloAdmin") {
					t.Errorf("the trail says %v", got)
				}
				// Somebody else's hand in it: not alone any more.
				other := w.asks(w.Dave, "larger", forgetest.Files{sizeFolder + "larger.yaml": platformFile("InstanceSize", "  cores: 8\n  memory: 8Gi\n")})
				w.check(other, "shepherd/approval", "success")
				w.push("larger", forgetest.Files{sizeFolder + "larger.yaml": platformFile("InstanceSize", "  cores: 8\n  memory: 64Gi\n")})
				w.check(other, "shepherd/validate", "failure")
				return
			}
			if c := w.check(pr, "shepherd/approval", "action_required"); !strings.Contains(c.Summary, "another platform administrator") || !strings.Contains(c.Summary, "`approval.soloAdmin`") {
				t.Errorf("the way out is not told:\n%s", c.Summary)
			}
			w.approve(w.Bob, pr)
			w.comment(pr, "bob")
			commit := w.bypass(pr)
			w.stopped(commit, "APPROVAL_BYPASSED", path)
			w.comment(pr, "| `"+path+"` |")
			undo := w.undo(commit)
			w.check(undo, "shepherd/approval", "success")
			w.merge(undo, "merge")
			if _, there := w.Repo.File("main", path); there {
				t.Error("the undo left the size there")
			}
		})
	}
}
