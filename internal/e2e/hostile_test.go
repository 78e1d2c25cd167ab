package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// hostile is a file that a pull request had better not have, and what is said about it.
type hostile struct {
	file    string // below systems/host/svc/
	content []byte
	mode    string
	code    string
	line    int // 0: no annotation can name such a file
}

func hostiles() map[string]hostile {
	vm := string(stage.VM("small", "a machine"))
	const head = "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n"
	laughs := head + "  reason: &a0 lol\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("  x%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	return map[string]hostile{
		"bad-yaml":     {file: "test-shop/01.yaml", content: []byte(head + "  template: \"ubuntu-24.04\n  size: small\n"), code: "YAML_INVALID", line: 4},
		"symlink":      {file: "test-shop/02.yaml", content: []byte("/etc/passwd"), mode: "120000", code: "PATH_INVALID", line: 1},
		"submodule":    {file: "test-shop/03.yaml", content: []byte(strings.Repeat("1", 40)), mode: "160000", code: "PATH_INVALID", line: 1},
		"huge":         {file: "test-shop/04.yaml", content: []byte(vm + "# " + strings.Repeat("x", 10<<20)), code: "YAML_INVALID", line: 1},
		"duplicate":    {file: "test-shop/05.yaml", content: []byte(vm + "  size: medium\n"), code: "YAML_INVALID", line: 8},
		"laughs":       {file: "test-shop/06.yaml", content: []byte(laughs), code: "YAML_INVALID", line: 4},
		"two":          {file: "test-shop/07.yaml", content: []byte(vm + "---\n" + vm), code: "YAML_INVALID", line: 8},
		"invalid-utf8": {file: "test-shop/08.yaml", content: []byte(vm + "  # \xff\xfe\n"), code: "YAML_INVALID", line: 8},
		"newline":      {file: "test-shop/0\n9.yaml", content: []byte(vm), code: "PATH_INVALID", line: 1},
		"bad-name":     {file: "test-shop/1\xff.yaml", content: []byte(vm), code: "PATH_INVALID"},
		"yml":          {file: "test-shop/11.yml", content: []byte(vm), code: "PATH_INVALID", line: 1},
		"field":        {file: "test-shop/12.yaml", content: []byte(vm + "  cloudInit: |\n    x\n"), code: "FORBIDDEN_FIELD", line: 8},
		"norway":       {file: "test-shop/13.yaml", content: []byte(strings.Replace(vm, "power: running", "power: on", 1)), code: "YAML_INVALID", line: 6},
		"folder-link":  {file: "prod-shop", content: []byte("../../.."), mode: "120000", code: "PATH_INVALID", line: 1},
	}
}

// Whatever is in a pull request, it gets its error and nothing else happens.
func TestHostileContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("host", "svc")
	cases := hostiles()
	pulls := map[string]*forgetest.Pull{}
	for name, h := range cases {
		path := "systems/host/svc/" + h.file
		var opts []forgetest.CommitOption
		if h.mode != "" {
			opts = append(opts, forgetest.WithMode(path, h.mode))
		}
		w.push(name, forgetest.Files{path: h.content}, opts...)
		pulls[name] = w.open(name, false)
	}
	for name, h := range cases {
		path := "systems/host/svc/" + h.file
		if h.line == 0 {
			path = ""
		}
		w.problem(pulls[name], h.code, path, h.line)
	}
	w.quiet()
	for name, pr := range pulls {
		w.untouched(pr)
		if c, _ := pr.Check("shepherd/approval"); c.Conclusion != "failure" {
			t.Errorf("%s: approval is %s", name, c.Conclusion)
		}
		for _, c := range w.comments(pr) {
			if strings.Contains(c.Body, "root:") || !bytes.Equal([]byte(c.Body), bytes.ToValidUTF8([]byte(c.Body), nil)) {
				t.Errorf("%s: the comment has what it should not:\n%s", name, c.Body)
			}
		}
	}
	w.healthy()
	if failed := w.strings(`select distinct kind from river_job where array_length(errors, 1) > 0`); len(failed) > 0 {
		t.Errorf("jobs failed: %v: %v", failed, w.strings(`select (errors[1])->>'error' from river_job where array_length(errors, 1) > 0`))
	}

	// Line ends and a byte order mark change nothing in what is meant.
	vm := stage.VM("small", "a machine")
	crlf := w.ask("crlf", forgetest.Files{
		vmPath("host", "svc", "test-shop/20"): bytes.ReplaceAll(vm, []byte("\n"), []byte("\r\n")),
		vmPath("host", "svc", "test-shop/21"): slices.Concat([]byte("\xef\xbb\xbf"), vm),
	})
	w.check(crlf, "shepherd/validate", "success")
	w.published(crlf)
	const wanted = `select distinct payload->>'wanted' from events where pull_request = $1`
	if got := w.strings(wanted, crlf.Number()); len(got) != 1 {
		t.Errorf("the same machine is understood in two ways: %v", got)
	}
}

// healthy waits until the server says that it is ready.
func (w *world) healthy() {
	w.t.Helper()
	w.eventually("the server to be ready", func() bool {
		resp := must(http.Get("http://" + w.address + "/health/ready"))(w)
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}
