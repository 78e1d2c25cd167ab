package kubetest

import (
	"context"
	"fmt"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// given is a cluster that somebody else runs.
type given struct{ kubeconfig string }

func (g given) start(context.Context) ([]byte, error) {
	cfg, err := clientcmd.LoadFromFile(g.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read SHEPHERD_TEST_KUBECONFIG: %w", err)
	}
	if err := clientcmdapi.MinifyConfig(cfg); err != nil {
		return nil, fmt.Errorf("read %s: %w", g.kubeconfig, err)
	}
	// Files that it names are read now; the result may be used from another directory.
	if err := clientcmdapi.FlattenConfig(cfg); err != nil {
		return nil, fmt.Errorf("read %s: %w", g.kubeconfig, err)
	}
	return clientcmd.Write(*cfg)
}

func (g given) stop() error { return nil }
