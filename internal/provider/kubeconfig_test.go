package provider

import (
	"strings"
	"testing"
)

// kubeconfigText is a small kubeconfig with one cluster and one user, given as YAML fields.
func kubeconfigText(cluster, user string) string {
	return "apiVersion: v1\nkind: Config\ncurrent-context: c\n" +
		"contexts: [{name: c, context: {cluster: k, user: u}}]\n" +
		"clusters: [{name: k, cluster: {" + cluster + "}}]\n" +
		"users: [{name: u, user: {" + user + "}}]\n"
}

func TestKubeconfigTakesInlineDataOnly(t *testing.T) {
	t.Parallel()
	const (
		server = "server: https://127.0.0.1:6443"
		secret = "hunter2hunter2"
		token  = "token: " + secret
	)
	tests := []struct {
		name, text string
		insecure   bool
		err        string
	}{
		{name: "token", text: kubeconfigText(server, token)},
		{name: "exec", text: kubeconfigText(server, "exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, interactiveMode: Never}"), err: "exec runs a program"},
		{name: "exec beside a token", text: kubeconfigText(server, token+", exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}"), err: "exec runs a program"},
		{name: "auth provider", text: kubeconfigText(server, "auth-provider: {name: gcp}"), err: "auth-provider is not supported"},
		{name: "token file", text: kubeconfigText(server, "tokenFile: /var/run/token"), err: "tokenFile is a file"},
		{name: "certificate file", text: kubeconfigText(server, token+", client-certificate: /tmp/a, client-key: /tmp/b"), err: "client-certificate is a file: give client-certificate-data\nclient-key is a file"},
		{name: "authority file", text: kubeconfigText(server+", certificate-authority: /etc/passwd", token), err: "certificate-authority is a file"},
		{name: "insecure", text: kubeconfigText(server+", insecure-skip-tls-verify: true", token), err: "insecure-skip-tls-verify"},
		{name: "insecure, allowed", text: kubeconfigText(server+", insecure-skip-tls-verify: true", token), insecure: true},
		{name: "plain http", text: kubeconfigText("server: http://127.0.0.1", token), err: "not an https URL"},
		{name: "plain http, allowed", text: kubeconfigText("server: http://127.0.0.1", token), insecure: true},
		{name: "password in the URL", text: kubeconfigText("server: https://admin:"+secret+"@k", token), err: "server holds a user name"},
		{name: "no server", text: kubeconfigText("", token), err: "server is not a URL"},
		{name: "password", text: kubeconfigText(server, "username: a, password: "+secret), err: "username and password"},
		{name: "no credentials", text: kubeconfigText(server, ""), err: "neither token nor"},
		{name: "no context", text: "apiVersion: v1\nkind: Config\n", err: "current-context names no context"},
		{name: "dangling context", text: strings.Replace(kubeconfigText(server, token), "user: u", "user: v", 1), err: "names no cluster or no user"},
		{name: "not YAML", text: "users: [{user: {" + token + "]", err: "not a kubeconfig"},
		{name: "empty", text: "", err: "current-context names no context"},
		{name: "bad certificate", text: kubeconfigText(server, "client-certificate-data: aHVudGVyMmh1bnRlcjI=, client-key-data: aHVudGVyMmh1bnRlcjI="), err: "do not parse"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newCluster([]byte(tt.text), Options{AllowInsecure: tt.insecure})
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "/etc/passwd")) {
				t.Errorf("the error quotes the kubeconfig: %v", err)
			}
		})
	}
}

func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(kubeconfigText("server: https://k", "token: t")))
	f.Add([]byte(kubeconfigText("server: https://k, certificate-authority: /a", "exec: {command: sh}")))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		config, err := restConfig(text, false)
		if err != nil {
			return
		}
		files := config.CAFile + config.CertFile + config.KeyFile + config.BearerTokenFile
		if files != "" || config.ExecProvider != nil || config.AuthProvider != nil || config.Insecure {
			t.Fatalf("accepted a kubeconfig that reads %q, runs %v or skips TLS %t", files, config.ExecProvider, config.Insecure)
		}
	})
}
