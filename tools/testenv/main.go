// Command testenv prepares what the tests run against, and prints where it is:
//
//	testenv postgres       the directory of PostgreSQL's programs, or an error when there are none
//	testenv controlplane   the binary of tools/controlplane, which is compiled when it is missing
//	testenv kubevirt       the binary of tools/kubevirt, likewise
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/pgtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	prepare, err := find(args)
	if err != nil {
		return err
	}
	path, err := prepare(ctx)
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

func find(args []string) (func(context.Context) (string, error), error) {
	if len(args) == 1 {
		switch args[0] {
		case "postgres":
			return func(context.Context) (string, error) { return pgtest.Binaries() }, nil
		case "controlplane":
			return kubetest.Build, nil
		case "kubevirt":
			return kubetest.BuildKubeVirt, nil
		}
	}
	return nil, fmt.Errorf("usage: testenv postgres|controlplane|kubevirt, not %q", args)
}
