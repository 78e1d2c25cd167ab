// Command demo plays a first day with Shepherd on real parts: PostgreSQL, kube-apiservers with KubeVirt's
// kinds, a spec repository that a stand-in for GitHub serves, and bin/shepherd as a process of its own. It
// tells the day on the terminal and leaves everything running until Ctrl-C; with -once it ends after the
// day, with status 0 only if both machines were seen in the clusters.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// options are what differs between demos.
type options struct {
	once     bool
	clusters int
	shepherd string // the program
}

// run plays the day and returns the exit status: 0 when it ended as it should.
func run(ctx context.Context, args []string, out io.Writer) int {
	o, err := parse(args)
	if err != nil {
		return 2
	}
	crlog.SetLogger(logr.Discard()) // without a logger the library complains in the middle of the story
	t := newTerminal(out)
	d := &demo{terminal: t, options: o}
	err = d.play(ctx)
	if stopErr := d.stop(); err == nil {
		err = stopErr
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return 130
	}
	t.failed(err)
	return 1
}

func parse(args []string) (o options, err error) {
	self, err := os.Executable()
	if err != nil {
		return o, fmt.Errorf("find this program: %w", err)
	}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.BoolVar(&o.once, "once", false, "end after the day; status 0 only if both machines were seen in the clusters")
	flags.IntVar(&o.clusters, "clusters", 0, "how many control planes to run, 1 or 2 (0: as many as memory allows)")
	flags.StringVar(&o.shepherd, "shepherd", filepath.Join(filepath.Dir(self), "shepherd"), "the server's program")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.clusters < 0 || o.clusters > 2 || flags.NArg() > 0 {
		err = fmt.Errorf("usage: demo [-once] [-clusters 1|2], not %q", args)
		fmt.Fprintln(flags.Output(), err)
	}
	return o, err
}
