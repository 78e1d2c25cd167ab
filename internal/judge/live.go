package judge

import (
	"strconv"

	"kv-shepherd.io/shepherd/internal/render"
)

// Stands reports whether a live object, by its labels and annotations, is this very change applied: the
// VM's identity, and the plan that would be made for it now. sequence is the event's that applied it.
func (c Change) Stands(labels, annotations map[string]string) (sequence int64, ok bool) {
	for key, want := range render.Labels(render.Input{Ref: c.Ref, Environment: c.Environment}) {
		if labels[key] != want {
			return 0, false
		}
	}
	if c.Plan == nil || annotations[render.AnnotationEffectiveDigest] != c.Plan.EffectiveDigest {
		return 0, false
	}
	sequence, err := strconv.ParseInt(annotations[render.AnnotationSequence], 10, 64)
	return sequence, err == nil && sequence > 0
}
