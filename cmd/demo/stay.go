package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

// playEvery is how often the demo looks for machines that KubeVirt would start.
const playEvery = time.Second

// stay keeps everything running until ctx ends, and goes on playing KubeVirt for whoever makes a pull
// request of their own.
func (d *demo) stay(ctx context.Context) error {
	d.showAddresses()
	d.showCommands()
	d.lines("", "", d.paint(bold, "Everything keeps running until Ctrl-C."))
	tick := time.NewTicker(playEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.server.gone:
			d.help(step{})
			return errServerEnded
		case <-tick.C:
		}
		if err := d.startMachines(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// startMachines reports every new machine that should run as running.
func (d *demo) startMachines(ctx context.Context) error {
	for _, c := range d.clusters {
		var list kubevirtv1.VirtualMachineList
		if err := c.kube.Client().List(ctx, &list); err != nil {
			return fmt.Errorf("look for new machines on %s: %w", c.name, err)
		}
		for _, vm := range list.Items {
			if vm.Status.PrintableStatus != "" {
				continue
			}
			if err := kubetest.SetVMStatus(ctx, c.kube.Client(), client.ObjectKeyFromObject(&vm), wanted(vm)); err != nil {
				return err
			}
			d.lines("", fmt.Sprintf("%s  %s: the demo reports %s/%s as %s, as KubeVirt would", time.Now().Format(time.TimeOnly), c.name, vm.Namespace, vm.Name, wanted(vm)))
		}
	}
	return nil
}

func wanted(vm kubevirtv1.VirtualMachine) kubevirtv1.VirtualMachinePrintableStatus {
	if s := vm.Spec.RunStrategy; s != nil && *s == kubevirtv1.RunStrategyHalted {
		return kubevirtv1.VirtualMachineStatusStopped
	}
	return kubevirtv1.VirtualMachineStatusRunning
}

// showAddresses says where everything is.
func (d *demo) showAddresses() {
	d.heading("Look around", "")
	rows := [][]string{
		{"pull request", d.pull.URL()},
		{"spec repository", d.stage.Repo.CloneURL()},
		{"health", d.url("/health/ready")},
		{"metrics", d.url("/metrics")},
		{"database", d.address() + "   (the password is in the file env below)"},
	}
	for _, c := range d.clusters {
		rows = append(rows, []string{c.name, "kubectl --kubeconfig " + c.kubeconfig + " get vm -A"})
	}
	rows = append(rows, []string{"server's log", filepath.Join(d.dir, "server.log")},
		[]string{"why a VM exists", fmt.Sprintf("(. %s; %s history %s)", d.environFile(), d.options.shepherd, machines[1].name)})
	d.lines("  ", aligned(rows)...)
}

// showCommands are what to type for a pull request of one's own, from the push to the merge.
func (d *demo) showCommands() {
	d.heading("Make a pull request of your own", "Ready to paste into another terminal: alice asks for a third machine, bob approves and merges.")
	alice, bob, work := d.stage.Alice, d.stage.Bob, filepath.Join(d.dir, "mine")
	api := fmt.Sprintf("%s/api/v3/repos/%s/pulls", d.stage.Forge.URL(), d.stage.Repo.FullName())
	asBob := "curl -sS -o /dev/null -H 'Authorization: Bearer " + bob.Token() + "'"
	d.lines("", "git clone -q "+d.stage.Repo.CloneURLFor(alice)+" "+work+" && cd "+work,
		"git switch -q -c third",
		"cat > systems/shop/redis/test-shop/03.yaml <<'END'",
		"apiVersion: kubevirt-shepherd.io/v1alpha1",
		"kind: VirtualMachine",
		"spec:",
		"  template: ubuntu-24.04",
		"  size: medium",
		"  power: running",
		"  reason: a third machine",
		"END",
		"git add . && git -c user.name=Alice -c user.email="+alice.Email()+" commit -q -m 'shop: a third machine'",
		"git push -q origin third",
		"curl -sS -o /dev/null -H 'Authorization: Bearer "+alice.Token()+"' "+api+` -d '{"title":"A third machine","head":"third","base":"main"}'`,
		"",
		d.paint(dim, "# read "+d.stage.Forge.URL()+"/acme/vms/pull/2, then, as bob:"),
		asBob+" "+api+`/2/reviews -d '{"event":"APPROVE"}'`,
		"",
		d.paint(dim, "# the check shepherd/approval is green now:"),
		asBob+" -X PUT "+api+`/2/merge -d '{}'`,
	)
}
