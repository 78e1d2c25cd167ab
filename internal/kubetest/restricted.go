package kubetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// restrictedTimeout is how long new permissions may take to count.
const restrictedTimeout = 30 * time.Second

// Restricted returns a kubeconfig for a new service account that may do, in the whole cluster, what
// the rules say and nothing else. The rules are in force when it returns.
func (c *Cluster) Restricted(t TB, rules ...rbacv1.PolicyRule) (kubeconfig []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), restrictedTimeout)
	defer cancel()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "kubetest-", Namespace: metav1.NamespaceDefault}}
	if err := c.client.Create(ctx, account); err != nil {
		t.Fatalf("kubetest: create service account: %v", err)
	}
	role, binding := grant(account, rules)
	c.cleanUp(t, account, role, binding)
	for _, o := range []client.Object{role, binding} {
		if err := c.client.Create(ctx, o); err != nil {
			t.Fatalf("kubetest: grant permissions: %v", err)
		}
	}
	kubeconfig, err := c.login(ctx, account)
	if err != nil {
		t.Fatalf("kubetest: log in as %s: %v", account.Name, err)
	}
	if err := waitAllowed(ctx, kubeconfig, rules); err != nil {
		t.Fatalf("kubetest: wait for permissions: %v", err)
	}
	return kubeconfig
}

func grant(account *corev1.ServiceAccount, rules []rbacv1.PolicyRule) (*rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding) {
	meta := metav1.ObjectMeta{Name: account.Name}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	return role, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	}
}

// login returns a kubeconfig with a fresh token of a service account.
func (c *Cluster) login(ctx context.Context, account *corev1.ServiceAccount) ([]byte, error) {
	seconds := int64((24 * time.Hour).Seconds())
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if err := c.client.SubResource("token").Create(ctx, account, token); err != nil {
		return nil, fmt.Errorf("request token: %w", err)
	}
	admin, err := clientcmd.Load(c.kubeconfig)
	if err != nil {
		return nil, err
	}
	current := admin.Contexts[admin.CurrentContext]
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["cluster"] = admin.Clusters[current.Cluster]
	cfg.AuthInfos[account.Name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	cfg.Contexts["restricted"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: account.Name}
	cfg.CurrentContext = "restricted"
	return clientcmd.Write(*cfg)
}

// waitAllowed returns when the server has taken note of the account and of each rule.
func waitAllowed(ctx context.Context, kubeconfig []byte, rules []rbacv1.PolicyRule) error {
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS = -1
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	user, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	for {
		allowed, err := allAllowed(ctx, user, rules)
		if allowed {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %v)", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// allAllowed asks for one action of each rule. An account that the server does not know yet gets an
// error.
func allAllowed(ctx context.Context, user client.Client, rules []rbacv1.PolicyRule) (bool, error) {
	if err := user.Create(ctx, &authenticationv1.SelfSubjectReview{}); err != nil {
		return false, err
	}
	for _, rule := range rules {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: action(rule)}
		if err := user.Create(ctx, review); err != nil || !review.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}

// action returns the first thing that a rule permits.
func action(rule rbacv1.PolicyRule) (spec authorizationv1.SelfSubjectAccessReviewSpec) {
	first := func(list []string) string { return append(list, "")[0] }
	if len(rule.NonResourceURLs) > 0 {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{
			Verb: first(rule.Verbs), Path: first(rule.NonResourceURLs),
		}
		return spec
	}
	resource, sub, _ := strings.Cut(first(rule.Resources), "/")
	spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Verb: first(rule.Verbs), Group: first(rule.APIGroups),
		Resource: resource, Subresource: sub, Name: first(rule.ResourceNames),
	}
	return spec
}
