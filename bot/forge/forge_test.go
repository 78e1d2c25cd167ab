package forge_test

import (
	"testing"

	"kv-shepherd.io/shepherd/bot/forge"
)

func TestSuggestion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                    "```suggestion\n```\n",
		"a: 1":                "```suggestion\na: 1\n```\n",
		"a: 1\nb: 2\n":        "```suggestion\na: 1\nb: 2\n```\n",
		"```\n/plan\n":        "````suggestion\n```\n/plan\n````\n",
		"`````\n@everybody\n": "``````suggestion\n`````\n@everybody\n``````\n",
	} {
		if got := forge.Suggestion(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestFirstMergeMethod(t *testing.T) {
	t.Parallel()
	for methods, want := range map[forge.MergeMethods]string{
		{}: "", {Merge: true, Squash: true, Rebase: true}: "merge", {Squash: true, Rebase: true}: "squash", {Rebase: true}: "rebase",
	} {
		if got := methods.First(); got != want {
			t.Errorf("%+v: %q, want %q", methods, got, want)
		}
	}
}
