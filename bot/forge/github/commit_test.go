package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

const (
	baseTree = "a000000000000000000000000000000000000000"
	newTree  = "b000000000000000000000000000000000000000"
	parent   = "c000000000000000000000000000000000000000"
	made     = "d000000000000000000000000000000000000000"
	strayed  = "e000000000000000000000000000000000000000"

	getParent  = "GET /repos/acme/vms/git/commits/" + parent
	getStrayed = "GET /repos/acme/vms/git/commits/" + strayed
	postTree   = "POST /repos/acme/vms/git/trees"
	getRef     = "GET /repos/acme/vms/git/ref/heads/shepherd/undo"
	postCommit = "POST /repos/acme/vms/git/commits"
	postRef    = "POST /repos/acme/vms/git/refs"
	patchRef   = "PATCH /repos/acme/vms/git/refs/heads/shepherd/undo"
	compare    = "GET /repos/acme/vms/compare/" + strayed + "..." + parent
	getUser    = "GET /user"
)

var undo = []forge.FileEdit{{Path: "a.yaml", Content: []byte("a: é\n")}, {Path: "b.yaml"}, {Path: "empty", Content: []byte{}}}

func refAt(sha string) http.HandlerFunc {
	return answer(200, fields{"ref": "refs/heads/shepherd/undo", "object": fields{"type": "commit", "sha": sha}})
}

func commitOf(tree string, parents ...string) http.HandlerFunc {
	var list []fields
	for _, p := range parents {
		list = append(list, fields{"sha": p})
	}
	return answer(200, fields{"sha": strayed, "tree": fields{"sha": tree}, "parents": list})
}

// writing has the answers that every commit needs.
func writing(more routes) routes {
	r := routes{
		getParent:  commitOf(baseTree),
		postTree:   answer(201, fields{"sha": newTree}),
		postCommit: answer(201, fields{"sha": made}),
		postRef:    answer(201, fields{"ref": "refs/heads/shepherd/undo"}),
		patchRef:   refAt(made),
		getUser:    answer(200, fields{"id": 3, "login": "shepherd-bot", "type": "User"}),
	}
	for k, v := range more {
		r[k] = v
	}
	return r
}

func TestCommitFiles(t *testing.T) {
	t.Parallel()
	between := func(status string, author int) http.HandlerFunc {
		return answer(200, fields{"status": status, "base_commit": fields{"sha": strayed, "author": fields{"id": author, "type": "User"}}})
	}
	tried := []string{getParent, postTree, getRef, getStrayed, getUser, compare}
	for name, tc := range map[string]struct {
		routes routes
		want   string
		err    error
		calls  []string
	}{
		"a new branch":         {nil, made, nil, []string{getParent, postTree, getRef, postCommit, postRef}},
		"a branch at parent":   {routes{getRef: refAt(parent)}, made, nil, []string{getParent, postTree, getRef, postCommit, patchRef}},
		"done already":         {routes{getRef: refAt(strayed), getStrayed: commitOf(newTree, parent)}, strayed, nil, []string{getParent, postTree, getRef, getStrayed}},
		"an older own commit":  {routes{getRef: refAt(strayed), getStrayed: commitOf(baseTree), compare: between("ahead", 3)}, made, nil, append(tried, postCommit, patchRef)},
		"somebody's commit":    {routes{getRef: refAt(strayed), getStrayed: commitOf(baseTree), compare: between("ahead", 66)}, "", forge.ErrConflict, tried},
		"own, but not before":  {routes{getRef: refAt(strayed), getStrayed: commitOf(baseTree), compare: between("diverged", 3)}, "", forge.ErrConflict, tried},
		"own, and after":       {routes{getRef: refAt(strayed), getStrayed: commitOf(baseTree), compare: between("behind", 3)}, "", forge.ErrConflict, tried},
		"same tree, a merge":   {routes{getRef: refAt(strayed), getStrayed: commitOf(newTree, parent, made), compare: between("behind", 3)}, "", forge.ErrConflict, tried},
		"nothing to change":    {routes{postTree: answer(201, fields{"sha": baseTree})}, "", forge.ErrConflict, []string{getParent, postTree}},
		"lost race, new":       {routes{postRef: answer(422, fields{"message": "Reference already exists"})}, "", forge.ErrConflict, []string{getParent, postTree, getRef, postCommit, postRef}},
		"lost race, moved":     {routes{getRef: refAt(parent), patchRef: answer(422, fields{"message": "Update is not a fast forward"})}, "", forge.ErrConflict, []string{getParent, postTree, getRef, postCommit, patchRef}},
		"protected branch":     {routes{getRef: refAt(parent), patchRef: answer(403, fields{"message": "Resource not accessible"})}, "", forge.ErrRefused, []string{getParent, postTree, getRef, postCommit, patchRef}},
		"removes what is not":  {routes{postTree: answer(422, fields{"message": "GitRPC::BadObjectState"})}, "", forge.ErrRefused, []string{getParent, postTree}},
		"another branch's ref": {routes{getRef: answer(200, fields{"ref": "refs/heads/shepherd/undo-2", "object": fields{"sha": parent}})}, "", errMisfit, []string{getParent, postTree, getRef}},
		"no tree":              {routes{postTree: answer(201, fields{})}, "", errMisfit, []string{getParent, postTree}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, writing(tc.routes))
			got, err := w.client(t).CommitFiles(t.Context(), "shepherd/undo", parent, undo, "undo")
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %q, %v", got, err)
			}
			if diff := cmp.Diff(tc.calls, w.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// With the head as a lease nothing but the head may be there: no branch is made, none is moved along.
func TestCommitOnHead(t *testing.T) {
	t.Parallel()
	same := answer(201, fields{"sha": baseTree})
	for name, tc := range map[string]struct {
		routes routes
		want   string
		err    error
		calls  []string
	}{
		"at the head":         {routes{getRef: refAt(parent)}, made, nil, []string{getParent, postTree, getRef, postCommit, patchRef}},
		"done already":        {routes{getRef: refAt(strayed), getStrayed: commitOf(newTree, parent)}, strayed, nil, []string{getParent, postTree, getRef, getStrayed}},
		"nothing to change":   {routes{getRef: refAt(parent), postTree: same}, parent, nil, []string{getParent, postTree, getRef}},
		"branch deleted":      {nil, "", forge.ErrConflict, []string{getParent, postTree, getRef}},
		"moved":               {routes{getRef: refAt(strayed), getStrayed: commitOf(baseTree)}, "", forge.ErrConflict, []string{getParent, postTree, getRef, getStrayed}},
		"moved, same tree":    {routes{getRef: refAt(strayed), getStrayed: commitOf(newTree, made)}, "", forge.ErrConflict, []string{getParent, postTree, getRef, getStrayed}},
		"moved, no change":    {routes{getRef: refAt(strayed), getStrayed: commitOf(newTree), postTree: same}, "", forge.ErrConflict, []string{getParent, postTree, getRef, getStrayed}},
		"moved at the last":   {routes{getRef: refAt(parent), patchRef: answer(422, fields{"message": "Update is not a fast forward"})}, "", forge.ErrConflict, []string{getParent, postTree, getRef, postCommit, patchRef}},
		"deleted at the last": {routes{getRef: refAt(parent), patchRef: answer(422, fields{"message": "Reference does not exist"})}, "", forge.ErrConflict, []string{getParent, postTree, getRef, postCommit, patchRef}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, writing(tc.routes))
			got, err := w.client(t).CommitOnHead(t.Context(), "shepherd/undo", parent, undo, "plan")
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("got %q, %v", got, err)
			}
			if diff := cmp.Diff(tc.calls, w.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if n := len(tc.calls); n == 5 {
				if diff := cmp.Diff(fields{"sha": made, "force": false}, w.body(t, 4)); diff != "" {
					t.Errorf("moved by (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestCommitFilesSends(t *testing.T) {
	t.Parallel()
	const postBlob, blob = "POST /repos/acme/vms/git/blobs", "f000000000000000000000000000000000000000"
	w := newWire(t, writing(routes{postBlob: answer(201, fields{"sha": blob})}))
	edits := append([]forge.FileEdit{{Path: "logo", Content: []byte{0xff, 0}}}, undo...)
	if _, err := w.client(t).CommitFiles(t.Context(), "shepherd/undo", parent, edits, "undo"); err != nil {
		t.Fatal(err)
	}
	file := func(path string, more fields) fields {
		more["path"], more["mode"], more["type"] = path, "100644", "blob"
		return more
	}
	want := []fields{
		{"content": "/wA=", "encoding": "base64"},
		{"base_tree": baseTree, "tree": []any{
			file("logo", fields{"sha": blob}), file("a.yaml", fields{"content": "a: é\n"}),
			file("b.yaml", fields{"sha": nil}), file("empty", fields{"content": ""}),
		}},
		{"message": "undo", "tree": newTree, "parents": []any{parent}},
		{"ref": "refs/heads/shepherd/undo", "sha": made},
	}
	if diff := cmp.Diff(want, []fields{w.body(t, 1), w.body(t, 2), w.body(t, 4), w.body(t, 5)}); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestAMoveIsNeverForced(t *testing.T) {
	t.Parallel()
	w := newWire(t, writing(routes{getRef: refAt(parent)}))
	if _, err := w.client(t).CommitFiles(t.Context(), "shepherd/undo", parent, undo, "undo"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fields{"sha": made, "force": false}, w.body(t, 4)); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestBadEditsMakeNoCall(t *testing.T) {
	t.Parallel()
	edit := func(paths ...string) (out []forge.FileEdit) {
		for _, p := range paths {
			out = append(out, forge.FileEdit{Path: p})
		}
		return out
	}
	for name, tc := range map[string]struct {
		branch, parent string
		edits          []forge.FileEdit
	}{
		"no branch":       {"", parent, undo},
		"path as branch":  {"../../../../user", parent, undo},
		"dots in branch":  {"a..b", parent, undo},
		"query as branch": {"a?force=true", parent, undo},
		"parent is named": {"x", "main", undo},
		"no edits":        {"x", parent, nil},
		"no path":         {"x", parent, edit("")},
		"root":            {"x", parent, edit(".")},
		"absolute":        {"x", parent, edit("/etc/passwd")},
		"upwards":         {"x", parent, edit("a/../../b")},
		"folder":          {"x", parent, edit("a/")},
		"git's own":       {"x", parent, edit(".GIT/config")},
		"twice":           {"x", parent, edit("a", "a")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, nil)
			if _, err := w.client(t).CommitFiles(t.Context(), tc.branch, tc.parent, tc.edits, "m"); !errors.Is(err, forge.ErrRefused) || len(w.seen()) != 0 {
				t.Errorf("got %v after %s", err, strings.Join(w.seen(), ", "))
			}
		})
	}
}

// Whichever call fails, the error comes out and nothing more is called.
func TestCommitFilesStopsAtAFailure(t *testing.T) {
	t.Parallel()
	const postBlob = "POST /repos/acme/vms/git/blobs"
	edits := append([]forge.FileEdit{{Path: "logo", Content: []byte{0xff}}}, undo...)
	older := routes{
		postBlob: answer(201, fields{"sha": newTree}), getRef: refAt(strayed), getStrayed: commitOf(baseTree),
		compare: answer(200, fields{"status": "ahead", "base_commit": fields{"sha": strayed, "author": fields{"id": 3}}}),
	}
	order := []string{getParent, postBlob, postTree, getRef, getStrayed, getUser, compare, postCommit, patchRef}
	for n, broken := range order {
		t.Run(broken, func(t *testing.T) {
			t.Parallel()
			all := writing(older)
			all[broken] = answer(502, fields{"message": "Server Error"})
			w := newWire(t, all)
			sha, err := w.client(t).CommitFiles(t.Context(), "shepherd/undo", parent, edits, "undo")
			checkKind(t, err, nil, time.Time{})
			if sha != "" {
				t.Errorf("got %s beside the error", sha)
			}
			if diff := cmp.Diff(order[:n+1], w.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}
