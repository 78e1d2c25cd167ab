package e2e

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// excluded are the features of sizes that our own rules do not let meet, with the code.
var excluded = map[[2]string]domain.Code{
	{"huge pages of 2Mi", "memory overcommit"}: domain.PlanInvalid, // the node holds all of such memory
	{"huge pages of 2Mi", "overcommit"}:        domain.PlanInvalid,
	{"huge pages of 1Gi", "memory overcommit"}: domain.PlanInvalid,
	{"huge pages of 1Gi", "overcommit"}:        domain.PlanInvalid,
	{"dedicated CPU", "CPU overcommit"}:        domain.DedicatedCPUOvercommit,
	{"dedicated CPU", "memory overcommit"}:     domain.DedicatedCPUOvercommit,
	{"dedicated CPU", "overcommit"}:            domain.DedicatedCPUOvercommit,
	{"GPU", "two GPUs"}:                        domain.PlanInvalid,    // of one name
	{"CPU overcommit", "own CPU"}:              domain.ForbiddenField, // the size's shares are meant for its hardware
	{"overcommit", "own CPU"}:                  domain.ForbiddenField,
	{"memory overcommit", "own memory"}:        domain.ForbiddenField,
	{"overcommit", "own memory"}:               domain.ForbiddenField,
	{"instance type", "own CPU"}:               domain.ForbiddenField, // the type gives the hardware
	{"instance type", "own memory"}:            domain.ForbiddenField,
	{"instance type", "own GPU"}:               domain.ForbiddenField,
}

// impossible are all combinations that our own rules refuse: excluded features from any image, and in prod a root
// disk that forgets.
func impossible(features []choice) map[string]domain.Code {
	out := map[string]domain.Code{}
	for _, image := range imageSources {
		for pair, code := range excluded {
			out[nameOf(domain.Test, image.name, pair[0], pair[1])] = code
		}
	}
	for _, feature := range features {
		out[nameOf(domain.Prod, "ephemeral", feature.name)] = domain.PolicyDenied
	}
	return out
}

func nameOf(env domain.Environment, choices ...string) string {
	return string(env) + ": " + strings.Join(choices, ", ")
}

// rendering is one combination.
type rendering struct {
	name string
	in   render.Input
}

// combinations are every image source with every feature of a size and every companion, in test; every two features
// together; and every image source with every feature in prod.
func combinations(namespace, kinds string) (out []rendering) {
	features := sizeFeatures(kinds)
	add := func(env domain.Environment, choices ...choice) {
		in := machineOf(namespace)
		in.Environment = env
		for name, network := range in.Networks {
			network.Environment = env
			in.Networks[name] = network
		}
		var names []string
		for _, c := range choices {
			c.apply(&in)
			names = append(names, c.name)
		}
		in.Ref.Index = len(out) + 1
		out = append(out, rendering{nameOf(env, names...), in})
	}
	for _, image := range imageSources {
		for i, feature := range features {
			for _, companion := range companions {
				add(domain.Test, image, feature, companion)
			}
			for _, other := range features[i+1:] {
				add(domain.Test, image, feature, other)
			}
			add(domain.Prod, image, feature)
		}
	}
	return out
}

// TestMatrixOnKubeVirt tries, as a preview does, each combination on KubeVirt's own webhooks: what passes our check
// has to pass them, and what does not is listed.
func TestMatrixOnKubeVirt(t *testing.T) {
	t.Parallel()
	cluster := kubetest.NewKubeVirt(t)
	namespace, kinds := cluster.Namespace(t), "matrix-"+strings.ToLower(rand.Text()[:8])
	makeKinds(t, cluster.Client(), kinds)
	connection, err := provider.Connect(t.Context(), cluster.Kubeconfig(), provider.Options{})
	if err != nil {
		t.Fatal(err)
	}
	begun, all := time.Now(), combinations(namespace, kinds)
	refused := map[string]domain.Code{}
	queue := make(chan rendering)
	var tries sync.WaitGroup
	for range 4 { // as many as a preview asks at a time
		tries.Go(func() {
			for r := range queue {
				tryOn(t, connection, r)
			}
		})
	}
	asked := 0
	for _, r := range all {
		_, problems := render.Render(r.in)
		if problems.Blocking() {
			refused[r.name] = firstError(problems)
			continue
		}
		asked++
		queue <- r
	}
	close(queue)
	tries.Wait()
	if diff := cmp.Diff(impossible(sizeFeatures(kinds)), refused); diff != "" {
		t.Errorf("refused by our own rules (-want +got):\n%s", diff)
	}
	t.Logf("%d combinations: KubeVirt took %d, %d are refused by our own rules; %s", len(all), asked, len(refused), time.Since(begun).Round(time.Millisecond))
}

func firstError(problems render.Problems) domain.Code {
	plain := problems.Plain()
	return plain[slices.IndexFunc(plain, func(p domain.Problem) bool { return p.Severity == domain.Error })].Code
}

// tryOn fails when the cluster refuses what our own check has let through.
func tryOn(t *testing.T, connection *provider.Cluster, r rendering) {
	manifests, _ := render.Render(r.in)
	if r.in.Template.InitialPassword != nil {
		whole, err := render.Generate(manifests, "correct-horse-battery", "salt1234")
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
			return
		}
		manifests = whole
	}
	ms := make([]provider.Manifest, len(manifests))
	for i, m := range manifests {
		ms[i] = provider.Manifest{APIVersion: m.APIVersion, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name, JSON: m.JSON}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	changes, err := connection.Preview(ctx, provider.Target{Identity: render.Labels(r.in), Creating: true, Kept: render.EnvelopeKeys()}, ms)
	if err != nil {
		t.Errorf("%s: KubeVirt refuses what our check lets through: %v", r.name, err)
		return
	}
	for _, c := range changes {
		if c.Action != provider.Created {
			t.Errorf("%s: %s %s: %s", r.name, c.Kind, c.Name, c.Action)
		}
	}
	vm, _ := changes.VM()
	if seen, _, _ := unstructured.NestedString(vm.Object, "spec", "template", "spec", "architecture"); seen == "" {
		t.Errorf("%s: KubeVirt has not looked at it", r.name)
	}
}

// makeKinds makes the instance type and the preference that the combinations name.
func makeKinds(t *testing.T, c client.Client, name string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: name}
	for _, object := range []client.Object{
		&instancetypev1beta1.VirtualMachineClusterInstancetype{ObjectMeta: meta, Spec: instancetypev1beta1.VirtualMachineInstancetypeSpec{
			CPU: instancetypev1beta1.CPUInstancetype{Guest: 4}, Memory: instancetypev1beta1.MemoryInstancetype{Guest: resource.MustParse("8Gi")},
		}},
		&instancetypev1beta1.VirtualMachineClusterPreference{ObjectMeta: meta},
	} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}
