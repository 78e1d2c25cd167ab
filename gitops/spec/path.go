package spec

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// maxNumber bounds template versions and VM indexes.
const maxNumber = 9999

// ParsePath says what a path of the spec repository stands for. governed is false for files that
// Shepherd leaves alone: READMEs, .gitkeep and everything outside systems/, platform/, access/ and
// the forge's own files. A governed path whose problems block has no identity: the Ref is empty.
// Names that are legal but long are warned of where they are chosen, not in every path below.
func ParsePath(name string) (ref Ref, governed bool, problems domain.Problems) {
	segments := strings.Split(name, "/")
	if forgeFile(name, segments) {
		return Ref{Kind: KindForge, Name: name}, true, nil
	}
	switch segments[0] {
	case "systems", "platform", "access":
	default:
		return Ref{}, false, nil
	}
	if len(segments) == 1 || ungoverned(segments[len(segments)-1]) {
		return Ref{}, false, nil
	}
	ref, problems = identify(segments)
	for i := range problems {
		problems[i].Path = name
	}
	if problems.Blocking() {
		return Ref{}, true, problems
	}
	return ref, true, problems
}

// ungoverned names the files that may lie in any folder.
func ungoverned(base string) bool {
	return base == "README" || base == "README.md" || base == ".gitkeep"
}

func forgeFile(name string, segments []string) bool {
	switch segments[0] {
	case ".github", ".gitea":
		return len(segments) > 1
	}
	return name == "CODEOWNERS" || name == "docs/CODEOWNERS"
}

// identify knows all forms of governed paths.
func identify(segments []string) (Ref, domain.Problems) {
	ref, ok := match(segments)
	if !ok {
		return Ref{}, domain.Problems{pathInvalid(segments)}
	}
	problems := ref.nameProblems()
	if problems.Blocking() {
		// A name that is right but for its capitals is a slip of the path, and has a nearest one.
		if nearest, found := repair(segments); found && nearest == strings.ToLower(strings.Join(segments, "/")) {
			return Ref{}, domain.Problems{pathInvalid(segments)}
		}
	}
	return ref, problems
}

// match recognises the form of a path and leaves the names in it unchecked.
func match(s []string) (Ref, bool) {
	for _, segment := range s {
		if segment == "" {
			return Ref{}, false
		}
	}
	base, yaml := strings.CutSuffix(s[len(s)-1], ".yaml")
	if !yaml || base == "" {
		return Ref{}, false
	}
	switch s[0] {
	case "platform":
		return matchPlatform(s, base)
	case "access":
		return Ref{Kind: KindConsoleAccess, Name: s[1], Login: base}, len(s) == 3
	}
	switch {
	case len(s) == 3 && base == "system":
		return Ref{Kind: KindSystem, System: s[1]}, true
	case len(s) == 4 && base == "service":
		return Ref{Kind: KindService, System: s[1], Service: s[2]}, true
	case len(s) == 5:
		index, ok := number(base, 2)
		return Ref{Kind: KindVirtualMachine, System: s[1], Service: s[2], Namespace: s[3], Index: index}, ok
	}
	return Ref{}, false
}

func matchPlatform(s []string, base string) (Ref, bool) {
	if len(s) == 4 && s[1] == "templates" {
		digits, ok := strings.CutPrefix(base, "v")
		version, valid := number(digits, 1)
		return Ref{Kind: KindTemplate, Name: s[2], Version: version}, ok && valid
	}
	kind, ok := platformKinds[s[1]]
	return Ref{Kind: kind, Name: base}, ok && len(s) == 3
}

var platformKinds = map[string]Kind{
	"clusters": KindCluster, "namespaces": KindNamespace, "sizes": KindInstanceSize,
	"networks": KindNetwork, "roles": KindRoleBinding, "policies": KindPolicy,
}

// number reads 1..9999, written with at least width digits and no zeros beyond that.
func number(digits string, width int) (int, bool) {
	if len(digits) < width || len(digits) > 4 || len(digits) > width && digits[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, n >= 1 && n <= maxNumber
}

// nameProblems checks every name that the path is made of.
func (r Ref) nameProblems() (problems domain.Problems) {
	add := func(p *domain.Problem) {
		if p != nil {
			problems = append(problems, *p)
		}
	}
	switch r.Kind {
	case KindSystem:
		add(CheckName("system", r.System))
		add(LongName("system", r.System))
	case KindService:
		add(CheckName("system", r.System))
		add(CheckName("service", r.Service))
		add(LongName("service", r.Service))
	case KindVirtualMachine:
		add(CheckName("system", r.System))
		add(CheckName("service", r.Service))
		add(CheckName("namespace", r.Namespace))
	case KindNamespace:
		add(CheckName("namespace", r.Name))
		add(LongName("namespace", r.Name))
	case KindConsoleAccess:
		add(checkVMName(r.Name))
		add(checkLogin(r.Login))
	default:
		dots := r.Kind == KindTemplate || r.Kind == KindInstanceSize
		add(checkName(words[r.Kind], r.Name, MaxPlatformName, dots))
	}
	return problems
}

var words = map[Kind]string{
	KindCluster: "cluster", KindTemplate: "template", KindInstanceSize: "size", KindNetwork: "network",
	KindRoleBinding: "role binding", KindPolicy: "policy",
}

// checkVMName knows the shape of VM names; whether there is such a VM is not known here.
func checkVMName(name string) *domain.Problem {
	stem, digits, ok := cutLast(name, "-")
	_, valid := number(digits, 2)
	if ok && valid && wellFormed(stem, false) && strings.Count(stem, "-") >= 2 && len(stem) <= 3*MaxName+2 {
		return nil
	}
	return &domain.Problem{
		Code: domain.NameInvalid, Severity: domain.Error,
		Message: quote(name) + " is not the name of a VM",
		Hint:    "VM names read <namespace>-<system>-<service>-<NN>; for example prod-shop-shop-redis-01",
	}
}

func checkLogin(login string) *domain.Problem {
	if validLogin(login) {
		return nil
	}
	return &domain.Problem{
		Code: domain.NameInvalid, Severity: domain.Error,
		Message: quote(login) + " is not a login of the forge",
		Hint:    fmt.Sprintf("name the file after your login: letters, digits and single hyphens, at most %d characters", maxLogin),
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// VMRefPattern is how the path of a VM is described to people.
const VMRefPattern = "systems/<system>/<service>/<namespace>/<NN>.yaml"

var forms = map[string]string{
	"systems": "systems/<system>/system.yaml, systems/<system>/<service>/service.yaml or " + VMRefPattern + ", NN from 01 to 9999",
	"platform": "platform/{clusters,namespaces,sizes,networks,roles,policies}/<name>.yaml or " +
		"platform/templates/<name>/v<N>.yaml",
	"access": "access/<vm>/<login>.yaml",
}

func pathInvalid(segments []string) domain.Problem {
	return domain.Problem{
		Code: domain.PathInvalid, Severity: domain.Error,
		Message: "nothing that Shepherd governs has a path like this", Hint: pathHint(segments),
	}
}

func pathHint(s []string) string {
	if nearest, ok := repair(s); ok {
		return "did you mean " + strconv.Quote(nearest) + "?"
	}
	base, _, _ := strings.Cut(s[len(s)-1], ".")
	_, numeric := number(strings.TrimLeft(base, "0"), 1)
	switch {
	case s[0] == "systems" && len(s) == 4 && numeric:
		return "a VM lies in the folder of its namespace: did you mean " + strconv.Quote(clip(path.Join(s[0], s[1], s[2], "<namespace>", s[3]), 80)) + "?"
	case s[0] == "systems" && len(s) == 5:
		return "a VM's file is named after its index, 01.yaml to 9999.yaml"
	case s[0] == "platform" && s[1] == "templates":
		return "a template's versions lie in its folder: platform/templates/<name>/v<N>.yaml, N from 1 to 9999"
	}
	return "the paths here are " + forms[s[0]]
}

// repair corrects the usual slips of a path (suffix, capitals, digits, a misspelt fixed name) and
// returns the path if it is then valid.
func repair(segments []string) (string, bool) {
	if len(segments) < 3 || len(segments) > 5 {
		return "", false
	}
	s := make([]string, len(segments))
	for i, segment := range segments {
		s[i] = clip(segment, 100)
	}
	last := len(s) - 1
	base := s[last]
	if s[0] != "access" {
		base = strings.ToLower(base)
	}
	for _, suffix := range []string{".yaml", ".yml", ".json", ".txt"} {
		base = strings.TrimSuffix(base, suffix)
	}
	for i := 1; i < last; i++ {
		s[i] = slug(s[i], s[0] == "platform" && i == 2)
	}
	s[last] = repairBase(s, base) + ".yaml"
	if s[0] == "platform" && platformKinds[s[1]] == "" && s[1] != "templates" {
		s[1], _ = Nearest(s[1], []string{"clusters", "namespaces", "sizes", "networks", "roles", "policies", "templates"})
	}
	ref, ok := match(s)
	if !ok || ref.nameProblems().Blocking() {
		return "", false
	}
	return strings.Join(s, "/"), true
}

func repairBase(s []string, base string) string {
	switch {
	case s[0] == "systems" && len(s) == 3:
		base, _ = Nearest(base, []string{"system"})
	case s[0] == "systems" && len(s) == 4:
		base, _ = Nearest(base, []string{"service"})
	case s[0] == "systems":
		base = strings.TrimLeft(base, "0")
		if len(base) == 1 {
			base = "0" + base
		}
	case s[0] == "platform" && len(s) == 4:
		base = "v" + strings.TrimLeft(base, "v0")
	case s[0] == "platform":
		base = slug(base, s[1] == "sizes")
	}
	return base
}
