package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// A source is a file of the package.
type source struct {
	path string
	text []byte
	set  *token.FileSet
}

// A change replaces a part of one file.
type change struct {
	file       *source
	begin, end int // offsets
	text       string
	line       int
}

// String returns where the change is and what it replaces.
func (c change) String() string {
	old := bytes.Join(bytes.Fields(c.file.text[c.begin:c.end]), []byte(" "))
	if len(old) > 60 {
		old = append(old[:60:60], "…"...)
	}
	return fmt.Sprintf("%s:%d: %q becomes %q", filepath.Base(c.file.path), c.line, old, c.text)
}

// apply returns the changed file.
func (c change) apply() []byte {
	return slices.Concat(c.file.text[:c.begin], []byte(c.text), c.file.text[c.end:])
}

// changesOf returns the changes of all files of a package that are compiled
// here and whose name matches only.
func changesOf(dir string, only *regexp.Regexp) ([]change, error) {
	list := exec.Command("go", "list", "-json=GoFiles", ".")
	list.Dir = dir
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w", dir, err)
	}
	var listed struct{ GoFiles []string }
	if err := json.Unmarshal(output, &listed); err != nil {
		return nil, err
	}
	var all []change
	for _, name := range listed.GoFiles {
		if !only.MatchString(name) {
			continue
		}
		s := &source{path: filepath.Join(dir, name), set: token.NewFileSet()}
		if s.text, err = os.ReadFile(s.path); err != nil {
			return nil, err
		}
		parsed, err := parser.ParseFile(s.set, s.path, s.text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			all = append(all, s.changes(n)...)
			return true
		})
	}
	return all, nil
}

// swapped are the operators that take each other's place.
var swapped = map[token.Token][]token.Token{
	token.EQL:  {token.NEQ},
	token.NEQ:  {token.EQL},
	token.LSS:  {token.LEQ, token.GEQ},
	token.LEQ:  {token.LSS, token.GTR},
	token.GTR:  {token.GEQ, token.LEQ},
	token.GEQ:  {token.GTR, token.LSS},
	token.LAND: {token.LOR},
	token.LOR:  {token.LAND},
	token.ADD:  {token.SUB},
	token.SUB:  {token.ADD},
	token.MUL:  {token.QUO},
	token.QUO:  {token.MUL},
}

// changes returns what can be changed about a node itself: an operator is
// replaced, a condition negated, a number or a truth value made another one, a
// statement left out, an error forgotten.
func (s *source) changes(n ast.Node) []change {
	var all []change
	replace := func(begin, end token.Pos, text string) {
		at := s.set.Position(begin)
		all = append(all, change{s, at.Offset, s.set.Position(end).Offset, text, at.Line})
	}
	switch n := n.(type) {
	case *ast.BinaryExpr:
		for _, op := range swapped[n.Op] {
			replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), op.String())
		}
	case *ast.IfStmt:
		replace(n.Cond.Pos(), n.Cond.End(), "!("+s.textOf(n.Cond)+")")
	case *ast.Ident:
		switch n.Name {
		case "true":
			replace(n.Pos(), n.End(), "false")
		case "false":
			replace(n.Pos(), n.End(), "true")
		}
	case *ast.BasicLit:
		if value, err := strconv.ParseInt(n.Value, 0, 64); err == nil && n.Kind == token.INT {
			replace(n.Pos(), n.End(), strconv.FormatInt(value+1, 10))
		}
	case *ast.ReturnStmt:
		if len(n.Results) > 0 {
			if last, ok := n.Results[len(n.Results)-1].(*ast.Ident); ok && last.Name == "err" {
				replace(last.Pos(), last.End(), "nil")
			}
		}
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		replace(n.Pos(), n.End(), "")
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			replace(n.Pos(), n.End(), "")
		}
	case *ast.CaseClause: // an ast.IfStmt in another form
		for _, e := range n.List {
			if b, ok := e.(*ast.BinaryExpr); ok {
				replace(b.Pos(), b.End(), "!("+s.textOf(b)+")")
			}
		}
	}
	return all
}

func (s *source) textOf(n ast.Node) string {
	return string(s.text[s.set.Position(n.Pos()).Offset:s.set.Position(n.End()).Offset])
}
