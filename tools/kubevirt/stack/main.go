// Command stack installs KubeVirt in a cluster without nodes and runs it, for tests and
// demonstrations: all definitions, a KubeVirt object that says it is deployed, virt-api with its
// webhooks and subresources in this process, and virt-controller, whose binary has to lie beside this
// one, in another. What virt-operator, virt-handler and the Containerized Data Importer would do is
// left to others.
//
// virt-api is reached by a service of type ExternalName, so the API server has to run on this machine.
// When machines can be created it prints one line of JSON on standard output:
//
//	{"url":"https://127.0.0.1:21034","version":"v1.9.0","pid":4711}
//
// It ends on SIGINT and SIGTERM, when virt-controller does, and with -exit-with-stdin also at the end
// of its standard input, which a parent process that holds the other end of the pipe cannot fail to
// bring about.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"
)

// startTimeout is how long a part may take to come up, on a machine with much else to do.
const startTimeout = 5 * time.Minute

type options struct {
	kubeconfig    string
	exitWithStdin bool
}

// ready is what the program prints when it can be used.
type ready struct {
	URL     string `json:"url"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
}

func main() {
	var o options
	flags := flag.NewFlagSet("stack", flag.ExitOnError) // KubeVirt's code fills the usual one
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "the administrator's kubeconfig")
	flags.BoolVar(&o.exitWithStdin, "exit-with-stdin", false, "end when standard input does")
	_ = flags.Parse(os.Args[1:]) // it exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

// run runs KubeVirt until ctx is done or a part of it ends.
func run(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) (err error) {
	if o.kubeconfig == "" {
		return errors.New("-kubeconfig is missing")
	}
	dir, err := os.MkdirTemp("", "kubevirt-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.exitWithStdin {
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, stdin) // an error ends the input as well
		}()
	}
	err = serve(ctx, o.kubeconfig, dir, stdout)
	if ctx.Err() != nil {
		return nil // it was asked to end
	}
	return err
}

// serve starts the parts in the order in which they need each other.
func serve(ctx context.Context, kubeconfig, dir string, stdout io.Writer) error {
	version, err := kubevirtVersion()
	if err != nil {
		return err
	}
	s, err := newStack(kubeconfig, dir)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := s.install(ctx, version); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	s.startAPI()
	ended, err := s.startController(ctx)
	if err != nil {
		return fmt.Errorf("start virt-controller: %w", err)
	}
	if err := s.register(ctx); err != nil {
		return fmt.Errorf("start virt-api: %w", err)
	}
	if err := await(ctx, s.controller, ended); err != nil {
		return fmt.Errorf("start virt-controller: %w", err)
	}
	debug.FreeOSMemory() // the start has left most of it behind
	if err := json.NewEncoder(stdout).Encode(ready{"https://" + s.api.address(), version, os.Getpid()}); err != nil {
		return fmt.Errorf("announce readiness: %w", err)
	}
	select {
	case err := <-ended:
		return fmt.Errorf("virt-controller ended: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// kubevirtVersion returns the version of KubeVirt that this program was built from.
func kubevirtVersion() (string, error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "kubevirt.io/kubevirt" {
				return m.Version, nil
			}
		}
	}
	return "", errors.New("the program does not know its modules")
}

// beside returns the path of another program that was built with this one.
func beside(name string) (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(own), name), nil
}
