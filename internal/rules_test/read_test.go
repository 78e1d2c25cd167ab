package rules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "kv-shepherd.io/shepherd"

// pkg is what the rules look at in a package's files, tests left out.
type pkg struct {
	path    string // below the module
	name    string
	imports []string
	clocks  []string // where the clock is read
	inits   []string // where something happens at start
}

// packages reads every package of the module, on every platform's files.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var read = sync.OnceValues(func() ([]pkg, error) {
	root := filepath.Join("..", "..")
	found := map[string]*pkg{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, file, d.Name())
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		return add(found, root, file)
	})
	var out []pkg
	for _, p := range found {
		slices.Sort(p.imports)
		p.imports = slices.Compact(p.imports)
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b pkg) int { return strings.Compare(a.path, b.path) })
	return out, err
})

// enter leaves out what the go command leaves out, nested modules included.
func enter(root, dir, name string) error {
	if dir == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func add(found map[string]*pkg, root, file string) error {
	rel, err := filepath.Rel(root, file)
	if err != nil {
		return err
	}
	path := filepath.ToSlash(filepath.Dir(rel))
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := found[path]
	if p == nil {
		p = &pkg{path: path, name: strings.TrimSuffix(f.Name.Name, "_test")}
		found[path] = p
	}
	if strings.HasSuffix(file, "_test.go") {
		return nil
	}
	for _, s := range f.Imports {
		imported, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			return err
		}
		p.imports = append(p.imports, imported)
	}
	p.look(files, f)
	return nil
}

func (p *pkg) look(files *token.FileSet, f *ast.File) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			p.inits = append(p.inits, files.Position(fn.Pos()).String())
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker"}, s.Sel.Name) {
			p.clocks = append(p.clocks, files.Position(s.Pos()).String())
		}
		return true
	})
}

// below reports whether an import is a library or, where it has a domain (the standard library's have
// none), lies below it.
func below(imported, library string) bool {
	first, _, _ := strings.Cut(library, "/")
	return imported == library || strings.Contains(first, ".") && strings.HasPrefix(imported, library+"/")
}

// in reports whether a package is one of those named.
func in(path string, names ...string) bool {
	for _, name := range names {
		if all, ok := strings.CutSuffix(name, "/..."); ok && (path == all || strings.HasPrefix(path, all+"/")) || name == path {
			return true
		}
	}
	return false
}
