package spec

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

// treeCheck walks a node tree once, aliases included, and refuses what documents may not use:
// duplicate keys, keys that are no strings, merge keys, tags, too much depth, too many nodes.
type treeCheck struct {
	foreign  bool // the document is not ours (cloud-init): keys, tags and merges are its own business
	inAlias  int
	nodes    int
	stopped  bool
	problems domain.Problems
}

func (c *treeCheck) visit(n *yaml.Node, depth int) {
	if c.nodes++; c.nodes > maxNodes {
		c.stop(n, fmt.Sprintf("the file unfolds to more than %d values", maxNodes), "write less, without aliases")
	}
	if depth > maxDepth {
		c.stop(n, fmt.Sprintf("the file is nested more than %d levels deep", maxDepth), "nothing here needs such depth; check the brackets and the indentation")
	}
	if c.stopped {
		return
	}
	if n.Style&yaml.TaggedStyle != 0 && !c.foreign {
		c.report(invalid(n, "the tag "+quote(n.Tag)+" is not allowed", "remove it; write text that looks like a number in quotes"))
	}
	switch n.Kind {
	case yaml.AliasNode:
		c.inAlias++
		c.visit(n.Alias, depth+1)
		c.inAlias--
	case yaml.SequenceNode:
		for _, item := range n.Content {
			c.visit(item, depth+1)
		}
	case yaml.MappingNode:
		c.mapping(n, depth)
	}
}

func (c *treeCheck) mapping(n *yaml.Node, depth int) {
	c.keys(n)
	for i := 0; i+1 < len(n.Content) && !c.stopped; i += 2 {
		if c.foreign {
			c.visit(n.Content[i], depth+1)
		}
		c.visit(n.Content[i+1], depth+1)
	}
}

func (c *treeCheck) keys(n *yaml.Node) {
	var first map[string]*yaml.Node
	if len(n.Content) > 16 {
		first = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !c.key(key) {
			continue
		}
		earlier := first[key.Value]
		if first == nil {
			earlier = earlierKey(n.Content[:i], key.Value)
		} else if earlier == nil {
			first[key.Value] = key
		}
		if earlier != nil {
			c.report(invalid(key, fmt.Sprintf("%s is written twice: first on line %d, again on line %d", quote(key.Value), earlier.Line, key.Line), "keep one of the two"))
		}
	}
}

func earlierKey(content []*yaml.Node, value string) *yaml.Node {
	for j := 0; j+1 < len(content); j += 2 {
		if content[j].Value == value && content[j].Kind == yaml.ScalarNode {
			return content[j]
		}
	}
	return nil
}

// key reports whether a key is a string that can be compared.
func (c *treeCheck) key(key *yaml.Node) bool {
	if key.Kind == yaml.ScalarNode && (key.ShortTag() == "!!str" || c.foreign) {
		if key.Style&yaml.TaggedStyle != 0 && !c.foreign {
			c.report(invalid(key, "the tag "+quote(key.Tag)+" is not allowed", "remove it"))
		}
		return true
	}
	switch {
	case c.foreign:
	case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
		c.report(invalid(key, "merge keys (<<) are not allowed", "write the fields out"))
	case key.Kind == yaml.ScalarNode:
		c.report(invalid(key, "the key "+quote(key.Value)+" is not text", "put it in quotes"))
	default:
		c.report(invalid(key, "a key has to be a plain word", "write it as name: value, and put text that begins with { or [ in quotes"))
	}
	return false
}

// report keeps what is found in a part of the tree once, however often aliases repeat the part.
func (c *treeCheck) report(p domain.Problem) {
	if c.inAlias == 0 && len(c.problems) < maxProblems {
		c.problems = append(c.problems, p)
	}
}

func (c *treeCheck) stop(n *yaml.Node, message, hint string) {
	if !c.stopped {
		c.problems = append(c.problems, invalid(n, message, hint))
	}
	c.stopped = true
}
