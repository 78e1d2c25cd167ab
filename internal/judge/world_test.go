package judge

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// machineKeys is what a case says of a VM beside what follows from its accepted file.
type machineKeys struct {
	Unknown bool            `json:"unknown"` // no cluster has it, as far as is known
	Removed string          `json:"removed"` // the path of its file, which is gone
	Status  domain.VMStatus `json:"status"`
	Cluster string          `json:"cluster"`
}

type plannedKeys struct {
	For             string          `json:"for"` // the change's digest when left out
	Cluster         string          `json:"cluster"`
	StorageClass    string          `json:"storageClass"`
	TemplateVersion int             `json:"templateVersion"`
	ModifiedSpec    json.RawMessage `json:"modifiedSpec"`
	Reason          string          `json:"reason"`
	By              string          `json:"by"`
}

type confirmation struct {
	Digest string `json:"digest"` // the change's when left out
	By     string `json:"by"`
}

// amount is what VMs beside the accepted ones take.
type amount struct {
	VMs    int    `json:"vms"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Disk   string `json:"disk"`
}

func (a amount) amount() policy.Amount {
	out := Amount(a.Cores, a.Memory, a.Disk)
	out.VMs = a.VMs
	return out
}

type rate struct {
	Limit  int       `json:"limit"`
	Hours  int       `json:"hours"`
	Used   int       `json:"used"`
	FreeAt time.Time `json:"freeAt"`
}

func (r rate) rate() Rate {
	return Rate{Limit: r.Limit, Window: time.Duration(r.Hours) * time.Hour, Used: r.Used, FreeAt: r.FreeAt}
}

var compiler = sync.OnceValues(policy.NewCompiler)

// rules reads the platform and the policies of a tree.
func rules(t testing.TB, tr tree) (*spec.Platform, *policy.Set, domain.Problems) {
	t.Helper()
	files := map[string][]byte{}
	for path, data := range tr {
		files[path] = []byte(data)
	}
	platform, problems := spec.LoadPlatform(files)
	compile, err := compiler()
	if err != nil {
		t.Fatal(err)
	}
	policies, more := compile.Compile(platform.Policies, policy.Options{})
	return platform, policies, append(problems, more...)
}

// everywhere is somebody who may do everything, for the making of the VMs that are there.
var everywhere = policy.Person{Login: "root", ID: 1}

// addMachines gives each accepted VM the plan that it would have been created by, under the platform of
// recorded/, and counts what the VMs lean on.
func (s story) addMachines(t testing.TB, in *Input) {
	t.Helper()
	in.World.Machines, in.World.InUse, in.World.Usage = map[string]Machine{}, map[string]int{}, map[string]policy.Amount{}
	made := *in
	made.Platform, _, _ = rules(t, s.recorded)
	made.Accepted, made.Submitted, made.Author = nil, nil, everywhere
	made.Limits, made.Rate, made.Now, made.Registries = nil, Rate{}, time.Time{}, nil
	made.World.Names, made.World.Indexes, made.World.Addresses, made.World.Claims = nil, nil, nil, nil
	made.World.Clusters = map[string]ClusterFacts{}
	for name := range made.Platform.Clusters {
		made.World.Clusters[name] = ClusterFacts{Healthy: true}
	}
	made.Files = nil
	for path, data := range s.accepted {
		if ref, governed, _ := spec.ParsePath(path); governed && ref.Kind == spec.KindVirtualMachine {
			made.Files = append(made.Files, File{Path: path, Head: &Content{Data: []byte(data)}})
		}
	}
	for _, c := range Judge(made).Changes {
		if c.Plan == nil {
			t.Fatalf("the accepted VM %s cannot have been made: %v", c.Subject, c.Problems)
		}
		s.addMachine(in, c)
	}
	for name, keys := range s.request.Machines {
		if keys.Removed != "" {
			in.World.Machines[name] = Machine{Path: keys.Removed, Cluster: keys.Cluster, Status: keys.Status, Removed: true}
		}
	}
	maps.Copy(in.World.InUse, s.request.InUse)
	for key, more := range s.request.Usage {
		in.World.Usage[key] = plus(in.World.Usage[key], more.amount())
	}
	if s.request.UsageUnknown {
		in.World.Usage = nil
	}
	in.World.Leftovers = s.request.Leftovers
}

func (s story) addMachine(in *Input, c Change) {
	keys := s.request.Machines[c.Subject]
	if keys.Unknown {
		return
	}
	m := Machine{
		Path: c.Path, UID: "uid-of-" + c.Subject, Cluster: c.Plan.Cluster, KubernetesNamespace: c.Plan.KubernetesNamespace,
		Status: domain.VMRunning, Plan: c.Plan,
	}
	if keys.Status != "" {
		m.Status = keys.Status
	}
	if keys.Cluster != "" {
		m.Cluster = keys.Cluster
	}
	in.World.Machines[c.Subject] = m
	vm, _ := spec.Decode(c.Ref.Kind, c.Wanted)
	if m.Status != domain.VMDeleted {
		Count(in.World.Usage, c.Ref.Namespace, c.Ref.System, amountOf(m.Plan.SizeSnapshot, m.Plan.TemplateSnapshot, m.Plan.Disk, vm.(*spec.VirtualMachine).Disks), 1)
	}
	for _, ref := range []spec.Ref{
		{Kind: spec.KindCluster, Name: m.Cluster}, {Kind: spec.KindNamespace, Name: c.Ref.Namespace},
		{Kind: spec.KindTemplate, Name: c.Plan.Template, Version: c.Plan.TemplateVersion}, {Kind: spec.KindInstanceSize, Name: c.Plan.Size},
	} {
		in.World.InUse[ref.Path()]++
	}
}

// addPlatform reads the platform that the head would have, where that differs, and how the tip's differs from
// the accepted one.
func (s story) addPlatform(t testing.TB, in *Input) {
	t.Helper()
	isPlatform := func(path string) bool { return strings.HasPrefix(path, "platform/") }
	for _, f := range in.Files {
		if isPlatform(f.Path) && in.Next == nil {
			platform, _, problems := rules(t, s.head)
			in.Next = &NextPlatform{Platform: platform, Problems: problems}
		}
	}
	paths := maps.Clone(s.accepted)
	maps.Copy(paths, s.tip)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if isPlatform(path) && !same(s.accepted, s.tip, path) {
			in.PlatformDrift = append(in.PlatformDrift, path)
		}
	}
}

// addWords adds what people said of the changes as they are.
func (s story) addWords(in *Input) {
	if len(s.request.Planned)+len(s.request.Confirmed) == 0 {
		return
	}
	report := Judge(*in)
	in.Planned, in.Confirmed = map[string]Planned{}, map[string][]Confirmation{}
	for path, p := range s.request.Planned {
		c, _ := report.Change(path)
		if p.For == "" {
			p.For = c.Digest
		}
		in.Planned[path] = Planned(p)
	}
	for path, said := range s.request.Confirmed {
		c, _ := report.Change(path)
		for _, word := range said {
			if word.Digest == "" {
				word.Digest = c.Digest
			}
			in.Confirmed[path] = append(in.Confirmed[path], Confirmation(word))
		}
	}
}

// below lists the accepted paths of services and VMs below each service and system.
func below(accepted map[string]Accepted) map[string][]string {
	out := map[string][]string{}
	for _, path := range slices.Sorted(maps.Keys(accepted)) {
		ref, _, _ := spec.ParsePath(path)
		system := spec.Ref{Kind: spec.KindSystem, System: ref.System}.Path()
		service := spec.Ref{Kind: spec.KindService, System: ref.System, Service: ref.Service}.Path()
		switch ref.Kind {
		case spec.KindVirtualMachine:
			out[service] = append(out[service], path)
			out[system] = append(out[system], path)
		case spec.KindService:
			out[system] = append(out[system], path)
		}
	}
	return out
}
