package e2e

import (
	"fmt"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Of three replicas one is killed, again and again: the one that works, the one that leads. Others take its jobs over
// and one of them leads; every machine is applied once, and everything is said once.
func TestReplicasKilled(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true, kubeconfig: far(100 * time.Millisecond)}.world(t)
	w.baseline(w.Repo.Head("main"))
	f := w.replicas(3)
	const rounds = 4
	var pulls []*forgetest.Pull
	for i := range rounds {
		system := fmt.Sprintf("dead%d", i)
		pulls = append(pulls, w.ask(system, threeMachines(system)))
	}
	for _, pr := range pulls {
		w.approve(w.Bob, pr)
	}
	for i, pr := range pulls {
		w.check(pr, "shepherd/approval", "success")
		w.merge(pr, "merge")
		if i%2 == 0 {
			w.killWorker(f)
		} else {
			w.killLeader(f)
		}
		w.finished(pr, threeOf(fmt.Sprintf("dead%d", i))...)
	}
	w.beats(rounds / 2)
	w.quiet()
	for _, pr := range pulls {
		w.saidOnce(pr)
		if n := len(w.deployments(pr)); n != 2 {
			t.Errorf("#%d: %d deployments, want one a cluster", pr.Number(), n)
		}
	}
}

// worker is a replica that works on a machine.
func (w *world) worker(f *replicaSet) (r *replica) {
	w.t.Helper()
	w.eventually("a replica to work on a machine", func() bool {
		ids := w.strings(`select attempted_by[array_upper(attempted_by, 1)] from river_job where kind = 'event_job' and state = 'running'`)
		if len(ids) > 0 {
			r = f.by(ids[0])
		}
		return r != nil
	})
	return r
}

// The jobs that a replica is believed to run.
const (
	jobsOf = `select id::text from river_job where state = 'running' and attempted_by[array_upper(attempted_by, 1)] like $1`
	heldBy = `select count(*) from (` + jobsOf + `) as held`
)

// killWorker kills a replica that works on a machine, and waits until others have begun all that it had.
func (w *world) killWorker(f *replicaSet) {
	w.t.Helper()
	victim := w.worker(f)
	f.kill(victim)
	killed := w.strings(`select now()::text`)[0]
	jobs := w.strings(jobsOf, victim.like())
	w.eventually("the jobs to be taken over", func() bool { return w.count(heldBy, victim.like()) == 0 })
	// Some may be over: what the victim sent last was still done.
	const waits = `select count(*) from river_job where id::text = any($1) and state = 'available' and attempted_at <= $2::timestamptz`
	w.eventually("the jobs to be begun", func() bool { return w.count(waits, jobs, killed) == 0 })
	const taken = `select coalesce(max(attempted_at - $2::timestamptz), '0')::text || ' of ' || count(*) from river_job
where id::text = any($1) and attempted_at > $2::timestamptz`
	w.t.Logf("a worker was killed; its jobs were begun elsewhere after %s", w.strings(taken, jobs, killed)[0])
}

// killLeader kills the replica that leads, and waits until another one does.
func (w *world) killLeader(f *replicaSet) {
	w.t.Helper()
	var leader string
	w.eventually("a leader that is known", func() bool {
		leader = w.leader()
		return f.by(leader) != nil
	})
	f.kill(f.by(leader))
	began := time.Now()
	w.eventually("another leader", func() bool {
		now := w.leader()
		return now != "" && now != leader
	})
	w.t.Logf("the leader was killed; another one led after %s", time.Since(began).Round(time.Millisecond))
}

// beats holds that what is periodic is done by one replica at a time: every leader queues it when it begins, and then
// once a period.
func (w *world) beats(changes int) {
	w.t.Helper()
	before := w.count(`select count(*) from river_job where kind = 'heartbeat'`)
	w.eventually("the heart to beat on", func() bool { return w.count(`select count(*) from river_job where kind = 'heartbeat'`) > before+1 })
	const early = `select count(*) from (select created_at - lag(created_at) over (order by created_at) as gap from river_job where kind = 'heartbeat') as beats
where gap < interval '5 seconds'`
	if n := w.count(early); n > changes {
		w.t.Errorf("%d heartbeats came early, and the leader changed %d times: %v", n, changes, w.strings(`select created_at::time::text || ' ' || attempted_by::text from river_job where kind = 'heartbeat' order by id`))
	}
	if n := w.count(`select count(*) from river_leader`); n != 1 {
		w.t.Errorf("%d leaders", n)
	}
}
