package forgetest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

func getBlob(c *call) (reply, error) {
	sha := c.path("sha")
	kind, data, err := c.repo.store.read(sha)
	if err != nil || kind != "blob" {
		return reply{}, notFound()
	}
	return ok(obj{
		"sha": sha, "node_id": nodeID("Blob", c.repo.id) + sha[:8], "size": len(data), "encoding": "base64", "content": wrap64(data),
		"url": c.s.apiURL("/repos/%s/git/blobs/%s", c.repo.fullName(), sha),
	})
}

// wrap64 encodes with a line break after each 60 characters, as GitHub does.
func wrap64(data []byte) string {
	text := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	for part := range slices.Chunk([]byte(text), 60) {
		b.Write(part)
		b.WriteByte('\n')
	}
	return b.String()
}

func decodeContent(content, encoding string) ([]byte, error) {
	if encoding != "base64" {
		return []byte(content), nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(content, "\n", ""))
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "content is not valid Base64")
	}
	return data, nil
}

func postBlob(c *call) (reply, error) {
	var in struct {
		Content  string `json:"content"`
		Encoding string `json:"encoding"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	data, err := decodeContent(in.Content, in.Encoding)
	if err != nil {
		return reply{}, err
	}
	sha, err := c.repo.store.write("blob", data)
	if err != nil {
		return reply{}, err
	}
	return created(obj{"sha": sha, "url": c.s.apiURL("/repos/%s/git/blobs/%s", c.repo.fullName(), sha)})
}

// treeOf finds a tree by its own id, a commit's id or a branch.
func (r *repository) treeOf(ref string) (string, bool) {
	if kind, _, err := r.store.read(ref); err == nil && kind == "tree" {
		return ref, true
	}
	sha, found := r.resolve(ref)
	if !found {
		return "", false
	}
	c, err := r.store.commit(sha)
	if err != nil {
		return "", false
	}
	return c.tree, true
}

func getTree(c *call) (reply, error) {
	sha, found := c.repo.treeOf(c.path("sha"))
	if !found {
		return reply{}, notFound()
	}
	entries := []obj{}
	if err := c.listTree(sha, "", c.query("recursive") != "", &entries); err != nil {
		return reply{}, err
	}
	return ok(c.treeView(sha, entries))
}

func (c *call) treeView(sha string, entries []obj) obj {
	return obj{"sha": sha, "url": c.s.apiURL("/repos/%s/git/trees/%s", c.repo.fullName(), sha), "tree": entries, "truncated": false}
}

func (c *call) listTree(sha, prefix string, recursive bool, out *[]obj) error {
	entries, err := c.repo.store.tree(sha)
	if err != nil {
		return err
	}
	for _, e := range entries {
		v := obj{"path": prefix + e.name, "mode": longMode(e.mode), "type": e.kind(), "sha": e.sha}
		if e.kind() != "commit" {
			v["url"] = c.s.apiURL("/repos/%s/git/%ss/%s", c.repo.fullName(), e.kind(), e.sha)
		}
		if e.kind() == "blob" {
			_, data, err := c.repo.store.read(e.sha)
			if err != nil {
				return err
			}
			v["size"] = len(data)
		}
		*out = append(*out, v)
		if recursive && e.isTree() {
			if err := c.listTree(e.sha, prefix+e.name+"/", true, out); err != nil {
				return err
			}
		}
	}
	return nil
}

func longMode(mode string) string {
	if len(mode) == 5 {
		return "0" + mode
	}
	return mode
}

// treeInput is one entry of a new tree. A null sha deletes the path, so that sha and content must be told apart
// from what is missing.
type treeInput struct {
	Path    string  `json:"path"`
	Mode    string  `json:"mode"`
	SHA     *string `json:"sha"`
	Content *string `json:"content"`
}

func postTree(c *call) (reply, error) {
	var in struct {
		BaseTree string      `json:"base_tree"`
		Tree     []treeInput `json:"tree"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	base := ""
	if in.BaseTree != "" {
		var found bool
		if base, found = c.repo.treeOf(in.BaseTree); !found {
			return reply{}, refuse(http.StatusUnprocessableEntity, "base_tree is not a valid tree oid")
		}
	}
	edits := map[string]pathEdit{}
	for _, e := range in.Tree {
		edit, err := c.treeEdit(e)
		if err != nil {
			return reply{}, err
		}
		edits[e.Path] = edit
	}
	sha, err := c.repo.store.edit(base, edits)
	if err != nil {
		return reply{}, err
	}
	if sha == "" {
		if sha, err = c.repo.store.emptyTree(); err != nil {
			return reply{}, err
		}
	}
	entries := []obj{}
	if err := c.listTree(sha, "", false, &entries); err != nil {
		return reply{}, err
	}
	return created(c.treeView(sha, entries))
}

func (c *call) treeEdit(e treeInput) (pathEdit, error) {
	mode := strings.TrimPrefix(e.Mode, "0")
	switch {
	case e.Path == "" || strings.HasPrefix(e.Path, "/") || strings.Contains(e.Path, "//"):
		return pathEdit{}, refuse(http.StatusUnprocessableEntity, "tree.path contains a malformed path component")
	case e.Content != nil:
		sha, err := c.repo.store.write("blob", []byte(*e.Content))
		return pathEdit{mode: mode, sha: sha}, err
	case e.SHA == nil:
		return pathEdit{}, nil
	case !slices.Contains([]string{"100644", "100755", "40000", "160000", "120000"}, mode):
		return pathEdit{}, refuse(http.StatusUnprocessableEntity, "tree.mode is not a valid mode")
	}
	kind, _, err := c.repo.store.read(*e.SHA)
	if mode != "160000" && (err != nil || kind != (treeEntry{mode: mode}).kind()) {
		return pathEdit{}, refuse(http.StatusUnprocessableEntity, "tree.sha %s is not a valid %s", *e.SHA, (treeEntry{mode: mode}).kind())
	}
	return pathEdit{mode: mode, sha: *e.SHA}, nil
}

func getGitCommit(c *call) (reply, error) {
	cm, err := c.repo.store.commit(c.path("sha"))
	if err != nil {
		return reply{}, notFound()
	}
	return ok(c.s.gitCommitView(c.repo, cm))
}

type signatureInput struct {
	Name  string     `json:"name"`
	Email string     `json:"email"`
	Date  *time.Time `json:"date"`
}

func (in *signatureInput) or(fallback signature) signature {
	if in == nil {
		return fallback
	}
	out := signature{name: in.Name, email: in.Email, when: fallback.when}
	if in.Date != nil {
		out.when = *in.Date
	}
	return out
}

func postGitCommit(c *call) (reply, error) {
	var in struct {
		Message   string          `json:"message"`
		Tree      string          `json:"tree"`
		Parents   []string        `json:"parents"`
		Author    *signatureInput `json:"author"`
		Committer *signatureInput `json:"committer"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if kind, _, err := c.repo.store.read(in.Tree); err != nil || kind != "tree" {
		return reply{}, refuse(http.StatusUnprocessableEntity, "Tree SHA does not exist")
	}
	for _, p := range in.Parents {
		if _, err := c.repo.store.commit(p); err != nil {
			return reply{}, refuse(http.StatusUnprocessableEntity, "Parent SHA does not exist or is not a commit object")
		}
	}
	author := in.Author.or(c.s.signatureOf(c.actor.user))
	sha, err := c.repo.store.writeCommit(commit{
		tree: in.Tree, parents: in.Parents, author: author, committer: in.Committer.or(author), message: in.Message,
	})
	if err != nil {
		return reply{}, err
	}
	cm, err := c.repo.store.commit(sha)
	if err != nil {
		return reply{}, err
	}
	return created(c.s.gitCommitView(c.repo, cm))
}

func getRef(c *call) (reply, error) {
	name := "refs/" + c.path("ref")
	sha := c.repo.refs[name]
	if sha == "" {
		return reply{}, notFound()
	}
	return ok(c.s.refView(c.repo, name, sha))
}

func listMatchingRefs(c *call) (reply, error) {
	var names []string
	for name := range c.repo.refs {
		if strings.HasPrefix(name, "refs/"+c.path("ref")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return page(c, names, func(n string) obj { return c.s.refView(c.repo, n, c.repo.refs[n]) })
}

type refInput struct {
	Ref   string `json:"ref"`
	SHA   string `json:"sha"`
	Force bool   `json:"force"`
}

// writable tells whether clients may write a reference at all.
func writable(ref string) bool {
	return strings.HasPrefix(ref, "refs/heads/") || strings.HasPrefix(ref, "refs/tags/")
}

func postRef(c *call) (reply, error) {
	var in refInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	switch {
	case !writable(in.Ref):
		return reply{}, refuse(http.StatusUnprocessableEntity, "Reference name must start with 'refs/heads/' or 'refs/tags/'.")
	case c.repo.refs[in.Ref] != "":
		return reply{}, refuse(http.StatusUnprocessableEntity, "Reference already exists")
	}
	return c.setRef(refUpdate{ref: in.Ref, new: in.SHA}, false, http.StatusCreated)
}

func patchRef(c *call) (reply, error) {
	var in refInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	name := "refs/" + c.path("ref")
	if !writable(name) || c.repo.refs[name] == "" {
		return reply{}, refuse(http.StatusUnprocessableEntity, "Reference does not exist")
	}
	return c.setRef(refUpdate{ref: name, old: c.repo.refs[name], new: in.SHA}, in.Force, http.StatusOK)
}

func (c *call) setRef(up refUpdate, force bool, status int) (reply, error) {
	if _, _, err := c.repo.store.read(up.new); err != nil {
		return reply{}, refuse(http.StatusUnprocessableEntity, "Object does not exist")
	}
	if err := c.s.moveRef(c.actor, c.repo, up, force); err != nil {
		return reply{}, err
	}
	return reply{status: status, body: c.s.refView(c.repo, up.ref, up.new)}, nil
}

func removeRef(c *call) (reply, error) {
	name := "refs/" + c.path("ref")
	if !writable(name) || c.repo.refs[name] == "" {
		return reply{}, refuse(http.StatusUnprocessableEntity, "Reference does not exist")
	}
	if err := c.s.moveRef(c.actor, c.repo, refUpdate{ref: name, old: c.repo.refs[name]}, false); err != nil {
		return reply{}, err
	}
	return noContent()
}
