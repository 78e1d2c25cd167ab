package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long a step may take: most are a matter of seconds, but a control plane may have to be compiled.
const (
	patience      = time.Minute
	buildPatience = 20 * time.Minute
)

// act is a part of the day: steps, and then what there is to see.
type act struct {
	title string
	steps []step
	show  func(*demo, context.Context) error // nil when the steps say it all
}

// step is one line of the story. What do returns is printed below it.
type step struct {
	name string
	do   func(*demo, context.Context) ([]string, error)
	hint string // what to do when it fails
}

// day is the story: pull request, judge, comment, review, merge, apply, verify.
func (d *demo) day() []act {
	second := "cluster prod-1, another one"
	if d.options.clusters == 1 {
		second = "cluster prod-1, the same kube-apiserver under another name"
	}
	const build = "`make controlplane` compiles the kube-apiserver and KubeVirt and says what goes wrong; `make demo CLUSTERS=1` runs one only."
	return []act{
		{title: "The parts", steps: []step{
			{"PostgreSQL", (*demo).startPostgres, "`make postgres` installs PostgreSQL."},
			{"cluster test-1, a kube-apiserver with KubeVirt", d.startCluster("test-1", "test"), build},
			{second, d.startCluster("prod-1", "prod"), build},
			{"a stand-in for GitHub, with the spec repository acme/vms", (*demo).startForge, "git has to be installed."},
			{"$ shepherd serve --migrate", (*demo).startServer, ""},
		}},
		{title: "Day one of dave, who runs the platform", steps: []step{
			{"$ shepherd cluster add test-1 --kubeconfig -", (*demo).addTest, ""},
			{"$ shepherd cluster add prod-1 --kubeconfig -", (*demo).addProd, ""},
			{"$ shepherd repo baseline COMMIT", (*demo).baseline, ""},
			{"the server says that it is ready", (*demo).ready, ""},
		}},
		{title: "alice, who needs a cache for the shop, asks for two machines", steps: []step{
			{"alice opens a pull request", (*demo).ask, ""},
			{"the bot judges it, sets two checks and comments", (*demo).judged, ""},
		}, show: (*demo).showComment},
		{title: "Review", steps: []step{
			{"a plan is on show for a moment before anybody can approve it", (*demo).grace, ""},
			{"carol, who may only look, approves: it does not count", (*demo).refused, ""},
			{"bob, an approver, approves: it counts for both machines", (*demo).approved, ""},
		}},
		{title: "Merge, apply, verify", steps: []step{
			{"bob merges", (*demo).merged, ""},
			{"shepherd applies both machines to their clusters", (*demo).applied, ""},
			{"KubeVirt starts them (its own controller; only the node and the disks are played)", (*demo).started, ""},
			{"the bot reports on the pull request that both machines run", (*demo).reported, ""},
			{"the clusters themselves are asked: both machines are there", (*demo).seen, ""},
		}, show: (*demo).showEnd},
	}
}

// errInterrupted says that somebody wanted the day to end early.
var errInterrupted = errors.New("interrupted")

// play tells the day, and then stays until ctx ends unless it is to be played once.
func (d *demo) play(ctx context.Context) error {
	d.introduce()
	if err := d.makeDir(); err != nil {
		return err
	}
	for _, a := range append(d.day(), d.later()...) {
		d.act(a.title)
		for _, s := range a.steps {
			if err := d.take(ctx, s); err != nil {
				return err
			}
		}
		if a.show == nil {
			continue
		}
		if err := a.show(d, ctx); err != nil {
			return err
		}
	}
	d.lines("", "", d.paint(green, "✓ ")+fmt.Sprintf("Asked for, approved, applied, running, told: %.0f seconds for a whole day.", time.Since(d.began).Seconds()))
	if d.options.once {
		return nil
	}
	return d.stay(ctx)
}

// take takes a step. When it fails, that is said here with what helps to find out why.
func (d *demo) take(ctx context.Context, s step) error {
	limit := patience
	if d.server == nil {
		limit = buildPatience
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := d.step(s.name)
	notes, err := s.do(d, bounded)
	done(err)
	d.lines("            ", notes...)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	d.lines("            ", err.Error())
	d.help(s)
	return fmt.Errorf("%s: %w", s.name, err)
}
