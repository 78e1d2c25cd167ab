package forgetest

import (
	"strings"
	"testing"
)

func FuzzParsePush(f *testing.F) {
	old, now := strings.Repeat("1", 40), strings.Repeat("2", 40)
	f.Add([]byte(pkt(old+" "+now+" refs/heads/main\x00report-status side-band-64k") + "0000PACK"))
	f.Add([]byte(pkt(zeroSHA+" "+now+" refs/heads/new") + pkt(old+" "+zeroSHA+" refs/heads/gone") + "0000"))
	f.Add([]byte("0003"))
	f.Add([]byte("ffffx"))
	f.Fuzz(func(t *testing.T, body []byte) {
		commands, _ := parsePush(body)
		for _, c := range commands {
			if c.ref == "" || c.old == zeroSHA || c.new == zeroSHA {
				t.Errorf("command is %+v", c)
			}
		}
	})
}

func TestParsePush(t *testing.T) {
	t.Parallel()
	old, now := strings.Repeat("1", 40), strings.Repeat("2", 40)
	body := pkt(old+" "+now+" refs/heads/a\x00 report-status") + pkt(zeroSHA+" "+now+" refs/heads/b") + pkt(old+" "+zeroSHA+" refs/heads/c") + "0000PACK..."
	commands, caps := parsePush([]byte(body))
	want := []refUpdate{{ref: "refs/heads/a", old: old, new: now}, {ref: "refs/heads/b", new: now}, {ref: "refs/heads/c", old: old}}
	if len(commands) != 3 || commands[0] != want[0] || commands[1] != want[1] || commands[2] != want[2] || caps != " report-status" {
		t.Errorf("parsed %+v, %q", commands, caps)
	}
}
