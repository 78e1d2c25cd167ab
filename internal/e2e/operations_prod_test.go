package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func console(duration string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: ConsoleAccess\nspec:\n  reason: it does not boot\n  duration: " + duration + "\n")
}

// In prod somebody else decides about everything: stops, starts and restarts, consoles, and the end, whose
// name is typed. Retained disks stay, and so does the used index.
func TestProdMachine(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const name = "prod-shop-shop-redis-02"
	path := vmPath("shop", "redis", "prod-shop/02")
	file := func(power string, more ...string) []byte {
		return machine(append([]string{"size: medium", "power: " + power, "deletionPolicy: retain", "disks: [{name: data, size: 10Gi}]"}, more...)...)
	}
	files := machines("shop", "redis", "test-shop/01")
	files[path] = file("running")
	pr := w.decided("create", files)
	w.vm(name)
	w.vm("test-shop-shop-redis-01")
	w.boots(name, "test-shop-shop-redis-01")
	at := w.kubeNamespace("prod")
	w.told(pr, "Applied and running", "Log in as `ubuntu` on the console, `virtctl -n "+at+" console "+name+"`, with the password that `kubectl -n "+at+
		" get secret "+name+"-initial-password -o jsonpath='{.data.password}' | base64 -d` shows; it has to be changed at the first login.")

	power := func(branch string, content []byte, headline, operation string, plays func()) {
		t.Helper()
		pr := w.ask(branch, forgetest.Files{path: content})
		w.standing(pr, "action_required", "power in prod is decided")
		w.approve(w.Bob, pr)
		w.check(pr, "shepherd/approval", "success")
		w.quiet()
		if pr.Merged() {
			t.Errorf("%s: the bot merged what people decide", branch)
		}
		w.merge(pr, "squash")
		w.eventually("the job", func() bool { return w.acts(name)[len(w.acts(name))-1] == operation+" COMPLETED/COMPLETED" })
		plays()
		w.told(pr, headline)
		w.booked(pr, name, operation)
	}
	power("stop", file("stopped"), "Stopped", "STOP_VM", func() { w.halts(name) })
	power("start", file("running"), "Started", "START_VM", func() { w.boots(name) })
	restarted := file("running", "restartedAt: 2026-02-01T00:00:00Z")
	power("restart", restarted, "Restarted", "RESTART_VM", func() { w.halts(name); w.boots(name) })
	power("restart-while-stopped", file("stopped", "restartedAt: 2026-02-01T00:00:00Z"), "Stopped", "STOP_VM", func() { w.halts(name) })

	w.consoles(name)
	w.diesInProd(name, path)
}

// consoles are asked for by who is to use them. In test nobody decides; in prod somebody does, for a time.
func (w *plant) consoles(name string) {
	w.t.Helper()
	grants := func() []string {
		return w.strings(`select concat_ws(' ', vm, person_login, environment, extract(epoch from expires_at - granted_at)::int, revoked_by) from grants order by granted_at`)
	}
	test := w.ask("console-test", forgetest.Files{"access/test-shop-shop-redis-01/alice.yaml": console("30m")})
	w.standing(test, "success", "a console in test is free")
	w.merge(test, "merge")
	w.told(test, "Granted until ", "✅ granted until ", "alice may open the console of `test-shop-shop-redis-01` until ")
	w.booked(test, "test-shop-shop-redis-01", "VNC_ACCESS")

	file := "access/" + name + "/alice.yaml"
	long := w.ask("console-long", forgetest.Files{file: console("3h")})
	w.problem(long, "YAML_INVALID", file, 5)
	other := w.ask("console-other", forgetest.Files{"access/" + name + "/bob.yaml": console("30m")})
	w.problem(other, "PERMISSION_DENIED", "access/"+name+"/bob.yaml", 1)
	w.quiet()
	w.untouched(other)

	prod := w.ask("console", forgetest.Files{file: console("45m")})
	w.standing(prod, "action_required", "a console in prod is decided")
	if n := len(grants()); n != 1 {
		w.t.Errorf("%d grants before anybody approved", n)
	}
	w.approve(w.Bob, prod)
	w.check(prod, "shepherd/approval", "success")
	w.merge(prod, "merge")
	_, closing := w.told(prod, "Granted until ", "✅ granted until ")
	until := w.strings(`select to_char(expires_at at time zone 'UTC', 'HH24:MI "UTC on" FMDD FMMonth YYYY') from grants where vm = $1`, name)[0]
	if !strings.Contains(closing, "until "+until) {
		w.t.Errorf("granted until %s, told\n%s", until, closing)
	}
	w.booked(prod, name, "VNC_ACCESS")

	revoke := w.ask("revoke", forgetest.Files{file: nil})
	w.check(revoke, "shepherd/approval", "success")
	w.merge(revoke, "merge")
	w.told(revoke, "Revoked", "alice may no longer open the console of `"+name+"`")
	if got, want := grants(), []string{"test-shop-shop-redis-01 alice test 1800 ", name + " alice prod 2700 alice"}; !slices.Equal(got, want) {
		w.t.Errorf("grants %q, want %q", got, want)
	}
	if n := w.audited("CONSOLE_GRANTED", name) - w.audited("CONSOLE_REVOKED", name); n != 0 {
		w.t.Errorf("%d more granted than revoked in the trail", n)
	}
}

// diesInProd confirms with everything but the right line first.
func (w *plant) diesInProd(name, path string) {
	w.t.Helper()
	pr := w.ask("delete", forgetest.Files{path: nil})
	w.published(pr)
	line := w.toConfirm(pr)[0]
	digest := line[strings.LastIndex(line, " ")+1:]
	if line != "/confirm "+name+" "+digest {
		w.t.Fatalf("the line to copy is %q", line)
	}
	w.refuses(w.Alice, pr, "/confirm "+digest, "CONFIRMATION_NAME_MISMATCH", "the name is missing", "`"+line+"`")
	w.refuses(w.Alice, pr, "/confirm "+strings.TrimSuffix(name, "2")+" "+digest, "CONFIRMATION_NAME_MISMATCH", "`"+line+"`")
	w.refuses(w.Alice, pr, "/confirm "+name+" 00000000", "CONFIRMATION_NAME_MISMATCH", "has this digest")
	w.refuses(w.Alice, pr, "/confirm "+name)
	w.refuses(w.Carol, pr, line, "PERMISSION_DENIED")
	w.refuses(w.Bob, pr, line, "PERMISSION_DENIED") // approving is not deleting
	if _, reply := w.says(w.Bob, pr, "> "+line+"\n\nDo you mean it?"); reply != "" {
		w.t.Errorf("a quotation is answered:\n%s", reply)
	}
	if n := w.count(`select count(*) from confirmations`); n != 0 {
		w.t.Errorf("%d confirmations", n)
	}
	w.approve(w.Bob, pr)
	w.standing(pr, "action_required", "not confirmed")
	w.obeys(w.Alice, pr, line)
	w.standing(pr, "success", "approved and confirmed")

	// What was said before it was closed does not count when it is opened again.
	w.do(w.Alice.Close(pr))
	w.quiet()
	time.Sleep(time.Second) // the forge's clock has seconds
	w.do(w.Alice.Reopen(pr))
	w.quiet()
	time.Sleep(time.Second)
	w.approve(w.Bob, pr)
	w.standing(pr, "action_required", "the confirmation is from before")
	w.obeys(w.Alice, pr, w.toConfirm(pr)[0])
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	_, closing := w.told(pr, "Deleted", "✅ deleted")
	if !strings.Contains(closing, "its disks are kept") {
		w.t.Errorf("what became of the disks is not told:\n%s", closing)
	}
	w.booked(pr, name, "DELETE_VM")
	w.absent(name)
	if got := w.disks("prod"); got != name+"-data 10Gi, "+name+"-root 100Gi" {
		w.t.Errorf("disks %s", got)
	}
	again := w.ask("again", forgetest.Files{path: machine("size: small", "power: running")})
	w.problem(again, "INDEX_TAKEN", path, 1)
	late := w.ask("late", forgetest.Files{"access/" + name + "/alice.yaml": console("45m")})
	w.problem(late, "VM_UNKNOWN", "access/"+name+"/alice.yaml", 1)
	if got := w.strategy("test-shop-shop-redis-01"); got != kubevirtv1.RunStrategyAlways {
		w.t.Errorf("the other machine is told %s", got)
	}
}
