package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/seal"
)

// key is one leaf of the configuration.
type key struct {
	path  []string // in YAML
	env   string
	index []int // in the struct
	field reflect.StructField
}

// keysOf walks the struct, so that no key can be forgotten here.
func keysOf(t reflect.Type, k key) (out []key) {
	for i := range t.NumField() {
		f := t.Field(i)
		sub := key{
			path:  append(append([]string{}, k.path...), f.Tag.Get("json")),
			env:   k.env + f.Tag.Get("envPrefix") + f.Tag.Get("env"),
			index: append(append([]int{}, k.index...), i), field: f,
		}
		if f.Tag.Get("envPrefix") != "" {
			out = append(out, keysOf(f.Type, sub)...)
			continue
		}
		out = append(out, sub)
	}
	return out
}

func allKeys() []key { return keysOf(reflect.TypeFor[Config](), key{env: "SHEPHERD_"}) }

// sample is a value as the environment and as YAML write it, and what it has to become.
type sample struct {
	env  string
	yaml any
	want any
}

// samples gives two different values for a key, by its type.
func samples(t *testing.T, k key) [2]sample {
	t.Helper()
	var out [2]sample
	for i := range out {
		text := fmt.Sprintf("value-%d", i)
		switch reflect.Zero(k.field.Type).Interface().(type) {
		case string:
			if strings.HasSuffix(k.field.Name, "File") {
				text = filepath.Join(t.TempDir(), text)
				if err := os.WriteFile(text, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out[i] = sample{text, text, text}
		case bool:
			on := i == 0
			out[i] = sample{fmt.Sprint(on), on, on}
		case LimitRules:
			text = fmt.Sprintf("[{role: operator, creates: %d}, {environment: prod, perHour: 0}]", 70+i)
			out[i] = sample{text, []map[string]any{{"role": "operator", "creates": 70 + i}, {"environment": "prod", "perHour": 0}},
				LimitRules{{Role: "operator", Creates: new(70 + i)}, {Environment: domain.Prod, PerHour: new(0)}}}
		case []Rate:
			out[i] = sample{fmt.Sprintf("%d/1m,500/1h", 70+i), []string{fmt.Sprintf("%d/60s", 70+i), "500/60m"}, []Rate{{70 + i, time.Minute}, {500, time.Hour}}}
		case int64:
			out[i] = sample{fmt.Sprint(70 + i), 70 + i, int64(70 + i)}
		case int:
			out[i] = sample{fmt.Sprint(70 + i), 70 + i, 70 + i}
		case Duration:
			text = fmt.Sprintf("%ds", 70+i)
			out[i] = sample{text, text, Duration(time.Duration(70+i) * time.Second)}
		case seal.Secret:
			out[i] = sample{text, text, seal.NewSecret(text)}
		case []seal.Secret:
			out[i] = sample{text + ",second", []string{text, "second"}, []seal.Secret{seal.NewSecret(text), seal.NewSecret("second")}}
		case []Administrator:
			out[i] = sample{fmt.Sprintf("dave:%d,erin:9", 70+i), []map[string]any{{"login": "dave", "id": 70 + i}, {"login": "erin", "id": 9}},
				[]Administrator{{Login: "dave", ID: int64(70 + i)}, {Login: "erin", ID: 9}}}
		case []string:
			out[i] = sample{text + ",second/of", []string{text, "second/of"}, []string{text, "second/of"}}
		case []domain.Operation:
			out[i] = sample{text + ",STOP_VM", []string{text, "STOP_VM"}, []domain.Operation{domain.Operation(text), domain.StopVM}}
		default:
			t.Fatalf("%s has a type that this test does not know: %s", k.env, k.field.Type)
		}
	}
	return out
}

// file writes a configuration with one key.
func file(t *testing.T, k key, value any) string {
	t.Helper()
	for i := len(k.path) - 1; i >= 0; i-- {
		value = map[string]any{k.path[i]: value}
	}
	data, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, string(data))
}

// Every key can be set in the file and overridden by the environment, under the name that its path gives.
func TestEveryKey(t *testing.T) {
	t.Parallel()
	keys := allKeys()
	if len(keys) < 20 {
		t.Fatalf("found %d keys", len(keys))
	}
	seen := map[string]bool{}
	for _, k := range keys {
		if k.env == "SHEPHERD_" || strings.HasSuffix(k.env, "_") || seen[k.env] || k.path[len(k.path)-1] == "" {
			t.Errorf("%v has no name of its own: %s", k.path, k.env)
		}
		seen[k.env] = true
		if want := "SHEPHERD_" + screaming(strings.Join(k.path, "_")); k.env != want {
			t.Errorf("%s is %s in the environment, want %s", strings.Join(k.path, "."), k.env, want)
		}
		t.Run(strings.Join(k.path, "."), func(t *testing.T) {
			t.Parallel()
			s := samples(t, k)
			for name, c := range map[string]struct {
				file    string
				environ map[string]string
				want    any
			}{
				"file":        {file(t, k, s[0].yaml), nil, s[0].want},
				"environment": {"", map[string]string{k.env: s[1].env}, s[1].want},
				"both":        {file(t, k, s[0].yaml), map[string]string{k.env: s[1].env}, s[1].want},
			} {
				cfg, err := Load(c.file, c.environ)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := reflect.ValueOf(cfg).FieldByIndex(k.index).Interface(); !reflect.DeepEqual(got, c.want) {
					t.Errorf("%s: %v, want %v", name, reveal(got), reveal(c.want))
				}
			}
		})
	}
}

// screaming is camelCase as environments write it: dataDir is DATA_DIR, baseURL BASE_URL.
func screaming(camel string) string {
	var b strings.Builder
	for i, r := range camel {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && camel[i-1] >= 'a' && camel[i-1] <= 'z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

func reveal(v any) any {
	switch v := v.(type) {
	case seal.Secret:
		return v.Reveal()
	case []seal.Secret:
		var out []string
		for _, s := range v {
			out = append(out, s.Reveal())
		}
		return out
	}
	return v
}

// However a configuration is printed, no secret shows.
func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const canary = "canary-of-a-secret"
	environ := map[string]string{}
	for _, k := range allKeys() {
		if k.field.Type == reflect.TypeFor[seal.Secret]() || k.field.Type == reflect.TypeFor[[]seal.Secret]() {
			environ[k.env] = canary
		}
	}
	if len(environ) < 4 {
		t.Fatalf("only %d secrets: %v", len(environ), environ)
	}
	cfg, err := Load("", environ)
	if err != nil {
		t.Fatal(err)
	}
	type wrapper struct {
		cfg     Config //nolint:unused // printed
		pointer *Config
	}
	var text, jsonLog bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&jsonLog, nil)} {
		slog.New(h).Info("started", "config", cfg, "pointer", &cfg, "token", cfg.GitHub.Token, "secrets", cfg.GitHub.WebhookSecrets)
	}
	printed := map[string]string{"text log": text.String(), "JSON log": jsonLog.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed[verb] = fmt.Sprintf(verb, cfg)
		printed[verb+" of a wrapper"] = fmt.Sprintf(verb, wrapper{cfg, &cfg})
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": func(v any) ([]byte, error) { return yaml.Marshal(v) }} {
		data, err := marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		printed[name] = string(data)
	}
	if err := cfg.Check(); err != nil {
		printed["what Check says"] = err.Error()
	}
	for how, out := range printed {
		if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows a secret: %s", how, out)
		}
	}
}
