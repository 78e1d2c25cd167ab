package judge

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// request is request.yaml: what a judging knows beside the files. testdata/README.md describes it.
type request struct {
	Author         person                    `json:"author"`
	Draft          bool                      `json:"draft"`
	Fork           bool                      `json:"fork"`
	Pushers        map[string][]person       `json:"pushers"`
	Submitted      []string                  `json:"submitted"`
	Claims         map[string]claim          `json:"claims"`
	Used           map[string][]int          `json:"used"`
	Clusters       map[string]cluster        `json:"clusters"`
	Homes          map[string]string         `json:"homes"`
	Chosen         map[string]string         `json:"chosen"`
	Limits         map[string]limits         `json:"limits"`
	Administrators []spec.Person             `json:"administrators"`
	Creators       map[string]spec.Person    `json:"creators"`
	Machines       map[string]machineKeys    `json:"machines"`
	Leftovers      map[string][]string       `json:"leftovers"`
	InUse          map[string]int            `json:"inUse"`
	Usage          map[string]amount         `json:"usage"`
	UsageUnknown   bool                      `json:"usageUnknown"`
	Planned        map[string]plannedKeys    `json:"planned"`
	Confirmed      map[string][]confirmation `json:"confirmed"`
	Rate           rate                      `json:"rate"`
	Now            time.Time                 `json:"now"`
	SoloAdmin      bool                      `json:"soloAdmin"`
	Registries     []string                  `json:"registries"`
	Unreadable     map[string]domain.Problem `json:"unreadable"`
	UnreadableTip  map[string]domain.Problem `json:"unreadableTip"`
}

type person struct {
	Login string          `json:"login"`
	ID    int64           `json:"id"`
	Bot   bool            `json:"bot"`
	Teams []policy.TeamID `json:"teams"`
}

func (p person) person() policy.Person {
	return policy.Person{Login: p.Login, ID: p.ID, Bot: p.Bot, Teams: p.Teams}
}

type claim struct {
	PullRequest int                 `json:"pullRequest"`
	Status      domain.TicketStatus `json:"status"`
	Running     bool                `json:"running"`
}

type cluster struct {
	Healthy        bool                 `json:"healthy"`
	Message        string               `json:"message"`
	StorageClasses []string             `json:"storageClasses"`
	KubeVirt       string               `json:"kubevirt"`
	Capabilities   *domain.Capabilities `json:"capabilities"`
}

type limits struct {
	Creates         int `json:"creates"`
	Deletes         int `json:"deletes"`
	Modifications   int `json:"modifications"`
	PowerOperations int `json:"powerOperations"`
}

// none is how a case writes the environment of what has none.
const none = "none"

func environmentOf(word string) domain.Environment {
	if word == none {
		return ""
	}
	return domain.Environment(word)
}

// tree is a version of the spec repository.
type tree map[string]string

// story is a case taken apart: the trees and the request. recorded is what was accepted when the VMs that
// are accepted were made.
type story struct {
	accepted, recorded, base, tip, head tree
	request                             request
}

// startFile is what every case starts from. Its name keeps it out of the cases.
const startFile = "testdata/start.txt"

// caseInput is what the case, or its twin, gives to judge.
func caseInput(t testing.TB, archive *txtar.Archive, twin bool) Input {
	t.Helper()
	return input(t, readStory(t, archive, twin))
}

// readStory lays the case over the start, and the twin over the case: a file or a key of request.yaml
// replaces the one of the same name.
func readStory(t testing.TB, archive *txtar.Archive, twin bool) story {
	t.Helper()
	start, err := txtar.ParseFile(startFile)
	if err != nil {
		t.Fatal(err)
	}
	sections, keys := tree{}, map[string]any{}
	lay := func(name string, data []byte) {
		if name != "request.yaml" {
			sections[name] = string(data)
			return
		}
		if err := yaml.Unmarshal(data, &keys); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, f := range slices.Concat(start.Files, archive.Files) {
		if !strings.HasPrefix(f.Name, "twin/") {
			lay(f.Name, f.Data)
		}
	}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "twin/"); ok && twin {
			lay(name, f.Data)
		}
	}
	s := story{accepted: tree{}.with(sections, "accepted/")}
	s.recorded = s.accepted.with(sections, "recorded/")
	s.base = s.accepted.with(sections, "base/")
	s.tip = s.base.with(sections, "tip/")
	s.head = s.base.with(sections, "head/")
	readRequest(t, keys, &s.request)
	return s
}

func readRequest(t testing.TB, keys map[string]any, r *request) {
	t.Helper()
	data, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(r); err != nil {
		t.Fatalf("request.yaml: %v", err)
	}
}

// with is the tree with the files of a folder of the case, and without those that its removed.txt lists.
func (tr tree) with(sections tree, folder string) tree {
	out := tree{}
	maps.Copy(out, tr)
	for name, data := range sections {
		if path, ok := strings.CutPrefix(name, folder); ok && path != "removed.txt" {
			out[path] = data
		}
	}
	for _, path := range strings.Fields(sections[folder+"removed.txt"]) {
		delete(out, path)
	}
	return out
}

// input makes of a story what the database, git and the forge would tell.
func input(t testing.TB, s story) Input {
	t.Helper()
	in := acceptedInput(t, s)
	s.addMachines(t, &in)
	s.addPlatform(t, &in)
	s.addWords(&in)
	return in
}

// acceptedInput is the input but for the VMs that are there, the platform that is asked for, and what people
// said.
func acceptedInput(t testing.TB, s story) Input {
	t.Helper()
	r := s.request
	platform, policies, problems := rules(t, s.accepted)
	if problems.Blocking() {
		t.Fatalf("the accepted platform: %v", problems)
	}
	accepted, world, owners := acceptedWorld(t, s)
	in := Input{
		Head: "headsha", PlatformCommit: "platformsha", Number: 7, Draft: r.Draft, Fork: r.Fork,
		Platform: platform, Policies: policies,
		Bindings: policy.NewBindings(policy.Sources{Roles: platform.Bindings, Systems: owners, Administrators: r.Administrators}),
		Files:    s.files(), Accepted: accepted, World: world, Now: r.Now, Rate: r.Rate.rate(), SoloAdmin: r.SoloAdmin,
		Registries: r.Registries,
		Author:     r.Author.person(), Pushers: map[string][]policy.Person{}, Limits: map[domain.Environment]Limits{},
	}
	for word, l := range r.Limits {
		in.Limits[environmentOf(word)] = Limits(l)
	}
	for path, people := range r.Pushers {
		for _, p := range people {
			in.Pushers[path] = append(in.Pushers[path], p.person())
		}
	}
	for _, path := range r.Submitted {
		ref, _, _ := spec.ParsePath(path)
		in.Submitted = append(in.Submitted, ref)
	}
	return in
}

// files are the paths that differ between base and head.
func (s story) files() (out []File) {
	paths := map[string]bool{}
	for _, tr := range []tree{s.base, s.head} {
		for path := range tr {
			paths[path] = true
		}
	}
	for path := range s.request.Unreadable {
		paths[path] = true
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		head := content(s.head, s.request.Unreadable, path)
		if _, unread := s.request.Unreadable[path]; !unread && same(s.base, s.head, path) {
			continue
		}
		out = append(out, File{
			Path: path, Head: head, Stale: !same(s.base, s.tip, path), Tip: content(s.tip, s.request.UnreadableTip, path),
		})
	}
	return out
}

func same(a, b tree, path string) bool {
	x, inA := a[path]
	y, inB := b[path]
	return inA == inB && x == y
}

func content(tr tree, unreadable map[string]domain.Problem, path string) *Content {
	if p, ok := unreadable[path]; ok {
		return &Content{Problem: &p}
	}
	if data, ok := tr[path]; ok {
		return &Content{Data: []byte(data)}
	}
	return nil
}

// acceptedWorld is what the database would hold had the accepted tree been accepted.
func acceptedWorld(t testing.TB, s story) (map[string]Accepted, World, []policy.SystemPeople) {
	t.Helper()
	w := World{
		Systems: map[string]bool{}, Services: map[string]string{}, Names: map[string]string{}, Indexes: map[string][]int{},
		Addresses: map[string]string{}, Claims: map[string]Claim{}, Clusters: map[string]ClusterFacts{},
		SystemKeys: map[string][]string{}, Home: s.request.Homes, Chosen: s.request.Chosen, SystemLimits: map[string]*spec.Limits{},
	}
	for key, c := range s.request.Claims {
		w.Claims[key] = Claim(c)
	}
	for name, c := range s.request.Clusters {
		w.Clusters[name] = ClusterFacts{
			Healthy: c.Healthy, Message: c.Message, StorageClasses: c.StorageClasses, KubeVirt: c.KubeVirt, Capabilities: c.Capabilities,
		}
	}
	for service, used := range s.request.Used {
		w.Indexes[service] = slices.Clone(used)
	}
	accepted := map[string]Accepted{}
	var owners []policy.SystemPeople
	for _, path := range slices.Sorted(maps.Keys(s.accepted)) {
		ref, governed, problems := spec.ParsePath(path)
		if !governed || problems.Blocking() {
			continue
		}
		doc, problems := spec.Parse(ref, []byte(s.accepted[path]))
		if doc == nil {
			t.Fatalf("accepted/%s: %v", path, problems)
		}
		accepted[path] = Accepted{Spec: spec.Canonical(doc)}
		if system, ok := spec.As[spec.System](doc); ok {
			owners = append(owners, policy.SystemPeople{System: ref.System, Owners: system.Owners, Creator: s.request.Creators[ref.System]})
		}
		w.hold(doc)
	}
	w.Below = below(accepted)
	return accepted, w, owners
}

func (w World) hold(doc *spec.Document) {
	ref := doc.Ref
	switch s := doc.Spec.(type) {
	case *spec.System:
		w.Systems[ref.System], w.SystemKeys[ref.System] = true, s.SSHKeys
		w.SystemLimits[ref.System] = s.Limits
	case *spec.Service:
		w.Services[ref.Service], w.Names[ref.System+"-"+ref.Service] = ref.System, ref.Path()
	case *spec.VirtualMachine:
		w.Names[ref.VMName()] = ref.Path()
		w.Indexes[ref.Service] = append(w.Indexes[ref.Service], ref.Index)
		for _, key := range addressKeys(s) {
			w.Addresses[key] = ref.Path()
		}
	}
}
