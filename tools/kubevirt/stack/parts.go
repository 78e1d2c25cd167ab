package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	kubevirtlog "kubevirt.io/client-go/log"
	"kubevirt.io/kubevirt/pkg/service"
	virtapi "kubevirt.io/kubevirt/pkg/virt-api"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
)

const loopback = "127.0.0.1"

// part is a process of KubeVirt.
type part struct {
	kubeconfig string
	port       int
}

func (p part) address() string { return net.JoinHostPort(loopback, strconv.Itoa(p.port)) }

// stack is KubeVirt in a cluster.
type stack struct {
	config          *rest.Config
	objects         dynamic.Interface
	api, controller part

	certFile, keyFile string
	authority         []byte // certifies what both parts serve
}

// newStack writes to dir what the parts read.
func newStack(kubeconfig, dir string) (*stack, error) {
	s := &stack{certFile: filepath.Join(dir, "tls.crt"), keyFile: filepath.Join(dir, "tls.key")}
	var err error
	if s.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return nil, err
	}
	s.config.QPS = -1
	s.config.WarningHandler = rest.NoWarnings{}
	if s.objects, err = dynamic.NewForConfig(s.config); err != nil {
		return nil, err
	}
	if err := s.certify(); err != nil {
		return nil, err
	}
	if s.api, err = newPart(kubeconfig, dir, components.ApiServiceAccountName); err != nil {
		return nil, err
	}
	s.controller, err = newPart(kubeconfig, dir, components.ControllerServiceAccountName)
	return s, err
}

func (s *stack) certify() error {
	host := fmt.Sprintf("%s.%s.svc", components.VirtApiServiceName, namespace)
	chain, key, err := cert.GenerateSelfSignedCertKey(host, []net.IP{net.ParseIP(loopback)}, nil)
	if err != nil {
		return err
	}
	s.authority = chain
	return errors.Join(os.WriteFile(s.certFile, chain, 0o600), os.WriteFile(s.keyFile, key, 0o600))
}

// newPart gives a part its port, and a kubeconfig by which it is the service account that KubeVirt's
// webhooks know it by, with all permissions.
func newPart(kubeconfig, dir, account string) (p part, err error) {
	cfg, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return p, err
	}
	if err := clientcmd.ResolveLocalPaths(cfg); err != nil {
		return p, err
	}
	for _, user := range cfg.AuthInfos {
		user.Impersonate = fmt.Sprintf("system:serviceaccount:%s:%s", namespace, account)
		user.ImpersonateGroups = []string{"system:masters", "system:authenticated"}
	}
	p.kubeconfig = filepath.Join(dir, account+".kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, p.kubeconfig); err != nil {
		return p, err
	}
	p.port, err = freePort()
	return p, err
}

// freePort chooses a port before its server opens it. It is one of those that no kernel gives away to
// connections in the meantime.
func freePort() (int, error) {
	const first, last, tries = 20000, 32000, 50
	var err error
	for range tries {
		port := first + rand.IntN(last-first)
		var l net.Listener
		if l, err = net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// startAPI runs virt-api in this process, as its own main function would. It never returns; where it
// cannot go on, it panics.
func (s *stack) startAPI() {
	os.Args = []string{"virt-api",
		"--kubeconfig=" + s.api.kubeconfig,
		"--listen=" + loopback, "--port=" + strconv.Itoa(s.api.port),
		"--tls-cert-file=" + s.certFile, "--tls-key-file=" + s.keyFile,
		// Nobody accepts it: there is no virt-handler.
		"--handler-cert-file=" + s.certFile, "--handler-key-file=" + s.keyFile,
	}
	kubevirtlog.InitializeLogging("virt-api")
	app := virtapi.NewVirtApi()
	service.Setup(app)
	go app.Execute()
}

// startController runs virt-controller. Its end is sent, once.
func (s *stack) startController(ctx context.Context) (ended <-chan error, err error) {
	binary, err := beside("virt-controller")
	if err != nil {
		return nil, err
	}
	const image = "registry.invalid/" // never pulled
	cmd := exec.CommandContext(ctx, binary,
		"--kubeconfig="+s.controller.kubeconfig,
		"--listen="+loopback, "--port="+strconv.Itoa(s.controller.port),
		"--prom-cert-file="+s.certFile, "--prom-key-file="+s.keyFile,
		"--launcher-image="+image+"virt-launcher", "--exporter-image="+image+"virt-exportserver",
	)
	cmd.Stderr = os.Stderr
	cmd.Stdout = os.Stderr
	// Left open until our end, whatever brings it about.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("without an error")
		}
		end <- err
	}()
	return end, nil
}

// await returns when a part serves, or has ended.
func await(ctx context.Context, p part, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case err := <-listening(ctx, p.address()):
		return err
	case err := <-ended:
		return fmt.Errorf("it ended: %w", err)
	}
}

// listening sends nil when TLS is spoken at an address, or why ctx is done.
func listening(ctx context.Context, address string) <-chan error {
	done := make(chan error, 1)
	go func() {
		done <- poll(ctx, func() error {
			conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // only whether
			if err == nil {
				err = conn.Close()
			}
			return err
		})
	}()
	return done
}

// poll calls try until it succeeds or ctx is done.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %v)", context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
