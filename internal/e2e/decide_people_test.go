package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/stage"
)

// court is a world with more people than the stage has, each for what they may decide.
type court struct {
	*world
	Erin  *forgetest.User // approves in test
	Frank *forgetest.User // approves everywhere, and asks for machines himself
	Adam  *forgetest.User // runs the platform with Dave, and has no part in machines
	Rita  *forgetest.User // approves everywhere, as a member of a team
	team  *forgetest.Team
}

// courtOptions is what differs between courts.
type courtOptions struct {
	config   func(*config.Config)
	files    forgetest.Files          // of the platform, besides those of the stage
	clusters []string                 // that the server has credentials for, besides those of the stage
	clock    func() time.Time         // the forge's
	forge    func(*forgetest.Options) // what else is set of it
	before   func(*world)             // before the server knows any cluster
}

// newCourt sets the scene with everybody bound, and starts the server.
func newCourt(t testing.TB, options ...courtOptions) *court {
	t.Helper()
	var o courtOptions
	if len(options) > 0 {
		o = options[0]
	}
	c := &court{}
	c.world = setup{
		asleep: true, config: o.config, stage: []func(*stage.Options){func(s *stage.Options) {
			s.Forge.Clock = o.clock
			if o.forge != nil {
				o.forge(&s.Forge)
			}
		}},
		kubeconfig: func(w *world) []byte {
			if o.before != nil {
				o.before(w)
			}
			return w.kube.Kubeconfig()
		},
	}.world(t)
	person := func(login string, id int64) *forgetest.User {
		u := c.Forge.UserWithID(login, id)
		c.Repo.SetPermission(u, "write")
		return u
	}
	c.Erin, c.Frank, c.Adam, c.Rita = person("erin", 105), person("frank", 106), person("adam", 107), person("rita", 108)
	acme := c.Forge.Organization("acme")
	c.team = acme.Team("approvers")
	c.team.Add(c.Rita)
	c.team.Grant(c.Repo, "write")
	files := forgetest.Files{
		"platform/roles/erin.yaml":            binding("approver", "test", c.Erin),
		"platform/roles/frank.yaml":           binding("approver", "test, prod", c.Frank),
		"platform/roles/frank-asks.yaml":      binding("operator", "test, prod", c.Frank),
		"platform/roles/administrators.yaml":  binding("platform-admin", "test, prod", c.Adam),
		"platform/roles/approving-teams.yaml": teamBinding("approver", acme, "approvers", c.team),
	}
	for path, data := range o.files {
		files[path] = data
	}
	must(c.Dave.Commit(c.Repo, "main", "", files, "who may what"))(c.world)
	c.addClusters(o.clusters...)
	c.baseline(c.Repo.Head("main"))
	c.serve()
	return c
}

func binding(role, environments string, people ...*forgetest.User) []byte {
	out := "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: RoleBinding\nspec:\n  role: " + role + "\n  people:\n"
	for _, u := range people {
		out += fmt.Sprintf("    - {login: %q, id: %d}\n", u.Login(), u.ID())
	}
	return []byte(out + "  allowedEnvironments: [" + environments + "]\n")
}

func teamBinding(role string, org *forgetest.Organization, slug string, team *forgetest.Team) []byte {
	return fmt.Appendf(nil, `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: RoleBinding
spec:
  role: %s
  teams:
    - {organization: acme, organizationId: %d, team: %s, teamId: %d}
  allowedEnvironments: [test, prod]
`, role, org.ID(), slug, team.ID())
}

// published waits until the plans that wait for approval are on show: what was refused before that, as is
// done to a push in a moment, never is.
func (c *court) published(pr *forgetest.Pull) {
	c.t.Helper()
	c.check(pr, "shepherd/approval", "action_required")
	c.eventually("the plans to be published", func() bool {
		return c.count(`select count(*) from plans p join tickets t on t.plan_id = p.id join plan_heads h on h.plan_id = p.id
where t.pull_request = $1 and t.status = 'PENDING_APPROVAL' and h.sha = $2 and p.published_at is null`, pr.Number(), pr.HeadSHA()) == 0
	})
}

func (c *court) approve(u *forgetest.User, pr *forgetest.Pull) forgetest.Review {
	c.t.Helper()
	c.published(pr)
	return must(u.Approve(pr))(c.world)
}

// approvalsOf is a policy that asks for so many approvals of new and changed machines of an environment.
func approvalsOf(environment string, n int) []byte {
	return fmt.Appendf(nil, `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: Policy
spec:
  approvals:
    - {name: more-eyes, operations: [CREATE_VM, MODIFY_VM], environments: [%s], approvals: %d}
`, environment, n)
}

func clusterFile(environment, status string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Cluster\nspec:\n  environment: " + environment + "\n  status: " + status + "\n")
}

// templateFile is a version of the template that all machines are made from.
func templateFile(status, packages string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Template\nspec:\n  status: " + status + `
  description: Ubuntu 24.04 LTS
  image:
    containerDisk:
      image: quay.io/containerdisks/ubuntu:24.04
  cloudInit: |
    #cloud-config
    package_update: true
    packages:
      - ` + packages + `
  initialPassword:
    user: ubuntu
  quickFields:
    cpu: {visible: true, editable: true, min: "1", max: "16"}
    memory: {visible: true, editable: true, min: 1Gi, max: 64Gi}
    disk: {visible: true, editable: true}
`)
}

func (c *court) addClusters(names ...string) {
	c.t.Helper()
	clusters, _, err := app.NewClusters(c.cfg, c.pool, c.logger())
	c.do(err)
	for _, name := range names {
		_, err := clusters.Add(c.t.Context(), name, c.kube.Kubeconfig(), audit.Actor{Login: "dave", ID: 104})
		c.do(err)
	}
}

// rules changes the platform the way that everybody has to: asked for by one administrator, approved by
// another one, merged, accepted. All open pull requests are judged anew by then.
func (c *court) rules(branch string, files forgetest.Files) {
	c.t.Helper()
	must(c.Dave.Commit(c.Repo, branch, "main", files, branch))(c.world)
	pr := must(c.Dave.OpenPull(c.Repo, branch, branch, "main", "", false))(c.world)
	c.approve(c.Adam, pr)
	c.check(pr, "shepherd/approval", "success")
	sha := c.merge(pr, "merge")
	c.eventually("the rules of "+branch+" to be accepted", func() bool {
		return c.count(`select count(*) from repository where platform_commit = $1`, sha) == 1
	})
	c.quiet()
}

// stands waits until nothing is under way, and holds that the approval check says so.
func (c *court) stands(pr *forgetest.Pull, conclusion string, why string) forgetest.Check {
	c.t.Helper()
	c.quiet()
	got, _ := pr.Check("shepherd/approval")
	if got.Conclusion != conclusion {
		c.t.Errorf("%s: shepherd/approval is %s (%s), want %s", why, got.Conclusion, got.Title, conclusion)
	}
	return got
}

// says holds that the one comment says all of this by now.
func (c *court) says(pr *forgetest.Pull, texts ...string) string {
	c.t.Helper()
	c.quiet()
	remarks := c.remarks(pr)
	if len(remarks) == 0 {
		c.t.Fatalf("#%d has no comment", pr.Number())
	}
	body := remarks[0].Body
	for _, text := range texts {
		if n := strings.Count(body, text); n == 0 {
			c.t.Errorf("#%d: the comment does not say %q:\n%s", pr.Number(), text, body)
		}
	}
	return body
}

// unsaid holds that the comment does not say this.
func (c *court) unsaid(pr *forgetest.Pull, text string) {
	c.t.Helper()
	if body := c.says(pr); strings.Contains(body, text) {
		c.t.Errorf("#%d: the comment says %q:\n%s", pr.Number(), text, body)
	}
}

// tickets are those of a pull request, in the order in which they were written: name and status.
func (c *court) tickets(pr *forgetest.Pull) []string {
	c.t.Helper()
	return c.strings(`select subject || ' ' || status from tickets where pull_request = $1 order by path, created_at`, pr.Number())
}

// wantTickets holds what became of all tickets of a pull request.
func (c *court) wantTickets(pr *forgetest.Pull, want ...string) {
	c.t.Helper()
	if got := c.tickets(pr); !slices.Equal(got, want) {
		c.t.Errorf("#%d: tickets %v, want %v", pr.Number(), got, want)
	}
}

// trailOf counts the lines of the trail about a pull request.
func (c *court) trailOf(pr *forgetest.Pull, action string) int {
	c.t.Helper()
	return c.count(`select count(*) from audit_log where action_code = $1 and pull_request = $2`, action, pr.Number())
}

// replies are the bot's answers on a pull request.
func (c *court) replies(pr *forgetest.Pull) (out []string) {
	for _, r := range c.comments(pr) {
		if strings.HasPrefix(r.Body, "<!-- shepherd: reply to") {
			out = append(out, r.Body)
		}
	}
	return out
}

// talk writes a comment, waits until it is dealt with, and returns the reply; empty where there is none.
func (c *court) talk(u *forgetest.User, pr *forgetest.Pull, text string) string {
	c.t.Helper()
	said := must(u.Comment(pr, text))(c.world)
	c.quiet()
	return c.replyTo(pr, "comment", said.ID)
}

// replyTo is the one reply to a comment or review.
func (c *court) replyTo(pr *forgetest.Pull, source string, id int64) (out string) {
	c.t.Helper()
	n := 0
	for _, r := range c.replies(pr) {
		if strings.HasPrefix(r, fmt.Sprintf("<!-- shepherd: reply to %s %d -->", source, id)) {
			out, n = r, n+1
		}
	}
	if n > 1 {
		c.t.Errorf("#%d: %d replies to %s %d", pr.Number(), n, source, id)
	}
	if strings.Contains(out, "@") {
		c.t.Errorf("#%d: a reply mentions somebody:\n%s", pr.Number(), out)
	}
	return out
}

// reactions are those on the last comment that has a text.
func (c *court) reactions(pr *forgetest.Pull, text string) (last []string) {
	for _, said := range pr.Comments() {
		if said.Body == text {
			last = said.Reactions
		}
	}
	return last
}

// wantText holds that a text has parts, in any order.
func (c *court) wantText(what, text string, parts ...string) {
	c.t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			c.t.Errorf("%s: does not say %q:\n%s", what, p, text)
		}
	}
}

// reviewOn sends a review that names a commit, as only programs do.
func (c *court) reviewOn(token string, pr *forgetest.Pull, event, sha, body string) {
	c.t.Helper()
	data := must(json.Marshal(map[string]string{"event": event, "commit_id": sha, "body": body}))(c.world)
	url := fmt.Sprintf("%s/api/v3/repos/%s/pulls/%d/reviews", c.Forge.URL(), c.Repo.FullName(), pr.Number())
	req := must(http.NewRequestWithContext(c.t.Context(), http.MethodPost, url, bytes.NewReader(data)))(c.world)
	req.Header.Set("Authorization", "Bearer "+token)
	resp := must(http.DefaultClient.Do(req))(c.world)
	c.do(resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("the review is answered with %s", resp.Status)
	}
}

// one is the file of a machine alone, in a system that is there already.
func (c *court) one(vm, size string) forgetest.Files {
	return forgetest.Files{vmPath("shop", "redis", vm): stage.VM(size, "for a test")}
}
