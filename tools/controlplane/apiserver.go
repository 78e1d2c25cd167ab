package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// serviceRange is where cluster addresses of services come from; nothing routes them.
const serviceRange = "10.96.0.0/16"

// apiServer is a configured kube-apiserver whose port is already open.
type apiServer struct {
	url     string
	options apiserver.CompletedOptions
}

func newAPIServer(ctx context.Context, keys *pki, etcdURL string, port int) (*apiServer, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback.String(), strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	port = listener.Addr().(*net.TCPAddr).Port
	opts := apiserver.NewServerRunOptions()
	opts.SecureServing.Listener = listener
	if err := parseFlags(opts, apiServerFlags(keys, etcdURL, port)); err != nil {
		return nil, err
	}
	registry := opts.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := registry.Set(); err != nil {
		return nil, err
	}
	gates := registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(opts.Logs, gates); err != nil {
		return nil, err
	}
	// Warnings about deprecated APIs are for clients; the server's own clients would only repeat them.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := opts.Complete(ctx)
	if err != nil {
		return nil, err
	}
	url := fmt.Sprintf("https://%s", listener.Addr())
	return &apiServer{url, completed}, utilerrors.NewAggregate(completed.Validate())
}

// apiServerFlags configures by command line and not by fields, as that is the interface that is
// documented and kept stable.
func apiServerFlags(keys *pki, etcdURL string, port int) []string {
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=" + loopback.String(),
		"--advertise-address=" + loopback.String(),
		"--secure-port=" + strconv.Itoa(port),
		"--service-cluster-ip-range=" + serviceRange,
		"--endpoint-reconciler-type=none", // nothing in the cluster calls the API server by its service

		"--cert-dir=" + keys.dir,
		"--tls-cert-file=" + keys.serverCert,
		"--tls-private-key-file=" + keys.serverKey,
		"--client-ca-file=" + keys.caCert,
		"--service-account-key-file=" + keys.accountKey,
		"--service-account-signing-key-file=" + keys.accountKey,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--api-audiences=https://kubernetes.default.svc",
		"--authorization-mode=RBAC",
		"--proxy-client-cert-file=" + keys.proxyCert,
		"--proxy-client-key-file=" + keys.proxyKey,
		"--requestheader-client-ca-file=" + keys.caCert,
		"--requestheader-allowed-names=" + proxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		// Pods may be created before the service account of a new namespace is there.
		"--disable-admission-plugins=ServiceAccount",

		// A test decides itself how many requests it makes at a time.
		"--enable-priority-and-fairness=false",
		"--max-requests-inflight=0",
		"--max-mutating-requests-inflight=0",
		"--profiling=false",
	}
}

func parseFlags(opts *apiserver.ServerRunOptions, args []string) error {
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, section := range opts.Flags().FlagSets {
		flags.AddFlagSet(section)
	}
	return flags.Parse(args)
}

// run serves until ctx is done.
func (s *apiServer) run(ctx context.Context) error {
	if err := app.Run(ctx, s.options); err != nil {
		return fmt.Errorf("run kube-apiserver: %w", err)
	}
	return nil
}
