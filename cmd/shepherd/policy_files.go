package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// filesCase is a case made of files, on its way to a judging: what the database and the forge would tell
// had its accepted files been accepted.
type filesCase struct {
	*policy.Case
	runner   *policy.CaseRunner
	rules    policy.CaseRules
	accepted map[string][]byte         // the platform's files too
	docs     map[string]*spec.Document // of accepted, by path
	plans    map[string]*judge.Plan    // of accepted VMs, by path
}

// judgeFiles runs a case made of files through the whole judging.
func judgeFiles(runner *policy.CaseRunner, c *policy.Case) (policy.CaseResult, error) {
	rules, err := runner.Rules(c)
	if err != nil {
		return policy.CaseResult{}, err
	}
	f := &filesCase{Case: c, runner: runner, rules: rules, accepted: maps.Clone(rules.Files), docs: map[string]*spec.Document{}}
	if f.accepted == nil {
		f.accepted = map[string][]byte{}
	}
	maps.Copy(f.accepted, c.Accepted())
	if err := f.parse(); err != nil {
		return policy.CaseResult{}, err
	}
	if err := f.plan(); err != nil {
		return policy.CaseResult{}, err
	}
	files, err := f.changed()
	if err != nil {
		return policy.CaseResult{}, err
	}
	return reported(judge.Judge(f.input(files)), rules.Problems), nil
}

// parse reads the accepted files, which have to be right.
func (f *filesCase) parse() error {
	for _, path := range slices.Sorted(maps.Keys(f.accepted)) {
		ref, governed, problems := spec.ParsePath(path)
		if !governed {
			continue
		}
		if problems.Blocking() {
			return f.ErrorAt(problems.Sorted()[0])
		}
		doc, problems := spec.Parse(ref, f.accepted[path])
		if doc == nil {
			return f.ErrorAt(problems.Sorted()[0])
		}
		f.docs[path] = doc
	}
	return nil
}

// plan has the accepted VMs asked for by an administrator on the empty platform: what would be applied
// then is what a change of them starts from.
func (f *filesCase) plan() error {
	admin := policy.Person{ID: 1, Login: "administrator"}
	in := judge.Input{
		Platform: f.rules.Platform, Policies: f.rules.Policies, Author: admin,
		Bindings: policy.NewBindings(policy.Sources{Administrators: []spec.Person{{ID: admin.ID, Login: admin.Login}}}),
		World:    judge.World{Clusters: f.clusters(nil)},
	}
	for path, doc := range f.docs {
		if !doc.Ref.Platform() && doc.Ref.Kind != spec.KindConsoleAccess {
			in.Files = append(in.Files, judge.File{Path: path, Head: &judge.Content{Data: f.accepted[path]}})
		}
	}
	f.plans = map[string]*judge.Plan{}
	for _, c := range judge.Judge(in).Changes {
		if c.Ref.Kind != spec.KindVirtualMachine {
			continue
		}
		if c.Plan == nil {
			return f.ErrorAt(c.Problems.Sorted()[0])
		}
		f.plans[c.Path] = c.Plan
	}
	return nil
}

// changed are the files that the pull request writes or removes.
func (f *filesCase) changed() (files []judge.File, err error) {
	tip := func(path string) *judge.Content {
		if data, ok := f.accepted[path]; ok {
			return &judge.Content{Data: data}
		}
		return nil
	}
	head := f.Head()
	for path, data := range head {
		if before, ok := f.accepted[path]; !ok || !bytes.Equal(before, data) {
			files = append(files, judge.File{Path: path, Head: &judge.Content{Data: data}, Tip: tip(path)})
		}
	}
	for _, path := range f.Request.Removed {
		if _, written := head[path]; written || tip(path) == nil {
			return nil, policy.CaseError{Path: f.Path, Text: fmt.Sprintf("removed: %s is not among the accepted files, or head/ writes it", path)}
		}
		files = append(files, judge.File{Path: path, Tip: tip(path)})
	}
	return files, nil
}

func (f *filesCase) input(files []judge.File) judge.Input {
	bindings := policy.NewBindings(policy.Sources{Roles: f.rules.Platform.Bindings, Systems: f.owners(), Administrators: f.Server.Administrators})
	in := judge.Input{
		Number: 1, Draft: f.Request.Draft, Fork: f.Request.Fork, Now: time.Now(),
		Platform: f.rules.Platform, Policies: f.rules.Policies, Bindings: bindings,
		Files: files, Accepted: map[string]judge.Accepted{}, World: f.world(),
		Author: f.Request.Author, Pushers: map[string][]policy.Person{}, Limits: map[domain.Environment]judge.Limits{},
	}
	for path, doc := range f.docs {
		in.Accepted[path] = judge.Accepted{Spec: spec.Canonical(doc)}
	}
	for _, file := range files {
		in.Pushers[file.Path] = f.Request.Pushers
		if strings.HasPrefix(file.Path, "platform/") && in.Next == nil {
			in.Next = f.next(files)
		}
	}
	for _, env := range []domain.Environment{"", domain.Test, domain.Prod} {
		l := policy.LimitsFor(nil, env, bindings.Roles(in.Author, policy.Scope{Environment: env}))
		in.Limits[env] = judge.Limits{Creates: l.Creates, Deletes: l.Deletes, Modifications: l.Modifications, PowerOperations: l.PowerOperations}
	}
	return in
}

// next is the platform as the pull request would have it.
func (f *filesCase) next(files []judge.File) *judge.NextPlatform {
	content := maps.Clone(f.rules.Files)
	for _, file := range files {
		delete(content, file.Path)
		if file.Head != nil {
			content[file.Path] = file.Head.Data
		}
	}
	platform, _, problems := f.runner.Compile(content, f.Server)
	return &judge.NextPlatform{Platform: platform, Problems: problems}
}

func (f *filesCase) owners() (out []policy.SystemPeople) {
	for _, doc := range f.docs {
		if system, ok := spec.As[spec.System](doc); ok {
			out = append(out, policy.SystemPeople{System: doc.Ref.System, Owners: system.Owners})
		}
	}
	return out
}

// clusters are all of the platform's; those that are not named are healthy, and have what VMs ask for.
func (f *filesCase) clusters(unhealthy []string) map[string]judge.ClusterFacts {
	out := map[string]judge.ClusterFacts{}
	for name := range f.rules.Platform.Clusters {
		out[name] = judge.ClusterFacts{Healthy: true, Whole: true}
		if slices.Contains(unhealthy, name) {
			out[name] = judge.ClusterFacts{Message: "the case says so"}
		}
	}
	return out
}

func (f *filesCase) world() judge.World {
	w := judge.World{
		Systems: map[string]bool{}, Services: map[string]string{}, Names: map[string]string{}, Indexes: map[string][]int{},
		Addresses: map[string]string{}, Clusters: f.clusters(f.Request.Unhealthy), SystemKeys: map[string][]string{},
		Home: map[string]string{}, Machines: map[string]judge.Machine{}, Below: map[string][]string{}, InUse: map[string]int{},
	}
	for _, path := range slices.Sorted(maps.Keys(f.docs)) {
		ref := f.docs[path].Ref
		switch s := f.docs[path].Spec.(type) {
		case *spec.System:
			w.Systems[ref.System], w.SystemKeys[ref.System] = true, s.SSHKeys
		case *spec.Service:
			w.Services[ref.Service], w.Names[ref.System+"-"+ref.Service] = ref.System, path
		case *spec.VirtualMachine:
			f.machine(w, ref, s)
		}
		if !ref.Platform() && ref.System != "" {
			below(w, ref)
		}
	}
	return w
}

// machine is an accepted VM as the world knows it.
func (f *filesCase) machine(w judge.World, ref spec.Ref, vm *spec.VirtualMachine) {
	path, name, plan := ref.Path(), ref.VMName(), f.plans[ref.Path()]
	w.Names[name] = path
	w.Indexes[ref.Service] = append(w.Indexes[ref.Service], ref.Index)
	w.Home[ref.Service+"/"+ref.Namespace] = plan.Cluster
	status := domain.VMRunning
	if vm.Power == spec.PowerStopped {
		status = domain.VMStopped
	}
	w.Machines[name] = judge.Machine{
		Path: path, UID: name, Cluster: plan.Cluster, KubernetesNamespace: plan.KubernetesNamespace, Status: status, Plan: plan,
	}
	uses := []spec.Ref{
		{Kind: spec.KindInstanceSize, Name: vm.Size}, {Kind: spec.KindTemplate, Name: plan.Template, Version: plan.TemplateVersion},
		{Kind: spec.KindNamespace, Name: ref.Namespace}, {Kind: spec.KindCluster, Name: plan.Cluster},
	}
	for _, n := range vm.Networks {
		uses = append(uses, spec.Ref{Kind: spec.KindNetwork, Name: n.Name})
		if n.IP != "" {
			w.Addresses["address:"+n.Name+"/"+n.IP] = path
		}
	}
	for _, used := range uses {
		w.InUse[used.Path()]++
	}
}

// below counts a file in the way of a removal of its system and service.
func below(w judge.World, ref spec.Ref) {
	for _, parent := range []spec.Ref{{Kind: spec.KindSystem, System: ref.System}, {Kind: spec.KindService, System: ref.System, Service: ref.Service}} {
		if parent.Path() != ref.Path() && (parent.Service != "" || parent.Kind == spec.KindSystem) {
			w.Below[parent.Path()] = append(w.Below[parent.Path()], ref.Path())
		}
	}
}

// reported puts a report into the words of cases.
func reported(report judge.Report, own domain.Problems) policy.CaseResult {
	out := policy.CaseResult{Changes: map[string]policy.Observed{}}
	var text strings.Builder
	for _, c := range report.Changes {
		observed := policy.Observed{}
		if c.Verdict.Rule != "" { // what cannot be read is asked nothing
			observed = policy.Observe(c.Verdict)
			text.WriteString(policy.Text(c.Verdict))
		}
		said := c.Verdict.Problems(c.Path)
		observed = observed.Add(slices.DeleteFunc(slices.Clone(c.Problems), func(p domain.Problem) bool { return slices.Contains(said, p) }))
		out.Changes[c.Path], out.Observed = observed, out.Join(observed)
		text.WriteString(policy.DescribeProblems("problem", c.Problems))
	}
	out.Observed = out.Add(report.Problems)
	text.WriteString(policy.DescribeProblems("problem", report.Problems) + policy.DescribeProblems("policy", own))
	out.Text = text.String()
	return out
}
