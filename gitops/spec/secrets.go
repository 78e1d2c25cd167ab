package spec

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

var (
	secretForm = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY|PuTTY-User-Key-File-[0-9]:|\b(?:gh[pousr]_[A-Za-z0-9]{36}|ghs_[0-9]+_eyJ[A-Za-z0-9_-]{20}|github_pat_[A-Za-z0-9_]{60})`)
	encodedPEM = regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/]{20,60}`)
	markers    = [][]byte{[]byte("PRIVATE KEY"), []byte("PuTTY-User"), []byte("gh"), []byte("LS0tLS1CRUdJTi")}
)

// findSecret looks for private keys and tokens in a whole file, comments and all. What it finds is
// never repeated in the problem.
func findSecret(data []byte) *domain.Problem {
	if !mayHoldSecret(data) {
		return nil
	}
	for i, line := range strings.Split(string(data), "\n") {
		if secretForm.MatchString(line) || encodedKey(line) {
			p := secretProblem(&yaml.Node{Line: i + 1}, "this line looks like a private key or a token")
			return &p
		}
	}
	return nil
}

func mayHoldSecret(data []byte) bool {
	for _, m := range markers {
		if bytes.Contains(data, m) {
			return true
		}
	}
	return false
}

func encodedKey(line string) bool {
	for _, m := range encodedPEM.FindAllString(line, -1) {
		plain, err := base64.StdEncoding.DecodeString(m[:len(m)/4*4])
		if err == nil && bytes.Contains(plain, []byte("PRIVATE KEY")) {
			return true
		}
	}
	return false
}

func secretProblem(n *yaml.Node, message string) domain.Problem {
	return problemAt(n, domain.SecretSuspected, message,
		"secrets never go into git: treat it as lost, replace it where it is used, and remove it here")
}
