package domain

import (
	"fmt"
	"sort"
	"strings"
)

// Code names one kind of problem that people can meet. The list is closed: docs, tests and
// annotations are all made from it.
type Code string

// The codes, in the order in which the design lists them.
const (
	PathInvalid                Code = "PATH_INVALID"
	ForbiddenField             Code = "FORBIDDEN_FIELD"
	UnknownField               Code = "UNKNOWN_FIELD"
	YAMLInvalid                Code = "YAML_INVALID"
	NameInvalid                Code = "NAME_INVALID"
	NameTooLong                Code = "NAME_TOO_LONG"
	NameLengthWarning          Code = "NAME_LENGTH_WARNING"
	NameTaken                  Code = "NAME_TAKEN"
	IndexTaken                 Code = "INDEX_TAKEN"
	NamespaceUnknown           Code = "NAMESPACE_UNKNOWN"
	NamespaceImmutable         Code = "NAMESPACE_IMMUTABLE"
	ServiceImmutable           Code = "SERVICE_IMMUTABLE"
	SystemUnknown              Code = "SYSTEM_UNKNOWN"
	ServiceUnknown             Code = "SERVICE_UNKNOWN"
	TemplateUnknown            Code = "TEMPLATE_UNKNOWN"
	TemplateNotActive          Code = "TEMPLATE_NOT_ACTIVE"
	TemplateImmutable          Code = "TEMPLATE_IMMUTABLE"
	TemplateLifecycle          Code = "TEMPLATE_LIFECYCLE"
	TemplateFixed              Code = "TEMPLATE_FIXED"
	SizeUnknown                Code = "SIZE_UNKNOWN"
	SizeInUse                  Code = "SIZE_IN_USE"
	NetworkUnknown             Code = "NETWORK_UNKNOWN"
	AddressTaken               Code = "ADDRESS_TAKEN"
	DiskOutOfRange             Code = "DISK_OUT_OF_RANGE"
	FieldOutOfRange            Code = "FIELD_OUT_OF_RANGE"
	DiskShrink                 Code = "DISK_SHRINK"
	ForeignDisk                Code = "FOREIGN_DISK"
	DedicatedCPUOvercommit     Code = "DEDICATED_CPU_OVERCOMMIT"
	ProdOvercommit             Code = "PROD_OVERCOMMIT"
	RequiredFieldRemoved       Code = "REQUIRED_FIELD_REMOVED"
	PlanInvalid                Code = "PLAN_INVALID"
	PermissionDenied           Code = "PERMISSION_DENIED"
	AuthorUnknown              Code = "AUTHOR_UNKNOWN"
	EnvironmentMismatch        Code = "ENVIRONMENT_MISMATCH"
	NoEligibleCluster          Code = "NO_ELIGIBLE_CLUSTER"
	CapabilityUnknown          Code = "CAPABILITY_UNKNOWN"
	ClusterCordoned            Code = "CLUSTER_CORDONED"
	StorageClassUnknown        Code = "STORAGE_CLASS_UNKNOWN"
	StaleBase                  Code = "STALE_BASE"
	Quarantined                Code = "QUARANTINED"
	HistoryRewritten           Code = "HISTORY_REWRITTEN"
	DuplicatePendingRequest    Code = "DUPLICATE_PENDING_REQUEST"
	Superseded                 Code = "SUPERSEDED"
	DeleteConfirmationRequired Code = "DELETE_CONFIRMATION_REQUIRED"
	ConfirmationNameMismatch   Code = "CONFIRMATION_NAME_MISMATCH"
	DeleteRestricted           Code = "DELETE_RESTRICTED"
	CommandInvalid             Code = "COMMAND_INVALID"
	NoSuchVM                   Code = "VM_UNKNOWN"
	PolicyInvalid              Code = "POLICY_INVALID"
	BatchTooLarge              Code = "BATCH_TOO_LARGE"
	QuotaExceeded              Code = "QUOTA_EXCEEDED"
	RateLimitExceeded          Code = "RATE_LIMIT_EXCEEDED"
	SecretSuspected            Code = "SECRET_SUSPECTED"
	NamespacePermissionDenied  Code = "NAMESPACE_PERMISSION_DENIED"
	NamespaceQuotaExceeded     Code = "NAMESPACE_QUOTA_EXCEEDED"
	NamespaceTerminating       Code = "NAMESPACE_TERMINATING"
	ForeignVM                  Code = "FOREIGN_VM"
	FieldConflict              Code = "FIELD_CONFLICT"
	ApprovalBypassed           Code = "APPROVAL_BYPASSED"
	DigestMismatch             Code = "DIGEST_MISMATCH"
	ClusterUnreachable         Code = "CLUSTER_UNREACHABLE"
	PolicyDenied               Code = "POLICY_DENIED"

	// ClusterRefused is the API server's own refusal (422, a webhook's verdict) in its own words.
	ClusterRefused Code = "CLUSTER_REFUSED"
	// MixedChange refuses platform/ and systems/ in one pull request.
	MixedChange Code = "MIXED_CHANGE"
)

// Severity says whether a problem stops a change.
type Severity string

// An error stops the change it is about; a warning is shown and stops nothing.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that people have to know about a change: a code, a sentence, where it is and
// what to do next. Path is a path of the spec repository; Line and Column count from 1, 0 means the
// whole file. Message and Hint are plain text; whoever renders them escapes them.
type Problem struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// Error makes a Problem usable as an error where a single one stops the work.
func (p Problem) Error() string {
	var b strings.Builder
	if p.Path != "" {
		b.WriteString(p.Path)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s: %s", p.Code, p.Message)
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", p.Hint)
	}
	return b.String()
}

// Problems is a list of problems with the questions that callers ask of it.
type Problems []Problem

// Blocking reports whether any of the problems is an error.
func (ps Problems) Blocking() bool {
	for _, p := range ps {
		if p.Severity == Error {
			return true
		}
	}
	return false
}

// Sorted returns a copy in the order in which people should read them: errors first, then by path,
// line, column and code.
func (ps Problems) Sorted() Problems {
	out := append(Problems(nil), ps...)
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Severity != b.Severity {
			return a.Severity == Error
		}
		if a.Path != b.Path {
			return a.Path < b.Path
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		if a.Column != b.Column {
			return a.Column < b.Column
		}
		return a.Code < b.Code
	})
	return out
}
