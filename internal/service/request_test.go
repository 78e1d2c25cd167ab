package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// What the spec of a VM says in these tests.
const (
	runs    = `{"power":"running","size":"medium","template":"ubuntu"}`
	rests   = `{"power":"stopped","size":"medium","template":"ubuntu"}`
	retains = `{"power":"running","size":"medium","template":"ubuntu","deletionPolicy":"retain"}`
	anew    = `{"power":"running","size":"medium","template":"ubuntu","restartedAt":"2026-11-23T08:00:00Z"}`
)

func newRef() spec.Ref {
	return spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: int(number.Add(1))}
}

// edited is a manifest with another spec.
func edited(m render.Manifest, edit func(spec map[string]any)) render.Manifest {
	var object map[string]any
	if err := json.Unmarshal(m.JSON, &object); err != nil {
		panic(err)
	}
	edit(object["spec"].(map[string]any))
	m.JSON, _ = json.Marshal(object)
	return m
}

func halted(m render.Manifest) render.Manifest {
	return edited(m, func(spec map[string]any) { spec["runStrategy"] = "Halted" })
}

// memory gives the guest's memory.
func memory(m render.Manifest, size string) render.Manifest {
	return edited(m, func(spec map[string]any) {
		domain := spec["template"].(map[string]any)["spec"].(map[string]any)["domain"].(map[string]any)
		domain["memory"] = map[string]any{"guest": size}
	})
}

// disk is the manifest of a VM's data disk.
func disk(ref spec.Ref, ns string) render.Manifest {
	labels := fmt.Sprintf(`{%q:%q,%q:"shop",%q:"redis",%q:%q,%q:"prod"}`, provider.LabelManagedBy, provider.ManagedBy,
		provider.LabelSystem, provider.LabelService, provider.LabelInstance, ref.Instance(), provider.LabelEnvironment)
	name := ref.VMName() + "-data"
	return render.Manifest{
		APIVersion: "cdi.kubevirt.io/v1beta1", Kind: render.KindDataVolume, Namespace: ns, Name: name,
		JSON: fmt.Appendf(nil, `{"apiVersion":"cdi.kubevirt.io/v1beta1","kind":"DataVolume","metadata":{"name":%q,"namespace":%q,"labels":%s},
"spec":{"source":{"blank":{}},"storage":{"resources":{"requests":{"storage":"50Gi"}}}}}`, name, ns, labels),
	}
}

// change is a change of a VM that passed the gate without anybody's approval.
func (w *world) change(op domain.Operation, ref spec.Ref, accepted, wanted string, ms ...render.Manifest) judge.Change {
	return judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.VMName(), Operation: op, Environment: domain.Prod,
		Accepted: json.RawMessage(accepted), Wanted: json.RawMessage(wanted), Digest: fmt.Sprint("digest-", number.Add(1)),
		Verdict: policy.Verdict{Outcome: policy.Allow}, Requirement: policy.Requirement{Operation: op}, Document: []byte("spec: {}\n"),
		Plan: &judge.Plan{
			Choice: judge.Choice{Cluster: "prod-1"}, Template: "ubuntu", TemplateVersion: 1, Size: "medium", KubernetesNamespace: w.ns,
			TemplateSnapshot: &spec.Template{Status: "active"}, SizeSnapshot: &spec.InstanceSize{Cores: 1, Memory: "1Gi"},
			EffectiveDigest: fmt.Sprint("effective-", number.Load()), Manifests: ms,
		},
	}
}

func (w *world) creation(ref spec.Ref, ms ...render.Manifest) judge.Change {
	if ms == nil {
		ms = []render.Manifest{machine(ref, w.ns)}
	}
	c := w.change(domain.CreateVM, ref, "", runs, ms...)
	c.Accepted = nil
	return c
}

func (w *world) deletion(ref spec.Ref, accepted string) judge.Change {
	c := w.change(domain.DeleteVM, ref, accepted, "")
	c.Wanted = nil
	return c
}

// structural is a change of a service or a system.
func structural(op domain.Operation, ref spec.Ref) judge.Change {
	c := judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.String(), Operation: op, Digest: fmt.Sprint("digest-", number.Add(1)),
		Verdict: policy.Verdict{Outcome: policy.Allow}, Requirement: policy.Requirement{Operation: op}, Document: []byte("spec: {}\n"),
		Claims: judge.ClaimKeys(ref, nil), Wanted: json.RawMessage(`{}`),
	}
	if op.Removes() {
		c.Accepted, c.Wanted = c.Wanted, nil
	}
	return c
}

// ask merges changes as one pull request and returns their events in order.
func (w *world) ask(changes ...judge.Change) []uuid.UUID {
	w.Helper()
	repository, err := w.db.Repository.Get(w.Context(), 42)
	w.ok(err)
	pull := approval.Pull{
		Number: 100 + int(number.Add(1)), Author: audit.Actor{ID: 101, Login: "alice"}, HeadSHA: "h1", BaseRef: "main", State: "open",
	}
	pull.URL = fmt.Sprint("https://forge.test/acme/vms/pull/", pull.Number)
	span := approval.Span{Repository: 42, From: repository.Cursor, To: fmt.Sprint("c", pull.Number), Pull: pull}
	for _, c := range changes {
		span.Merged = append(span.Merged, approval.Merged{Change: c})
	}
	w.ok(w.gateway.Merge(w.Context(), span))
	var ids []uuid.UUID
	for _, c := range changes {
		e, err := w.db.Event.Query().Where(event.Path(c.Path), event.PullRequest(pull.Number)).Only(w.Context())
		w.ok(err)
		ids = append(ids, e.ID)
	}
	return ids
}

// created is a VM that is there.
func (w *world) created() (spec.Ref, uuid.UUID) {
	w.Helper()
	ref := newRef()
	id := w.ask(w.creation(ref))[0]
	w.done(id)
	return ref, id
}

// done carries an event out, however often it asks to wait.
func (w *world) done(id uuid.UUID) {
	w.Helper()
	w.ok(w.try(w.vms, id))
}

// try carries an event out with a service, until it does not only ask to wait.
func (w *world) try(s *VMs, id uuid.UUID) error {
	err := errors.New("not tried")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err = s.Execute(w.Context(), id); !jobs.IsLater(err) {
			break
		}
	}
	return err
}

// failed carries an event out that has to fail for good, and writes that down as the job does.
func (w *world) failed(id uuid.UUID, code domain.Code) {
	w.Helper()
	err := w.try(w.vms, id)
	if !jobs.IsTerminal(err) || problemOf(err).Code != code {
		w.Fatalf("%v: want %s", err, code)
	}
	w.ok(w.vms.Fail(w.Context(), id, err))
	if e := w.event(id); e.Status != event.StatusFAILED || e.ErrorCode != string(code) || e.ErrorMessage == "" {
		w.Fatalf("event %s %s %q", e.Status, e.ErrorCode, e.ErrorMessage)
	}
}

// states fails unless an event and its VM are in these states.
func (w *world) states(id uuid.UUID, e event.Status, machine domain.VMStatus) {
	w.Helper()
	if got, row := w.event(id), w.vm(id); got.Status != e || row.Status != vm.Status(machine) {
		w.Errorf("event %s (%s %s), vm %s (%s): want %s, %s", got.Status, got.ErrorCode, got.ErrorMessage, row.Status, row.StatusMessage, e, machine)
	}
}

// watch looks once what became of an event's VM, and reports whether it is looked at again.
func (w *world) watch(id uuid.UUID) (again bool) {
	w.Helper()
	err := w.vms.Verify(w.Context(), jobs.VerifyVM{EventID: id})
	if err != nil && !jobs.IsLater(err) {
		w.Fatalf("verify: %v", err)
	}
	return err != nil
}
