package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A change is a fault that can be switched on. It puts text around a node and,
// if it has an operator, replaces the node's operator. In these texts, "$"
// represents the condition that this change is switched on.
type change struct {
	file          *source
	node          ast.Node
	open, closing string
	operator      string   // empty to keep the node's operator
	function      ast.Node // the declaration around it; nil outside of functions
	at            token.Position
	old, new      string
}

// String returns the position of the change and what it replaces.
func (c change) String() string {
	return fmt.Sprintf("%s:%d:%d: %q becomes %q", filepath.Base(c.file.path), c.at.Line, c.at.Column, c.old, c.new)
}

// changes returns the changes of those files of the package whose names match.
func (p *pkg) changes(only *regexp.Regexp) []change {
	var all []change
	for _, s := range p.files {
		if !only.MatchString(filepath.Base(s.path)) {
			continue
		}
		f := finder{pkg: p, file: s}
		for _, d := range s.parsed.Decls {
			f.function, _ = d.(*ast.FuncDecl)
			f.find(d, nil)
		}
		all = append(all, f.found...)
	}
	return all
}

// choose returns up to n of the changes that compile together. The seed selects
// them.
func (p *pkg) choose(all []change, n int, seed uint64) []change {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same every time
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var chosen []change
	for len(chosen) < n && len(all) > 0 {
		group := all[:min(n-len(chosen), len(all))]
		all = all[len(group):]
		chosen = p.keepCompiling(chosen, group)
	}
	return chosen
}

// keepCompiling returns the chosen changes, and those of the group that compile
// together with them.
func (p *pkg) keepCompiling(chosen, group []change) []change {
	together := append(chosen[:len(chosen):len(chosen)], group...)
	switch {
	case p.check(together) == nil:
		return together
	case len(group) == 1:
		return chosen
	}
	half := len(group) / 2
	return p.keepCompiling(p.keepCompiling(chosen, group[:half]), group[half:])
}

// A finder collects the changes of one file.
type finder struct {
	pkg      *pkg
	file     *source
	function *ast.FuncDecl
	found    []change
}

func (f *finder) add(n ast.Node, at token.Pos, old, with, open, operator, closing string) {
	c := change{file: f.file, node: n, open: open, closing: closing, operator: operator, at: f.pkg.set.Position(at), old: old, new: with}
	if f.function != nil {
		c.function = f.function
	}
	f.found = append(f.found, c)
}

// find collects the changes of a node and its children. results are the result
// types of the enclosing function.
func (f *finder) find(root ast.Node, results *types.Tuple) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok == token.VAR
		case *ast.ArrayType:
			return false
		case *ast.FuncDecl:
			if n.Body != nil {
				f.find(n.Body, f.pkg.info.Defs[n.Name].Type().(*types.Signature).Results())
			}
			return false
		case *ast.FuncLit:
			f.find(n.Body, f.pkg.info.TypeOf(n).(*types.Signature).Results())
			return false
		case *ast.BlockStmt:
			f.addRemovals(n.List)
		case *ast.CommClause:
			f.addRemovals(n.Body)
		case *ast.CaseClause:
			f.addRemovals(n.Body)
			for _, e := range n.List {
				f.addNegation(e)
			}
		case *ast.IfStmt:
			f.addNegation(n.Cond)
		case *ast.ReturnStmt:
			f.addErrorSwap(n, results)
		case *ast.BinaryExpr:
			f.addOperators(n)
		case *ast.Ident:
			f.addBoolFlip(n)
		case *ast.BasicLit:
			f.addOffByOne(n)
		}
		return true
	})
}

// addRemovals adds changes that remove a statement.
func (f *finder) addRemovals(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		default:
			continue
		}
		f.add(s, s.Pos(), f.textOf(s), "", "if !$ { ", "", " }")
	}
}

// addNegation adds changes that negate the condition of an if or a case.
// Comparisons are not negated here: their operators are replaced.
func (f *finder) addNegation(e ast.Expr) {
	if b, ok := ast.Unparen(e).(*ast.BinaryExpr); ok && b.Op != token.LAND && b.Op != token.LOR {
		return
	}
	if t := f.pkg.info.Types[e]; t.Value == nil && isBasic(t.Type, types.IsBoolean) {
		text := f.textOf(e)
		f.add(e, e.Pos(), text, "!("+text+")", "((", "", ") != $)")
	}
}

// addErrorSwap adds changes that return nil instead of an error, or an error
// instead of nil.
func (f *finder) addErrorSwap(r *ast.ReturnStmt, results *types.Tuple) {
	if results.Len() == 0 || len(r.Results) != results.Len() {
		return
	}
	if results.At(results.Len()-1).Type() != types.Universe.Lookup("error").Type() {
		return
	}
	last, with := r.Results[len(r.Results)-1], "nil"
	if f.pkg.info.Types[last].IsNil() {
		with = "mutantError"
	}
	f.add(last, last.Pos(), "return "+f.textOf(last), "return "+with, "mutantPick[error]($, ", "", ", "+with+")")
}

// Operators and their replacements, and functions for those that need one.
var (
	inverted   = map[token.Token]token.Token{token.LSS: token.GEQ, token.LEQ: token.GTR, token.GTR: token.LEQ, token.GEQ: token.LSS}
	bordering  = map[token.Token]token.Token{token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR}
	equality   = map[token.Token]token.Token{token.EQL: token.NEQ, token.NEQ: token.EQL}
	logical    = map[token.Token]token.Token{token.LAND: token.LOR, token.LOR: token.LAND}
	arithmetic = map[token.Token]token.Token{token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL}
	functions  = map[token.Token]string{
		token.LSS: "mutantLess", token.LEQ: "mutantLessOrEqual", token.GTR: "mutantGreater", token.GEQ: "mutantGreaterOrEqual",
		token.ADD: "mutantSum", token.SUB: "mutantDifference", token.MUL: "mutantProduct", token.QUO: "mutantQuotient",
	}
)

// addOperators adds changes that replace the operator of an expression that is
// not constant.
func (f *finder) addOperators(b *ast.BinaryExpr) {
	t := f.pkg.info.Types[b]
	if t.Value != nil {
		return
	}
	add := func(with token.Token, open, operator, closing string) {
		f.add(b, b.OpPos, b.Op.String(), with.String(), open, operator, closing)
	}
	if with := cmp.Or(inverted[b.Op], equality[b.Op]); with != 0 {
		add(with, "((", "", ") != $)")
	}
	if with := bordering[b.Op]; with != 0 {
		add(with, functions[b.Op]+"($, ", ",", ")")
	}
	if with := logical[b.Op]; with != 0 { // a || b is !(!a && !b)
		add(with, "((((", ") != $) "+b.Op.String()+" ((", ") != $)) != $)")
	}
	if with := arithmetic[b.Op]; with != 0 && isBasic(t.Type, types.IsInteger|types.IsFloat) {
		add(with, functions[b.Op]+"($, ", ",", ")")
	}
}

// addBoolFlip adds changes of true to false, and of false to true.
func (f *finder) addBoolFlip(n *ast.Ident) {
	other := map[string]string{"true": "false", "false": "true"}[n.Name]
	if other != "" && f.pkg.info.Uses[n] == types.Universe.Lookup(n.Name) {
		f.add(n, n.Pos(), n.Name, other, "(", "", " != $)")
	}
}

// addOffByOne adds changes that make a number one greater or one less.
func (f *finder) addOffByOne(n *ast.BasicLit) {
	value, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil || n.Kind != token.INT {
		return
	}
	name, ok := f.nameOf(f.pkg.info.Types[n].Type)
	if !ok {
		return
	}
	for _, other := range []int64{value + 1, value - 1} {
		if other >= 0 {
			text := strconv.FormatInt(other, 10)
			f.add(n, n.Pos(), n.Value, text, "mutantPick["+name+"]($, ", "", ", "+text+")")
		}
	}
}

// nameOf returns the name by which the file can refer to a type. It returns
// false if there is none.
func (f *finder) nameOf(t types.Type) (string, bool) {
	ok := t != nil && !strings.HasPrefix(t.String(), "untyped")
	name := types.TypeString(t, func(of *types.Package) string {
		if of == f.pkg.types {
			return ""
		}
		for _, i := range f.file.parsed.Imports {
			imported, _ := f.pkg.info.Implicits[i].(*types.PkgName)
			if i.Name != nil {
				imported, _ = f.pkg.info.Defs[i.Name].(*types.PkgName)
			}
			if imported != nil && imported.Imported() == of {
				return imported.Name()
			}
		}
		ok = false
		return of.Name()
	})
	return name, ok
}

// isBasic reports whether a type is a basic one with one of the properties.
func isBasic(t types.Type, info types.BasicInfo) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&info != 0
}

// textOf returns the node's text on one line, shortened.
func (f *finder) textOf(n ast.Node) string {
	begin, end := f.pkg.set.Position(n.Pos()).Offset, f.pkg.set.Position(n.End()).Offset
	text := string(bytes.Join(bytes.Fields(f.file.text[begin:end]), []byte(" ")))
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "…"
	}
	return text
}
