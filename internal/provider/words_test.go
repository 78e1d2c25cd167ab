package provider

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", `admission webhook "x" denied the request: no`, `admission webhook "x" denied the request: no`},
		{"lines", "a\n\tb\r\n c ", "a b c"},
		{"control", "a\x1b[31mb\x00c", "a[31mbc"},
		{"direction", "a\u202eb\u200bc\ufeff", "abc"},
		{"a dumped value", `.spec.volumes: expected list, got &value.valueUnstructured{Value:map["userData":"hunter2"]}`,
			".spec.volumes: expected list, got something else"},
		{"long", strings.Repeat("é", 1000), strings.Repeat("é", maxWords-1) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := words(tt.in); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func FuzzWords(f *testing.F) {
	f.Add("a\x1b[0m\u202e")
	f.Add(strings.Repeat("x ", 500))
	f.Fuzz(func(t *testing.T, in string) {
		got := words(in)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxWords {
			t.Fatalf("invalid or too long: %q", got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Fatalf("control characters in %q", got)
		}
	})
}
