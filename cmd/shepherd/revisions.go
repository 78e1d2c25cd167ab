package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pmezard/go-difflib/difflib"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/render"
)

// printRevisions lists what a cluster was given, oldest first, each with what it changed.
func printRevisions(out io.Writer, revisions []revision, diffs bool) error {
	if len(revisions) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nRevisions\n")
	before := ""
	for _, r := range revisions {
		decided := ""
		if r.DecidedBy != "" {
			decided = ", approved by " + r.DecidedBy
		}
		fmt.Fprintf(out, "%d  %s  %-10s #%d  ticket …%s  asked for by %s%s\n", r.Number, r.At.UTC().Format(time.RFC3339), r.Operation, r.PullRequest, r.Ticket, r.AskedBy, decided)
		if !diffs {
			continue
		}
		now, err := objectsAsText(r.Manifests)
		if err != nil {
			return fmt.Errorf("show revision %d: %w", r.Number, err)
		}
		if err := printDiff(out, before, now); err != nil {
			return fmt.Errorf("show revision %d: %w", r.Number, err)
		}
		before = now
	}
	return nil
}

// contextLines is how many unchanged lines stand around a change.
const contextLines = 3

func printDiff(out io.Writer, before, now string) error {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: linesOf(before), B: linesOf(now), Context: contextLines})
	if err != nil {
		return err
	}
	if text == "" {
		text = "(the same objects)\n"
	}
	for line := range strings.Lines(text) {
		fmt.Fprint(out, "    ", strings.TrimRight(line, "\n"), "\n")
	}
	return nil
}

func linesOf(text string) []string { return slices.Collect(strings.Lines(text)) }

// objectsAsText are manifests as people read them. What a Secret holds is replaced by a digest of it: a
// change is seen, its content is not.
func objectsAsText(manifests []render.Manifest) (string, error) {
	var b strings.Builder
	for _, m := range manifests {
		var object map[string]any
		if err := json.Unmarshal(m.JSON, &object); err != nil {
			return "", fmt.Errorf("%s %s: %w", m.Kind, m.Name, err)
		}
		if m.Kind == render.KindSecret {
			for _, field := range []string{"data", "stringData"} {
				hide(object, field)
			}
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return "", fmt.Errorf("%s %s: %w", m.Kind, m.Name, err)
		}
		b.WriteString("---\n" + string(text))
	}
	return b.String(), nil
}

func hide(object map[string]any, field string) {
	values, _ := object[field].(map[string]any)
	for key, value := range values {
		sum := sha256.Sum256([]byte(fmt.Sprint(value)))
		values[key] = fmt.Sprintf("sha256 %x…", sum[:4])
	}
}
