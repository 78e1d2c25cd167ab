// Package rules_test holds the rules of the code's layout: which package may know which. The tables are
// the documentation; whoever needs more than they say changes them first, and says why.
package rules_test

import (
	"slices"
	"strings"
	"testing"
)

// mayImport says which packages of this project each package may import. A trailing /... stands for all
// below; * for all but the helpers of tests.
var mayImport = map[string][]string{
	// Pure: facts in, findings out.
	"docs/schema":     {},
	"policies":        {},
	"internal/domain": {},
	"gitops/spec":     {"internal/domain", "docs/schema"},
	"internal/policy": {"gitops/spec", "internal/domain", "policies"},
	"internal/render": {"gitops/spec", "internal/domain"},
	"internal/judge":  {"gitops/spec", "internal/domain", "internal/policy", "internal/render"},
	"internal/doctor": {"bot/forge"},

	// The database, and what is written in its transactions.
	"migrations":                   {},
	"internal/pgwatch":             {},
	"internal/store":               {"ent/...", "internal/pgwatch", "migrations"},
	"internal/jobs":                {"internal/domain", "internal/pgwatch"},
	"internal/governance/audit":    {"ent/...", "internal/store"},
	"internal/governance/approval": {"ent/...", "gitops/spec", "internal/domain", "internal/governance/audit", "internal/jobs", "internal/judge", "internal/render", "internal/store"},

	// The outside: git, forges, clusters, secrets.
	"gitops":                    {"gitops/internal/...", "gitops/spec"},
	"gitops/internal/packs":     {},
	"gitops/internal/smarthttp": {},
	"bot/forge":                 {},
	"bot/forge/github":          {"bot/forge"},
	"internal/budget":           {"bot/forge"},
	"internal/provider":         {"internal/domain"},
	"internal/seal":             {},

	// The two halves of the journey: up to the merge, and from it on. Neither knows the other.
	"bot/command": {"gitops/spec", "internal/domain"},
	"bot/comment": {"bot/forge", "gitops/spec", "internal/domain", "internal/governance/approval", "internal/judge", "internal/policy", "internal/render"},
	"bot": {
		"bot/command", "bot/comment", "bot/forge", "ent/...", "gitops", "gitops/spec", "internal/domain", "internal/governance/approval",
		"internal/governance/audit", "internal/jobs", "internal/judge", "internal/policy", "internal/render", "internal/store",
	},
	"internal/service": {
		"ent/...", "gitops/spec", "internal/domain", "internal/governance/approval", "internal/governance/audit", "internal/jobs",
		"internal/provider", "internal/render", "internal/seal", "internal/store",
	},

	// What puts it together.
	"internal/config": {"gitops/spec", "internal/domain", "internal/seal"},
	"internal/api":    {},
	"internal/app":    {"*"},
	"cmd/shepherd":    {"*"},
	"cmd/demo":        {"*", "internal/forgetest", "internal/kubetest", "internal/pgtest", "internal/stage"},

	// Helpers of tests and of the demo, and tools.
	"deploy":                       {},
	"internal/chaos":               {}, // a checker that shares nothing with what it checks
	"internal/faulttest":           {},
	"internal/forgetest":           {},
	"internal/forgetest/published": {"internal/forgetest"},
	"internal/oracle":              {}, // it says by itself what is right
	"internal/pgtest":              {"tools/artifact"},
	"internal/render/impacttest":   {},
	"internal/storetest":           {"internal/pgtest", "internal/store"},
	"internal/kubetest":            {"internal/kubetest/standin", "tools/artifact"},
	"internal/kubetest/standin":    {},
	"internal/stage":               {"deploy", "internal/config", "internal/forgetest", "internal/seal"},
	"migrations/generate":          {"ent/migrate", "internal/pgtest"},
	"tools/artifact":               {},
	"tools/published":              {"internal/forgetest", "tools/artifact"},
	"tools/testenv":                {"internal/kubetest", "internal/pgtest"},
}

// helpers are packages for tests; the server contains none of them.
var helpers = []string{"internal/chaos", "internal/faulttest", "internal/forgetest/...", "internal/kubetest/...", "internal/oracle", "internal/pgtest", "internal/render/impacttest", "internal/stage", "internal/storetest", "internal/e2e", "tools/..."}

// keptTo says which packages may import a library of others (a path, or all below it). Whoever is not
// named does not know that it exists.
var keptTo = map[string][]string{
	"github.com/google/go-github":                       {"bot/forge/github"},
	"github.com/bradleyfalzon/ghinstallation":           {"bot/forge/github"},
	"github.com/go-git":                                 {"gitops", "gitops/internal/..."},
	"k8s.io/client-go":                                  {"internal/provider", "internal/kubetest/...", "cmd/demo"},
	"sigs.k8s.io/controller-runtime":                    {"internal/provider", "internal/kubetest/...", "cmd/demo"},
	"entgo.io/ent":                                      {"ent/...", "internal/store", "migrations/generate"},
	"github.com/pressly/goose":                          {"internal/store"},
	"github.com/riverqueue/river":                       {"internal/jobs", "internal/store", "internal/app", "internal/api", "internal/governance/approval"}, // approval names the interface of a job's arguments
	"github.com/jackc/pgx":                              {"internal/pgwatch", "internal/budget", "internal/store", "internal/jobs", "internal/api", "internal/app", "internal/service", "internal/governance/approval", "bot", "cmd/shepherd", "cmd/demo", "internal/pgtest", "internal/storetest", "internal/faulttest", "migrations/generate"},
	"database/sql":                                      {"internal/store", "ent/...", "migrations/generate"},
	"github.com/google/cel-go":                          {"internal/policy"},
	"github.com/prometheus":                             {"internal/api"},
	"github.com/spf13/cobra":                            {"cmd/shepherd"},
	"github.com/pmezard/go-difflib":                     {"cmd/shepherd"},
	"github.com/yuin/goldmark":                          {"bot/command", "internal/forgetest", "cmd/demo"},
	"github.com/caarlos0/env":                           {"internal/config"},
	"kv-shepherd.io/shepherd/internal/app":              {"cmd/shepherd", "cmd/demo"},
	"kv-shepherd.io/shepherd/internal/e2e":              {},
	"kv-shepherd.io/shepherd/internal/governance/audit": {"bot", "internal/governance/approval", "internal/service", "cmd/shepherd"},
	"kv-shepherd.io/shepherd/internal/service":          {"internal/app", "cmd/shepherd"},
	"kv-shepherd.io/shepherd/bot/forge/github":          {"internal/app"},
	"testing":                     {"ent/enttest"}, // generated
	"math/rand":                   {},
	"math/rand/v2":                {"internal/forgetest"},
	"log":                         {"ent/...", "migrations/generate", "tools/..."},
	"net/http/pprof":              {},
	"html/template":               {"internal/forgetest", "internal/api", "cmd/demo"},
	"text/template":               {},
	"github.com/stretchr/testify": {},
	"github.com/golang/mock":      {},
	"go.uber.org/mock":            {},
}

// pure packages do no I/O and have no clock: the same input gives the same output.
var pure = []string{"bot/command", "gitops/spec", "internal/domain", "internal/policy", "internal/render", "internal/judge", "internal/doctor", "internal/oracle"}

// impure is what they do without.
var impure = []string{
	"os", "os/exec", "net", "net/http", "io/ioutil", "log", "log/slog", "database/sql", "math/rand", "math/rand/v2", "crypto/rand", "syscall", "embed",
	"github.com/jackc/pgx", "entgo.io/ent", "github.com/riverqueue/river", "github.com/google/go-github", "github.com/go-git",
	"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "kv-shepherd.io/shepherd/ent",
}

// badNames say nothing of what is inside.
var badNames = []string{"util", "utils", "common", "models", "model", "helper", "helpers", "misc", "base", "shared", "types", "interfaces", "mock", "mocks"}

func TestProjectImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if in(p.path, "ent/...") {
			continue // generated
		}
		allowed, ok := mayImport[p.path]
		if !ok && p.imports != nil {
			t.Errorf("%s is in no table: say what it may import", p.path)
			continue
		}
		for _, imported := range p.imports {
			path, ours := strings.CutPrefix(imported, module+"/")
			if !ours || in(path, allowed...) || slices.Contains(allowed, "*") && !in(path, helpers...) {
				continue
			}
			t.Errorf("%s imports %s", p.path, path)
		}
	}
}

// The table speaks of packages that there are.
func TestTablesAreCurrent(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	for _, p := range packages(t) {
		there[p.path] = true
	}
	for path, imports := range mayImport {
		for _, name := range append([]string{path}, imports...) {
			if name != "*" && !there[name] && !strings.HasSuffix(name, "/...") {
				t.Errorf("there is no package %s", name)
			}
		}
	}
}

func TestLibrariesAreKept(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imported := range p.imports {
			for library, allowed := range keptTo {
				if below(imported, library) && !in(p.path, allowed...) {
					t.Errorf("%s imports %s, which is kept to %v", p.path, imported, allowed)
				}
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	t.Parallel()
	found := 0
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.path) {
			continue
		}
		found++
		for _, imported := range p.imports {
			for _, library := range impure {
				if below(imported, library) {
					t.Errorf("%s is pure and imports %s", p.path, imported)
				}
			}
		}
		for _, use := range p.clocks {
			t.Errorf("%s is pure and looks at the clock: %s", p.path, use)
		}
	}
	if found != len(pure) {
		t.Errorf("found %d of %v", found, pure)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if in(p.path, "ent/...") {
			continue
		}
		if slices.Contains(badNames, p.name) {
			t.Errorf("%s: a package %s says nothing of what is inside", p.path, p.name)
		}
		for _, where := range p.inits {
			t.Errorf("%s: what happens at start is written in main", where)
		}
	}
}

// The checks find what they look for.
func TestRulesBite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		imported, library string
		want              bool
	}{
		{"net", "net", true}, {"net/netip", "net", false}, {"log/slog", "log", false},
		{"github.com/google/go-github/v60/github", "github.com/google/go-github", true},
		{"github.com/google/go-github-other", "github.com/google/go-github", false},
	} {
		if below(c.imported, c.library) != c.want {
			t.Errorf("%s below %s: %v", c.imported, c.library, !c.want)
		}
	}
	all := packages(t)
	if len(all) < 30 {
		t.Errorf("found only %d packages", len(all))
	}
	got := map[string]pkg{}
	for _, p := range all {
		got[p.path] = p
	}
	if !slices.Contains(got["bot"].imports, module+"/internal/jobs") || got["cmd/shepherd"].name != "main" || len(got["internal/forgetest"].clocks) == 0 {
		t.Errorf("the reader misses imports, names or clocks: %+v", got["bot"])
	}
}
