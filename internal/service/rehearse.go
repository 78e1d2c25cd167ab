package service

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// rehearse asks a cluster what one plan would do there.
func rehearse(ctx context.Context, c *provider.Cluster, r render.PreviewRequest) (render.Preview, error) {
	target, err := targetOf(r)
	if err != nil {
		return render.Preview{}, err
	}
	changes, err := c.Preview(ctx, target, provided(r.Manifests))
	if err != nil {
		return render.Preview{}, err
	}
	return previewOf(changes), nil
}

// targetOf is what is known of the VM that a request is about. The envelope is not: which approval and which
// commit it will name is decided later.
func targetOf(r render.PreviewRequest) (provider.Target, error) {
	t := provider.Target{
		Identity: render.Labels(render.Input{Ref: r.Ref, Environment: r.Environment}),
		UID:      r.UID, Creating: r.UID == "", Previous: provided(r.Previous), Kept: render.EnvelopeKeys(),
		Power: r.Operation == domain.StartVM || r.Operation == domain.StopVM,
	}
	if t.Power || len(r.Previous) == 0 || r.Operation.Removes() {
		return t, nil
	}
	is, err := powerOf(r.Previous)
	if err != nil {
		return t, fmt.Errorf("what was applied last: %w", err)
	}
	wanted, err := powerOf(r.Manifests)
	t.Power = is != wanted
	return t, err
}

// previewOf puts a cluster's answer into words.
func previewOf(changes provider.ChangeSet) render.Preview {
	var p render.Preview
	for _, c := range changes {
		o := render.ObjectPreview{Kind: c.Kind, Name: c.Name, Action: string(c.Action)}
		for _, d := range c.Diffs {
			o.Fields = append(o.Fields, render.FieldChange{Path: d.String(), From: shown(d.From), To: shown(d.To)})
		}
		p.Objects = append(p.Objects, o)
	}
	if text := note(changes); text != "" {
		p.Notes = strings.Split(text, "\n")
	}
	return p
}

// maxShown is how much of a value is shown, in runes.
const maxShown = 120

// shown is a value for people: short, on one line, and empty for an absent one.
func shown(v any) string {
	if v == nil {
		return ""
	}
	text, isText := v.(string)
	if !isText || text == "" {
		data, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		text = string(data)
	}
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxShown {
		return string(runes[:maxShown-1]) + "…"
	}
	return string(runes)
}
