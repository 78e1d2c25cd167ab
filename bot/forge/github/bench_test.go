package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// typicalPullRequest is a delivery of the size that GitHub sends: most of it is addresses.
func typicalPullRequest(tb testing.TB) []byte {
	tb.Helper()
	var whole fields
	if err := json.Unmarshal([]byte(bodies["pull_request"]), &whole); err != nil {
		tb.Fatal(err)
	}
	addresses := func(kind string, n int) fields {
		out := fields{"id": 4711}
		for i := range n {
			out[fmt.Sprintf("%s_%d_url", kind, i)] = fmt.Sprintf("https://api.github.com/%s/acme/vms/%d{/sha}", kind, i)
		}
		return out
	}
	pull := whole["pull_request"].(fields)
	for _, side := range []string{"head", "base"} {
		pull[side] = fields{"sha": headSHA, "ref": "main", "user": addresses("users", 13), "repo": addresses("repos", 80)}
	}
	pull["user"], whole["repository"] = addresses("users", 13), addresses("repos", 80)
	body, err := json.Marshal(whole)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func BenchmarkVerifyAndParse(b *testing.B) {
	body := typicalPullRequest(b)
	header := http.Header{"X-Hub-Signature-256": {sign(string(body), "secret")}}
	secrets := [][]byte{[]byte("new"), []byte("secret")}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Verify(header, body, secrets); err != nil {
			b.Fatal(err)
		}
		if _, err := Parse("pull_request", body); err != nil {
			b.Fatal(err)
		}
	}
}
