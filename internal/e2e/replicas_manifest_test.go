package e2e

import (
	"bytes"
	"net/http"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/config"
)

// The manifest says what Kubernetes understands, asks where this program answers, leaves it the time that it needs to
// stop, and notices in time that it does.
func TestServerManifest(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../deploy/server/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var (
		server  appsv1.Deployment
		service corev1.Service
		budget  policyv1.PodDisruptionBudget
	)
	into := []any{&server, &service, &budget}
	documents := bytes.Split(data, []byte("\n---\n"))
	if len(documents) != len(into) {
		t.Fatalf("%d documents", len(documents))
	}
	for i, d := range documents {
		if err := yaml.UnmarshalStrict(d, into[i]); err != nil {
			t.Fatal(err)
		}
	}
	pod := server.Spec.Template
	container, drain := pod.Spec.Containers[0], config.Defaults().Drain
	need := time.Duration(max(drain.Linger, drain.Jobs)) + 10*time.Second
	if given := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second; given < need {
		t.Errorf("it is given %s to stop, and needs %s", given, need)
	}
	probe := container.ReadinessProbe
	if notices := time.Duration(probe.PeriodSeconds*probe.FailureThreshold+probe.TimeoutSeconds) * time.Second; notices >= time.Duration(drain.Linger) {
		t.Errorf("it is noticed after %s, and lingers for %s", notices, time.Duration(drain.Linger))
	}
	if update := server.Spec.Strategy.RollingUpdate; update.MaxUnavailable.IntValue() != 0 || *server.Spec.Replicas < 2 || budget.Spec.MinAvailable.IntValue() != 1 {
		t.Error("there are moments in which nobody takes webhooks")
	}
	for what, selector := range map[string]map[string]string{"deployment": server.Spec.Selector.MatchLabels, "service": service.Spec.Selector, "budget": budget.Spec.Selector.MatchLabels} {
		if !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) || len(selector) == 0 {
			t.Errorf("the %s does not find the pods", what)
		}
	}
	w := newWorld(t)
	for _, path := range []string{probe.HTTPGet.Path, container.LivenessProbe.HTTPGet.Path} {
		w.eventually(path+" to answer", func() bool {
			resp, err := http.Get("http://" + w.address + path)
			return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
		})
	}
}
