// Package api keeps the exported API of every public package as text, one line
// for each identifier, so that reviewers see every change of it.
package api_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files instead of comparing them")

// TestAPI compares the exported API of each package with its file. After an
// intended change, write the files again:
//
//	go test ./api -update
func TestAPI(t *testing.T) {
	want := map[string][]string{}
	for _, dir := range publicPackages(t) {
		lines := exportedLines(t, filepath.Join("..", dir))
		if len(lines) > 0 {
			want[fileOf(dir)] = lines
		}
	}
	if *update {
		for name, lines := range want {
			if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil { //nolint:gosec // source
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob("*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if _, found := want[name]; !found {
			t.Errorf("%s belongs to no package", name)
		}
	}
	for name, lines := range want {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		got := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		for _, line := range lines {
			if !slices.Contains(got, line) {
				t.Errorf("%s lacks: %s", name, line)
			}
		}
		for _, line := range got {
			if !slices.Contains(lines, line) {
				t.Errorf("the package has no %[2]s, which is in %[1]s", name, line)
			}
		}
	}
}

// fileOf returns the name of the file for the package in dir.
func fileOf(dir string) string {
	if dir == "." {
		return "wsauth.txt"
	}
	return strings.ReplaceAll(filepath.ToSlash(dir), "/", "-") + ".txt"
}

// publicPackages returns the folders of the packages that others can import. It
// leaves out the packages that the examples share.
func publicPackages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		switch name := entry.Name(); {
		case path == "..":
		case strings.HasPrefix(name, "."), name == "internal", name == "testdata", name == "node_modules", name == "examples":
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != ".." {
			return fs.SkipDir // a module of its own
		}
		pkg, err := build.ImportDir(path, 0)
		if _, none := err.(*build.NoGoError); none || err == nil && (pkg.IsCommand() || len(pkg.GoFiles) == 0) { //nolint:errorlint // ImportDir wraps nothing
			return nil
		}
		if err != nil {
			return err
		}
		dir, err := filepath.Rel("..", path)
		dirs = append(dirs, dir)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// exportedLines returns the lines of the package in dir, sorted. It reads the
// files for Linux, so that the lines are the same on every system.
func exportedLines(t *testing.T, dir string) []string {
	t.Helper()
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", false
	pkg, err := context.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range pkg.GoFiles {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			lines = append(lines, declarationLines(decl)...)
		}
	}
	slices.Sort(lines)
	return lines
}

// declarationLines returns the lines of a declaration.
func declarationLines(decl ast.Decl) []string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return functionLines(d)
	case *ast.GenDecl:
		var lines []string
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					lines = append(lines, typeLines(s)...)
				}
			case *ast.ValueSpec:
				lines = append(lines, valueLines(d.Tok, s)...)
			}
		}
		return lines
	}
	return nil
}

func functionLines(d *ast.FuncDecl) []string {
	if !d.Name.IsExported() {
		return nil
	}
	signature := strings.TrimPrefix(text(d.Type), "func")
	if d.Recv == nil {
		return []string{"func " + d.Name.Name + signature}
	}
	receiver := text(d.Recv.List[0].Type)
	if !ast.IsExported(strings.TrimLeft(receiver, "*")) {
		return nil
	}
	return []string{fmt.Sprintf("method (%s) %s%s", receiver, d.Name.Name, signature)}
}

// valueLines returns the names of constants or variables, with the type where
// the source has one.
func valueLines(keyword token.Token, s *ast.ValueSpec) []string {
	var lines []string
	for _, name := range s.Names {
		if !name.IsExported() {
			continue
		}
		line := keyword.String() + " " + name.Name
		if s.Type != nil {
			line += " " + text(s.Type)
		}
		lines = append(lines, line)
	}
	return lines
}

// typeLines returns the lines of a type: one for itself, one for each exported
// field or method.
func typeLines(s *ast.TypeSpec) []string {
	name, kind := s.Name.Name, ""
	if s.Assign.IsValid() {
		kind = "= "
	}
	var members *ast.FieldList
	word := "field"
	switch underlying := s.Type.(type) {
	case *ast.StructType:
		members, kind = underlying.Fields, kind+"struct"
	case *ast.InterfaceType:
		members, kind, word = underlying.Methods, kind+"interface", "method"
	default:
		return []string{"type " + name + " " + kind + text(s.Type)}
	}
	lines := []string{"type " + name + " " + kind}
	for _, member := range members.List {
		if len(member.Names) == 0 {
			lines = append(lines, fmt.Sprintf("type %s embeds %s", name, text(member.Type)))
		}
		for _, field := range member.Names {
			if field.IsExported() {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("type %s %s %s %s", name, word, field.Name, strings.TrimPrefix(text(member.Type), "func"))))
			}
		}
	}
	return lines
}

// text returns the source of a node in one line, without comments and tags.
func text(node ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), node); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
