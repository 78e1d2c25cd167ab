package comment

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/judge"
)

// manyDropped is from how many left out fields on a planned spec looks like a slip.
const manyDropped = 5

// choices are what somebody planned, against what the branch says.
func choices(p judge.Planned, wanted json.RawMessage) string {
	var words []string
	add := func(what, value string) {
		if value != "" {
			words = append(words, what+" "+value)
		}
	}
	add("cluster", code(p.Cluster))
	add("storage class", code(p.StorageClass))
	if p.TemplateVersion > 0 {
		add("template version", fmt.Sprint(p.TemplateVersion))
	}
	for _, f := range differences(wanted, p.ModifiedSpec) {
		words = append(words, f.String())
	}
	return listed(words, 12)
}

// plannedBy are the plans that approvers changed: who, what and why.
func plannedBy(v *reading) []string {
	var out []aloud
	for _, r := range v.rows {
		p := r.Change.Planned
		if p == nil || r.at == overtaken {
			continue
		}
		text := person(p.By) + ": " + cmp.Or(choices(*p, r.Change.Wanted), "the spec as the branch has it now")
		if why := Escape(p.Reason, maxReason); why != "" {
			text += ", because " + why
		}
		out = append(out, aloud{text + dropped(r.Change.Dropped), []Row{r.Row}})
	}
	return group(out, len(v.rows))
}

// dropped warns of a planned spec that leaves much out.
func dropped(fields []string) string {
	if len(fields) < manyDropped {
		return ""
	}
	var out []string
	for _, f := range fields {
		out = append(out, code(f))
	}
	return fmt.Sprintf(". ⚠️ It leaves out %d fields: %s", len(fields), listed(out, 12))
}

// plannedFiles are the files that the branch has to hold before the plan can be merged.
func plannedFiles(v *reading) (out []string) {
	for _, r := range v.rows {
		if c := r.Change; c.Ahead && c.Planned != nil {
			if text := plannedFile(c.Ref, c.Path, c.Planned.ModifiedSpec); text != "" {
				out = append(out, text)
			}
		}
	}
	return out
}

// plannedFile is one file with its path, to be pasted.
func plannedFile(ref spec.Ref, path string, modified json.RawMessage) string {
	text := document(ref.Kind, modified)
	if text == "" {
		return ""
	}
	return Escape(path, maxPath) + "\n\n```yaml\n" + strings.TrimRight(text, "\n") + "\n```\n\n"
}
