package spec

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

const cloudConfig = "#cloud-config"

// CheckCloudInit says what is wrong with user data: it has to be a #cloud-config mapping without a
// password in clear text and without keys. Lines count within the text.
func CheckCloudInit(text string) domain.Problems {
	first, _, _ := strings.Cut(text, "\n")
	if strings.TrimRight(first, " \r") != cloudConfig {
		p := invalid(&yaml.Node{Line: 1}, "cloud-init user data has to begin with the line "+cloudConfig, "make it the first line; shell scripts, templates and archives are not taken")
		return domain.Problems{p}
	}
	if p := findSecret([]byte(text)); p != nil {
		return domain.Problems{*p}
	}
	root, problems := readYAML([]byte(text), treeCheck{foreign: true})
	if root == nil {
		return problems
	}
	if root.Kind != yaml.MappingNode {
		return append(problems, invalid(root, "cloud-init user data has to be a group of fields", "write name: value lines below "+cloudConfig))
	}
	var found passwords
	found.visit(root)
	return append(problems, found.problems...)
}

// passwords collects clear-text passwords wherever they stand.
type passwords struct{ problems domain.Problems }

// visit leaves aliases alone: what they stand for is part of the tree already.
func (p *passwords) visit(n *yaml.Node) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			p.field(strings.ToLower(n.Content[i-1].Value), child)
		}
		p.visit(child)
	}
}

var passwordFields = map[string]bool{"password": true, "passwd": true, "hashed_passwd": true}

func (p *passwords) field(key string, value *yaml.Node) {
	for value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch {
	case key == "plain_text_passwd" && value.Kind == yaml.ScalarNode && value.Value != "":
		p.clear(value, key)
	case passwordFields[key] && value.Kind == yaml.ScalarNode && !hashed(value.Value):
		p.clear(value, key)
	case key == "chpasswd" && value.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			if strings.EqualFold(value.Content[i].Value, "list") {
				p.list(value.Content[i+1])
			}
		}
	}
}

// list reads chpasswd.list: a text of lines, or a list of them, each user:password.
func (p *passwords) list(n *yaml.Node) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode || item.Kind == yaml.AliasNode {
				p.list(item)
			}
		}
		return
	}
	for _, line := range strings.Split(n.Value, "\n") {
		if _, password, ok := strings.Cut(line, ":"); ok && !hashed(strings.TrimSpace(password)) {
			p.clear(n, "chpasswd.list")
			return
		}
	}
}

func (p *passwords) clear(n *yaml.Node, key string) {
	if len(p.problems) < maxProblems {
		problem := secretProblem(n, key+" holds a password in clear text")
		problem.Hint = "use SSH keys, or the hash that mkpasswd -m sha-512 prints; treat the password as lost"
		p.problems = append(p.problems, problem)
	}
}

var (
	cryptForm = regexp.MustCompile(`^[!*]?\$[0-9a-z]{1,8}\$[^$\s]+\$[^\s]+$`)
	bcrypt    = regexp.MustCompile(`^[!*]?\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)
)

// hashed accepts hashes of crypt(5), locked accounts, and the words that make cloud-init choose.
func hashed(s string) bool {
	switch s {
	case "", "*", "!", "!!", "!*", "R", "RANDOM":
		return true
	}
	return cryptForm.MatchString(s) || bcrypt.MatchString(s)
}

// settingPasswords are the places where user data sets passwords itself. What cannot be read has been told.
func settingPasswords(text string) (problems domain.Problems) {
	root, _ := readYAML([]byte(text), treeCheck{foreign: true})
	if root == nil || root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		var keys []*yaml.Node
		switch strings.ToLower(key.Value) {
		case "chpasswd", "password":
			keys = []*yaml.Node{key}
		case "users", "user":
			keys = passwordKeys(value)
		}
		for _, key := range keys {
			problems = append(problems, invalid(key, quote(key.Value)+" sets a password, as initialPassword does", "keep one of the two"))
		}
	}
	return problems
}

// passwordKeys are the keys of one user, or of a list of users, that set a password.
func passwordKeys(n *yaml.Node) (keys []*yaml.Node) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i, child := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			keys = append(keys, passwordKeys(child)...)
		case i%2 == 0 && (passwordFields[strings.ToLower(child.Value)] || strings.EqualFold(child.Value, "plain_text_passwd")):
			keys = append(keys, child)
		}
	}
	return keys
}
