package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/render"
)

var grown = []revision{
	{
		Number: 1, At: time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC), Operation: "CREATE_VM", PullRequest: 7, Ticket: "0a1b2c3d", AskedBy: "alice", DecidedBy: "bob",
		Manifests: []render.Manifest{
			{Kind: "Secret", Name: "keys", JSON: []byte(`{"kind":"Secret","stringData":{"alice":"ssh-ed25519 AAAA"}}`)},
			{Kind: "VirtualMachine", Name: "vm", JSON: []byte(`{"kind":"VirtualMachine","spec":{"cores":1,"runStrategy":"Always"}}`)},
		},
	},
	{
		Number: 2, At: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC), Operation: "STOP_VM", PullRequest: 8, Ticket: "4e5f6a7b", AskedBy: "alice",
		Manifests: []render.Manifest{
			{Kind: "Secret", Name: "keys", JSON: []byte(`{"kind":"Secret","stringData":{"alice":"ssh-ed25519 AAAA"}}`)},
			{Kind: "VirtualMachine", Name: "vm", JSON: []byte(`{"kind":"VirtualMachine","spec":{"cores":1,"runStrategy":"Halted"}}`)},
		},
	},
	{Number: 3, At: time.Date(2026, 11, 25, 9, 30, 0, 0, time.UTC), Operation: "DELETE_VM", PullRequest: 9, Ticket: "8c9d0e1f", AskedBy: "alice", DecidedBy: "bob"},
}

const grownText = `
Revisions
1  2026-11-23T09:30:00Z  CREATE_VM  #7  ticket …0a1b2c3d  asked for by alice, approved by bob
    @@ -0,0 +1,9 @@
    +---
    +kind: Secret
    +stringData:
    +  alice: sha256 9de8a231…
    +---
    +kind: VirtualMachine
    +spec:
    +  cores: 1
    +  runStrategy: Always
2  2026-11-24T09:30:00Z  STOP_VM    #8  ticket …4e5f6a7b  asked for by alice
    @@ -6,4 +6,4 @@
     kind: VirtualMachine
     spec:
       cores: 1
    -  runStrategy: Always
    +  runStrategy: Halted
3  2026-11-25T09:30:00Z  DELETE_VM  #9  ticket …8c9d0e1f  asked for by alice, approved by bob
    @@ -1,9 +0,0 @@
    ----
    -kind: Secret
    -stringData:
    -  alice: sha256 9de8a231…
    ----
    -kind: VirtualMachine
    -spec:
    -  cores: 1
    -  runStrategy: Halted
`

// Every revision is followed by what it changed; a secret is not shown.
func TestRevisions(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := printRevisions(&out, grown, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "AAAA") {
		t.Error("a secret is shown")
	}
	if diff := cmp.Diff(grownText, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	out.Reset()
	if err := printRevisions(&out, grown[:1], false); err != nil || strings.Contains(out.String(), "@@") {
		t.Errorf("without --diff: %v: %s", err, out.String())
	}
}

// What cannot be read is an error, with its number.
func TestRevisionsBroken(t *testing.T) {
	t.Parallel()
	broken := []revision{{Number: 4, Manifests: []render.Manifest{{Kind: "VirtualMachine", Name: "vm", JSON: []byte("{")}}}}
	if err := printRevisions(&strings.Builder{}, broken, true); err == nil || !strings.Contains(err.Error(), "revision 4") {
		t.Errorf("got %v", err)
	}
}
