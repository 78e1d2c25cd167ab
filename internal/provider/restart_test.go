package provider

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirt "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

func (b bench) restart(t Target, name string, since RestartMark) RestartResult {
	b.t.Helper()
	got, err := b.Restart(b.t.Context(), t, b.ns, name, since)
	if err != nil {
		b.t.Fatalf("restart: %v (%v)", err, cause(err))
	}
	return got
}

func TestARestartHappensOnce(t *testing.T) {
	t.Parallel()
	b, virt := setup(t).withVirtAPI()
	_, target := b.created("vm")
	if mark, err := b.Running(t.Context(), b.ns, "vm"); err != nil || mark != "" {
		t.Fatalf("a VM that does not run has the mark %q, %v", mark, err)
	}
	first := b.runs("vm")
	mark, err := b.Running(t.Context(), b.ns, "vm")
	if err != nil || mark != first {
		t.Fatalf("mark %q, %v; want %q", mark, err, first)
	}
	if got := b.restart(target, "vm", mark); got != (RestartResult{Action: Restarted}) {
		t.Errorf("%+v", got)
	}
	steps := []struct {
		name string
		do   func()
		note string
	}{
		{"right away", func() {}, "under way"},
		{"while it is down", func() { b.stops("vm") }, "does not run"},
		{"when it is up", func() { b.runs("vm") }, "was restarted already"},
	}
	for _, s := range steps {
		s.do()
		if got := b.restart(target, "vm", mark); got.Action != Unchanged || !strings.Contains(got.Note, s.note) {
			t.Errorf("%s: %+v", s.name, got)
		}
	}
	if calls := virt.calls.Load(); calls != 1 {
		t.Errorf("KubeVirt was asked %d times", calls)
	}
}

// TestARestartWhoseAnswerIsLostHappensOnce loses the connection when KubeVirt has carried it out.
func TestARestartWhoseAnswerIsLostHappensOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	virt := &virtAPI{admin: b.admin}
	b = b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !isRestart(r) {
			pass.ServeHTTP(w, r)
			return
		}
		virt.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	_, target := b.created("vm")
	mark := b.runs("vm")
	if _, err := b.Restart(t.Context(), target, b.ns, "vm", mark); err == nil {
		t.Fatal("a lost answer is not told")
	}
	if got := b.restart(target, "vm", mark); got.Action != Unchanged || virt.calls.Load() != 1 {
		t.Errorf("%+v after %d calls", got, virt.calls.Load())
	}
}

func TestTwoWorkersRestartOneVM(t *testing.T) {
	t.Parallel()
	b, _ := setup(t).withVirtAPI()
	_, target := b.created("vm")
	mark := b.runs("vm")
	results, errs := make([]RestartResult, 6), make([]error, 6)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { results[i], errs[i] = b.Restart(t.Context(), target, b.ns, "vm", mark) })
	}
	group.Wait()
	restarts := 0
	for i, err := range errs {
		if err != nil { // KubeVirt's own word for a second request that comes too fast
			refusedAs(t, err, domain.ClusterUnreachable, Retry, "already underway")
		} else if results[i].Action == Restarted {
			restarts++
		}
	}
	if restarts != 1 {
		t.Errorf("%d workers restarted it", restarts)
	}
}

func TestAStoppedVMIsNotRestarted(t *testing.T) {
	t.Parallel()
	b, virt := setup(t).withVirtAPI()
	tests := []struct {
		name    string
		prepare func(m machine) RestartMark
		note    string
		asked   bool
	}{
		{"without-instance", func(machine) RestartMark { return "gone" }, "nothing to restart", false},
		{"stopped-when-decided", func(m machine) RestartMark { b.runs(m.vm.GetName()); return "" }, "nothing to restart", false},
		{"halted", func(m machine) RestartMark {
			b.edit("virt-api", m.vm, func(vm map[string]any) { set(vm, "Halted", strategyPath...) })
			return b.runs(m.vm.GetName())
		}, "nothing to restart", true},
	}
	for _, tt := range tests {
		m, target := b.created(tt.name)
		mark := tt.prepare(m)
		before := virt.calls.Load()
		got := b.restart(target, tt.name, mark)
		if got.Action != Unchanged || !strings.Contains(got.Note, tt.note) || (virt.calls.Load() > before) != tt.asked {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestRestartsThatAreRefused(t *testing.T) {
	t.Parallel()
	plain := setup(t)
	b, virt := plain.withVirtAPI()
	conflict := func(message string) string { return status(409, "Conflict", message) }
	tests := []struct {
		name   string
		bench  bench
		change func(m machine, target *Target)
		code   domain.Code
		class  Class
		text   string
	}{
		{"foreign", b, func(m machine, _ *Target) {
			b.edit("x", m.vm, func(vm map[string]any) { set(vm, "other", "metadata", "labels", LabelSystem) })
		}, domain.ForeignVM, Never, "is not this VM's"},
		{"replaced", b, func(_ machine, target *Target) { target.UID = "another" }, domain.ForeignVM, Never, "was replaced"},
		{"gone", b, func(m machine, _ *Target) { b.remove(m.vm) }, domain.ForeignVM, Never, "is gone"},
		{"nobody", b, func(_ machine, target *Target) { target.Identity = nil }, domain.PlanInvalid, Never, "identity"},
		{"once", b, func(m machine, _ *Target) {
			b.edit("x", m.vm, func(vm map[string]any) { set(vm, "Once", strategyPath...) })
		}, domain.ClusterRefused, Never, "Once does not support manual restart"},
		{"without-kubevirts-server", plain, nil, domain.ClusterUnreachable, Later, "is not there"},
		{"a-page-for-404", plain.answeringTo(isRestart, 404, "404 page not found"), nil, domain.ClusterUnreachable, Later, "is not there"},
		{"kubevirts-server-is-down", plain.answeringTo(isRestart, 503, "service unavailable"), nil, domain.ClusterUnreachable, Later, "cannot do it now"},
		{"gone-resource", plain.answeringTo(isRestart, 410, status(410, "Gone", "gone")), nil, domain.ClusterUnreachable, Retry, "gone"},
		{"busy", plain.answeringTo(isRestart, 409, conflict("the object has been modified")), nil, domain.FieldConflict, Retry, "keeps changing"},
		{"recovery", plain.answeringTo(isRestart, 409, conflict("manual recovery of the volume migration is required")), nil,
			domain.ClusterRefused, Never, "manual recovery"},
		{"underway", plain.answeringTo(isRestart, 500, status(500, "InternalError", "stop/start already underway")), nil,
			domain.ClusterUnreachable, Retry, "already underway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, target := b.created(tt.name)
			mark := b.runs(tt.name)
			if tt.change != nil {
				tt.change(m, &target)
			}
			_, err := tt.bench.Restart(t.Context(), target, b.ns, tt.name, mark)
			refusedAs(t, err, tt.code, tt.class, tt.text)
		})
	}
	if virt.calls.Load() != 1 { // the one about Once
		t.Errorf("KubeVirt was asked %d times", virt.calls.Load())
	}
}

func TestRestartWithoutPermission(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, target := b.created("vm")
	mark := b.runs("vm")
	limited := b.as(may("kubevirt.io", "virtualmachines", "get"), may("kubevirt.io", "virtualmachineinstances", "get"))
	_, err := limited.Restart(t.Context(), target, b.ns, "vm", mark)
	refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not update VirtualMachine", "--verb=update",
		"--resource=virtualmachines.subresources.kubevirt.io/restart", "role kubevirt-shepherd-virtualmachines-restart")
}

// TestRestartThroughTheAggregator has the API server itself pass the request on to KubeVirt's, as a
// service of the cluster, for an account that may do no more than it has to. It is not parallel: the
// service is everybody's, and other tests are about its absence.
func TestRestartThroughTheAggregator(t *testing.T) {
	b := setup(t)
	virt := &virtAPI{admin: b.admin}
	server := httptest.NewTLSServer(virt)
	t.Cleanup(server.Close)
	b.aggregate("v1.subresources.kubevirt.io", server.URL)
	_, target := b.created("vm")
	mark := b.runs("vm")
	limited := b.as(may("kubevirt.io", "virtualmachines", "get"), may("kubevirt.io", "virtualmachineinstances", "get"),
		rbacv1.PolicyRule{APIGroups: []string{"subresources.kubevirt.io"}, Resources: []string{"virtualmachines/restart"}, Verbs: []string{"update"}})
	eventually(t, func() error {
		got, err := limited.Restart(t.Context(), target, b.ns, "vm", mark)
		if err != nil { // the aggregator looks at a new service from time to time
			refusedAs(t, err, domain.ClusterUnreachable, Later)
			return err
		}
		if got.Action != Restarted {
			t.Errorf("%+v", got)
		}
		return nil
	})
	var vm kubevirt.VirtualMachine
	if err := b.admin.Get(t.Context(), client.ObjectKey{Namespace: b.ns, Name: "vm"}, &vm); err != nil || len(vm.Status.StateChangeRequests) != 2 {
		t.Errorf("%v, %v", vm.Status.StateChangeRequests, err)
	}
	if got := b.restart(target, "vm", mark); got.Action != Unchanged || virt.calls.Load() != 1 {
		t.Errorf("%+v after %d calls", got, virt.calls.Load())
	}
}

// aggregate registers a server outside the cluster for a group of the API.
func (b bench) aggregate(name, address string) {
	b.t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		b.t.Fatal(err)
	}
	b.create(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "virt-api", Namespace: b.ns},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: at.Hostname()},
	})
	version, group, _ := strings.Cut(name, ".")
	service := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"group": group, "version": version, "insecureSkipTLSVerify": true,
		"groupPriorityMinimum": int64(1000), "versionPriority": int64(15),
		"service": map[string]any{"namespace": b.ns, "name": "virt-api", "port": int64(port)},
	}}}
	service.SetAPIVersion("apiregistration.k8s.io/v1")
	service.SetKind("APIService")
	service.SetName(name)
	b.create(service)
	b.t.Cleanup(func() {
		b.discard(service)
		eventually(b.t, func() error {
			if err := b.askRestart(context.WithoutCancel(b.t.Context()), b.ns, "nobody"); !strings.Contains(err.Error(), "API server, which restarts VMs, is not there") {
				return err
			}
			return nil
		})
	})
}
