package forgetest

import (
	"encoding/base64"
	"net/http"
	"path"
	"strings"
)

func (c *call) contentView(ref, p string, e treeEntry) (obj, error) {
	kinds := map[string]string{"40000": "dir", "120000": "symlink", "160000": "submodule"}
	kind := kinds[e.mode]
	if kind == "" {
		kind = "file"
	}
	u := c.s.apiURL("/repos/%s/contents/%s?ref=%s", c.repo.fullName(), p, ref)
	page := c.s.base + "/" + c.repo.fullName() + "/blob/" + ref + "/" + p
	git := c.s.apiURL("/repos/%s/git/%ss/%s", c.repo.fullName(), e.kind(), e.sha)
	v := obj{
		"type": kind, "name": path.Base(p), "path": p, "sha": e.sha, "size": 0, "url": u, "html_url": page, "git_url": git,
		"download_url": nil, "_links": obj{"self": u, "git": git, "html": page},
	}
	if e.kind() == "blob" {
		_, data, err := c.repo.store.read(e.sha)
		if err != nil {
			return nil, err
		}
		v["size"] = len(data)
		v["download_url"] = c.s.base + "/" + c.repo.fullName() + "/raw/" + ref + "/" + p
	}
	return v, nil
}

func getContents(c *call) (reply, error) {
	ref := c.query("ref")
	if ref == "" {
		ref = c.repo.defaultBranch
	}
	tree, found := c.repo.treeOf(ref)
	if !found {
		return reply{}, refuse(http.StatusNotFound, "No commit found for the ref %s", ref)
	}
	p := strings.Trim(c.path("path"), "/")
	entry, found, err := c.repo.store.lookup(tree, p)
	if err != nil {
		return reply{}, err
	}
	if !found {
		return reply{}, notFound()
	}
	if entry.isTree() {
		return c.listContents(ref, p, entry.sha)
	}
	v, err := c.contentView(ref, p, entry)
	if err != nil {
		return reply{}, err
	}
	if entry.kind() == "blob" {
		_, data, err := c.repo.store.read(entry.sha)
		if err != nil {
			return reply{}, err
		}
		v["encoding"], v["content"] = "base64", wrap64(data)
	}
	return ok(v)
}

func (c *call) listContents(ref, dir, tree string) (reply, error) {
	entries, err := c.repo.store.tree(tree)
	if err != nil {
		return reply{}, err
	}
	out := []obj{}
	for _, e := range entries {
		v, err := c.contentView(ref, path.Join(dir, e.name), e)
		if err != nil {
			return reply{}, err
		}
		out = append(out, v)
	}
	return ok(out)
}

type contentInput struct {
	Message   string          `json:"message"`
	Content   string          `json:"content"`
	SHA       string          `json:"sha"`
	Branch    string          `json:"branch"`
	Author    *signatureInput `json:"author"`
	Committer *signatureInput `json:"committer"`
}

// changeContents commits one path: new content, or none to delete it. The caller shows the blob it saw.
func (c *call) changeContents(in contentInput, edit pathEdit) (*commit, bool, error) {
	if in.Branch == "" {
		in.Branch = c.repo.defaultBranch
	}
	tip := c.repo.branch(in.Branch)
	if tip == "" {
		return nil, false, refuse(http.StatusNotFound, "Branch %s not found", in.Branch)
	}
	head, err := c.repo.store.commit(tip)
	if err != nil {
		return nil, false, err
	}
	p := c.path("path")
	old, exists, err := c.repo.store.lookup(head.tree, p)
	if err != nil {
		return nil, false, err
	}
	switch {
	case exists && in.SHA == "":
		return nil, false, refuse(http.StatusUnprocessableEntity, "Invalid request.\n\n\"sha\" wasn't supplied.")
	case exists && in.SHA != old.sha:
		return nil, false, refuse(http.StatusConflict, "%s does not match %s", p, in.SHA)
	case !exists && edit.sha == "":
		return nil, false, notFound()
	}
	tree, err := c.repo.store.edit(head.tree, map[string]pathEdit{p: edit})
	if err != nil {
		return nil, false, err
	}
	if tree == "" {
		if tree, err = c.repo.store.emptyTree(); err != nil {
			return nil, false, err
		}
	}
	author := in.Author.or(c.s.signatureOf(c.actor.user))
	sha, err := c.repo.store.writeCommit(commit{
		tree: tree, parents: []string{tip}, author: author, committer: in.Committer.or(c.s.webFlow()), message: in.Message,
	})
	if err != nil {
		return nil, false, err
	}
	if err := c.s.moveRef(c.actor, c.repo, refUpdate{ref: "refs/heads/" + in.Branch, old: tip, new: sha}, false); err != nil {
		return nil, false, err
	}
	cm, err := c.repo.store.commit(sha)
	return cm, exists, err
}

func putContents(c *call) (reply, error) {
	var in contentInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	data, err := base64.StdEncoding.DecodeString(in.Content)
	if err != nil {
		return reply{}, refuse(http.StatusUnprocessableEntity, "content is not valid Base64")
	}
	blob, err := c.repo.store.write("blob", data)
	if err != nil {
		return reply{}, err
	}
	edit := pathEdit{mode: "100644", sha: blob}
	cm, existed, err := c.changeContents(in, edit)
	if err != nil {
		return reply{}, err
	}
	v, err := c.contentView(cm.sha, c.path("path"), treeEntry{mode: edit.mode, sha: blob})
	if err != nil {
		return reply{}, err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return reply{status: status, body: obj{"content": v, "commit": c.s.gitCommitView(c.repo, cm)}}, nil
}

func removeContents(c *call) (reply, error) {
	var in contentInput
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	cm, _, err := c.changeContents(in, pathEdit{})
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"content": nil, "commit": c.s.gitCommitView(c.repo, cm)})
}
