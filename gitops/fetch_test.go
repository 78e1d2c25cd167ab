package gitops

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

const main = "refs/heads/main"

func TestFetchBranchThenPullRequest(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit(tree{"systems/shop/system.yaml": "a", "README.md": "hello"})
	head := o.commit(tree{"systems/shop/system.yaml": "b", "README.md": "hello"}, base)
	o.ref(main, base)
	o.ref(PullRef(7), head)
	m := mirrored(t, o, main)
	if m.Has(head) {
		t.Fatal("the pull request came with the branch")
	}
	fetch(t, m, main, PullRef(7))
	if got, err := m.Branch("main"); got != base || err != nil {
		t.Errorf("Branch = %s, %v; want %s", got, err, base)
	}
	if got, err := m.Ref(PullRef(7)); got != head || err != nil {
		t.Errorf("Ref = %s, %v; want %s", got, err, head)
	}
	data, mode, err := m.Read(t.Context(), head, "systems/shop/system.yaml", 100)
	if string(data) != "b" || mode != Regular || err != nil {
		t.Errorf("Read = %q, %v, %v", data, mode, err)
	}
}

func TestFetchForcedUpdateAndDeletion(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit(tree{"a": "1"})
	first := o.commit(tree{"a": "2"}, base)
	o.ref(main, base)
	o.ref(PullRef(1), first)
	m := mirrored(t, o, main, PullRef(1))

	second := o.commit(tree{"a": "3"}, base)
	o.ref(PullRef(1), second)
	fetch(t, m, PullRef(1))
	if got, _ := m.Ref(PullRef(1)); got != second {
		t.Errorf("after a forced push the head is %s, want %s", got, second)
	}
	if !m.Has(first) {
		t.Error("the commit from before is gone, though a ticket may still name it")
	}

	o.git("update-ref", "-d", PullRef(1))
	err := m.Fetch(t.Context(), main, PullRef(1))
	if !errors.Is(err, ErrNoRef) || !strings.Contains(err.Error(), PullRef(1)) {
		t.Errorf("fetch of a deleted reference: %v", err)
	}
	if _, err := m.Ref(PullRef(1)); !errors.Is(err, ErrNoRef) {
		t.Errorf("the deleted reference is still there: %v", err)
	}
	if got, err := m.Branch("main"); got != base || err != nil {
		t.Errorf("Branch = %s, %v", got, err)
	}
}

func TestFetchNothingNewIsOneRequest(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.ref(main, o.commit(tree{"a": "1"}))
	s := serve(t, o)
	m := open(t, s)
	fetch(t, m, main)
	before := len(s.requests())
	for range 3 {
		fetch(t, m, main)
	}
	if got := len(s.requests()) - before; got != 3 {
		t.Errorf("%d requests for three fetches with nothing new", got)
	}
	if n, _ := m.Size(); n != 1 {
		t.Errorf("%d packs", n)
	}
}

func TestFetchTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.ref(main, o.commit(tree{"a": "1"}))
	s := serve(t, o)
	s.setPassword("secret")
	token := "wrong"
	m, err := Open(t.Context(), Options{
		Dir: t.TempDir(), URL: s.url(), Logger: testLogger(t),
		Auth: func(context.Context) (string, string, error) {
			if token == "" {
				return "", "", errors.New("no token today")
			}
			return "x-access-token", token, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()

	err = m.Fetch(t.Context(), main)
	if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong token: %v", err)
	}
	token = ""
	if err := m.Fetch(t.Context(), main); err == nil || !strings.Contains(err.Error(), "no token today") {
		t.Errorf("no token: %v", err)
	}
	token = "secret"
	fetch(t, m, main)

	for _, name := range []string{"main", "refs/heads/..", "refs/heads/a b", "refs/heads/a\nwant b", ""} {
		if err := m.Fetch(t.Context(), name); err == nil {
			t.Errorf("reference name %q was accepted", name)
		}
	}
	s.intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	var remote *RemoteError
	if err := m.Fetch(t.Context(), main); !errors.As(err, &remote) || remote.RetryAfter != 30*time.Second {
		t.Errorf("too many requests: %v", err)
	}
}
