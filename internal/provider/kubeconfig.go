package provider

import (
	"errors"
	"fmt"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// restConfig reads the current context of a kubeconfig. It accepts inline data only: a kubeconfig is
// handed in by people and runs on the server, so it must not run programs there, read files there or
// switch certificate checks off. Its errors name fields, never values.
func restConfig(kubeconfig []byte, insecure bool) (*rest.Config, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, errors.New("not a kubeconfig: it does not parse as YAML or JSON of kind Config")
	}
	kube, ok := config.Contexts[config.CurrentContext]
	if !ok {
		return nil, errors.New("kubeconfig: current-context names no context")
	}
	cluster, user := config.Clusters[kube.Cluster], config.AuthInfos[kube.AuthInfo]
	if cluster == nil || user == nil {
		return nil, errors.New("kubeconfig: the current context names no cluster or no user of this file")
	}
	if err := errors.Join(checkCluster(cluster, insecure), checkUser(user)); err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	out, err := clientcmd.NewNonInteractiveClientConfig(*config, config.CurrentContext, nil, nil).ClientConfig()
	if err != nil {
		return nil, errors.New("kubeconfig: its cluster and user do not make a connection")
	}
	return out, nil
}

func checkCluster(c *api.Cluster, insecure bool) error {
	var errs []error
	if c.CertificateAuthority != "" {
		errs = append(errs, errors.New("certificate-authority is a file: give certificate-authority-data"))
	}
	if c.InsecureSkipTLSVerify && !insecure {
		errs = append(errs, errors.New("insecure-skip-tls-verify is set: give certificate-authority-data"))
	}
	server, err := url.Parse(c.Server)
	switch {
	case err != nil || server.Host == "":
		errs = append(errs, errors.New("server is not a URL"))
	case server.User != nil:
		errs = append(errs, errors.New("server holds a user name or a password"))
	case server.Scheme != "https" && !insecure:
		errs = append(errs, errors.New("server is not an https URL"))
	}
	return errors.Join(errs...)
}

func checkUser(u *api.AuthInfo) error {
	refused := []struct {
		set  bool
		text string
	}{
		{u.Exec != nil, "exec runs a program: give a token or client-certificate-data"},
		{u.AuthProvider != nil, "auth-provider is not supported: give a token or client-certificate-data"},
		{u.ClientCertificate != "", "client-certificate is a file: give client-certificate-data"},
		{u.ClientKey != "", "client-key is a file: give client-key-data"},
		{u.TokenFile != "", "tokenFile is a file: give token"},
		{u.Username != "" || u.Password != "", "username and password are not supported by Kubernetes any more"},
		{u.Token == "" && len(u.ClientCertificateData) == 0, "the user has neither token nor client-certificate-data"},
	}
	var errs []error
	for _, r := range refused {
		if r.set {
			errs = append(errs, errors.New(r.text))
		}
	}
	return errors.Join(errs...)
}
