package bot

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
)

const vmPath = "systems/shop/redis/prod-shop/01.yaml"

// vmFile is a VM that differs in its meaning by size, and only in its form by comment.
func vmFile(size, comment string) []byte {
	return []byte("# " + comment + "\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n  template: ubuntu-24.04\n  size: " +
		size + "\n  power: running\n  reason: the winter sale\n")
}

// scene is a forge with people, a mirror of its repository, and a judge who looks at both.
type scene struct {
	*database
	forge             *forgetest.Server
	repo              *forgetest.Repository
	alice, bob, carol *forgetest.User
	client            *github.Client
	judge             *Judge
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{database: newDatabase(t), forge: published.Start(t)}
	s.alice, s.bob, s.carol = s.forge.UserWithID("alice", alice.ID), s.forge.UserWithID("bob", bob.ID), s.forge.UserWithID("carol", carol.ID)
	s.repo = s.forge.Repository("acme", "vms")
	for _, u := range []*forgetest.User{s.alice, s.bob, s.carol} {
		s.repo.SetPermission(u, "write")
	}
	s.listen()
	var err error
	s.client, err = github.New(t.Context(), github.Config{BaseURL: s.forge.URL(), RepositoryID: s.repo.ID(), Token: s.carol.Token()})
	s.ok(err)
	mirror, err := gitops.Open(t.Context(), gitops.Options{Dir: t.TempDir(), URL: s.client.CloneURL(), Auth: s.client.GitCredentials})
	s.ok(err)
	t.Cleanup(func() { s.ok(mirror.Close()) })
	s.judge = NewJudge(JudgeDeps{
		Pool: s.pool, DB: s.db, Forge: s.client, Mirror: mirror, Repo: Repository{ID: s.repo.ID(), Branch: "main"}, Self: self,
		Log: slog.New(slog.DiscardHandler),
	})
	return s
}

// listen takes the forge's webhooks in, as the server does.
func (s *scene) listen() {
	server := httptest.NewServer(newIntake(s.database))
	s.Cleanup(server.Close)
	s.repo.AddHook(server.URL, secret, "push", "pull_request", "pull_request_review")
}

// settle routes the webhooks that came in.
func (s *scene) settle() {
	s.Helper()
	s.ok(s.forge.WaitIdle(s.Context()))
	router := NewRouter(s.db, s.queue, github.Parse, s.judge.repo, self, now)
	for _, id := range s.lines(`select id from deliveries where status = 'received' order by received_at, xmin::text::bigint`) {
		s.ok(router.Route(s.Context(), jobs.RouteDelivery{DeliveryID: id}))
	}
}

func (s *scene) commit(u *forgetest.User, branch, path string, content []byte, message string, opts ...forgetest.CommitOption) string {
	s.Helper()
	sha, err := u.Commit(s.repo, branch, "main", forgetest.Files{path: content}, message, opts...)
	s.ok(err)
	return sha
}

func (s *scene) pull(u *forgetest.User, branch string) *forgetest.Pull {
	s.Helper()
	p, err := u.OpenPull(s.repo, "more redis", branch, "main", "", false)
	s.ok(err)
	return p
}

// people are the contributors of the changes, as "login: how", by path; "?" is why they are not all known.
func (s *scene) people(p *forgetest.Pull, changes ...judge.Change) map[string][]string {
	s.Helper()
	s.settle()
	ctx := s.Context()
	pull, err := s.client.PullRequest(ctx, p.Number())
	s.ok(err)
	h, err := s.judge.fetch(ctx, pull)
	s.ok(err)
	files, err := s.judge.files(ctx, h)
	s.ok(err)
	pushers, err := s.judge.pushers(ctx, pull, h, files, nil)
	s.ok(err)
	made, err := s.judge.contributions(ctx, pull, h, judge.Report{Changes: changes}, pushers, nil)
	s.ok(err)
	logins := map[int64]string{alice.ID: "alice", bob.ID: "bob", carol.ID: "carol"}
	out := map[string][]string{}
	for path, m := range made {
		for id, how := range m.people {
			how, _, _ = strings.Cut(how, " (")
			out[path] = append(out[path], logins[id]+": "+strings.TrimRight(how, "0123456789abcdef"))
		}
		slices.Sort(out[path])
		if m.unattributed != "" {
			out[path] = append(out[path], "?")
		}
	}
	return out
}

func changeOf(path string, env domain.Environment) judge.Change {
	return judge.Change{Path: path, Environment: env}
}

func (s *scene) expect(p *forgetest.Pull, env domain.Environment, want ...string) {
	s.Helper()
	if diff := cmp.Diff(map[string][]string{vmPath: want}, s.people(p, changeOf(vmPath, env))); diff != "" {
		s.Errorf("contributors (-want +got):\n%s", diff)
	}
}

const opened = "alice: author of the pull request"

// Who made a change may not approve it: every case on real git and a real forge's interface.
func TestContributors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  domain.Environment
		do   func(*scene) *forgetest.Pull
		want []string
	}{
		{"the author alone", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			return s.pull(s.alice, "topic")
		}, []string{opened}},
		{"who pushed the first commit of another's pull request", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.bob, "topic", vmPath, vmFile("medium", ""), "ask")
			return s.pull(s.alice, "topic")
		}, []string{opened, "bob: pushed it"}},
		{"who pushed to it later", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.bob, "topic", vmPath, vmFile("large", ""), "larger")
			return p
		}, []string{opened, "bob: pushed it"}},
		{"who pushed somebody else's commit", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.bob, "topic", vmPath, vmFile("large", ""), "larger", authored(s.carol), committed(s.carol))
			return p
		}, []string{opened, "bob: pushed it", "carol: committed "}},
		{"who committed what another wrote", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask", authored(s.carol), committed(s.bob))
			return s.pull(s.alice, "topic")
		}, []string{opened, "bob: committed ", "carol: wrote commit "}},
		{"who changed nothing but a comment", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.bob, "topic", vmPath, vmFile("medium", "said better"), "words")
			return p
		}, []string{opened}},
		{"who pushed another file", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.bob, "topic", "README.md", []byte("words\n"), "words")
			return p
		}, []string{opened}},
		{"the forge's own committer is nobody", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask", committedBy("GitHub", "noreply@github.com"))
			return s.pull(s.alice, "topic")
		}, []string{opened}},
		{"updating the branch makes nobody a contributor", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.carol, "main", "README.md", []byte("the branch moved on\n"), "words")
			s.ok(s.bob.UpdateBranch(p))
			return p
		}, []string{opened}},
		{"what came in with an update is not theirs who wrote it", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.carol, "main", "systems/shop/redis/prod-shop/02.yaml", vmFile("small", ""), "another VM")
			s.ok(s.alice.UpdateBranch(p))
			return p
		}, []string{opened}},
		{"a force-push that drops what another pushed", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.bob, "topic", vmPath, vmFile("large", ""), "larger")
			_, err := s.alice.ForcePush(s.repo, "topic", "main", forgetest.Files{vmPath: vmFile("medium", "")}, "as before")
			s.ok(err)
			return p
		}, []string{opened, "bob: pushed it"}},
		{"a co-author, prod", domain.Prod, coAuthored, []string{opened, "bob: co-author of commit "}},
		{"a co-author, test", domain.Test, coAuthored, []string{opened}},
		{"nobody knows the author, the pusher was seen", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.bob, "topic", vmPath, vmFile("medium", ""), "ask", forgetest.AuthoredBy("A Stranger", "stranger@nowhere.test"), forgetest.CommittedBy("A Stranger", "stranger@nowhere.test"))
			return s.pull(s.alice, "topic")
		}, []string{opened, "bob: pushed it"}},
		{"nobody knows the author, the pusher was not seen", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.bob, "topic", vmPath, vmFile("medium", ""), "ask", forgetest.AuthoredBy("A Stranger", "stranger@nowhere.test"), forgetest.CommittedBy("A Stranger", "stranger@nowhere.test"))
			s.forgetPushes()
			s.repo.ForgetActivity()
			return s.pull(s.alice, "topic")
		}, []string{opened, "?"}},
		{"nobody knows the author, the push was lost, the forge remembers it", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.bob, "topic", vmPath, vmFile("medium", ""), "ask", forgetest.AuthoredBy("A Stranger", "stranger@nowhere.test"), forgetest.CommittedBy("A Stranger", "stranger@nowhere.test"))
			s.forgetPushes()
			return s.pull(s.alice, "topic")
		}, []string{opened, "bob: pushed it"}},
		{"a lost push under another's name", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.settle()
			s.commit(s.bob, "topic", vmPath, vmFile("large", ""), "larger", authored(s.carol), committed(s.carol))
			s.forgetPushes()
			return p
		}, []string{opened, "bob: pushed it", "carol: committed "}},
		{"a lost push under another's name that nobody remembers", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.settle()
			s.commit(s.bob, "topic", vmPath, vmFile("large", ""), "larger", authored(s.carol), committed(s.carol))
			s.forgetPushes()
			s.repo.ForgetActivity()
			return p
		}, []string{opened, "carol: committed ", "?"}},
		{"a lost push to another file that nobody remembers", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", "README.md", []byte("words\n"), "words")
			p := s.pull(s.alice, "topic")
			s.forgetPushes()
			s.repo.ForgetActivity()
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			return p
		}, []string{opened}},
		{"nobody knows the author, and only a later push was seen", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.bob, "topic", vmPath, vmFile("medium", ""), "ask", forgetest.AuthoredBy("A Stranger", "stranger@nowhere.test"), forgetest.CommittedBy("A Stranger", "stranger@nowhere.test"))
			s.forgetPushes()
			s.repo.ForgetActivity()
			p := s.pull(s.alice, "topic")
			s.commit(s.carol, "topic", "README.md", []byte("words\n"), "words")
			return p
		}, []string{opened, "?"}},
		{"our own push is nobody's", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			s.commit(s.bob, "topic", vmPath, vmFile("large", ""), "larger")
			s.settle()
			s.exec("alter table pushes disable trigger pushes_rows")
			s.exec("update pushes set pusher_id = $1 where pusher_id = $2", self.ID, bob.ID)
			return p
		}, []string{opened, "bob: committed "}},
		{"the author is known, the committer is not, the pusher was not seen", domain.Prod, func(s *scene) *forgetest.Pull {
			s.commit(s.bob, "topic", vmPath, vmFile("medium", ""), "ask", forgetest.CommittedBy("A Stranger", "stranger@nowhere.test"))
			s.forgetPushes()
			s.repo.ForgetActivity()
			return s.pull(s.alice, "topic")
		}, []string{opened, "bob: wrote commit ", "?"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.expect(c.do(s), c.env, c.want...)
		})
	}
}

func authored(u *forgetest.User) forgetest.CommitOption {
	return forgetest.AuthoredBy(u.Login(), u.Email())
}

func committed(u *forgetest.User) forgetest.CommitOption {
	return forgetest.CommittedBy(u.Login(), u.Email())
}

func committedBy(name, email string) forgetest.CommitOption {
	return forgetest.CommittedBy(name, email)
}

func coAuthored(s *scene) *forgetest.Pull {
	message := fmt.Sprintf("ask\n\nCo-authored-by: bob <%d+bob@users.noreply.github.com>\n", bob.ID)
	s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), message)
	return s.pull(s.alice, "topic")
}

// forgetPushes loses the webhooks of what was pushed so far.
func (s *scene) forgetPushes() {
	s.Helper()
	s.ok(s.forge.WaitIdle(s.Context()))
	s.exec("delete from deliveries")
	s.exec("delete from river_job")
}

// Each change has its own contributors.
func TestContributorsByChange(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const second = "systems/shop/redis/prod-shop/02.yaml"
	s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
	p := s.pull(s.alice, "topic")
	s.commit(s.bob, "topic", second, vmFile("medium", ""), "and another")
	want := map[string][]string{vmPath: {opened}, second: {opened, "bob: pushed it"}}
	if diff := cmp.Diff(want, s.people(p, changeOf(vmPath, domain.Prod), changeOf(second, domain.Prod))); diff != "" {
		t.Errorf("contributors (-want +got):\n%s", diff)
	}
}

// Forges list 250 commits; who made the others is not known.
func TestContributorsOfTooMany(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
	p := s.pull(s.alice, "topic")
	s.ok(s.bob.Push(s.repo, "topic", s.many(first, maxCommits), false))
	s.expect(p, domain.Prod, opened, "?")
}

// many makes commits of bob's on top of another, all at once, and returns the last.
func (s *scene) many(parent string, n int) string {
	s.Helper()
	var in strings.Builder
	for i := range n {
		from := ":" + strconv.Itoa(i)
		if i == 0 {
			from = parent
		}
		fmt.Fprintf(&in, "commit refs/many\nmark :%d\ncommitter bob <%s> %d +0000\ndata 5\nwords\nfrom %s\nM 100644 inline README.md\ndata <<end\nline %d\nend\n",
			i+1, s.bob.Email(), clock.Unix()+int64(i), from, i)
	}
	for _, run := range []struct {
		args  []string
		stdin string
	}{{[]string{"fast-import", "--quiet"}, in.String()}, {[]string{"rev-parse", "refs/many"}, ""}} {
		cmd := exec.CommandContext(s.Context(), "git", run.args...)
		cmd.Dir, cmd.Stdin = s.repo.Dir(), strings.NewReader(run.stdin)
		out, err := cmd.Output()
		s.ok(err)
		parent = strings.TrimSpace(string(out))
	}
	return parent
}

// What the forge shows of a review may follow a push that changes nothing; what was seen does not.
func TestReviewsThatTheForgeRepoints(t *testing.T) {
	t.Parallel()
	for _, seen := range []bool{true, false} {
		t.Run(fmt.Sprintf("seen %v", seen), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.forge.RepointReviews(true)
			reviewed := s.commit(s.alice, "topic", vmPath, vmFile("medium", ""), "ask")
			p := s.pull(s.alice, "topic")
			_, err := s.bob.Approve(p)
			s.ok(err)
			if !seen {
				s.forgetPushes()
			}
			s.settle()
			_, err = s.alice.ForcePush(s.repo, "topic", "main", forgetest.Files{vmPath: vmFile("medium", "")}, "the same, said better")
			s.ok(err)
			s.settle()
			pull, err := s.client.PullRequest(t.Context(), p.Number())
			s.ok(err)
			listed, err := s.client.Reviews(t.Context(), p.Number())
			s.ok(err)
			if len(listed) != 1 || listed[0].CommitSHA != pull.HeadSHA || pull.HeadSHA == reviewed {
				t.Fatalf("the forge did not re-point: %+v", listed)
			}
			// The push came in after the review by the forge's clock.
			s.exec("alter table pushes disable trigger pushes_rows")
			s.exec("update pushes set at = $1", listed[0].SubmittedAt.Add(1e9))
			got, err := s.judge.reviews(t.Context(), pull)
			s.ok(err)
			if len(got) != 1 || got[0].CommitSHA != reviewed || got[0].Reviewer.ID != bob.ID {
				t.Errorf("%+v: want commit %s", got, reviewed)
			}
		})
	}
}

func TestCoAuthors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, message string
		want          []int64
	}{
		{"none", "ask", nil},
		{"one", "ask\n\nCo-authored-by: bob <102+bob@users.noreply.github.com>", []int64{102}},
		{"two, in any case", "ask\n\nco-authored-by: bob <102+bob@users.noreply.github.com>\nCO-AUTHORED-BY: c <103+carol@users.noreply.forge.test>\n", []int64{102, 103}},
		{"trailing space", "ask\n\nCo-authored-by: bob <102+bob@users.noreply.github.com>  \n", []int64{102}},
		{"an address that holds no number", "ask\n\nCo-authored-by: bob <bob@example.test>", nil},
		{"not at the line's start", "ask > Co-authored-by: bob <102+bob@users.noreply.github.com>", nil},
		{"a number beyond all", "ask\n\nCo-authored-by: bob <99999999999999999999+bob@users.noreply.github.com>", nil},
		{"no more than twenty", strings.Repeat("Co-authored-by: b <102+b@users.noreply.github.com>\n", 30), slices.Repeat([]int64{102}, 20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, coAuthors(c.message)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A bot's own push is nobody's, and people are counted once.
func TestContributionAdd(t *testing.T) {
	t.Parallel()
	made := contribution{people: map[int64]string{}, logins: map[int64]string{}}
	made.add(alice, "first")
	made.add(alice, "second")
	made.add(forge.Person{}, "nobody")
	if diff := cmp.Diff(map[int64]string{alice.ID: "first"}, made.people); diff != "" {
		t.Error(diff)
	}
}
