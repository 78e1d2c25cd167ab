package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"kv-shepherd.io/shepherd/internal/domain"
)

// How long to leave a cluster alone when it did not say so itself. Where it is out of order as a whole that is short: a
// connection may break once, and when it goes on so the breaker says how long to wait. A part of it opens no breaker.
const (
	waitUnreachable = 2 * time.Second
	waitPart        = 15 * time.Second
	waitTerminating = 30 * time.Second
)

// namespaceTerminating is the cause that the API server gives for creating in a namespace that goes.
const namespaceTerminating metav1.CauseType = "NamespaceTerminating"

// classify sorts every error that a request can end with. It is the only place that knows what the
// API server's answers mean.
func classify(err error, s subject, wait time.Duration) *Error {
	var sorted *Error
	if errors.As(err, &sorted) {
		return sorted
	}
	if errors.Is(err, context.Canceled) {
		return retry(problem(domain.ClusterUnreachable, "", "%s %s was interrupted", s.verb, s), err)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return classifyRoad(err, s)
	}
	answer := status.Status()
	if answer.Details != nil && answer.Details.RetryAfterSeconds > 0 {
		wait = max(wait, time.Duration(answer.Details.RetryAfterSeconds)*time.Second)
	}
	switch answer.Code {
	case http.StatusUnauthorized:
		return later(problem(domain.ClusterUnreachable, "give the cluster new credentials with `shepherd cluster add`",
			"the cluster does not accept Shepherd's credentials"), max(wait, waitUnreachable), err)
	case http.StatusForbidden:
		return classifyForbidden(err, answer, s)
	case http.StatusNotFound:
		return classifyNotFound(err, answer, s)
	case http.StatusConflict:
		return classifyConflict(err, answer, s)
	case http.StatusGone:
		return retry(unreachable(s, answer), err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway:
		return later(unreachable(s, answer), max(wait, waitUnreachable), err)
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return slower(unreachable(s, answer), wait, err)
	}
	if answer.Code >= http.StatusInternalServerError {
		return classifyServerError(err, answer, s, wait)
	}
	return never(refused(s, answer), err)
}

// classifyRoad sorts errors that are not an answer of the API server.
func classifyRoad(err error, s subject) *Error {
	var lost *lostError
	if errors.As(err, &lost) {
		err = lost.cause
	}
	reason := "no connection to it can be made"
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		dns       *net.DNSError
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		// The request may have arrived, so an attempt is counted.
		return retry(problem(domain.ClusterUnreachable, "", "%s %s: the cluster did not answer in time", s.verb, s), err)
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record):
		reason = "its certificate is not the one that its credentials expect"
	case errors.As(err, &dns):
		reason = "its address has no entry in DNS"
	case utilnet.IsConnectionRefused(err):
		reason = "it refuses connections"
	case utilnet.IsConnectionReset(err), utilnet.IsProbableEOF(err):
		reason = "it closed the connection"
	case utilnet.IsHTTP2ConnectionLost(err):
		reason = "it fell silent"
	}
	return later(problem(domain.ClusterUnreachable, "", "the cluster cannot be reached: %s", reason), waitUnreachable, err)
}

// lastingFailures are parts of messages of 500s that mean the manifest, not the server.
var lastingFailures = []string{
	"failed to create typed patch object", "field not declared in schema", "failed to convert new object",
}

// classifyServerError tells the 500s that no repetition changes (server-side apply answers so to
// unknown fields and wrong types) from those that pass.
func classifyServerError(err error, answer metav1.Status, s subject, wait time.Duration) *Error {
	if slices.ContainsFunc(lastingFailures, func(part string) bool { return strings.Contains(answer.Message, part) }) {
		return never(refused(s, answer), err)
	}
	if strings.Contains(answer.Message, "failed calling webhook") {
		return later(unreachable(s, answer), max(wait, waitPart), err)
	}
	return slower(unreachable(s, answer), wait, err)
}

func classifyForbidden(err error, answer metav1.Status, s subject) *Error {
	switch {
	case apierrors.HasStatusCause(err, namespaceTerminating), strings.Contains(answer.Message, "because it is being terminated"):
		return terminating(s.inNamespace(), err)
	case strings.Contains(answer.Message, "exceeded quota"):
		return never(problem(domain.NamespaceQuotaExceeded, "ask for a larger quota or free some of it, then retry",
			"%s: %s", s, s.said(answer)), err)
	case s.kind == claimKind && strings.Contains(answer.Message, "must support resize"):
		return never(rigid(s, "its storage class"), err)
	case rbacDenial.MatchString(answer.Message):
		return never(problem(domain.NamespacePermissionDenied, grant(s, answer.Message),
			"Shepherd may not %s %s on this cluster", s.verb, s), err)
	}
	return never(refused(s, answer), err)
}

// classifyNotFound sorts the 404s of writes: reads ask isAbsent first.
func classifyNotFound(err error, answer metav1.Status, s subject) *Error {
	if answer.Details != nil && answer.Details.Kind == "namespaces" {
		return retry(problem(domain.NamespaceTerminating, "", "namespace %s is gone", s.inNamespace()), err)
	}
	if isUnserved(err) && s.kind.Kind != "" {
		return never(problem(domain.ClusterRefused, "install what serves it, or choose another cluster",
			"the cluster does not know the kind %s (%s)", s.kind.Kind, s.kind.GroupVersion()), err)
	}
	return retry(problem(domain.ClusterRefused, "", "%s is not there", s), err)
}

func classifyConflict(err error, answer metav1.Status, s subject) *Error {
	if len(managerConflicts(err)) > 0 {
		return never(problem(domain.FieldConflict, "", "%s: %s", s, s.said(answer)), err)
	}
	return retry(problem(domain.FieldConflict, "", "%s keeps changing while it is being changed", s), err)
}

// terminating waits: a namespace that goes either is gone soon, or somebody has to look.
func terminating(namespace string, cause error) *Error {
	return later(problem(domain.NamespaceTerminating, "wait until the namespace is gone; it is created again then",
		"namespace %s is being deleted", namespace), waitTerminating, cause)
}

func slower(p domain.Problem, wait time.Duration, cause error) *Error {
	e := retry(p, cause)
	e.RetryAfter = wait
	return e
}

func unreachable(s subject, answer metav1.Status) domain.Problem {
	return problem(domain.ClusterUnreachable, "", "%s %s: the cluster cannot do it now: %s", s.verb, s, s.said(answer))
}

func refused(s subject, answer metav1.Status) domain.Problem {
	return problem(domain.ClusterRefused, "", "the cluster refuses %s: %s", s, s.said(answer))
}

// said is the API server's words, but for Secrets: what it says of those may quote them.
func (s subject) said(answer metav1.Status) string {
	if s.kind == secretKind {
		return fmt.Sprintf("answer %d, in words that may quote the Secret", answer.Code)
	}
	return words(answer.Message)
}

func (s subject) inNamespace() string {
	if s.kind == namespaceKind {
		return s.name
	}
	return s.namespace
}

// rbacDenial matches RBAC's own refusal and takes the user's name out of it. Refusals by admission
// read otherwise.
var rbacDenial = regexp.MustCompile(`User "([^"]*)" cannot \w+ (?:resource|path) "`)

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9@._:/-]+$`)

// grant is the kubectl line that a cluster's administrator can run to make a forbidden request work.
func grant(s subject, message string) string {
	if s.kind == namespaceKind && s.verb == "create" {
		return "kubectl create namespace " + s.name
	}
	user := "USER"
	if m := rbacDenial.FindStringSubmatch(message); m != nil && shellSafe.MatchString(m[1]) {
		user = m[1]
	}
	role, scope, verbs := "role", " --namespace="+s.namespace, "get,list,create,patch,delete"
	if s.namespace == "" {
		role, scope, verbs = "clusterrole", "", "get,list"
	}
	switch s.kind {
	case namespaceKind:
		verbs = "get,create"
	case claimKind:
		verbs = "get,list,patch,delete"
	case vmKind:
		verbs = "get,create,patch,delete"
	case vmiKind:
		verbs = "get"
	case restartKind:
		verbs = "update"
	}
	name := FieldManager + "-" + strings.ReplaceAll(resources[s.kind], "/", "-")
	return "kubectl create " + role + " " + name + scope + " --verb=" + verbs + " --resource=" + resourceName(s.kind) +
		" && kubectl create " + role + "binding " + name + scope + " --" + role + "=" + name + " --user=" + user
}

// isAbsent reports whether a read says that the object is not there, on a server that knows its kind.
func isAbsent(err error) bool { return apierrors.IsNotFound(err) && !isUnserved(err) }

// isUnserved reports whether a 404 comes from the URL, not from the object: such an answer has no
// details of a resource.
func isUnserved(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusNotFound {
		return false
	}
	return strings.Contains(status.Status().Message, "the server could not find the requested resource")
}

// managerConflicts are the fields that server-side apply says others own.
func managerConflicts(err error) []metav1.StatusCause {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var causes []metav1.StatusCause
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			causes = append(causes, cause)
		}
	}
	return causes
}

// isStale reports whether a write failed because the object is not the one that was read: changed,
// replaced, gone, or there although it was not. Looking again tells which.
func isStale(err error) bool {
	if apierrors.IsConflict(err) {
		return len(managerConflicts(err)) == 0
	}
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == "metadata.uid" {
			return true
		}
	}
	return false
}
