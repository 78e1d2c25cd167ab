package judge

import (
	"encoding/json"
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/render"
)

// Report is all that a judging found out. It is data: what people read is made from it, what the
// database keeps is taken from it.
type Report struct {
	Head     string `json:"head"`
	Platform string `json:"platform"` // the commit whose rules were applied
	Draft    bool   `json:"draft,omitempty"`
	Fork     bool   `json:"fork,omitempty"`
	// Automatic says that nobody has to decide anything and nobody objects, so that the bot may merge: set
	// by those who know the people and all of the files.
	Automatic bool `json:"automatic,omitempty"`
	// Governed is false when no governed path differs: there is nothing to say.
	Governed bool     `json:"governed"`
	Changes  []Change `json:"changes,omitempty"`
	// Problems are those of no single change: files of no known form, the batch as a whole.
	Problems domain.Problems `json:"problems,omitempty"`
}

// Change is one governed thing that differs from what was accepted.
type Change struct {
	Ref         spec.Ref           `json:"ref"`
	Path        string             `json:"path"`
	Subject     string             `json:"subject"` // the name for people
	Operation   domain.Operation   `json:"operation"`
	Environment domain.Environment `json:"environment,omitempty"`
	Accepted    json.RawMessage    `json:"accepted,omitempty"` // canonical spec; nil where there was none
	Wanted      json.RawMessage    `json:"wanted,omitempty"`   // canonical spec; nil where it is removed
	Digest      string             `json:"digest"`
	Reason      string             `json:"reason,omitempty"`
	Problems    domain.Problems    `json:"problems,omitempty"`
	Verdict     policy.Verdict     `json:"verdict"`
	Requirement policy.Requirement `json:"requirement"`
	Approvers   []string           `json:"approvers,omitempty"` // who could approve it, for people
	Plan        *Plan              `json:"plan,omitempty"`      // nil where nothing can be planned
	Claims      []string           `json:"claims,omitempty"`
	// Contested names the open pull requests that hold what this change claims, where their tickets still
	// wait and nothing else is wrong with it: an approval of this one takes the claims over.
	Contested []int `json:"contested,omitempty"`
	// Confirmed is who confirmed the change as it is, where its requirement asks for that.
	Confirmed string `json:"confirmed,omitempty"`
	// Planned is what an approver chose, where that is in force.
	Planned *Planned `json:"planned,omitempty"`
	// PlannedDigest is the digest that the change has once the head says what the plan says; empty where the
	// plan keeps the wanted spec. Ahead says that the head does not say it yet.
	PlannedDigest string `json:"plannedDigest,omitempty"`
	Ahead         bool   `json:"ahead,omitempty"`
	// Dropped are the top-level fields that a planned spec leaves out.
	Dropped []string `json:"dropped,omitempty"`
	// Grant is how long a console may be used, for VNC_ACCESS.
	Grant time.Duration `json:"grant,omitempty"`
	// System is that of the VM that a request for a console is about, which its path does not name; VM is its
	// name.
	System string `json:"system,omitempty"`
	VM     string `json:"vm,omitempty"`
	// Usage is what the namespace and the system of a VM take; nil where the change is of no such thing.
	Usage *Usage `json:"usage,omitempty"`
	// Trials are VMs that a template or a size of the platform makes, one for each environment.
	Trials   []Trial `json:"trials,omitempty"`
	Document []byte  `json:"-"` // the file at head
}

// Decides reports whether a ticket that was opened for the digest is about this change: as it was asked
// for, or as the plan replaced it.
func (c Change) Decides(digest string) bool {
	return c.Digest == digest || c.Planned != nil && c.Planned.For == digest
}

// Plan is what would be done: where, by which versions of the rules, and the bytes.
type Plan struct {
	Choice
	Template            string             `json:"template,omitempty"`
	TemplateVersion     int                `json:"templateVersion,omitempty"`
	Size                string             `json:"size,omitempty"`
	Disk                string             `json:"disk,omitempty"`
	KubernetesNamespace string             `json:"kubernetesNamespace,omitempty"`
	TemplateSnapshot    *spec.Template     `json:"templateSnapshot,omitempty"`
	SizeSnapshot        *spec.InstanceSize `json:"sizeSnapshot,omitempty"`
	Objects             []string           `json:"objects,omitempty"` // what would be made, as "DataVolume NAME SIZE"; or what becomes of it
	// RestartedAt is set where the plan asks for a restart.
	RestartedAt string `json:"restartedAt,omitempty"`
	// DeletionPolicy is what becomes of the disks, for DELETE_VM.
	DeletionPolicy  spec.DeletionPolicy `json:"deletionPolicy,omitempty"`
	EffectiveDigest string              `json:"effectiveDigest"`
	// Preview is what the cluster answered to a rehearsal, where it was asked; it is no part of what is approved.
	Preview   *render.Preview   `json:"preview,omitempty"`
	Manifests []render.Manifest `json:"-"`
}

// Choice is what an approver may choose and the bot suggests.
type Choice struct {
	Cluster      string `json:"cluster,omitempty"`
	StorageClass string `json:"storageClass,omitempty"`
}

// Blocking reports whether anything stops the pull request.
func (r Report) Blocking() bool {
	if r.Problems.Blocking() {
		return true
	}
	for _, c := range r.Changes {
		if c.Problems.Blocking() {
			return true
		}
	}
	return false
}

// Submittable reports whether the changes become tickets: all valid and permitted, not a draft, not
// from a fork.
func (r Report) Submittable() bool {
	return len(r.Changes) > 0 && !r.Draft && !r.Fork && !r.Blocking()
}

// Takeable reports whether nothing keeps the changes from becoming tickets but that other pull requests,
// which only wait, hold what they claim: an approval takes it over.
func (r Report) Takeable() bool {
	if len(r.Changes) == 0 || r.Draft || r.Fork || r.Problems.Blocking() {
		return false
	}
	contested := false
	for _, c := range r.Changes {
		contested = contested || len(c.Contested) > 0
		if c.Problems.Blocking() && len(c.Contested) == 0 {
			return false
		}
	}
	return contested
}

// Unconfirmed reports whether the change waits for somebody's confirmation.
func (c Change) Unconfirmed() bool { return c.Requirement.Confirm.Needed() && c.Confirmed == "" }

// AllProblems returns every problem of the report in reading order.
func (r Report) AllProblems() domain.Problems {
	all := append(domain.Problems(nil), r.Problems...)
	for _, c := range r.Changes {
		all = append(all, c.Problems...)
	}
	return all.Sorted()
}

// Change returns the change of a path.
func (r Report) Change(path string) (Change, bool) {
	for _, c := range r.Changes {
		if c.Path == path {
			return c, true
		}
	}
	return Change{}, false
}
