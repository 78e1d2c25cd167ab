package e2e

import (
	"slices"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Services and systems go alone, after or with what they hold, and their names are free again; the used
// indexes are not.
func TestRemovedStructure(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const system, service = "systems/shop/system.yaml", "systems/shop/redis/service.yaml"
	one, two := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "prod-shop/02")
	files := machines("shop", "redis", "test-shop/01", "prod-shop/02")
	files["systems/shop/empty/service.yaml"] = machines("shop", "empty")["systems/shop/empty/service.yaml"]
	pr := w.decided("create", files)
	w.boots("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	w.told(pr, "Applied and running")

	// Alone, with children left: refused, with how many.
	for _, c := range []struct{ branch, path, says string }{
		{"service-alone", service, "service shop/redis still holds 2 VMs"}, {"system-alone", system, "system shop still holds 2 services and 2 VMs"},
	} {
		refused := w.ask(c.branch, forgetest.Files{c.path: nil})
		check := w.problem(refused, "DELETE_RESTRICTED", "", 0)
		t.Log(check.Summary)
		if !strings.Contains(check.Summary, c.says) {
			t.Errorf("%s does not say %q:\n%s", c.path, c.says, check.Summary)
		}
		w.quiet()
		w.untouched(refused)
	}

	// An empty service alone: confirmed, and nothing else.
	pr = w.ask("empty", forgetest.Files{"systems/shop/empty/service.yaml": nil})
	lines := w.toConfirm(pr)
	w.standing(pr, "action_required", "to be confirmed")
	w.refuses(w.Carol, pr, lines[0], "PERMISSION_DENIED")
	w.obeys(w.Alice, pr, lines[0])
	w.standing(pr, "success", "confirmed")
	w.merge(pr, "merge")
	w.told(pr, "Deleted", "✅ deleted")
	w.booked(pr, "shop/empty", "DELETE_SERVICE")

	// All together: machines, then the service, then the system.
	pr = w.ask("all", forgetest.Files{system: nil, service: nil, one: nil, two: nil})
	w.published(pr)
	lines = w.toConfirm(pr)
	if len(lines) != 4 || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "/confirm shop ") }) {
		t.Fatalf("the lines to confirm are %q", lines)
	}
	w.approve(w.Bob, pr)
	w.obeys(w.Alice, pr, strings.Join(lines[:2], "\n"))
	w.standing(pr, "action_required", "half is confirmed")
	w.obeys(w.Alice, pr, "Go on:\n\n"+strings.Join(lines[2:], "\n\n"))
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.told(pr, "Deleted")
	for subject, op := range map[string]string{
		"shop": "DELETE_SYSTEM", "shop/redis": "DELETE_SERVICE", "test-shop-shop-redis-01": "DELETE_VM", "prod-shop-shop-redis-02": "DELETE_VM",
	} {
		w.booked(pr, subject, op)
	}
	order := w.strings(`select operation from events where pull_request = $1 order by finished_at`, pr.Number())
	if !slices.Equal(order, []string{"DELETE_VM", "DELETE_VM", "DELETE_SERVICE", "DELETE_SYSTEM"}) &&
		!slices.Equal(order, []string{"DELETE_VM", "DELETE_VM", "DELETE_SYSTEM", "DELETE_SERVICE"}) {
		t.Errorf("ended in the order %v", order)
	}
	w.absent("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	if got := w.disks("test") + w.disks("prod"); got != "" {
		t.Errorf("disks are left: %s", got)
	}
	if n := w.count(`select count(*) from accepted where id like 'systems/%'`); n != 0 {
		t.Errorf("%d accepted files are left", n)
	}

	// The names are free: another system may have a service redis, with indexes that were never used.
	taken := machines("store", "redis", "test-shop/01")
	again := w.ask("again", taken)
	w.problem(again, "INDEX_TAKEN", vmPath("store", "redis", "test-shop/01"), 1)
	w.push("again", forgetest.Files{vmPath("store", "redis", "test-shop/01"): nil, vmPath("store", "redis", "test-shop/03"): taken[vmPath("store", "redis", "test-shop/01")]})
	w.approve(w.Bob, again)
	w.check(again, "shepherd/approval", "success")
	w.merge(again, "merge")
	w.vm("test-shop-store-redis-03")
	w.boots("test-shop-store-redis-03")
	w.told(again, "Applied and running")
}
