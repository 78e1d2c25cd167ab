package approval

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// A removal asks for an approval of a plan that applies nothing; what needs none has no ticket, and claims
// its names all the same.
func TestSubmitRemovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running(7, "c0", "c1", vm1)
	w.submit(8, goneVM, goneService)
	w.same("tickets", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING"}, w.states(8))
	w.same("claims", []string{"service:redis #8", "vm:prod-shop-shop-redis-01 #8"}, w.claims())
	got := w.ticket(goneVM.Path)
	manifests, err := manifestsOf(got.Edges.Plan)
	w.ok(err)
	w.same("ticket and plan", []any{"DELETE_VM", domain.VMDeletionRequested, "east", goneVM.Plan.EffectiveDigest, 0},
		[]any{got.Operation, got.Edges.Event.Type, got.Edges.Plan.Cluster, got.Edges.Plan.EffectiveDigest, len(manifests)})
	payload, err := ParsePayload(got.Edges.Event.Payload)
	w.ok(err)
	w.same("payload", Payload{Operation: domain.DeleteVM, Ref: goneVM.Ref, Environment: domain.Prod, Accepted: payload.Accepted, Digest: goneVM.Digest}, payload)
	if len(payload.Accepted) == 0 {
		t.Error("what is removed is not written down")
	}
	w.same("nothing is removed yet", []string{vm1.Path}, w.texts("select id from accepted"))
	w.same("no job", []string(nil), w.texts("select kind from river_job where args->>'event_id' = $1", got.EventID.String()))
}

// Rules and consoles are asked for by their paths: two pull requests cannot change one at the same time.
func TestSubmitByPath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change judge.Change
		claim  string
		event  string
	}{
		"rules":     {ofPlatform("medium"), "platform:platform/sizes/medium.yaml", domain.PlatformChanged},
		"a console": {console(vm1.Subject, "ada"), "access:access/prod-shop-shop-redis-01/ada.yaml", domain.VNCAccessRequested},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.submit(7, tt.change)
			w.same("claims", []string{tt.claim + " #7"}, w.claims())
			got := w.ticket(tt.change.Path)
			w.same("event and plan", []any{tt.event, tt.change.Digest, ""}, []any{got.Edges.Event.Type, got.Edges.Plan.EffectiveDigest, got.Edges.Plan.Cluster})
			if err := w.g.Submit(t.Context(), submission(8, tt.change)); err == nil {
				t.Error("two have it")
			}
			w.decide(tt.change.Path, approval(approves(11, alice)))
			w.submit(7, tt.change)
			w.same("tickets", "APPROVED PENDING", w.texts("select t.status || ' ' || e.status from tickets t join events e on e.id = t.event_id")[0])
			w.merge(7, "c0", "c1", tt.change)
			w.same("claims", []string(nil), w.claims())
			w.submit(8, tt.change)
			w.same("free again", []string{tt.claim + " #8"}, w.claims())
		})
	}
}
