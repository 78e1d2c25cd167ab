package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// The checks that the bot sets.
const (
	validate = "shepherd/validate"
	approval = "shepherd/approval"
)

// machine is a VM of the story; its name follows from its path.
type machine struct{ path, namespace, name, environment, size, reason string }

var machines = []machine{
	{"systems/shop/redis/test-shop/01.yaml", "test-shop", "test-shop-shop-redis-01", "test", "small", "a cache to try things on"},
	{"systems/shop/redis/prod-shop/02.yaml", "prod-shop", "prod-shop-shop-redis-02", "prod", "medium", "the cache of the winter sale"},
}

func (d *demo) addTest(ctx context.Context) ([]string, error) { return d.addKubeconfig(ctx, "test") }

func (d *demo) addProd(ctx context.Context) ([]string, error) { return d.addKubeconfig(ctx, "prod") }

func (d *demo) addKubeconfig(ctx context.Context, environment string) ([]string, error) {
	c := d.clusterOf(environment)
	return d.command(ctx, c.kube.Kubeconfig(), "cluster", "add", c.name, "--kubeconfig", "-")
}

func (d *demo) baseline(ctx context.Context) ([]string, error) {
	return d.command(ctx, nil, "repo", "baseline", d.stage.Repo.Head("main"), "--by", d.stage.Dave.Login())
}

// ask opens the pull request of the story.
func (d *demo) ask(context.Context) ([]string, error) {
	files := forgetest.Files{
		"systems/shop/system.yaml":        stage.System("the web shop"),
		"systems/shop/redis/service.yaml": stage.Service("the shop's cache"),
	}
	notes := []string{"+ systems/shop/system.yaml", "+ systems/shop/redis/service.yaml"}
	for _, m := range machines {
		files[m.path] = stage.VM(m.size, m.reason)
		notes = append(notes, fmt.Sprintf("+ %s   %s: %s, %s", m.path, m.name, m.size, m.reason))
	}
	alice := d.stage.Alice
	if _, err := alice.Commit(d.stage.Repo, "redis", "main", files, "shop: a cache in test and prod"); err != nil {
		return nil, fmt.Errorf("push the files: %w", err)
	}
	pull, err := alice.OpenPull(d.stage.Repo, "A cache for the shop", "redis", "main", "", false)
	if err != nil {
		return nil, fmt.Errorf("open the pull request: %w", err)
	}
	d.pull = pull
	return append([]string{fmt.Sprintf("#%d %s   %s", pull.Number(), pull.Title(), pull.URL())}, notes...), nil
}

func (d *demo) judged(ctx context.Context) ([]string, error) {
	for name, conclusion := range map[string]string{validate: "success", approval: "action_required"} {
		if err := d.waitCheck(ctx, name, conclusion); err != nil {
			return nil, err
		}
	}
	if err := d.waitComment(ctx, machines[1].name); err != nil {
		return nil, err
	}
	return d.checks(), nil
}

// checks are the pull request's as its page shows them.
func (d *demo) checks() []string {
	var rows [][]string
	for _, c := range d.pull.Checks() {
		rows = append(rows, []string{"check " + c.Name, c.Conclusion, printable(c.Title)})
	}
	return aligned(rows)
}

func (d *demo) waitCheck(ctx context.Context, name, conclusion string) error {
	return d.wait(ctx, fmt.Sprintf("the check %s to say %s", name, conclusion), func() (bool, error) {
		c, ok := d.pull.Check(name)
		if !ok {
			return false, fmt.Errorf("there is no such check yet")
		}
		return c.Conclusion == conclusion, fmt.Errorf("it says %q: %s", c.Conclusion, c.Title)
	})
}

// comment is the bot's comment as it is now.
func (d *demo) comment() string {
	for _, c := range d.pull.CommentsBy(botLogin) {
		return c.Body
	}
	return ""
}

// closing is the bot's last remark; empty before it.
func (d *demo) closing() string {
	for _, c := range d.pull.CommentsBy(botLogin) {
		if strings.HasPrefix(c.Body, comment.ClosingMarker) {
			return c.Body
		}
	}
	return ""
}

func (d *demo) waitComment(ctx context.Context, text string) error {
	return d.wait(ctx, "a comment that speaks of "+text, func() (bool, error) {
		return strings.Contains(d.comment(), text), nil
	})
}

// grace lets the time pass in which an approval would not count yet.
func (d *demo) grace(ctx context.Context) ([]string, error) {
	grace := time.Duration(d.cfg.Approval.Grace)
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(grace + time.Second): // the forge's times are in whole seconds
	}
	return []string{fmt.Sprintf("(%s in this demo, 10s by default: approval.grace)", grace)}, nil
}

func (d *demo) refused(ctx context.Context) ([]string, error) {
	carol := d.stage.Carol
	if _, err := carol.Approve(d.pull); err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	if err := d.waitComment(ctx, carol.Login()); err != nil {
		return nil, err
	}
	if c, _ := d.pull.Check(approval); c.Conclusion != "action_required" {
		return nil, fmt.Errorf("the check %s says %s after a review that does not count", approval, c.Conclusion)
	}
	notes := d.quote(carol.Login())
	for _, blocker := range d.pull.Blockers() {
		notes = append(notes, "merging is blocked: "+blocker)
	}
	return notes, nil
}

// quote is what the bot's comment says about somebody.
func (d *demo) quote(login string) []string {
	lines := slices.DeleteFunc(d.markdown(d.comment(), true), func(line string) bool { return !strings.Contains(line, login) })
	for i := range lines {
		lines[i] = "the comment now says: " + strings.TrimPrefix(lines[i], "• ")
	}
	return lines
}

func (d *demo) approved(ctx context.Context) ([]string, error) {
	if _, err := d.stage.Bob.Approve(d.pull); err != nil {
		return nil, fmt.Errorf("review: %w", err)
	}
	if err := d.waitCheck(ctx, approval, "success"); err != nil {
		return nil, err
	}
	return d.checks(), nil
}

func (d *demo) merged(ctx context.Context) ([]string, error) {
	if err := d.wait(ctx, "branch protection to allow the merge", func() (bool, error) {
		blockers := d.pull.Blockers()
		return len(blockers) == 0, fmt.Errorf("%s", strings.Join(blockers, " "))
	}); err != nil {
		return nil, err
	}
	if _, err := d.stage.Bob.Merge(d.pull, "merge"); err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	return nil, nil
}

func (d *demo) applied(ctx context.Context) ([]string, error) {
	var notes []string
	for _, m := range machines {
		c := d.clusterOf(m.environment)
		key := client.ObjectKey{Namespace: m.namespace, Name: m.name}
		if err := d.wait(ctx, fmt.Sprintf("%s on %s", m.name, c.name), func() (bool, error) {
			err := c.kube.Client().Get(ctx, key, &kubevirtv1.VirtualMachine{})
			return err == nil, err
		}); err != nil {
			return nil, err
		}
		notes = append(notes, fmt.Sprintf("%s: namespace %s, virtualmachine %s", c.name, m.namespace, m.name))
	}
	return notes, nil
}

// started waits for the machines to run by KubeVirt's own doing, and says on which node.
func (d *demo) started(ctx context.Context) ([]string, error) {
	var notes []string
	for _, m := range machines {
		c, vmi := d.clusterOf(m.environment), &kubevirtv1.VirtualMachineInstance{}
		key := client.ObjectKey{Namespace: m.namespace, Name: m.name}
		if err := d.wait(ctx, m.name+" to run", func() (bool, error) {
			err := c.kube.Client().Get(ctx, key, vmi)
			return err == nil && vmi.Status.Phase == kubevirtv1.Running, err
		}); err != nil {
			return nil, err
		}
		notes = append(notes, fmt.Sprintf("%s: virtualmachineinstance %s is %s on %s", c.name, m.name, vmi.Status.Phase, vmi.Status.NodeName))
	}
	return notes, nil
}

func (d *demo) reported(ctx context.Context) ([]string, error) {
	return nil, d.wait(ctx, "the bot's report that both machines run", func() (bool, error) {
		var running int
		err := d.db.QueryRow(ctx, "select count(*) from vms where status = 'RUNNING'").Scan(&running)
		told := d.closing() != "" && strings.Count(d.comment(), "✅ running") == len(machines)
		return err == nil && running == len(machines) && told, err
	})
}
