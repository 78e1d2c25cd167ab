package github

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func sign(body, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const body = `{"zen": "Keep it logically awesome."}`
	old := hmac.New(sha1.New, []byte("one"))
	old.Write([]byte(body))
	sha1Only := "sha1=" + hex.EncodeToString(old.Sum(nil))
	good := sign(body, "one")
	set := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i+1 < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	secrets := func(s ...string) (out [][]byte) {
		for _, v := range s {
			out = append(out, []byte(v))
		}
		return out
	}
	const name = "X-Hub-Signature-256"
	for label, tc := range map[string]struct {
		header  http.Header
		secrets [][]byte
		want    error
	}{
		"good":                        {set(name, good), secrets("one"), nil},
		"upper-case digits":           {set(name, "sha256="+strings.ToUpper(good[7:])), secrets("one"), nil},
		"the first of two secrets":    {set(name, good), secrets("one", "two"), nil},
		"the second of two secrets":   {set(name, good), secrets("two", "one"), nil},
		"neither of two secrets":      {set(name, good), secrets("two", "three"), ErrSignature},
		"with a wrong SHA-1 beside":   {set(name, good, "X-Hub-Signature", "sha1=00"), secrets("one"), nil},
		"SHA-1 only":                  {set("X-Hub-Signature", sha1Only), secrets("one"), ErrSignature},
		"SHA-1 in the other's place":  {set(name, sha1Only), secrets("one"), ErrSignature},
		"missing":                     {set(), secrets("one"), ErrSignature},
		"empty":                       {set(name, ""), secrets("one"), ErrSignature},
		"twice":                       {set(name, good, name, good), secrets("one"), ErrSignature},
		"good and wrong":              {set(name, good, name, sign(body, "two")), secrets("one"), ErrSignature},
		"another body's":              {set(name, sign("{}", "one")), secrets("one"), ErrSignature},
		"no prefix":                   {set(name, good[7:]), secrets("one"), ErrSignature},
		"upper-case prefix":           {set(name, "SHA256="+good[7:]), secrets("one"), ErrSignature},
		"prefix only":                 {set(name, "sha256="), secrets("one"), ErrSignature},
		"too short":                   {set(name, good[:len(good)-2]), secrets("one"), ErrSignature},
		"odd length":                  {set(name, good[:len(good)-1]), secrets("one"), ErrSignature},
		"too long":                    {set(name, good+"00"), secrets("one"), ErrSignature},
		"not hexadecimal":             {set(name, "sha256="+strings.Repeat("zz", 32)), secrets("one"), ErrSignature},
		"space at the end":            {set(name, good+" "), secrets("one"), ErrSignature},
		"no secrets":                  {set(name, good), nil, ErrNoSecret},
		"empty secret":                {set(name, sign(body, "")), secrets(""), ErrNoSecret},
		"empty secret beside a good":  {set(name, good), secrets("one", ""), ErrNoSecret},
		"nothing signed, nothing set": {set(), nil, ErrNoSecret},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			if err := Verify(tc.header, []byte(body), tc.secrets); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	const guid = "72D3162E-cc78-11e3-81ab-4c9367dc0958"
	for name, tc := range map[string]struct {
		ids, events []string
		good        bool
	}{
		"good":            {[]string{guid}, []string{"pull_request"}, true},
		"no id":           {nil, []string{"push"}, false},
		"two ids":         {[]string{guid, guid}, []string{"push"}, false},
		"a word":          {[]string{"latest"}, []string{"push"}, false},
		"a longer one":    {[]string{guid + "0"}, []string{"push"}, false},
		"a line after":    {[]string{guid + "\n"}, []string{"push"}, false},
		"braces":          {[]string{"{" + guid + "}"}, []string{"push"}, false},
		"no event":        {[]string{guid}, nil, false},
		"two events":      {[]string{guid}, []string{"push", "push"}, false},
		"empty event":     {[]string{guid}, []string{""}, false},
		"upper case":      {[]string{guid}, []string{"Push"}, false},
		"a path":          {[]string{guid}, []string{"../push"}, false},
		"as long as can":  {[]string{guid}, []string{strings.Repeat("a", 64)}, true},
		"longer than can": {[]string{guid}, []string{strings.Repeat("a", 65)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"X-Github-Delivery": tc.ids, "X-Github-Event": tc.events}
			id, event, err := Delivery(h)
			if !tc.good {
				if !errors.Is(err, ErrMalformed) || id != "" || event != "" {
					t.Errorf("got %q %q %v", id, event, err)
				}
				return
			}
			if err != nil || id != strings.ToLower(guid) || event != tc.events[0] {
				t.Errorf("got %q %q %v", id, event, err)
			}
		})
	}
}
