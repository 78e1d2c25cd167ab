// Command controlplane is a Kubernetes control plane for tests and demonstrations in one process:
// etcd, kube-apiserver with RBAC, and the controllers without which a cluster does not behave like
// one (namespace, garbage collector, service account). There are no nodes, no scheduler and no
// other controllers.
//
// It listens on loopback only, and etcd on unix sockets only. When the API server is ready it prints
// one line of JSON on standard output:
//
//	{"url":"https://127.0.0.1:40213","kubeconfig":"/tmp/controlplane-1/admin.kubeconfig","pid":4711}
//
// It ends on SIGINT and SIGTERM, and with -exit-with-stdin also at the end of its standard input,
// which a parent process that holds the other end of the pipe cannot fail to bring about.
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
	"syscall"
	"time"
)

// endTimeout is how long the API server may take to drain; a client with an open watch could hold it
// for a minute.
const endTimeout = 5 * time.Second

type options struct {
	dataDir       string
	port          int
	kubeconfig    string
	exitWithStdin bool
}

// ready is what the program prints when it can be used.
type ready struct {
	URL        string `json:"url"`
	Kubeconfig string `json:"kubeconfig"`
	PID        int    `json:"pid"`
}

func main() {
	var o options
	flag.StringVar(&o.dataDir, "data-dir", "", "directory for keys and data, used again when it exists; empty for a temporary one")
	flag.IntVar(&o.port, "port", 0, "port of the API server on 127.0.0.1; 0 for a free one")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "file to write the administrator's kubeconfig to (default admin.kubeconfig in the data directory)")
	flag.BoolVar(&o.exitWithStdin, "exit-with-stdin", false, "end when standard input does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

// run runs the control plane until ctx is done or a part of it ends.
func run(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) (err error) {
	temp, err := os.MkdirTemp("", "controlplane-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.exitWithStdin {
		go func() {
			defer cancel()
			_, _ = io.Copy(io.Discard, stdin) // an error ends the input as well
		}()
	}
	if o.dataDir == "" {
		o.dataDir = temp
	}
	if o.dataDir, err = filepath.Abs(o.dataDir); err != nil {
		return err
	}
	if o.kubeconfig == "" {
		o.kubeconfig = filepath.Join(o.dataDir, "admin.kubeconfig")
	}
	return serve(ctx, o, temp, stdout)
}

// serve starts the parts in the order in which they need each other.
func serve(ctx context.Context, o options, sockets string, stdout io.Writer) error {
	keys, err := ensurePKI(filepath.Join(o.dataDir, "pki"))
	if err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	etcd, err := startEtcd(ctx, filepath.Join(o.dataDir, "etcd"), sockets)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer etcd.Close()
	api, err := newAPIServer(ctx, keys, etcd.url, o.port)
	if err != nil {
		return fmt.Errorf("configure kube-apiserver: %w", err)
	}
	if err := writeKubeconfig(o.kubeconfig, api.url, keys); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	ended := make(chan error, 2)
	go func() { ended <- api.run(ctx) }()
	go func() {
		if err := startControllers(ctx, o.kubeconfig); err != nil {
			ended <- fmt.Errorf("start controllers: %w", err)
			return
		}
		if err := json.NewEncoder(stdout).Encode(ready{api.url, o.kubeconfig, os.Getpid()}); err != nil {
			ended <- fmt.Errorf("announce readiness: %w", err)
		}
	}()
	return wait(ctx, ended)
}

// wait returns why a part ended; after ctx is done that is no error, and not waited for long.
func wait(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return nil
		}
		return err
	case <-ctx.Done():
	}
	select {
	case <-ended:
	case <-time.After(endTimeout):
	}
	return nil
}
