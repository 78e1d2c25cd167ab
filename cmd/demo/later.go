package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// later is what happens to the first machine on the days after.
func (d *demo) later() []act {
	return []act{
		{title: "Another day: alice stops the machine in test", steps: []step{
			{"alice opens a pull request that changes nothing but power", (*demo).askToStop, ""},
			{"nobody has to approve that in test: the bot merges it", (*demo).mergedByBot, ""},
			{"shepherd stops the machine", (*demo).stopped, ""},
		}},
		{title: "The last day of that machine", steps: []step{
			{"alice opens a pull request that removes its file", (*demo).askToDelete, ""},
			{"bob approves; it still has to be confirmed", (*demo).unconfirmed, ""},
			{"alice confirms it with the line from the bot's comment", (*demo).confirmed, ""},
			{"bob merges, and shepherd deletes the machine and its disk", (*demo).deleted, ""},
		}, show: (*demo).showLater},
	}
}

// propose opens a pull request of alice's that changes the first machine's file.
func (d *demo) propose(branch, title string, content []byte) ([]string, error) {
	alice, repo := d.stage.Alice, d.stage.Repo
	if _, err := alice.Commit(repo, branch, "main", forgetest.Files{machines[0].path: content}, title); err != nil {
		return nil, fmt.Errorf("push the change: %w", err)
	}
	pull, err := alice.OpenPull(repo, title, branch, "main", "", false)
	if err != nil {
		return nil, fmt.Errorf("open the pull request: %w", err)
	}
	d.pull = pull
	return []string{fmt.Sprintf("#%d %s   %s", pull.Number(), pull.Title(), pull.URL())}, nil
}

func (d *demo) askToStop(context.Context) ([]string, error) {
	m := machines[0]
	content := strings.Replace(string(stage.VM(m.size, m.reason)), "power: running", "power: stopped", 1)
	notes, err := d.propose("stop", "Stop the test cache over the holidays", []byte(content))
	return append(notes, "~ "+m.path+"   power: running → stopped"), err
}

func (d *demo) mergedByBot(ctx context.Context) ([]string, error) {
	err := d.wait(ctx, "the bot's merge", func() (bool, error) { return d.pull.Merged(), nil })
	return d.checks(), err
}

func (d *demo) stopped(ctx context.Context) ([]string, error) {
	m := machines[0]
	key := client.ObjectKey{Namespace: m.namespace, Name: m.name}
	err := d.wait(ctx, m.name+" to stop", func() (bool, error) {
		vm := &kubevirtv1.VirtualMachine{}
		err := d.clusterOf(m.environment).kube.Client().Get(ctx, key, vm)
		return err == nil && vm.Status.PrintableStatus == kubevirtv1.VirtualMachineStatusStopped, err
	})
	if err != nil {
		return nil, err
	}
	return []string{"runStrategy Halted, and KubeVirt has stopped it"}, d.waitComment(ctx, "stopped")
}

func (d *demo) askToDelete(ctx context.Context) ([]string, error) {
	notes, err := d.propose("delete", "The test cache is not needed any more", nil)
	if err != nil {
		return nil, err
	}
	return append(notes, "- "+machines[0].path), d.waitComment(ctx, "/confirm")
}

func (d *demo) unconfirmed(ctx context.Context) ([]string, error) {
	if _, err := d.grace(ctx); err != nil {
		return nil, err
	}
	if _, err := d.stage.Bob.Approve(d.pull); err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	if err := d.waitComment(ctx, "Waiting for a confirmation"); err != nil {
		return nil, err
	}
	return d.checks(), nil
}

// confirmLine is what the bot's comment gives to be copied.
var confirmLine = regexp.MustCompile(`/confirm [0-9a-f]{8}`)

func (d *demo) confirmed(ctx context.Context) ([]string, error) {
	line := confirmLine.FindString(d.comment())
	if line == "" {
		return nil, fmt.Errorf("the comment has no line to copy")
	}
	if _, err := d.stage.Alice.Comment(d.pull, line); err != nil {
		return nil, fmt.Errorf("comment: %w", err)
	}
	return []string{"alice writes: " + line}, d.waitCheck(ctx, approval, "success")
}

func (d *demo) deleted(ctx context.Context) ([]string, error) {
	if _, err := d.merged(ctx); err != nil {
		return nil, err
	}
	m := machines[0]
	kube, key := d.clusterOf(m.environment).kube.Client(), client.ObjectKey{Namespace: m.namespace, Name: m.name}
	err := d.wait(ctx, m.name+" to be gone", func() (bool, error) {
		err := kube.Get(ctx, key, &kubevirtv1.VirtualMachine{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return nil, err
	}
	return []string{"its index 01 is never used again"}, d.wait(ctx, "the bot's report", func() (bool, error) {
		var gone bool
		err := d.db.QueryRow(ctx, "select status = 'DELETED' from vms where name = $1", m.name).Scan(&gone)
		return gone, err
	})
}

// showLater shows how the last pull request ended.
func (d *demo) showLater(ctx context.Context) error {
	if err := d.waitComment(ctx, "✅ deleted"); err != nil {
		return err
	}
	d.heading(fmt.Sprintf("The bot's comment on pull request #%d at the end", d.pull.Number()), "")
	d.lines(d.bar(), d.markdown(d.comment(), true)...)
	return nil
}
