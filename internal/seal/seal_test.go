package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/seal"
)

// rawKey is 32 bytes that cannot turn up by accident in what a test prints.
func rawKey(b byte) []byte { return bytes.Repeat([]byte{b, 0xfb, 0xff, b}, 8) }

func ring(t testing.TB, text string) *seal.Keyring {
	t.Helper()
	k, err := seal.ParseKeyring(seal.NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func named(id string, b byte) string { return id + ":" + hex.EncodeToString(rawKey(b)) }

func TestSealOpens(t *testing.T) {
	t.Parallel()
	k := ring(t, named("a", 1))
	for _, plaintext := range []string{"", "x", strings.Repeat("kubeconfig ", 10_000)} {
		sealed := k.Seal([]byte(plaintext), []byte("cluster/prod-east"))
		if len(plaintext) > 1 && bytes.Contains(sealed, []byte(plaintext[:10])) {
			t.Error("the plaintext shows in the sealed value")
		}
		got, err := k.Open(sealed, []byte("cluster/prod-east"))
		if err != nil || string(got) != plaintext {
			t.Errorf("open: %d bytes, %v; want %d bytes", len(got), err, len(plaintext))
		}
	}
}

func TestSealingTwiceDiffers(t *testing.T) {
	t.Parallel()
	k := ring(t, named("a", 1))
	if bytes.Equal(k.Seal([]byte("same"), nil), k.Seal([]byte("same"), nil)) {
		t.Error("two seals of one plaintext are equal: the nonce repeats")
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	t.Parallel()
	k := ring(t, named("a", 1)+","+named("b", 2))
	sealed := k.Seal([]byte("kubeconfig"), []byte("row"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 3 // turns the key id "a" into "b", which exists
		if _, err := k.Open(changed, []byte("row")); err == nil {
			t.Errorf("byte %d changed and it still opens", i)
		}
		if _, err := k.Open(sealed[:i], []byte("row")); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("cut to %d bytes: %v, want ErrTampered", i, err)
		}
	}
}

func TestAssociatedDataBinds(t *testing.T) {
	t.Parallel()
	k := ring(t, named("a", 1))
	sealed := k.Seal([]byte("kubeconfig"), []byte("cluster/test"))
	for _, other := range []string{"cluster/prod", "", "cluster/test2"} {
		if _, err := k.Open(sealed, []byte(other)); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("open as %q: %v, want ErrTampered", other, err)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before := ring(t, named("old", 1))
	during := ring(t, named("new", 2)+"\n"+named("old", 1))
	after := ring(t, named("new", 2))

	sealed := before.Seal([]byte("kubeconfig"), nil)
	got, err := during.Open(sealed, nil)
	if err != nil || string(got) != "kubeconfig" {
		t.Fatalf("during rotation: %q, %v", got, err)
	}
	resealed := during.Seal(got, nil)
	if id, err := seal.KeyID(resealed); id != "new" || err != nil {
		t.Errorf("sealed again with %q, %v; want the first key", id, err)
	}
	if _, err := after.Open(resealed, nil); err != nil {
		t.Errorf("after rotation: %v", err)
	}
	var unknown seal.UnknownKeyError
	if _, err := after.Open(sealed, nil); !errors.As(err, &unknown) || unknown.KeyID != "old" {
		t.Errorf("old value after rotation: %v, want UnknownKeyError for old", err)
	}
}

func TestParseKeyring(t *testing.T) {
	t.Parallel()
	raw := rawKey(7)
	std, url := base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)
	const derived = "43734fb2" // the first 8 hex digits of the SHA-256 of the 32 bytes
	tests := []struct {
		name, text string
		ids        []string
		err        string
	}{
		{name: "hex", text: hex.EncodeToString(raw), ids: []string{derived}},
		{name: "upper hex", text: strings.ToUpper(hex.EncodeToString(raw)), ids: []string{derived}},
		{name: "base64", text: std, ids: []string{derived}},
		{name: "base64 url", text: url, ids: []string{derived}},
		{name: "named base64", text: "k-2026:" + std, ids: []string{"k-2026"}},
		{name: "several", text: "  b:" + std + ",\n" + named("a", 1) + "\n", ids: []string{"b", "a"}},
		{name: "empty", text: " \n", err: "keyring is empty"},
		{name: "short", text: hex.EncodeToString(raw[:31]), err: "key 1: not 32 bytes"},
		{name: "second is bad", text: std + ",passphrase", err: "key 2: not 32 bytes"},
		{name: "bad id", text: "a/b:" + std, err: "id is not"},
		{name: "empty id", text: ":" + std, err: "id is not"},
		{name: "id twice", text: named("a", 1) + "," + named("a", 2), err: `key 2: id "a" is taken`},
		{name: "key twice", text: std + "," + url, err: "is taken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, err := seal.ParseKeyring(seal.NewSecret(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				if strings.Contains(err.Error(), std[:12]) || strings.Contains(err.Error(), "passphrase") {
					t.Errorf("the error shows key material: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.ids, k.IDs()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothingPrintsKeysOrSecrets(t *testing.T) {
	t.Parallel()
	type config struct {
		Keys   *seal.Keyring
		Token  seal.Secret
		hidden seal.Secret
		keys   *seal.Keyring
	}
	const token = "hunter2-hunter2"
	k := ring(t, named("a", 'K'))
	c := config{k, seal.NewSecret(token), seal.NewSecret(token), k}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", c.Keys, c.Token, c)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("start", "keys", c.Keys, "token", c.Token, "config", c, "pointer", &c.Token)
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "keys", c.Keys, "token", c.Token, "config", c)
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		text, err := marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	raw := rawKey('K')
	for _, leak := range []string{
		token, hex.EncodeToString([]byte(token)), string(raw[:4]), hex.EncodeToString(raw[:4]),
		fmt.Sprint(raw[:4])[1:12], fmt.Sprintf("%#v", raw[:3])[7:20], base64.StdEncoding.EncodeToString(raw)[:8],
	} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(leak)) {
			t.Errorf("%q shows in:\n%s", leak, out.String())
		}
	}
	if !strings.Contains(out.String(), "[redacted]") || !strings.Contains(out.String(), "keyring(a)") {
		t.Errorf("nothing tells that something was left out:\n%s", out.String())
	}
}

func TestSecretDecodes(t *testing.T) {
	t.Parallel()
	var fromYAML, fromJSON struct {
		Token seal.Secret `json:"token" yaml:"token"`
	}
	if err := yaml.Unmarshal([]byte("token: s3cret"), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"token": "s3cret"}`), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if fromYAML.Token.Reveal() != "s3cret" || !fromYAML.Token.Equal(fromJSON.Token) {
		t.Errorf("YAML and JSON decode to different secrets")
	}
	var none seal.Secret
	if !none.Empty() || none.String() != "" || none.Equal(fromYAML.Token) {
		t.Errorf("the zero secret is not empty")
	}
}

func FuzzOpen(f *testing.F) {
	k := ring(f, named("a", 1))
	good := k.Seal([]byte("kubeconfig"), []byte("row"))
	f.Add(good, []byte("row"))
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1, 255}, []byte("row"))
	f.Add(append([]byte{1, 1, 'b'}, good[3:]...), []byte("row"))
	f.Fuzz(func(t *testing.T, sealed, associated []byte) {
		got, err := k.Open(sealed, associated)
		if err == nil {
			// Each fuzzing process seals its own seed, so the bytes differ; the content does not.
			if string(associated) != "row" || string(got) != "kubeconfig" {
				t.Fatalf("opened a value that was never sealed: %x", sealed)
			}
			return
		}
		var unknown seal.UnknownKeyError
		if !errors.Is(err, seal.ErrTampered) && !errors.As(err, &unknown) {
			t.Fatalf("error of no known kind: %v", err)
		}
	})
}
