package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirt "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// RestartMark tells one run of a VM from the next: the uid of its instance, "" while it is stopped.
// It is stored before a restart is asked for, so that the restart can be asked for again.
type RestartMark string

// RestartResult is what a Restart did: Restarted, or Unchanged with a note that says why.
type RestartResult struct {
	Action Action
	Note   string
}

// Running says which run of a VM is under way.
func (c *Cluster) Running(ctx context.Context, namespace, name string) (RestartMark, error) {
	instance, err := c.meta(ctx, vmiKind, namespace, name)
	if err != nil {
		return "", fmt.Errorf("look at instance: %w", err)
	}
	if instance == nil {
		return "", nil
	}
	return RestartMark(instance.UID), nil
}

// Restart asks KubeVirt to end the run that a mark names and to begin another one. It does nothing
// when that run is over or about to be, when the VM is stopped, or when the mark is empty, so that a
// restart that is asked for twice happens once. KubeVirt's answer is not waited for: the VM is
// restarted when Running gives another mark.
//
// A VM of another identity, with another uid or gone is FOREIGN_VM. Where KubeVirt's API server, which
// restarts, is missing or down, the error is CLUSTER_UNREACHABLE of class Later.
func (c *Cluster) Restart(ctx context.Context, t Target, namespace, name string, since RestartMark) (RestartResult, error) {
	for range looks {
		if why, err := c.restarted(ctx, t, namespace, name, since); err != nil || why != "" {
			return RestartResult{Unchanged, why}, err
		}
		err := c.askRestart(ctx, namespace, name)
		if err == nil {
			return RestartResult{Action: Restarted}, nil
		}
		if why := stopped(err); why != "" {
			return RestartResult{Unchanged, why}, nil
		}
		// Something else happened to the VM in between: looking again tells what.
		if !apierrors.IsConflict(err) && !isAbsent(err) {
			return RestartResult{}, fmt.Errorf("restart: %w", err)
		}
		if refusal := refusedRestart(err, namespace, name); refusal != nil {
			return RestartResult{}, fmt.Errorf("restart: %w", refusal)
		}
	}
	return RestartResult{}, restless(subject{"restart", vmKind, namespace, name})
}

// restarted says why nothing is to be asked for, or "".
func (c *Cluster) restarted(ctx context.Context, t Target, namespace, name string, since RestartMark) (string, error) {
	if err := t.complete(); err != nil {
		return "", never(problem(domain.PlanInvalid, "", "%s", words(err.Error())), err)
	}
	vm, err := c.get(ctx, vmKind, namespace, name)
	if err != nil {
		return "", fmt.Errorf("look at VM: %w", err)
	}
	if vm == nil {
		return "", never(problem(domain.ForeignVM, "delete it in git too, or ask for it anew under another index",
			"VirtualMachine %s/%s is gone and cannot be restarted", namespace, name), nil)
	}
	if err := t.own(vm); err != nil {
		return "", err
	}
	instance, err := c.meta(ctx, vmiKind, namespace, name)
	switch {
	case err != nil:
		return "", fmt.Errorf("look at instance: %w", err)
	case vm.GetDeletionTimestamp() != nil:
		return "the VM is being deleted", nil
	case instance == nil:
		return "the VM does not run: there is nothing to restart", nil
	case since == "":
		return "the VM did not run when its restart was decided: there was nothing to restart", nil
	case RestartMark(instance.UID) != since:
		return "the VM was restarted already", nil
	case instance.DeletionTimestamp != nil, stopAsked(vm, since):
		return "a restart of the VM is under way", nil
	}
	return "", nil
}

// stopAsked reports whether KubeVirt was asked to end a run and has not done it yet.
func stopAsked(vm *unstructured.Unstructured, run RestartMark) bool {
	requests, _, _ := unstructured.NestedSlice(vm.Object, "status", "stateChangeRequests")
	for _, item := range requests {
		request, _ := item.(map[string]any)
		if request["action"] == string(kubevirt.StopRequest) && request["uid"] == string(run) {
			return true
		}
	}
	return false
}

// askRestart calls KubeVirt's API server through the cluster's.
func (c *Cluster) askRestart(ctx context.Context, namespace, name string) error {
	_, err := c.do(ctx, subject{"update", restartKind, namespace, name}, func(ctx context.Context) error {
		err := c.raw.Put().AbsPath("/apis", restartKind.GroupVersion().String()).Namespace(namespace).
			Resource(resources[vmKind]).Name(name).SubResource("restart").
			SetHeader("Content-Type", "application/json").Body([]byte("{}")).Do(ctx).Error()
		if apierrors.IsNotFound(err) && !concernsVM(err) {
			return later(problem(domain.ClusterUnreachable, "look whether virt-api runs on the cluster",
				"KubeVirt's API server, which restarts VMs, is not there"), waitPart, err)
		}
		return err
	})
	return err
}

// concernsVM tells virt-api's 404 about a VM from that of an API server without virt-api.
func concernsVM(err error) bool {
	var status apierrors.APIStatus
	return !isUnserved(err) && errors.As(err, &status) && status.Status().Details != nil
}

// stopped returns a note when KubeVirt refuses to restart because nothing runs, and otherwise "".
func stopped(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusConflict {
		return ""
	}
	message := status.Status().Message
	halted := strings.Contains(message, "does not support manual restart") && strings.Contains(message, string(kubevirt.RunStrategyHalted))
	if halted || strings.Contains(message, "VM is not running") {
		return "the VM does not run: there is nothing to restart"
	}
	return ""
}

// refusedRestart is KubeVirt's refusal that no repetition changes, or nil: a conflict in its own words
// is one, that of two writers is not.
func refusedRestart(err error, namespace, name string) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsConflict(err) {
		return nil
	}
	for _, passing := range []string{"jsonpatch test operation", "object has been modified", "already underway"} {
		if strings.Contains(status.Status().Message, passing) {
			return nil
		}
	}
	return never(refused(subject{"restart", vmKind, namespace, name}, status.Status()), err)
}
