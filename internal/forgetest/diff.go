package forgetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fileChange is one file of a diff, with GitHub's words for the status.
type fileChange struct {
	path     string
	previous string
	status   string // added, removed, modified, renamed, changed
	sha      string
	adds     int
	dels     int
	patch    string
}

// diffFiles compares two trees or commits, with renames, counts and patches.
func (s *Server) diffFiles(r *repository, from, to string) ([]fileChange, error) {
	return remember(r, "diff "+from+" "+to, func() ([]fileChange, error) {
		if from == "" {
			empty, err := r.store.emptyTree()
			if err != nil {
				return nil, err
			}
			from = empty
		}
		out, err := s.git.run(r.dir, nil, "diff-tree", "-r", "-M", "--full-index", "--no-color", "--raw", "--numstat", "-p", "-z", from, to)
		if err != nil {
			return nil, fmt.Errorf("compare trees: %w", err)
		}
		// Records and counts end with NUL; the patch comes last and has none.
		fields := strings.Split(string(out), "\x00")
		changes := parseDiffStat(fields[:len(fields)-1])
		for i, p := range splitPatch(fields[len(fields)-1]) {
			if i < len(changes) {
				changes[i].patch = p
			}
		}
		return changes, nil
	})
}

var diffStatus = map[byte]string{'A': "added", 'D': "removed", 'M': "modified", 'R': "renamed", 'T': "changed", 'C': "copied"}

// parseDiffStat reads the NUL-separated records of --raw and --numstat: first all raw records, then all counts, in one
// order.
func parseDiffStat(fields []string) []fileChange {
	var out []fileChange
	counted := 0
	for i := 0; i < len(fields); i++ {
		if strings.HasPrefix(fields[i], ":") {
			meta := strings.Fields(fields[i])
			c := fileChange{status: diffStatus[meta[4][0]], sha: meta[3]}
			i++
			c.path = fields[i]
			if c.status == "renamed" || c.status == "copied" {
				c.previous = c.path
				i++
				c.path = fields[i]
			}
			if c.status == "removed" {
				c.sha = meta[2]
			}
			out = append(out, c)
			continue
		}
		parts := strings.SplitN(fields[i], "\t", 3)
		if len(parts) != 3 || counted >= len(out) {
			continue
		}
		out[counted].adds, _ = strconv.Atoi(parts[0]) //nolint:errcheck // "-" for a binary file counts as 0
		out[counted].dels, _ = strconv.Atoi(parts[1]) //nolint:errcheck // as above
		if parts[2] == "" {
			i += 2 // a rename names both paths
		}
		counted++
	}
	return out
}

// splitPatch gives each file's hunks without the header lines, as the API does; "" for a file without hunks.
func splitPatch(text string) []string {
	var out []string
	for i, part := range strings.Split("\n"+text, "\ndiff --git ") {
		if i == 0 {
			continue
		}
		hunk := ""
		if at := strings.Index(part, "\n@@ "); at >= 0 {
			hunk = strings.TrimSuffix(part[at+1:], "\n")
		}
		out = append(out, hunk)
	}
	return out
}

// treeChange is a path that differs between two trees, without rename detection.
type treeChange struct {
	path   string
	status string // added, removed, modified
}

// changedPaths compares two trees without starting git. It descends only where the ids differ.
func (st *store) changedPaths(from, to, prefix string) ([]treeChange, error) {
	if from == to {
		return nil, nil
	}
	a, err := st.tree(from)
	if err != nil {
		return nil, err
	}
	b, err := st.tree(to)
	if err != nil {
		return nil, err
	}
	names := map[string][2]treeEntry{}
	for _, e := range a {
		names[e.name] = [2]treeEntry{e, {}}
	}
	for _, e := range b {
		pair := names[e.name]
		pair[1] = e
		names[e.name] = pair
	}
	var out []treeChange
	for name, pair := range names {
		sub, err := st.changedEntry(pair[0], pair[1], prefix+name)
		if err != nil {
			return nil, err
		}
		out = append(out, sub...)
	}
	slices.SortFunc(out, func(x, y treeChange) int { return strings.Compare(x.path, y.path) })
	return out, nil
}

func (st *store) changedEntry(from, to treeEntry, path string) ([]treeChange, error) {
	if from == to {
		return nil, nil
	}
	if (from.isTree() || from.sha == "") && (to.isTree() || to.sha == "") {
		return st.changedPaths(from.sha, to.sha, path+"/")
	}
	var out []treeChange
	for _, side := range []struct {
		e      treeEntry
		status string
	}{{from, "removed"}, {to, "added"}} {
		switch {
		case side.e.sha == "":
		case side.e.isTree():
			pair := [2]string{"", side.e.sha}
			if side.status == "removed" {
				pair = [2]string{side.e.sha, ""}
			}
			sub, err := st.changedPaths(pair[0], pair[1], path+"/")
			if err != nil {
				return nil, err
			}
			out = append(out, sub...)
		default:
			out = append(out, treeChange{path: path, status: side.status})
		}
	}
	if len(out) == 2 && out[0].path == out[1].path {
		return []treeChange{{path: path, status: "modified"}}, nil
	}
	return out, nil
}
