package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/stage"
)

// The environment can replay one sequence, and have more of them tried.
const (
	seedVariable    = "SHEPHERD_E2E_SEED"
	secondsVariable = "SHEPHERD_E2E_SECONDS"
)

// Whatever people push, review, confirm, plan, merge, close and reopen in whatever order: what is on the
// clusters, and what the database says of it, is what was asked for at its path, approved, and merged.
func TestIdentityProperty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seconds := 12
	if text := os.Getenv(secondsVariable); text != "" {
		seconds = must(strconv.Atoi(text))(w)
	}
	seed, replay := uint64(time.Now().UnixNano()), os.Getenv(seedVariable)
	if replay != "" {
		seed = must(strconv.ParseUint(replay, 10, 64))(w)
	}
	applied, sequences := 0, 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); sequences == 0 || replay == "" && time.Now().Before(end) && !t.Failed(); sequences++ {
		p := &play{world: w, rand: rand.New(rand.NewPCG(seed, 0)), system: fmt.Sprintf("s%d", sequences), seed: seed}
		p.run()
		w.quiet()
		w.truthful(p)
		if t.Failed() || replay != "" {
			t.Logf("replay with %s=%d; it was:\n%s", seedVariable, seed, strings.Join(p.acts, "\n"))
		}
		seed++
	}
	applied = w.count(`select count(*) from events where status = 'COMPLETED' and operation like '%_VM'`)
	t.Logf("%d sequences, %d machines changed, %d tickets, %d approvals, %d quarantined", sequences, applied, w.count(`select count(*) from tickets`),
		w.count(`select count(*) from audit_log where action_code = 'APPROVAL_APPROVED'`),
		w.count(`select count(*) from audit_log where action_code in ('CHANGE_QUARANTINED', 'APPROVAL_BYPASSED')`))
}

// play is one sequence, in a system of its own.
type play struct {
	*world
	rand   *rand.Rand
	seed   uint64
	system string
	pulls  []*forgetest.Pull
	acts   []string
}

// did notes an act. Many are refused by the forge, as they should be.
func (p *play) did(err error, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if err != nil {
		line += ": " + err.Error()
	}
	p.acts = append(p.acts, line)
}

func (p *play) path() string {
	service := p.system + []string{"a", "b"}[p.rand.IntN(2)]
	ns, index := p.rand.IntN(2), 1+p.rand.IntN(2)
	if p.rand.IntN(6) > 0 { // mostly an index of the namespace's own, or no request would be valid for long
		index += 2 * ns
	}
	return vmPath(p.system, service, fmt.Sprintf("%s/%02d", []string{"test-shop", "prod-shop"}[ns], index))
}

func (p *play) content() []byte {
	c := stage.VM([]string{"small", "medium"}[p.rand.IntN(2)], []string{"one", "another"}[p.rand.IntN(2)])
	if p.rand.IntN(4) == 0 {
		c = bytes.ReplaceAll(c, []byte("power: running"), []byte("power: stopped"))
	}
	return c
}

func (p *play) files() forgetest.Files {
	files := forgetest.Files{}
	for range 1 + p.rand.IntN(2) {
		files[p.path()] = p.content()
	}
	return files
}

func (p *play) run() {
	files := machines(p.system, p.system+"a")
	files["systems/"+p.system+"/"+p.system+"b/service.yaml"] = stage.Service("another service")
	must(p.Alice.Commit(p.Repo, p.system, "main", files, "a system"))(p.world)
	pr := p.world.open(p.system, false)
	p.check(pr, "shepherd/approval", "success")
	p.world.merge(pr, "squash")
	p.open()
	acts := []func(){
		p.push, p.push, p.move, p.revert, p.draft, p.approve, p.approve, p.veto, p.dismiss, p.confirm, p.plan,
		p.merge, p.merge, p.through, p.through, p.through, p.through, p.bypass, p.close, p.wait, p.update,
	}
	for range 18 {
		if len(p.pulls) < 2 && p.rand.IntN(4) == 0 || !p.anyOpen() {
			p.open()
			continue
		}
		acts[p.rand.IntN(len(acts))]()
	}
}

func (p *play) anyOpen() bool {
	for _, pr := range p.pulls {
		if !pr.Merged() {
			return true
		}
	}
	return false
}

func (p *play) pull() *forgetest.Pull { return p.pulls[p.rand.IntN(len(p.pulls))] }

func (p *play) open() {
	branch := fmt.Sprintf("%s-%d", p.system, len(p.pulls))
	files := p.files()
	_, err := p.Alice.Commit(p.Repo, branch, "main", files, "ask")
	p.did(err, "commit %v to a new branch %s", paths(files), branch)
	if err != nil {
		return
	}
	pr, err := p.Alice.OpenPull(p.Repo, "Machines", branch, "main", "", p.rand.IntN(6) == 0)
	p.did(err, "open %s", branch)
	if err == nil {
		p.pulls = append(p.pulls, pr)
	}
}

func paths(files forgetest.Files) (out []string) {
	for path, content := range files {
		if content == nil {
			path = "-" + path
		}
		out = append(out, path)
	}
	return out
}

func (p *play) commit(pr *forgetest.Pull, files forgetest.Files, what string) {
	if pr.Merged() {
		return
	}
	who := p.Alice
	if p.rand.IntN(8) == 0 {
		who = p.Dave
	}
	_, err := who.Commit(p.Repo, pr.HeadRef(), "main", files, what)
	p.did(err, "#%d: %s %ss %v", pr.Number(), who.Login(), what, paths(files))
}

func (p *play) push() { p.commit(p.pull(), p.files(), "push") }

// move takes a file elsewhere, as it is or not.
func (p *play) move() {
	pr := p.pull()
	for range 8 {
		from := p.path()
		if content, ok := p.Repo.File(pr.HeadRef(), from); ok {
			if to := p.path(); to != from {
				p.commit(pr, forgetest.Files{from: nil, to: content}, "move")
			}
			return
		}
	}
}

// revert makes a file what the branch has, or removes it.
func (p *play) revert() {
	path := p.path()
	content, _ := p.Repo.File("main", path)
	p.commit(p.pull(), forgetest.Files{path: content}, "revert")
}

func (p *play) draft() {
	pr := p.pull()
	if pr.Draft() {
		p.did(p.Alice.MarkReady(pr), "#%d: ready", pr.Number())
	} else {
		p.did(p.Alice.MarkDraft(pr), "#%d: draft", pr.Number())
	}
}

func (p *play) wait() {
	p.world.quiet()
	p.did(nil, "wait")
}

func (p *play) approve() {
	pr := p.pull()
	if p.rand.IntN(3) > 0 {
		p.world.quiet()
	}
	who := []*forgetest.User{p.Bob, p.Bob, p.Bob, p.Dave, p.Carol}[p.rand.IntN(5)]
	_, err := who.Approve(pr)
	p.did(err, "#%d: %s approves %s", pr.Number(), who.Login(), pr.HeadSHA()[:8])
}

func (p *play) veto() {
	if p.rand.IntN(2) == 0 {
		return
	}
	pr := p.pull()
	_, err := p.Bob.RequestChanges(pr, "no")
	p.did(err, "#%d: bob says no", pr.Number())
}

func (p *play) dismiss() {
	pr := p.pull()
	reviews := pr.Reviews()
	if len(reviews) == 0 {
		return
	}
	p.did(p.Dave.DismissReview(pr, reviews[p.rand.IntN(len(reviews))].ID, "dismissed"), "#%d: a review is dismissed", pr.Number())
}

// confirm writes the lines that the comment asks for.
func (p *play) confirm() {
	pr := p.pull()
	for _, c := range p.remarks(pr) {
		for _, line := range strings.Split(c.Body, "\n") {
			if _, after, ok := strings.Cut(line, "`/confirm "); ok {
				command, _, _ := strings.Cut(after, "`")
				_, err := p.Alice.Comment(pr, "/confirm "+command)
				p.did(err, "#%d: confirm %s", pr.Number(), command)
			}
		}
	}
}

func (p *play) plan() {
	pr := p.pull()
	spec := []string{
		"modifiedSpec: {template: ubuntu-24.04, size: medium, power: running}\nreason: better", "cluster: prod-1", "cluster: test-1",
		"modifiedSpec: {template: ubuntu-24.04, size: small, power: running, namespace: prod-shop}\nreason: elsewhere",
	}[p.rand.IntN(4)]
	_, err := p.Bob.Comment(pr, "/plan\n```shepherd\n"+spec+"\n```\n")
	p.did(err, "#%d: bob plans %q", pr.Number(), spec)
}

func (p *play) merge() {
	pr := p.pull()
	_, err := p.Alice.Merge(pr, []string{"merge", "squash", "rebase"}[p.rand.IntN(3)])
	p.did(err, "#%d: merge", pr.Number())
}

// through is how a request goes when nobody disturbs it.
func (p *play) through() {
	pr := p.pull()
	if pr.State() == "closed" && !pr.Merged() {
		p.did(p.Alice.Reopen(pr), "#%d: reopen", pr.Number())
	}
	if pr.Draft() {
		p.did(p.Alice.MarkReady(pr), "#%d: ready", pr.Number())
	}
	p.world.quiet()
	_, err := p.Bob.Approve(pr)
	p.did(err, "#%d: bob approves %s", pr.Number(), pr.HeadSHA()[:8])
	p.world.quiet()
	_, err = p.Alice.Merge(pr, "merge")
	p.did(err, "#%d: merge when all is done", pr.Number())
}

func (p *play) bypass() {
	if p.rand.IntN(2) > 0 {
		return
	}
	pr := p.pull()
	_, err := p.Dave.MergeBypassing(pr, "merge")
	p.did(err, "#%d: merge past the checks", pr.Number())
}

func (p *play) close() {
	pr := p.pull()
	if pr.State() == "open" {
		p.did(p.Alice.Close(pr), "#%d: close", pr.Number())
	} else {
		p.did(p.Alice.Reopen(pr), "#%d: reopen", pr.Number())
	}
}

func (p *play) update() {
	pr := p.pull()
	p.did(p.Alice.UpdateBranch(pr), "#%d: update the branch", pr.Number())
}

// truthful holds what must be true however it came about.
func (w *world) truthful(p *play) {
	w.t.Helper()
	for _, table := range []string{"tickets", "vms"} {
		for _, row := range w.strings(`select path || ' ' || system || ' ' || service || ' ' || namespace || ' ' || instance || ' ' || environment
from ` + table + ` where path like 'systems/%/%/%/%'`) {
			path, said, _ := strings.Cut(row, " ")
			ref, _, _ := spec.ParsePath(path)
			env, _, _ := strings.Cut(ref.Namespace, "-")
			if want := strings.Join([]string{ref.System, ref.Service, ref.Namespace, ref.Instance(), env}, " "); said != want {
				w.t.Errorf("%s: %s says %s", table, path, said)
			}
		}
	}
	for _, row := range w.strings(`select e.id::text from events e where e.operation like '%_VM' and e.status not in ('PENDING', 'CANCELLED') and e.path like $1`, "systems/"+p.system+"/%") {
		w.lawful(row)
	}
	w.live(p)
	const stray = `select count(*) from events e where e.path like $1 and e.status = 'PENDING'
and not exists (select 1 from tickets t where t.event_id = e.id and t.status in ('PENDING_APPROVAL', 'APPROVED'))`
	if n := w.count(stray, "systems/"+p.system+"/%"); n != 0 {
		w.t.Errorf("%d events wait for nothing", n)
	}
}

// lawful holds that an event that was carried out has a ticket that lets it, for what git says at the merge.
func (w *world) lawful(event string) {
	w.t.Helper()
	var path, commit, status, agreed, planned string
	var payload []byte
	var required, approvals int
	err := w.pool.QueryRow(w.t.Context(), `select e.path, e.merge_commit, t.status, t.change_digest, coalesce(t.planned_digest, ''), e.payload, t.approvals_required,
(select count(distinct d.reviewer_id) from decisions d where d.ticket_id = t.id and d.plan_id = t.plan_id and d.verdict = 'approve' and d.reviewer_id in (102, 104))
from events e join tickets t on t.event_id = e.id and t.path = e.path where e.id = $1`, event).Scan(&path, &commit, &status, &agreed, &planned, &payload, &required, &approvals)
	if err != nil {
		w.t.Errorf("event %s: %v", event, err)
		return
	}
	if status != "APPROVED" && status != "COMPLETED" && status != "FAILED" || approvals < required {
		w.t.Errorf("%s at %s: ticket %s with %d of %d approvals", path, commit, status, approvals, required)
	}
	var asked approval.Payload
	w.do(json.Unmarshal(payload, &asked))
	if asked.Ref.Path() != path || asked.Digest != agreed {
		w.t.Errorf("%s: the payload is of %s, digest %s, the ticket's %s", path, asked.Ref.Path(), asked.Digest, agreed)
	}
	if planned != "" {
		return // git says what the plan says, which has digests of its own
	}
	want := []byte(nil)
	if content, ok := w.Repo.File(commit, path); ok {
		doc, _ := spec.Parse(asked.Ref, content)
		want = spec.Canonical(doc)
	}
	if !sameJSON(asked.Wanted, want) {
		w.t.Errorf("%s at %s: git says %s, %s was carried out", path, commit, want, asked.Wanted)
	}
	if asked.Operation.Removes() != (want == nil) {
		w.t.Errorf("%s at %s: %s", path, commit, asked.Operation)
	}
}

func sameJSON(a, b []byte) bool {
	if len(a) == 0 || string(a) == "null" || len(b) == 0 {
		return (len(a) == 0 || string(a) == "null") == (len(b) == 0)
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

// live holds that every object on the cluster stands where its own ticket says, and that there is nothing
// else.
func (w *world) live(p *play) {
	w.t.Helper()
	for _, env := range []domain.Environment{domain.Test, domain.Prod} {
		var list kubevirtv1.VirtualMachineList
		w.do(w.kube.Client().List(w.t.Context(), &list, client.InNamespace(w.kubeNamespace(string(env)))))
		for _, vm := range list.Items {
			var ns, name string
			err := w.pool.QueryRow(w.t.Context(), `select t.namespace, t.subject from tickets t join decisions d on d.ticket_id = t.id
where t.id::text = $1 and t.status in ('APPROVED', 'COMPLETED', 'FAILED') and d.verdict = 'approve' limit 1`, vm.Annotations[render.AnnotationTicket]).Scan(&ns, &name)
			if power := vm.Annotations[render.AnnotationTicket] != "" && err != nil; power {
				err = w.pool.QueryRow(w.t.Context(), `select namespace, subject from tickets where id::text = $1 and approvals_required = 0 and environment = 'test'
and operation in ('START_VM', 'STOP_VM', 'RESTART_VM')`, vm.Annotations[render.AnnotationTicket]).Scan(&ns, &name)
			}
			if err != nil || name != vm.Name || !strings.HasPrefix(ns, string(env)+"-") {
				w.t.Errorf("%s/%s is of ticket %q: %s in %s (%v)", vm.Namespace, vm.Name, vm.Annotations[render.AnnotationTicket], name, ns, err)
			}
		}
	}
}
