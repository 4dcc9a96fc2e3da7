package api_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestExamplesImports checks that no package of the examples imports an
// internal package, which a copy could not import.
func TestExamplesImports(t *testing.T) {
	for name, imports := range imported(t) {
		for _, other := range imports {
			if strings.HasPrefix(name, "examples/") && strings.HasPrefix(other, "internal/") {
				t.Errorf("%s imports %s", name, other)
			}
		}
	}
}

// TestExamplesCompileCopied copies the programs, and the package that two of
// them share, into another module and compiles them there, where they cannot
// import internal packages.
func TestExamplesCompileCopied(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	programs, err := filepath.Glob("../examples/*/main.go")
	if err != nil || len(programs) == 0 {
		t.Fatal(programs, err)
	}
	for _, file := range append(programs, "../examples/web/web.go") {
		from := filepath.Dir(file)
		if err := os.CopyFS(filepath.Join(dir, filepath.Base(from)), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"query", "cookie"} {
		program := filepath.Join(dir, name, "main.go")
		source, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		source = bytes.Replace(source, []byte(`"wsauth/examples/web"`), []byte(`"copied/web"`), 1)
		if err := os.WriteFile(program, source, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(module), "module wsauth\n", "module copied\n", 1) +
		"\nrequire wsauth v0.0.0\nreplace wsauth => " + strconv.Quote(filepath.ToSlash(root)) + "\n"
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"go.mod": []byte(text), "go.sum": sums} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "./...")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
