package provider

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// answering is a Cluster whose API server gives one answer to everything.
func answering(t *testing.T, status int, header, body string) *Cluster {
	t.Helper()
	return served(t, func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func served(t *testing.T, answer http.HandlerFunc) *Cluster {
	t.Helper()
	c, err := newCluster([]byte(servedConfig(t, answer)), Options{Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// servedConfig is a kubeconfig for a handler.
func servedConfig(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return kubeconfigText("server: "+server.URL+
		", certificate-authority-data: "+base64.StdEncoding.EncodeToString(authority), "token: t")
}

func status(code int, reason, message string) string {
	return `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + reason + `","message":"` + message +
		`","code":` + strconv.Itoa(code) + `}`
}

func TestAnswersOfATroubledServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		status       int
		header, body string
		code         domain.Code
		class        Class
		wait         time.Duration
		text         string
	}{
		{name: "too many requests", status: 429, header: "7", body: status(429, "TooManyRequests", "please wait"),
			code: domain.ClusterUnreachable, class: Later, wait: 7 * time.Second},
		{name: "too many requests, a moment", status: 429, header: "1", body: status(429, "TooManyRequests", "please wait"),
			code: domain.ClusterUnreachable, class: Later, wait: waitUnreachable},
		{name: "too many requests, for long", status: 429, header: "90", body: "x",
			code: domain.ClusterUnreachable, class: Later, wait: 90 * time.Second},
		{name: "unavailable", status: 503, header: "20", body: status(503, "ServiceUnavailable", "etcd is down"),
			code: domain.ClusterUnreachable, class: Later, wait: 20 * time.Second, text: "etcd is down"},
		{name: "a proxy's page", status: 502, body: "<html>bad gateway</html>",
			code: domain.ClusterUnreachable, class: Later, wait: waitUnreachable},
		{name: "internal error", status: 500, body: status(500, "InternalError", "etcdserver: request timed out"),
			code: domain.ClusterUnreachable, class: Retry, text: "etcdserver: request timed out"},
		{name: "gateway timeout", status: 504, header: "3", body: status(504, "Timeout", "too slow"),
			code: domain.ClusterUnreachable, class: Retry, wait: 3 * time.Second},
		{name: "webhook down", status: 500, body: status(500, "InternalError", `Internal error occurred: failed calling webhook: connection refused`),
			code: domain.ClusterUnreachable, class: Later, wait: waitPart, text: "failed calling webhook"},
		{name: "credentials", status: 401, body: status(401, "Unauthorized", "Unauthorized"),
			code: domain.ClusterUnreachable, class: Later, wait: waitUnreachable, text: "cluster add"},
		{name: "bad request", status: 400, body: status(400, "BadRequest", `no\u001b[31m\nway`),
			code: domain.ClusterRefused, class: Never, text: "no[31m way"},
		{name: "admission", status: 403, body: status(403, "Forbidden", `admission webhook denied the request: no`),
			code: domain.ClusterRefused, class: Never, text: "denied the request: no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := answering(t, tt.status, tt.header, tt.body).Observe(t.Context(), "ns", "vm")
			e := refusedAs(t, err, tt.code, tt.class, tt.text)
			if e.RetryAfter != tt.wait {
				t.Errorf("wait %s, want %s", e.RetryAfter, tt.wait)
			}
			if spent := time.Since(start); spent > 5*time.Second {
				t.Errorf("the call slept %s instead of saying so", spent)
			}
		})
	}
}

func TestRoadsThatDoNotLeadToACluster(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	at := func(server string) *Cluster {
		c, err := newCluster([]byte(kubeconfigText("server: "+server, "token: t")), Options{Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(stranger.Close)
	t.Cleanup(plain.Close)
	tests := []struct {
		name    string
		cluster *Cluster
		class   Class
		text    string
	}{
		{"refused", at("https://" + closed.Addr().String()), Later, "refuses connections"},
		{"another certificate", at(stranger.URL), Later, "certificate"},
		{"no TLS", at("https://" + plain.Listener.Addr().String()), Later, "cannot be reached"},
		{"no such name", at("https://cluster.invalid"), Later, "cannot be reached"},
		{"silence", served(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), Retry, "did not answer in time"},
		{"hangs up", served(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), Later, "closed the connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := tt.cluster.EnsureNamespace(t.Context(), "ns", nil)
			refusedAs(t, err, domain.ClusterUnreachable, tt.class, tt.text)
			if spent := time.Since(start); spent > 5*time.Second {
				t.Errorf("it took %s", spent)
			}
		})
	}
}

func TestWhatAnswersIsNoAPIServer(t *testing.T) {
	t.Parallel()
	_, err := answering(t, 200, "", `{"hello":"world"}`).Facts(t.Context())
	refusedAs(t, err, domain.ClusterRefused, Never, "no Kubernetes API server")
}

func TestTheCallersDeadlineIsNotTheClusters(t *testing.T) {
	t.Parallel()
	c := served(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Observe(ctx, "ns", "vm")
	refusedAs(t, err, domain.ClusterUnreachable, Retry)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestAKindThatIsNotServed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.get(t.Context(), kubeVirtKind, "kubevirt", "kubevirt")
	refusedAs(t, err, domain.ClusterRefused, Never, "does not know the kind KubeVirt")
}

func TestAWebhookThatIsDownIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := "https://127.0.0.1:1/validate"
	fail, none := admissionv1.Fail, admissionv1.SideEffectClassNone
	hook := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: b.ns},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "down.example.com", FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig:      admissionv1.WebhookClientConfig{URL: &url},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": b.ns}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.OperationAll}, Rule: vmRule,
			}},
		}},
	}
	b.create(hook)
	t.Cleanup(func() { b.discard(hook) })
	m := b.machine("vm")
	eventually(t, func() error {
		_, err := b.Preview(t.Context(), m.creating(), m.manifests())
		if err == nil {
			return errors.New("the API server does not know the webhook yet")
		}
		refusedAs(t, err, domain.ClusterUnreachable, Later, "down.example.com")
		return nil
	})
}

var vmRule = admissionv1.Rule{APIGroups: []string{"kubevirt.io"}, APIVersions: []string{"v1"}, Resources: []string{"virtualmachines"}}

func TestARefusalIsGivenInTheClustersWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy("deny", `object.metadata.namespace == "`+b.ns+`"`, "no VMs before the freeze ends", admissionv1.Deny, vmRule)
	m := b.machine("vm")
	eventually(t, func() error {
		_, err := b.Preview(t.Context(), m.creating(), m.manifests())
		if err == nil {
			return errors.New("the policy is not in force yet")
		}
		refusedAs(t, err, domain.ClusterRefused, Never, "no VMs before the freeze ends")
		return nil
	})
}

func TestWarningsBecomeNotes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy("warn", `object.metadata.namespace == "`+b.ns+`"`, "this size is going away", admissionv1.Warn, vmRule)
	m := b.machine("vm")
	eventually(t, func() error {
		preview, err := b.Preview(t.Context(), m.creating(), m.manifests())
		if err == nil && notes(preview) == "" {
			err = errors.New("the policy is not in force yet")
		}
		if err == nil && !strings.Contains(notes(preview), "the cluster warns: ") {
			t.Errorf("notes %q", notes(preview))
		}
		return err
	})
}

func TestWrongTypesAndUnknownFieldsAreNotRetried(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name  string
		spoil func(m machine)
		text  string
	}{
		{"unknown-field", func(m machine) { set(m.vm.Object, "1Gi", "spec", "template", "spec", "domain", "memroy") }, ".spec.template.spec.domain.memroy: field not declared"},
		{"wrong-type", func(m machine) { set(m.vm.Object, "two", coresPath...) }, "cores: expected numeric"},
		{"bad-quantity", func(m machine) { set(m.vm.Object, "1Gb", "spec", "template", "spec", "domain", "memory", "guest") }, `Invalid value: "1Gb"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := b.machine("vm-" + tt.name)
			tt.spoil(m)
			_, err := b.Apply(t.Context(), m.creating(), m.manifests())
			refusedAs(t, err, domain.ClusterRefused, Never, tt.text)
		})
	}
}

// inForce waits until a VM that was spoiled is refused by a policy.
func (b bench) inForce(spoil func(m machine)) {
	b.t.Helper()
	m := b.machine("probe")
	spoil(m)
	eventually(b.t, func() error {
		if _, err := b.Preview(b.t.Context(), m.creating(), m.manifests()); err == nil {
			return errors.New("the policy is not in force yet")
		}
		return nil
	})
}
