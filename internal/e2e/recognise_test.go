package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/stage"
	"kv-shepherd.io/shepherd/internal/storetest"
)

// A lost database is made anew from git and the clusters: VMs behind which a live machine stands that is
// just what they ask for are accepted, others are not, and nothing is applied.
func TestBaselineRecognisesLiveMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *stage.Options) { o.Unprotected = true })
	pr := w.ask("shop", twoVMs())
	w.check(pr, "shepherd/approval", "action_required")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	before := w.vm("prod-shop-shop-redis-02")
	w.vm("test-shop-shop-redis-01")
	w.eventually("both VMs to be applied", func() bool { return w.count("select count(*) from vms where applied_sequence = 1") == 2 })
	w.stop()

	w.cfg.Database = seal.NewSecret(storetest.DSN(t))
	w.connect(w.kube.Kubeconfig())
	if _, err := w.Dave.Commit(w.Repo, "main", "main", forgetest.Files{
		"systems/shop/redis/test-shop/01.yaml": stage.VM("medium", "not what the live machine is"),
		"systems/shop/redis/test-shop/03.yaml": stage.VM("small", "no machine at all"),
	}, "pushed past everybody"); err != nil {
		t.Fatal(err)
	}
	result := w.baseline(w.Repo.Head("main"))
	if len(result.Recognised) != 1 || result.Recognised[0] != "systems/shop/redis/prod-shop/02.yaml" || len(result.Waiting) != 2 {
		t.Fatalf("recognised %v, waiting %v", result.Recognised, result.Waiting)
	}
	if n := w.count("select count(*) from vms v join plans p on p.id = v.applied_plan where v.name = $1 and v.uid = $2 and v.sequence = 1",
		before.Name, string(before.UID)); n != 1 {
		t.Errorf("the recognised machine is not in the database as it was")
	}
	if n := w.count("select count(*) from indexes where service = 'redis' and number = 2"); n != 1 {
		t.Error("its index is not in the ledger")
	}
	if again := w.baseline(w.Repo.Head("main")); len(again.Waiting) != 2 || len(again.Recognised) != 0 {
		t.Errorf("a second baseline: recognised %v, waiting %v", again.Recognised, again.Waiting)
	}
	if after := w.vm(before.Name); after.ResourceVersion != before.ResourceVersion {
		t.Error("the baseline touched the machine")
	}
}
