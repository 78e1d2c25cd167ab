package github

import (
	"net/http"
	"testing"
)

func BenchmarkVerifyAndParse(b *testing.B) {
	var body []byte
	for _, d := range deliveries(b) {
		if d.Event == "pull_request" && d.Action == "synchronize" {
			body = d.Payload
		}
	}
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
	b.ReportMetric(float64(len(body)), "bytes")
}
