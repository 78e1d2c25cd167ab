package forgetest_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func asError[T error](err error, into *T) bool { return errors.As(err, into) }

func (w *world) now() time.Time { return time.Now() }

// signJWT makes an App's JWT.
func signJWT(t *testing.T, app *forgetest.App, now time.Time, life time.Duration) string {
	t.Helper()
	key, err := jwt.ParseRSAPrivateKeyFromPEM(app.PrivateKey())
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.RegisteredClaims{
		Issuer: strconv.FormatInt(app.ID(), 10), IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, _ := w.app("")
	other := must[*forgetest.App](t)(w.srv.CreateApp("other", forgetest.AppOptions{}))
	forged := strings.Replace(signJWT(t, app, w.now(), time.Minute), ".", ".e30", 1)
	for name, tc := range map[string]struct {
		token  string
		status int
		text   string
	}{
		"no token":         {"", 401, "Bad credentials"},
		"unknown token":    {"ghp_nobody", 401, "Bad credentials"},
		"person's token":   {w.alice.Token(), 401, "could not be decoded"},
		"good JWT":         {signJWT(t, app, w.now(), 9*time.Minute), 0, ""},
		"expired JWT":      {signJWT(t, app, w.now().Add(-time.Hour), time.Minute), 401, "future time"},
		"JWT for too long": {signJWT(t, app, w.now(), time.Hour), 401, "too far in the future"},
		"damaged JWT":      {forged, 401, ""},
		"other App's JWT":  {signJWT(t, other, w.now(), 9*time.Minute), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := w.client(tc.token).Apps.Get(t.Context(), "")
			if tc.status == 0 {
				do(t, err)
				return
			}
			wantStatus(t, err, tc.status, tc.text)
		})
	}
}

func TestInstallationTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.srv.Repository("acme", "other")
	app, bot := w.app("")
	jwtClient := w.client(signJWT(t, app, w.now(), 9*time.Minute))
	inst := got[*github.Installation](t)(jwtClient.Apps.FindRepositoryInstallation(t.Context(), "acme", "vms"))
	if inst.GetAppSlug() != "shepherd" || inst.GetRepositorySelection() != "selected" {
		t.Errorf("installation is %v", inst)
	}
	mint := func(opts *github.InstallationTokenOptions) (*github.InstallationToken, error) {
		tok, _, err := jwtClient.Apps.CreateInstallationToken(t.Context(), inst.GetID(), opts)
		return tok, err
	}
	narrow := must[*github.InstallationToken](t)(mint(&github.InstallationTokenOptions{
		RepositoryIDs: []int64{w.repo.ID()}, Permissions: &github.InstallationPermissions{Contents: github.String("read"), Issues: github.String("read")},
	}))
	if left := time.Until(narrow.GetExpiresAt().Time); left < 59*time.Minute || left > time.Hour {
		t.Errorf("token lasts %v", left)
	}
	reader := w.client(narrow.GetToken())
	got[*github.Repository](t)(reader.Repositories.GetByID(t.Context(), w.repo.ID()))
	p := w.pull("redis")
	_, _, err := reader.Issues.CreateComment(t.Context(), "acme", "vms", p.Number(), &github.IssueComment{Body: github.String("x")})
	wantStatus(t, err, 403, "Resource not accessible by integration")
	_, _, err = bot.Repositories.Get(t.Context(), "acme", other.Name())
	wantStatus(t, err, 404, "Not Found")
	_, err = mint(&github.InstallationTokenOptions{Repositories: []string{"other"}})
	wantStatus(t, err, 422, "not accessible to the parent installation")
	_, err = mint(&github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Secrets: github.String("write")}})
	wantStatus(t, err, 422, "permissions requested are not granted")

	w.srv.SetClock(func() time.Time { return time.Now().Add(61 * time.Minute) })
	_, _, err = reader.Repositories.GetByID(t.Context(), w.repo.ID())
	wantStatus(t, err, 401, "Bad credentials")
}

func TestGhinstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("")
	c := w.srv.AppCredentials()
	tr := must[*ghinstallation.Transport](t)(ghinstallation.New(http.DefaultTransport, c.AppID, c.InstallationID, c.PrivateKey))
	tr.BaseURL = w.srv.URL() + "/api/v3"
	client := must[*github.Client](t)(github.NewClient(&http.Client{Transport: tr}).WithEnterpriseURLs(w.srv.URL(), w.srv.URL()))
	repos := got[*github.ListRepositories](t)(client.Apps.ListRepos(t.Context(), nil))
	if repos.GetTotalCount() != 1 || repos.Repositories[0].GetID() != w.repo.ID() {
		t.Errorf("installation sees %v", repos)
	}
	p := w.pull("redis")
	cm := got[*github.IssueComment](t)(client.Issues.CreateComment(t.Context(), "acme", "vms", p.Number(), &github.IssueComment{Body: github.String("hi")}))
	if cm.GetUser().GetLogin() != "shepherd[bot]" || cm.GetUser().GetType() != "Bot" || cm.GetUser().GetID() != c.BotID {
		t.Errorf("comment is by %v", cm.GetUser())
	}
}

func TestSuspendedInstallation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := must[*forgetest.App](t)(w.srv.CreateApp("shepherd", forgetest.AppOptions{}))
	inst := app.Install(w.repo)
	client := w.client(inst.Token())
	inst.Suspend(true)
	_, _, err := client.Repositories.Get(t.Context(), "acme", "vms")
	wantStatus(t, err, 403, "suspended")
	inst.Suspend(false)
	got[*github.Repository](t)(client.Repositories.Get(t.Context(), "acme", "vms"))
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hidden := must[*forgetest.Repository](t)(w.srv.CreateRepository("acme", "hidden", forgetest.RepositoryOptions{Private: true, ID: 77}))
	hidden.SetPermission(w.alice, "triage")
	p := w.pull("redis")
	_, _, err := w.as(w.guest).Repositories.GetByID(t.Context(), 77)
	wantStatus(t, err, 404, "Not Found")
	_, _, err = w.as(w.guest).PullRequests.Merge(t.Context(), "acme", "vms", p.Number(), "", nil)
	wantStatus(t, err, 403, "write rights")
	_, _, err = w.as(w.bob).Repositories.GetBranchProtection(t.Context(), "acme", "vms", "main")
	wantStatus(t, err, 403, "admin rights")
	level := got[*github.RepositoryPermissionLevel](t)(w.as(w.alice).Repositories.GetPermissionLevel(t.Context(), "acme", "hidden", "alice"))
	if level.GetPermission() != "read" || level.GetUser().GetRoleName() != "triage" {
		t.Errorf("alice has %v", level)
	}
	_, err = w.guest.Commit(w.repo, "x", "main", forgetest.Files{"x": []byte("x")}, "x")
	wantRefusal(t, err, 403, "denied to guest")
}

func TestPeopleAndTeams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := must[*forgetest.App](t)(w.srv.CreateApp("shepherd", forgetest.AppOptions{}))
	bot := w.client(app.Install(w.repo).Token())
	org := w.srv.Organization("acme")
	team := org.Team("platform")
	team.Add(w.bob)
	team.SetMember(w.alice, "maintainer", "pending")
	byID := got[*github.User](t)(bot.Users.GetByID(t.Context(), w.bob.ID()))
	byLogin := got[*github.User](t)(bot.Users.Get(t.Context(), "bob"))
	if byID.GetLogin() != "bob" || byLogin.GetID() != w.bob.ID() {
		t.Errorf("bob is %v and %v", byID, byLogin)
	}
	_, _, err := bot.Users.Get(t.Context(), "nobody")
	wantStatus(t, err, 404, "Not Found")
	for _, m := range []*github.Membership{
		got[*github.Membership](t)(bot.Teams.GetTeamMembershipBySlug(t.Context(), "acme", "platform", "alice")),
		got[*github.Membership](t)(bot.Teams.GetTeamMembershipByID(t.Context(), org.ID(), team.ID(), "alice")),
	} {
		if m.GetState() != "pending" || m.GetRole() != "maintainer" {
			t.Errorf("alice is %v", m)
		}
	}
	_, _, err = bot.Teams.GetTeamMembershipByID(t.Context(), org.ID(), team.ID(), "guest")
	wantStatus(t, err, 404, "Not Found")
	members := got[[]*github.User](t)(bot.Teams.ListTeamMembersByID(t.Context(), org.ID(), team.ID(), nil))
	if len(members) != 1 || members[0].GetLogin() != "bob" {
		t.Errorf("active members are %v", members)
	}
	if n := len(got[[]*github.User](t)(bot.Teams.ListTeamMembersBySlug(t.Context(), "acme", "platform", nil))); n != 1 {
		t.Errorf("%d active members by slug", n)
	}
	got[*github.Team](t)(bot.Teams.GetTeamByID(t.Context(), org.ID(), team.ID()))
	got[*github.Membership](t)(bot.Organizations.GetOrgMembership(t.Context(), "bob", "acme"))
	_, _, err = w.as(w.guest).Teams.GetTeamBySlug(t.Context(), "acme", "platform")
	wantStatus(t, err, 404, "Not Found")
	team.Remove(w.bob)
	if n := len(got[[]*github.User](t)(bot.Teams.ListTeamMembersBySlug(t.Context(), "acme", "platform", nil))); n != 0 {
		t.Errorf("%d members are left", n)
	}
	w.bob.Rename("robert")
	if u := got[*github.User](t)(bot.Users.GetByID(t.Context(), w.bob.ID())); u.GetLogin() != "robert" {
		t.Errorf("bob is now %s", u.GetLogin())
	}
}
