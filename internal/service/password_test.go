package service

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

const cloudConfig = "#cloud-config\r\npackages: [nginx]\n# no newline at the end: é"

// locked is a change of a VM whose template gives it a first password.
func (w *world) locked(op domain.Operation, ref spec.Ref, cores int) judge.Change {
	w.Helper()
	ms, problems := render.Render(render.Input{
		Ref: ref, Environment: domain.Prod, KubernetesNamespace: w.ns,
		VM: spec.VirtualMachine{Template: "ubuntu", Size: "medium", Power: spec.PowerRunning},
		Template: spec.Template{
			Image:     spec.Image{PVC: &spec.ObjectRef{Namespace: "images", Name: "ubuntu"}},
			CloudInit: cloudConfig, InitialPassword: &spec.InitialPassword{User: "ubuntu"},
		},
		Size: spec.InstanceSize{Cores: cores, Memory: "2Gi"},
	})
	if problems.Blocking() {
		w.Fatal(problems)
	}
	c := w.change(op, ref, runs, runs, ms...)
	if op == domain.CreateVM {
		c.Accepted = nil
	}
	return c
}

// secret is a Secret on the API server, nil where there is none.
func (w *world) secret(name string) *corev1.Secret {
	w.Helper()
	var s corev1.Secret
	err := w.kube.Client().Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &s)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &s
}

// unlocks holds a VM's two Secrets to each other and returns the password and its hash.
func (w *world) unlocks(ref spec.Ref) (password, hash string) {
	w.Helper()
	said, set := w.secret(render.InitialPasswordSecretName(ref.VMName())), w.secret(render.CloudInitSecretName(ref.VMName()))
	if said == nil || set == nil {
		w.Fatalf("%s: password %v, user data %v", ref.VMName(), said != nil, set != nil)
	}
	password = string(said.Data["password"])
	if string(said.Data["username"]) != "ubuntu" || len(password) < 20 {
		w.Fatalf("user %s, a password of %d", said.Data["username"], len(password))
	}
	parts := w.parts(set.Data["userdata"])
	if len(parts) != 2 || parts[0] != cloudConfig || !strings.HasPrefix(parts[1], "#cloud-config\n") {
		w.Fatalf("user data %q", parts)
	}
	var config struct {
		Chpasswd struct {
			Expire bool
			Users  []struct{ Name, Password, Type string }
		}
	}
	w.ok(yaml.UnmarshalStrict([]byte(parts[1]), &config))
	if users := config.Chpasswd.Users; !config.Chpasswd.Expire || len(users) != 1 || users[0].Name != "ubuntu" || users[0].Type != "hash" {
		w.Fatalf("%+v", config)
	}
	hash = config.Chpasswd.Users[0].Password
	digest, err := shacrypt.Decode(hash)
	w.ok(err)
	if !strings.HasPrefix(hash, "$6$") || !digest.Match(password) {
		w.Fatal("the hash is not that of the password")
	}
	return password, hash
}

// parts takes a MIME archive apart as a mail reader does.
func (w *world) parts(archive []byte) (parts []string) {
	w.Helper()
	message, err := mail.ReadMessage(bytes.NewReader(archive))
	w.ok(err)
	_, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	w.ok(err)
	for reader := multipart.NewReader(message.Body, parameters["boundary"]); ; {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return parts
		}
		w.ok(err)
		if part.Header.Get("Content-Type") != `text/cloud-config; charset="utf-8"` {
			w.Fatalf("a part is %s", part.Header)
		}
		text, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
		w.ok(err)
		parts = append(parts, string(text))
	}
}

// dump is all that the database holds, with what is encoded in it decoded as well.
func (w *world) dump() string {
	w.Helper()
	var all strings.Builder
	for _, table := range w.lines(`select quote_ident(table_schema) || '.' || quote_ident(table_name) from information_schema.tables
		where table_schema not in ('pg_catalog', 'information_schema') and table_type = 'BASE TABLE'`) {
		for _, row := range w.lines(`select t::text from ` + table + ` t`) {
			unfold(&all, row, 3)
		}
	}
	return all.String()
}

var encodedRun = regexp.MustCompile(`[A-Za-z0-9+/]{12,}=*`)

// unfold writes a text, and below it what is written in it in hexadecimal or base64, so many times over.
func unfold(all *strings.Builder, text string, times int) {
	all.WriteString(text + "\n")
	if times == 0 {
		return
	}
	for _, run := range encodedRun.FindAllString(text, -1) {
		if plain, err := hex.DecodeString(strings.TrimPrefix(run, "x")); err == nil {
			unfold(all, string(plain), times-1)
		} else if plain, err := base64.StdEncoding.DecodeString(run); err == nil {
			unfold(all, string(plain), times-1)
		}
	}
}

// The password is in its Secret alone, made once, and nobody else is told.
func TestInitialPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	var log bytes.Buffer
	w.vms = NewVMs(VMsDeps{
		Pool: w.pool, DB: w.db, Gateway: w.gateway, Clusters: provider.New(w.clusters, provider.Options{}),
		Environment: w.vms.environment, Now: w.now, Observe: w.vms.observe,
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	ref := newRef()
	created := w.locked(domain.CreateVM, ref, 2)
	first := w.ask(created)[0]
	w.done(first)
	password, hash := w.unlocks(ref)
	versions := func() string {
		return w.secret(render.InitialPasswordSecretName(ref.VMName())).ResourceVersion + " " + w.secret(render.CloudInitSecretName(ref.VMName())).ResourceVersion
	}
	was, data := versions(), string(w.secret(render.CloudInitSecretName(ref.VMName())).Data["userdata"])

	w.done(w.ask(w.locked(domain.ModifyVM, ref, 4))[0])
	if again, _ := w.unlocks(ref); again != password || versions() != was {
		t.Errorf("a change of cores touched the password: %s, then %s", was, versions())
	}
	if got := w.live(first).Spec.Template.Spec.Domain.CPU.Sockets; got != 4 {
		t.Errorf("%d sockets", got)
	}

	// Whoever has logged in may throw the password away: it is not made anew.
	w.ok(w.kube.Client().Delete(t.Context(), w.secret(render.InitialPasswordSecretName(ref.VMName()))))
	w.done(w.ask(w.locked(domain.ModifyVM, ref, 2))[0])
	if w.secret(render.InitialPasswordSecretName(ref.VMName())) != nil {
		t.Error("a password was made that the guest does not know")
	}

	stored := w.dump()
	if !strings.Contains(stored, cloudConfig) {
		t.Error("the dump does not show what the plan holds")
	}
	digest, err := render.EffectiveDigest(nil, created.Plan.Manifests)
	w.ok(err)
	for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte(password)), hash, data} {
		for where, text := range map[string]string{"database": stored, "log": log.String(), "plan": string(created.Plan.Manifests[0].JSON), "digest": digest} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s holds what was made for the VM alone", where)
			}
		}
	}
}

// However the connection breaks while a VM is made, the guest's password is the one that the Secret says, and no
// password that was there is replaced.
func TestCrashBetweenSecrets(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(map[bool]string{false: "before", true: "after"}[late], func(t *testing.T) {
			t.Parallel()
			var left atomic.Int64
			w := behind(t, func(w *world, rw http.ResponseWriter, r *http.Request, pass http.Handler) {
				if left.Add(-1) != 0 {
					pass.ServeHTTP(rw, r)
					return
				}
				if late {
					pass.ServeHTTP(httptest.NewRecorder(), r)
				}
				panic(http.ErrAbortHandler)
			})
			half := 0
			for n := int64(1); n < 60 && !t.Failed(); n++ {
				ref := newRef()
				id := w.ask(w.locked(domain.CreateVM, ref, 2))[0]
				left.Store(n)
				_ = w.service(w.gateway).Execute(t.Context(), id)
				over := left.Swap(0) > 0
				half += w.resumed(ref, id)
				if over {
					break
				}
			}
			if half == 0 {
				t.Error("never was there one Secret without the other")
			}
		})
	}
}

// resumed carries the event out with another process. It returns 1 where that found a password without user data.
func (w *world) resumed(ref spec.Ref, id uuid.UUID) (half int) {
	w.Helper()
	before := w.secret(render.InitialPasswordSecretName(ref.VMName()))
	if before != nil && w.secret(render.CloudInitSecretName(ref.VMName())) == nil {
		half = 1
	}
	w.ok(w.try(w.service(w.gateway), id))
	password, _ := w.unlocks(ref)
	if before != nil && string(before.Data["password"]) != password {
		w.Error("the password was made twice")
	}
	return half
}

// A Secret of somebody else's under the name is left alone, and so is one without its password.
func TestPasswordOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref := newRef()
	w.ok(w.kube.Client().Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: render.InitialPasswordSecretName(ref.VMName())},
		Data:       map[string][]byte{"password": []byte("theirs")},
	}))
	w.failed(w.ask(w.locked(domain.CreateVM, ref, 2))[0], domain.ForeignVM)
	if w.secret(render.CloudInitSecretName(ref.VMName())) != nil {
		t.Error("user data was written")
	}

	ref = newRef()
	w.done(w.ask(w.locked(domain.CreateVM, ref, 2))[0])
	emptied := w.secret(render.InitialPasswordSecretName(ref.VMName()))
	delete(emptied.Data, "password")
	w.ok(w.kube.Client().Update(t.Context(), emptied))
	w.done(w.ask(w.locked(domain.ModifyVM, ref, 4))[0]) // nobody needs it any more
	w.ok(w.kube.Client().Delete(t.Context(), w.secret(render.CloudInitSecretName(ref.VMName()))))
	w.failed(w.ask(w.locked(domain.ModifyVM, ref, 2))[0], domain.ClusterRefused)
}
