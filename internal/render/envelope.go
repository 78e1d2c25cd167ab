package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Envelope is why an object exists: known only after approval or merge, and so no part of what is
// approved. Empty members are left out.
type Envelope struct {
	Ticket          string // the approval ticket's id
	Creator         string // who asked, as the forge names them
	PullRequest     string // URL
	MergeCommit     string
	ChangeDigest    string
	EffectiveDigest string
	Event           string // the domain event's id
	Sequence        int64  // the VM's events in merge order, from 1
}

// The keys of the envelope's annotations.
const (
	AnnotationTicket          = Prefix + "ticket-id"
	AnnotationCreator         = Prefix + "created-by"
	AnnotationPullRequest     = Prefix + "pull-request"
	AnnotationMergeCommit     = Prefix + "merge-commit"
	AnnotationChangeDigest    = Prefix + "change-digest"
	AnnotationEffectiveDigest = Prefix + "effective-digest"
	AnnotationEvent           = Prefix + "event-id"
	AnnotationSequence        = Prefix + "sequence"
)

var envelopeAnnotations = []string{
	AnnotationTicket, AnnotationCreator, AnnotationPullRequest, AnnotationMergeCommit,
	AnnotationChangeDigest, AnnotationEffectiveDigest, AnnotationEvent, AnnotationSequence,
}

// envelopeLabels are kept as labels too, to select by, where the value is a legal label: a person's
// name on a forge ("renovate[bot]", an e-mail address) often is not.
var envelopeLabels = []string{AnnotationTicket, AnnotationCreator}

// EnvelopeKeys are the keys of the labels and annotations that an envelope may write.
func EnvelopeKeys() []string { return slices.Clone(envelopeAnnotations) }

func (e Envelope) annotations() map[string]string {
	out := map[string]string{
		AnnotationTicket:          e.Ticket,
		AnnotationCreator:         e.Creator,
		AnnotationPullRequest:     e.PullRequest,
		AnnotationMergeCommit:     e.MergeCommit,
		AnnotationChangeDigest:    e.ChangeDigest,
		AnnotationEffectiveDigest: e.EffectiveDigest,
		AnnotationEvent:           e.Event,
	}
	if e.Sequence > 0 {
		out[AnnotationSequence] = strconv.FormatInt(e.Sequence, 10)
	}
	return out
}

// WithEnvelope returns the manifest with e in its own metadata, never in that of a VM's template:
// a changed template would ask for a restart. An envelope that was there before is replaced.
func WithEnvelope(m Manifest, e Envelope) (Manifest, error) {
	object, err := m.object()
	if err != nil {
		return Manifest{}, err
	}
	stripEnvelope(object)
	for key, value := range e.annotations() {
		if value != "" {
			metadata(object, "annotations")[key] = value
		}
	}
	for _, key := range envelopeLabels {
		value := e.annotations()[key]
		if value != "" && len(validation.IsValidLabelValue(value)) == 0 {
			metadata(object, "labels")[key] = value
		}
	}
	return fromMap(object)
}

// EffectiveDigest is the SHA-256, in hexadecimal, over the canonical JSON of the choices made for a
// plan (cluster, snapshots, ...) and of its manifests in order, less their envelopes. It fails only
// when choice cannot be written as JSON or a manifest is none.
func EffectiveDigest(choice any, ms []Manifest) (string, error) {
	objects := make([]any, 0, len(ms))
	for _, m := range ms {
		object, err := m.object()
		if err != nil {
			return "", err
		}
		stripEnvelope(object)
		objects = append(objects, object)
	}
	data, err := canonical(map[string]any{"choice": choice, "manifests": objects})
	if err != nil {
		return "", fmt.Errorf("digest plan: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

func (m Manifest) object() (map[string]any, error) {
	var object map[string]any
	if err := json.Unmarshal(m.JSON, &object); err != nil {
		return nil, fmt.Errorf("read manifest %s %s: %w", m.Kind, m.Name, err)
	}
	return object, nil
}

// metadata returns a map below metadata, making it where it is missing.
func metadata(object map[string]any, key string) map[string]any {
	meta, ok := object["metadata"].(map[string]any)
	if !ok {
		meta = map[string]any{}
		object["metadata"] = meta
	}
	values, ok := meta[key].(map[string]any)
	if !ok {
		values = map[string]any{}
		meta[key] = values
	}
	return values
}

func stripEnvelope(object map[string]any) {
	for part, keys := range map[string][]string{"annotations": envelopeAnnotations, "labels": envelopeLabels} {
		values := metadata(object, part)
		for _, key := range keys {
			delete(values, key)
		}
		if len(values) == 0 {
			delete(object["metadata"].(map[string]any), part)
		}
	}
}
