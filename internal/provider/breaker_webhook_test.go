package provider

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// A webhook that denies is the manifest's matter: it is told in the webhook's words, never tried again, and however
// often it happens it pauses no cluster.
func TestAWebhookThatDenies(t *testing.T) {
	t.Parallel()
	b := newBroken(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review reviewv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Response = &reviewv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "no VMs on Fridays", Code: http.StatusForbidden}}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	fail, none, url := admissionv1.Fail, admissionv1.SideEffectClassNone, server.URL+"/validate"
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: b.ns},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "fridays.example.com", FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{
				Type: "CERTIFICATE", Bytes: server.Certificate().Raw,
			})},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": b.ns}},
			Rules:             []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.OperationAll}, Rule: vmRule}},
		}},
	}
	b.create(hook)
	t.Cleanup(func() { b.discard(hook) })
	c, err := b.Registry.Cluster(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	m := b.machine("vm")
	eventually(t, func() error {
		if _, err := c.Preview(t.Context(), m.creating(), m.manifests()); err == nil {
			return errors.New("the API server does not know the webhook yet")
		}
		return nil
	})
	for range 2 * breakerFailures {
		_, err := c.Apply(t.Context(), m.creating(), m.manifests())
		refusedAs(t, err, domain.ClusterRefused, Never, "no VMs on Fridays")
	}
	if p := b.Paused(); len(p) > 0 {
		t.Error(p)
	}
}
