package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// clusterName is the name of the cluster and its context in the kubeconfig.
const clusterName = "controlplane"

// proxyName is the API server's name towards the servers of aggregated APIs, and the only one whose
// word about users they may take.
const proxyName = "front-proxy-client"

var loopback = net.IPv4(127, 0, 0, 1)

// pki names the files with the keys of a control plane.
type pki struct {
	dir                   string
	caCert                string
	serverCert, serverKey string
	adminCert, adminKey   string
	proxyCert, proxyKey   string // the API server's own, for the servers of aggregated APIs
	accountKey            string // signs the tokens of service accounts
}

// ensurePKI makes the keys in dir unless an earlier run has.
func ensurePKI(dir string) (*pki, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	p := &pki{
		dir:        dir,
		caCert:     file("ca.crt"),
		serverCert: file("apiserver.crt"), serverKey: file("apiserver.key"),
		adminCert: file("admin.crt"), adminKey: file("admin.key"),
		proxyCert: file("front-proxy.crt"), proxyKey: file("front-proxy.key"),
		accountKey: file("service-account.key"),
	}
	// The certificate of the authority is written last: where it is, all is.
	if _, err := os.Stat(p.caCert); !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return p, p.create()
}

// create makes an authority, which is forgotten at once, and what it has to certify.
func (p *pki) create() error {
	key, ca, err := newAuthority()
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	admin := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	proxy := &x509.Certificate{
		Subject:     pkix.Name{CommonName: proxyName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	accountKey, err := newKey()
	if err != nil {
		return err
	}
	return errors.Join(
		issue(server, p.serverCert, p.serverKey, ca, key),
		issue(admin, p.adminCert, p.adminKey, ca, key),
		issue(proxy, p.proxyCert, p.proxyKey, ca, key),
		writeKey(p.accountKey, accountKey),
		writePEM(p.caCert, "CERTIFICATE", ca.Raw),
	)
}

func newAuthority() (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: clusterName},
		IsCA:    true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return key, cert, err
}

// issue writes a new key and its certificate.
func issue(template *x509.Certificate, certFile, keyFile string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := sign(template, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	return errors.Join(writeKey(keyFile, key), writePEM(certFile, "CERTIFICATE", der))
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().AddDate(10, 0, 0)
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// writeKubeconfig writes the administrator's access, keys included, so that the file can be passed on.
func writeKubeconfig(path, url string, p *pki) error {
	data := map[string][]byte{}
	for _, file := range []string{p.caCert, p.adminCert, p.adminKey} {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read keys: %w", err)
		}
		data[file] = content
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[clusterName] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: data[p.caCert]}
	cfg.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: data[p.adminCert], ClientKeyData: data[p.adminKey]}
	cfg.Contexts[clusterName] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: "admin"}
	cfg.CurrentContext = clusterName
	return clientcmd.WriteToFile(*cfg, path)
}
