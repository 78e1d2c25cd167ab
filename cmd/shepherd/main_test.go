package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/deploy"
	"kv-shepherd.io/shepherd/internal/pgtest"
)

// output is what a command left behind.
type output struct {
	stdout, stderr string
	err            error
}

// shepherd runs the command in this process. The environment is what is given and nothing else.
func shepherd(ctx context.Context, environ []string, args ...string) output {
	var stdout, stderr bytes.Buffer
	root := newRoot(environ)
	root.SetArgs(args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetIn(strings.NewReader("no kubeconfig: [\n"))
	err := root.ExecuteContext(ctx)
	return output{stdout.String(), stderr.String(), err}
}

func (o output) ok(t *testing.T) string {
	t.Helper()
	if o.err != nil {
		t.Fatalf("%v\n%s", o.err, o.stderr)
	}
	return o.stdout
}

// fails wants an error that says each of the texts.
func (o output) fails(t *testing.T, texts ...string) {
	t.Helper()
	if o.err == nil {
		t.Fatalf("no error:\n%s", o.stdout)
	}
	for _, text := range texts {
		if !strings.Contains(o.err.Error()+"\n"+o.stderr, text) {
			t.Errorf("it does not say %q:\n%v\n%s", text, o.err, o.stderr)
		}
	}
}

func write(t *testing.T, dir, path, content string) {
	t.Helper()
	file := filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkout is a spec repository to start from, with further files.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, deploy.SpecRepository()); err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		write(t, dir, path, content)
	}
	return dir
}

const vm = `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: VirtualMachine
spec:
  template: ubuntu-24.04
  size: medium
  power: running
  reason: a second replica
`

const system = "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: System\nspec:\n  description: the shop\n"

func TestValidateGood(t *testing.T) {
	t.Parallel()
	dir := checkout(t, map[string]string{
		"systems/shop/system.yaml": system, "systems/shop/redis/service.yaml": strings.Replace(system, "System", "Service", 1),
		"systems/shop/redis/prod-shop/01.yaml": vm, "src/main.c": "not: [governed", ".git/systems/shop/system.yaml": "not a checkout's file",
	})
	if got := shepherd(t.Context(), nil, "validate", dir).ok(t); !strings.HasSuffix(got, " governed files are valid\n") || strings.HasPrefix(got, "0 ") {
		t.Error(got)
	}
}

// Everything that is wrong is said at once, with the file and the line.
func TestValidateBad(t *testing.T) {
	t.Parallel()
	dir := checkout(t, map[string]string{
		"systems/shop/redis/prod-shop/01.yaml": vm + "  cluster: prod-1\n",
		"systems/shop/redis/prod-shop/02.yaml": strings.Replace(vm, "power: running", "power: [on", 1),
		"systems/shop/redis/prod-shop/3.yaml":  vm,
		"systems/Shop/system.yaml":             system,
		"systems/shop/system.yaml":             system + "  owner: alice\n",
		"platform/sizes/huge.yaml":             "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec:\n  cores: many\n",
		"systems/big/system.yaml":              system + "# " + strings.Repeat("x", 64<<10),
	})
	if err := os.Symlink("01.yaml", filepath.Join(dir, "systems/shop/redis/prod-shop/04.yaml")); err != nil {
		t.Fatal(err)
	}
	shepherd(t.Context(), nil, "validate", dir).fails(t,
		"the spec repository has errors",
		"systems/shop/redis/prod-shop/01.yaml:8", "FORBIDDEN_FIELD",
		"systems/shop/redis/prod-shop/02.yaml:", "YAML_INVALID",
		"systems/shop/redis/prod-shop/3.yaml", `did you mean "systems/shop/redis/prod-shop/03.yaml"?`,
		"systems/Shop/system.yaml", "systems/shop/system.yaml:5", "UNKNOWN_FIELD",
		"platform/sizes/huge.yaml:4",
		"systems/big/system.yaml", "larger than 64 KiB",
		"systems/shop/redis/prod-shop/04.yaml", "no regular file",
	)
}

func TestValidateNothing(t *testing.T) {
	t.Parallel()
	shepherd(t.Context(), nil, "validate", "/nonexistent").fails(t, "open the checkout", "/nonexistent")
	shepherd(t.Context(), nil, "validate", "a", "b").fails(t, "at most 1 arg")
}

func TestSchema(t *testing.T) {
	t.Parallel()
	got := shepherd(t.Context(), nil, "schema", "virtualmachine").ok(t)
	if !strings.Contains(got, `"$schema"`) || !strings.Contains(got, `"template"`) || !strings.HasSuffix(got, "}\n") {
		t.Errorf("%.300s", got)
	}
	listed := shepherd(t.Context(), nil, "schema", "VirtualMachine", "--dir", checkout(t, nil)).ok(t)
	if !strings.Contains(listed, `"ubuntu-24.04"`) || strings.Contains(got, `"u1-medium"`) || !strings.Contains(listed, `"u1-medium"`) {
		t.Errorf("the schema does not list what the checkout has:\n%s", listed)
	}
	shepherd(t.Context(), nil, "schema", "VirtualMachine", "-C", "/nowhere/at/all").fails(t, "open the checkout")
	shepherd(t.Context(), nil, "schema", "VirtualMachin").fails(t, `there is no kind "VirtualMachin"`, "VirtualMachine")
	shepherd(t.Context(), nil, "schema").fails(t, "accepts 1 arg")
}

// Without configuration, serve says everything that is missing, and how to set it.
func TestServeWithoutConfiguration(t *testing.T) {
	t.Parallel()
	shepherd(t.Context(), nil, "serve").fails(t,
		"database: set it, or DATABASE_URL", "repository.id: ", "github.webhookSecrets: without a secret anybody could send webhooks",
		"github: set either app or token", "encryptionKeys: ",
	)
	shepherd(t.Context(), nil, "serve", "--migrate").fails(t, "database: set it, or DATABASE_URL")
}

// A server without a webhook secret takes nothing: it does not start.
func TestServeWithoutWebhookSecret(t *testing.T) {
	t.Parallel()
	environ := []string{
		"DATABASE_URL=postgres://nobody@127.0.0.1:1/none", "SHEPHERD_REPOSITORY_ID=1", "SHEPHERD_GITHUB_TOKEN=x", "SHEPHERD_ENCRYPTION_KEYS=" + strings.Repeat("ab", 32),
	}
	out := shepherd(t.Context(), environ, "serve")
	if want := "configuration: github.webhookSecrets: without a secret anybody could send webhooks"; out.err == nil || out.err.Error() != want {
		t.Errorf("%v: want %s", out.err, want)
	}
	out = shepherd(t.Context(), append(environ, "SHEPHERD_GITHUB_WEBHOOK_SECRETS=long enough to be one"), "serve")
	out.fails(t, "reach the database")
}

func TestServeBeforeMigrations(t *testing.T) {
	t.Parallel()
	environ := []string{
		"DATABASE_URL=" + pgtest.New(t), "SHEPHERD_REPOSITORY_ID=1", "SHEPHERD_GITHUB_TOKEN=x", "SHEPHERD_ENCRYPTION_KEYS=" + strings.Repeat("ab", 32),
		"SHEPHERD_GITHUB_WEBHOOK_SECRETS=long enough to be one",
	}
	shepherd(t.Context(), environ, "serve").fails(t, "migrations are pending: run shepherd migrate up")
}

func TestConfigurationFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "typo.yaml", "repositry: {id: 1}\n")
	write(t, dir, "log.yaml", "log: {level: loud}\n")
	write(t, dir, "format.yaml", "log: {format: xml}\n")
	file := func(name string) string { return filepath.Join(dir, name) }
	shepherd(t.Context(), nil, "serve", "-c", file("typo.yaml")).fails(t, `unknown field "repositry"`, "typo.yaml")
	shepherd(t.Context(), []string{"SHEPHERD_CONFIG=" + file("typo.yaml")}, "migrate", "up").fails(t, `unknown field "repositry"`)
	shepherd(t.Context(), nil, "serve", "-c", file("missing.yaml")).fails(t, "missing.yaml")
	shepherd(t.Context(), nil, "serve", "-c", file("log.yaml")).fails(t, "log.level", "loud")
	shepherd(t.Context(), nil, "serve", "-c", file("format.yaml")).fails(t, `log.format is text or json, not "xml"`)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + pgtest.New(t)}
	run := func(args ...string) string {
		t.Helper()
		return shepherd(t.Context(), environ, append([]string{"migrate"}, args...)...).ok(t)
	}
	pending := func() int { return strings.Count(run("status"), "pending ") }
	all := pending()
	if all < 2 {
		t.Fatalf("%d are pending:\n%s", all, run("status"))
	}
	if got := run("up"); strings.Count(got, "applied ") < all || !strings.Contains(got, "river") {
		t.Error(got)
	}
	if pending() != 0 || !strings.Contains(run("status"), "_initial.sql") {
		t.Error(run("status"))
	}
	if got := run("up"); got != "nothing to do\n" {
		t.Error(got)
	}
	if got := run("down"); strings.Count(got, "taken back ") != 1 || pending() != 1 {
		t.Error(got)
	}
	if got := run("up"); strings.Count(got, "applied ") != 1 {
		t.Error(got)
	}
	if got := run("down", "--all"); strings.Count(got, "taken back ") <= all || pending() != all {
		t.Error(got)
	}
}

func TestMigrateWithoutDatabase(t *testing.T) {
	t.Parallel()
	shepherd(t.Context(), nil, "migrate", "up").fails(t, "database: set it, or DATABASE_URL")
	const password = "hunter2-hunter2"
	out := shepherd(t.Context(), []string{"DATABASE_URL=postgres://u:" + password + "@127.0.0.1:1/x"}, "migrate", "up")
	out.fails(t, "reach the database")
	for _, dsn := range []string{"postgres://u:" + password + "@[::1/x", "host=x password=" + password + " port=many"} {
		bad := shepherd(t.Context(), []string{"DATABASE_URL=" + dsn}, "migrate", "up")
		bad.fails(t, "read the database address")
		if strings.Contains(bad.err.Error()+out.err.Error(), password) {
			t.Errorf("the password is told: %v, %v", bad.err, out.err)
		}
	}
}

func TestClusterAddRefuses(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + pgtest.New(t), "SHEPHERD_ENCRYPTION_KEYS=" + strings.Repeat("ab", 32)}
	dir := t.TempDir()
	write(t, dir, "exec.yaml", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: touch}}}]
`)
	write(t, dir, "dead.yaml", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users: [{name: u, user: {token: a-token-of-a-cluster}}]
`)
	shepherd(t.Context(), environ, "migrate", "up").ok(t)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"no kubeconfig", []string{"prod-1"}, []string{`required flag(s) "kubeconfig"`}},
		{"no name", []string{"--kubeconfig", "x"}, []string{"accepts 1 arg"}},
		{"no such file", []string{"prod-1", "--kubeconfig", filepath.Join(dir, "none.yaml")}, []string{"read the kubeconfig", "none.yaml"}},
		{"no YAML, from standard input", []string{"prod-1", "--kubeconfig", "-"}, []string{"add cluster prod-1", "kubeconfig"}},
		{"a program", []string{"prod-1", "--kubeconfig", filepath.Join(dir, "exec.yaml")}, []string{"add cluster prod-1", "exec"}},
		{"nobody there", []string{"prod-1", "--kubeconfig", filepath.Join(dir, "dead.yaml")}, []string{"add cluster prod-1"}},
		{"a name that is none", []string{"Prod_1", "--kubeconfig", filepath.Join(dir, "dead.yaml")}, []string{"NAME_INVALID"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := shepherd(t.Context(), environ, append([]string{"cluster", "add"}, c.args...)...)
			out.fails(t, c.want...)
			if strings.Contains(out.err.Error()+out.stderr+out.stdout, "a-token-of-a-cluster") {
				t.Errorf("the token is told: %v", out.err)
			}
		})
	}
	if got := shepherd(t.Context(), environ, "cluster", "list").ok(t); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "NAME ") {
		t.Errorf("clusters:\n%s", got)
	}
	shepherd(t.Context(), environ[:1], "cluster", "list").fails(t, "encryptionKeys")
	shepherd(t.Context(), []string{environ[0], "SHEPHERD_ENCRYPTION_KEYS=short"}, "cluster", "list").fails(t, "encryptionKeys")
}

func TestHistoryOfNothing(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=" + pgtest.New(t)}
	shepherd(t.Context(), environ, "migrate", "up").ok(t)
	shepherd(t.Context(), environ, "history", "prod-shop-shop-redis-01").fails(t, `nothing is known of "prod-shop-shop-redis-01"`)
}

func TestBaselineRefuses(t *testing.T) {
	t.Parallel()
	shepherd(t.Context(), nil, "repo", "baseline", "main").fails(t, "main")
	shepherd(t.Context(), nil, "repo", "baseline", strings.Repeat("a", 40)).fails(t, "database: set it")
}

// Every command says what it is for.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"Govern KubeVirt virtual machines through pull requests", "serve", "migrate", "cluster", "repo", "history", "validate", "schema", "--config"}},
		{[]string{"serve"}, []string{"Take webhooks and work on them until stopped", "--migrate"}},
		{[]string{"migrate"}, []string{"up", "down", "status"}},
		{[]string{"migrate", "down"}, []string{"--all", "all data is lost"}},
		{[]string{"cluster", "add"}, []string{"NAME --kubeconfig FILE", "platform/clusters/NAME.yaml", "pinned", "- for standard input"}},
		{[]string{"cluster", "list"}, []string{"what was last seen there"}},
		{[]string{"cluster", "check"}, []string{"check [NAME]", "deploy/cluster/rbac.yaml", "The exit code is 1"}},
		{[]string{"cluster", "remove"}, []string{"on which no VM lives", "--by"}},
		{[]string{"cluster", "rotate"}, []string{"first of the encryption keys", "To replace a key"}},
		{[]string{"repo", "baseline"}, []string{"baseline SHA", "Nothing is applied", "--by"}},
		{[]string{"history"}, []string{"why a virtual machine exists"}},
		{[]string{"validate"}, []string{"without a server"}},
		{[]string{"schema"}, []string{"schema KIND"}},
	} {
		got := shepherd(t.Context(), nil, append(c.args, "--help")...).ok(t)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v does not say %q:\n%s", c.args, want, got)
			}
		}
	}
	for _, cmd := range newRoot(nil).Commands() {
		if cmd.Short == "" {
			t.Errorf("%s does not say what it is for", cmd.Name())
		}
	}
	if got := shepherd(t.Context(), nil, "--version").ok(t); !strings.Contains(got, version) {
		t.Error(got)
	}
	shepherd(t.Context(), nil, "serv").fails(t, `unknown command "serv"`, "serve")
}
