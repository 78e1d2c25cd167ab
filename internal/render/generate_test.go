package render

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// The specification's own examples.
func TestSHA512Crypt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ password, salt, want string }{
		{"Hello world!", "saltstring", "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"This is just a test", "toolongsaltstrin", "lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
	} {
		got, err := sha512Crypt(tc.password, tc.salt)
		if err != nil || !strings.HasPrefix(got, "$6$") || !strings.HasSuffix(got, "$"+tc.salt+"$"+tc.want) {
			t.Errorf("%s %v", got, err)
		}
	}
	if got, err := sha512Crypt("x", "a salt that is longer than sixteen"); err == nil {
		t.Errorf("took too much salt: %s", got)
	}
}

func passworded() Input {
	in := example()
	in.Template.InitialPassword = &spec.InitialPassword{User: "ubuntu"}
	return in
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	ms, problems := Render(passworded())
	if problems.Blocking() {
		t.Fatal(problems)
	}
	one, err := Generate(ms, "p1", "salt")
	two, err2 := Generate(ms, "p2", "salt")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	again, _ := Generate(ms, "p1", "salt")
	if diff := cmp.Diff(one, again); diff != "" {
		t.Errorf("not the same twice: %s", diff)
	}
	var marks []string
	for i, m := range ms {
		what := Generates(m)
		if changed := !bytes.Equal(one[i].JSON, m.JSON); changed != (what != "") || changed == bytes.Equal(one[i].JSON, two[i].JSON) {
			t.Errorf("%s %s is marked %q, changed %v", m.Kind, m.Name, what, changed)
		}
		if what != "" {
			marks = append(marks, what+" "+m.Name)
		}
	}
	want := []string{"password test-shop-shop-redis-07-initial-password", "userdata test-shop-shop-redis-07-cloudinit"}
	if diff := cmp.Diff(want, marks); diff != "" {
		t.Error(diff)
	}
}

func TestGenerateNothing(t *testing.T) {
	t.Parallel()
	ms, _ := Render(example())
	same, err := Generate(ms, "p", "salt")
	if diff := cmp.Diff(ms, same); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	marked, _ := Render(passworded())
	for name, broken := range map[string][]Manifest{
		"without the Secret that says whose": slices.DeleteFunc(slices.Clone(marked), func(m Manifest) bool { return Generates(m) == GeneratePassword }),
		"nobody's":                           {edited(t, marked[0], `"username":"dWJ1bnR1"`, `"username":""`)},
		"unknown":                            {marked[0], edited(t, marked[1], `"generate":"userdata"`, `"generate":"else"`)},
		"no base64":                          {marked[0], edited(t, marked[1], `"userdata":"`, `"userdata":"!`)},
	} {
		if out, err := Generate(broken, "p", "salt"); err == nil {
			t.Errorf("%s: %v", name, out)
		}
	}
}

// edited replaces a part of a manifest's text, which has to be there.
func edited(t *testing.T, m Manifest, old, instead string) Manifest {
	t.Helper()
	text := strings.Replace(string(m.JSON), strings.Replace(old, `"generate`, `"`+Prefix+`generate`, 1), strings.Replace(instead, `"generate`, `"`+Prefix+`generate`, 1), 1)
	if text == string(m.JSON) {
		t.Fatalf("%s has no %s", m.JSON, old)
	}
	m.JSON = []byte(text)
	return m
}

// Whatever a template says, it comes out of the archive byte for byte, before the part that sets the password.
func FuzzUserData(f *testing.F) {
	f.Add([]byte("#cloud-config\n"), "ubuntu")
	f.Add([]byte("#cloud-config\r\n--shepherd-\n\n.\nFrom x\n"+strings.Repeat("é", 100)), "a: b\n- c")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, text []byte, user string) {
		data, err := userData(text, user, "password", "salt")
		if err != nil {
			t.Fatal(err)
		}
		message, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		_, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		reader := multipart.NewReader(message.Body, parameters["boundary"])
		for i := range 2 {
			part, err := reader.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
			if err != nil || i == 0 && !bytes.Equal(got, text) || i == 1 && !bytes.HasPrefix(got, []byte("#cloud-config\nchpasswd:\n")) {
				t.Fatalf("part %d is %q: %v", i, got, err)
			}
		}
		if _, err := reader.NextPart(); err != io.EOF {
			t.Fatalf("a third part, %v", err)
		}
	})
}
