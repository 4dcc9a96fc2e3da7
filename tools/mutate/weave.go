package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A pkg is the changed package, with its types.
type pkg struct {
	root  string // of the project
	dir   string
	path  string // its import path
	set   *token.FileSet
	files []*source
	types *types.Package
	info  *types.Info

	imports types.Importer
}

// A source is a file of the package.
type source struct {
	path   string
	text   []byte
	parsed *ast.File
}

// load reads a package of the project at root.
func load(root, name string) (*pkg, error) {
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export,DepOnly,Standard", name, "errors", "os", "strconv")
	list.Dir = root
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", name, err)
	}
	p := &pkg{root: root, set: token.NewFileSet()}
	exports := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(output)); ; {
		var listed struct {
			ImportPath, Dir, Export string
			GoFiles                 []string
			DepOnly, Standard       bool
		}
		if err := d.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[listed.ImportPath] = listed.Export
		if listed.DepOnly || listed.Standard {
			continue
		}
		if p.path != "" {
			return nil, fmt.Errorf("%s is more than one package", name)
		}
		p.dir, p.path = listed.Dir, listed.ImportPath
		for _, file := range listed.GoFiles {
			s := &source{path: filepath.Join(p.dir, file)}
			if s.text, err = os.ReadFile(s.path); err != nil {
				return nil, err
			}
			if s.parsed, err = parser.ParseFile(p.set, s.path, s.text, parser.SkipObjectResolution); err != nil {
				return nil, err
			}
			p.files = append(p.files, s)
		}
	}
	p.imports = importer.ForCompiler(p.set, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	p.info = &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{},
	}
	var files []*ast.File
	for _, s := range p.files {
		files = append(files, s.parsed)
	}
	p.types, err = (&types.Config{Importer: p.imports}).Check(p.path, p.set, files, p.info)
	return p, err
}

// check returns an error if the package does not compile with these changes.
func (p *pkg) check(all []change) error {
	set := token.NewFileSet()
	var files []*ast.File
	for name, text := range p.weave(all) {
		parsed, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, parsed)
	}
	for _, s := range p.files {
		if !slices.ContainsFunc(all, func(c change) bool { return c.file == s }) {
			parsed, err := parser.ParseFile(set, s.path, s.text, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files = append(files, parsed)
		}
	}
	_, err := (&types.Config{Importer: p.imports}).Check(p.path, set, files, nil)
	return err
}

// weave returns the files that differ with these changes, by path. The first
// change is number 1.
func (p *pkg) weave(all []change) map[string][]byte {
	type numbered struct {
		change
		number int
	}
	byNode := map[ast.Node][]numbered{}
	woven := map[string][]byte{filepath.Join(p.dir, "mutant_switch.go"): []byte("package " + p.types.Name() + switchText)}
	for i, c := range all {
		byNode[c.node] = append(byNode[c.node], numbered{c, i + 1})
	}
	for _, atNode := range byNode { // changes without an operator come first: they enclose the others
		slices.SortStableFunc(atNode, func(a, b numbered) int { return len(a.operator) - len(b.operator) })
	}
	for _, s := range p.files {
		if !slices.ContainsFunc(all, func(c change) bool { return c.file == s }) {
			continue
		}
		type edit struct {
			begin, end int
			text       string
		}
		var edits []edit // in the order of their positions
		add := func(begin, end token.Pos, text string, c numbered) {
			isOn := fmt.Sprintf("(mutantOn == %d)", c.number)
			edits = append(edits, edit{p.set.Position(begin).Offset, p.set.Position(end).Offset, strings.ReplaceAll(text, "$", isOn)})
		}
		var stack []ast.Node
		ast.Inspect(s.parsed, func(n ast.Node) bool {
			if n != nil {
				stack = append(stack, n)
				for _, c := range byNode[n] {
					add(n.Pos(), n.Pos(), c.open, c)
				}
				return true
			}
			n = stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for _, c := range slices.Backward(byNode[n]) {
				if b, ok := n.(*ast.BinaryExpr); ok && c.operator != "" {
					add(b.OpPos, b.OpPos+token.Pos(len(b.Op.String())), c.operator, c)
				}
				add(n.End(), n.End(), c.closing, c)
			}
			return true
		})
		slices.SortStableFunc(edits, func(a, b edit) int { return a.begin - b.begin })
		var text bytes.Buffer
		at := 0
		for _, e := range edits {
			text.Write(s.text[at:e.begin])
			text.WriteString(e.text)
			at = e.end
		}
		text.Write(s.text[at:])
		woven[s.path] = text.Bytes()
	}
	return woven
}

// overlay writes the files that differ with these changes to dir, and the
// overlay file for the compiler.
func (p *pkg) overlay(all []change, dir string) (string, error) {
	replace := map[string]string{}
	for path, text := range p.weave(all) {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], text, 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

// switchText is the source of an additional file: which change is switched on,
// and the operators that are replaced.
const switchText = `

import (
	"errors"
	"os"
	"strconv"
)

var (
	mutantOn, _ = strconv.Atoi(os.Getenv("MUTANT"))
	mutantError = errors.New("an error where there was none")
)

type mutantNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

func mutantPick[T any](on bool, a, b T) T {
	if on {
		return b
	}
	return a
}

func mutantLess[T mutantNumber | ~string](on bool, a, b T) bool           { return a < b || on && a == b }
func mutantGreater[T mutantNumber | ~string](on bool, a, b T) bool        { return a > b || on && a == b }
func mutantLessOrEqual[T mutantNumber | ~string](on bool, a, b T) bool    { return a < b || !on && a == b }
func mutantGreaterOrEqual[T mutantNumber | ~string](on bool, a, b T) bool { return a > b || !on && a == b }

func mutantSum[T mutantNumber](on bool, a, b T) T {
	if on {
		return a - b
	}
	return a + b
}

func mutantDifference[T mutantNumber](on bool, a, b T) T { return mutantSum(!on, a, b) }

func mutantProduct[T mutantNumber](on bool, a, b T) T {
	if on {
		return a / b
	}
	return a * b
}

func mutantQuotient[T mutantNumber](on bool, a, b T) T { return mutantProduct(!on, a, b) }
`
