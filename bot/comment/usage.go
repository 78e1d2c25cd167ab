package comment

import (
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// usage is how much of their limits the namespace and the system of a VM take, without and with the pull
// request. What has no limit is not told.
func usage(c judge.Change, item func(string, ...any)) {
	if c.Usage == nil {
		return
	}
	var parts []string
	add := func(whose string, taken policy.Span, limits *spec.Limits) {
		if words := limited(taken, limits); words != "" {
			parts = append(parts, whose+" "+words)
		}
	}
	add("namespace "+code(c.Ref.Namespace), c.Usage.Namespace, c.Usage.NamespaceLimits)
	add("system "+code(c.Ref.System), c.Usage.System, c.Usage.SystemLimits)
	if len(parts) > 0 {
		item("Limits: %s", strings.Join(parts, "; "))
	}
}

func limited(taken policy.Span, limits *spec.Limits) string {
	var out []string
	for _, m := range judge.Measures {
		limit, ok := m.Limit(limits)
		if !ok {
			continue
		}
		before, after := m.Number(m.Of(taken.Before)), m.Number(m.Of(taken.After))
		if before != after {
			after = before + " → " + after
		}
		out = append(out, after+" of "+m.Words(limit))
	}
	return strings.Join(out, ", ")
}
