package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/doctor"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/stage"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// ward is a server's surroundings to be examined.
type ward struct {
	*stage.Stage
	cfg  config.Config
	pool *pgxpool.Pool
}

func newWard(t *testing.T) *ward {
	t.Helper()
	s, err := stage.Set(stage.Options{Dir: t.TempDir(), Forge: forgetest.Options{Observer: published.Watch(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Forge.Close() })
	w := &ward{Stage: s, cfg: s.Config(storetest.DSN(t), t.TempDir(), "127.0.0.1:0")}
	if w.pool, err = pgxpool.New(t.Context(), w.cfg.Database.Reveal()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	return w
}

func (w *ward) protect(change func(*forgetest.Protection)) {
	p := forgetest.Protection{EnforceAdmins: true, Checks: []forgetest.RequiredCheck{
		{Context: "shepherd/validate", AppID: w.App.ID()}, {Context: "shepherd/approval", AppID: w.App.ID()},
	}}
	change(&p)
	w.Repo.Protect("main", p)
}

// hook lets webhooks go to a receiver that answers with a status.
func (w *ward) hook(t *testing.T, status int) {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }))
	t.Cleanup(receiver.Close)
	w.App.SetHook(receiver.URL+"/webhooks/github", w.Secret)
	if _, err := w.Alice.Commit(w.Repo, "topic", "main", forgetest.Files{"README.md": []byte("more")}, "a branch"); err != nil {
		t.Fatal(err)
	}
	if err := w.Forge.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *ward) sql(t *testing.T, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// doctor runs the command and reads what it found.
func (w *ward) doctor(t *testing.T) ([]doctor.Finding, output) {
	t.Helper()
	environ := append(w.Environ(w.cfg), "SHEPHERD_REPOSITORY_BRANCH="+w.cfg.Repository.Branch)
	out := shepherd(t.Context(), environ, "doctor")
	again := shepherd(t.Context(), environ, "doctor", "-o", "json")
	var findings []doctor.Finding
	if err := json.Unmarshal([]byte(again.stdout), &findings); err != nil {
		t.Fatalf("%v\n%s\n%v", err, again.stdout, again.err)
	}
	return findings, out
}

// A setup in which everything is right is told to be so, all of it.
func TestDoctorClean(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.protect(func(*forgetest.Protection) {})
	w.hook(t, http.StatusAccepted)
	shepherd(t.Context(), w.Environ(w.cfg), "repo", "baseline", w.Repo.Head("main")).ok(t)
	keys, err := seal.ParseKeyring(w.cfg.EncryptionKeys)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test-1", "prod-1"} {
		w.sql(t, fmt.Sprintf(`insert into clusters (id, uid, kubeconfig, key_id, health, checked_at, created_at) values ('%s', 'u', '', '%s', 'healthy', now(), now())`, name, keys.IDs()[0]))
	}
	w.sql(t, `update repository set last_sweep_at = now(), deliveries_swept_to = now()`,
		`insert into deliveries (id, event, body, received_at) values ('d', 'push', '{}', now())`,
		`insert into river_job (args, kind, max_attempts, state, finalized_at) values ('{}', 'heartbeat', 1, 'completed', now())`)
	findings, out := w.doctor(t)
	text := out.ok(t)
	t.Log("\n" + text)
	for _, f := range findings {
		if f.Level != doctor.OK {
			t.Errorf("%s: %s: %s", f.Area, f.Level, f.Text)
		}
	}
	for _, area := range []string{"configuration", "database", "activity", "repository", "app", "webhook", "branch protection", "clocks", "clusters"} {
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Area == area }) {
			t.Errorf("nothing of %s", area)
		}
	}
	if !strings.HasSuffix(text, "\n0 errors, 0 warnings\n") || strings.Contains(text, "→") {
		t.Error(text)
	}
}

// Whatever is wrong is told at once, each thing with what to do.
func TestDoctorBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		given func(*testing.T, *ward)
		want  []string
	}{
		{"a day on which little is done", func(t *testing.T, w *ward) {
			w.cfg.Approval.Grace = 0
			w.App.SetHook("http://127.0.0.1:1/hooks", "")
			permissions := forgetest.BotPermissions()
			permissions["checks"] = "read"
			delete(permissions, "deployments")
			w.App.Installations()[0].SetPermissions(permissions)
			w.sql(t, `insert into clusters (id, uid, kubeconfig, key_id, health, health_message, checked_at, created_at) values ('stray', 'u', '', 'lost', 'unreachable', 'no route', now(), now())`,
				`alter table river_job reset (autovacuum_vacuum_scale_factor)`)
		}, []string{
			"approval.grace is 0", "not vacuumed eagerly", "no baseline yet", "no server is at work", "no webhook has come in",
			"the forge cannot be asked about the repository", "permission checks (write) is not granted", "permission deployments (write)",
			"has to end in /webhooks/github", "the webhook has no secret", "stray is unreachable: no route", `sealed with key "lost"`,
		}},
		{"an open branch, webhooks that are refused", func(t *testing.T, w *ward) {
			w.protect(func(p *forgetest.Protection) {
				p.EnforceAdmins, p.DismissStale, p.AllowForcePushes, p.AllowDeletions = false, true, true, true
				p.Checks = []forgetest.RequiredCheck{{Context: "shepherd/validate"}}
			})
			w.hook(t, http.StatusUnauthorized)
			shepherd(t.Context(), w.Environ(w.cfg), "repo", "baseline", w.Repo.Head("main")).ok(t)
		}, []string{
			"shepherd/validate is required from anybody", "shepherd/approval is not required", "stale approvals are dismissed", "may be force-pushed",
			"may be deleted", "administrators may merge", "were not taken (100 %)", "test-1 is active in the accepted platform and has no credentials",
			"never compared",
		}},
		{"details that are not shown, no such branch protection", func(_ *testing.T, w *ward) {
			permissions := forgetest.BotPermissions()
			delete(permissions, "administration")
			w.App.Installations()[0].SetPermissions(permissions)
			w.protect(func(p *forgetest.Protection) { p.Checks[1].AppID = 7 })
		}, []string{"shepherd/approval is required from App 7, not from ours", "without permission administration (read)", "the App has no active webhook"}},
		{"another time", func(_ *testing.T, w *ward) {
			w.Forge.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
		}, []string{"the clock of the forge is 1h0m ahead of", "the App cannot be asked"}},
		{"another branch", func(_ *testing.T, w *ward) {
			w.cfg.Repository.Branch = "trunk"
		}, []string{`acme/vms has no branch "trunk"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			c.given(t, w)
			findings, out := w.doctor(t)
			t.Log("\n" + out.stdout)
			if out.fails(t, "to be put right"); exitCode(out.err) != 1 {
				t.Errorf("ends with %d", exitCode(out.err))
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
					return strings.Contains(f.Text, want) && f.Fix != "" && strings.Contains(out.stdout, f.Fix)
				}) {
					t.Errorf("nothing says %q", want)
				}
			}
			for _, secret := range []string{w.Secret, w.cfg.EncryptionKeys.Reveal(), "PRIVATE KEY"} {
				if strings.Contains(out.stdout+out.stderr, secret) {
					t.Errorf("it shows %.12s...", secret)
				}
			}
		})
	}
}

// Without a database or a forge everything else is told all the same.
func TestDoctorAlone(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.cfg.Database = seal.NewSecret("postgres://nobody:hunter2@127.0.0.1:1/none")
	_ = w.Forge.Close()
	findings, out := w.doctor(t)
	if strings.Contains(out.stdout, "hunter2") {
		t.Error("it shows the password")
	}
	for _, want := range []string{"the database cannot be asked", "the forge cannot be asked", "the App cannot be asked"} {
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Level == doctor.Wrong && strings.Contains(f.Text, want) }) {
			t.Errorf("nothing says %q in\n%s", want, out.stdout)
		}
	}
	shepherd(t.Context(), nil, "doctor", "-o", "xml").fails(t, "text or json")
	shepherd(t.Context(), nil, "doctor").fails(t, "to be put right")
}
