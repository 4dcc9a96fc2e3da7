package api_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestArrows compares the imports of each package with the table in
// ARCHITECTURE.md. A package may import the packages of its row and those that
// these may import. The row of an imported package must be below, so no two
// packages import each other.
func TestArrows(t *testing.T) {
	table, order := arrows(t)
	imports := imported(t)
	for i, name := range order {
		if _, found := imports[name]; !found {
			t.Errorf("the table names %s, which is not a package", name)
			continue
		}
		allowed := reach(table, name)
		for _, other := range imports[name] {
			if !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s, which the table does not allow", name, other)
			}
		}
		for _, other := range table[name] {
			if slices.Index(order, other) < i {
				t.Errorf("%s imports %s, whose row must stand below", name, other)
			}
			if !slices.Contains(reach(imports, name), other) {
				t.Errorf("the table allows %s to import %s, but it does not", name, other)
			}
		}
	}
	for name := range imports {
		if !slices.Contains(order, name) {
			t.Errorf("the table lacks the package %s", name)
		}
	}
}

var cellNames = regexp.MustCompile("`([^`]+)`")

// arrows reads the table: what each package may import, and the packages in
// the order of their rows.
func arrows(t *testing.T) (table map[string][]string, order []string) {
	t.Helper()
	page, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(cell string) (all []string) {
		for _, match := range cellNames.FindAllStringSubmatch(cell, -1) {
			all = append(all, match[1])
		}
		return all
	}
	table = map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for _, name := range names(cells[1]) {
			if slices.Contains(order, name) {
				t.Errorf("%s has two rows", name)
			}
			table[name] = names(cells[3])
			order = append(order, name)
		}
	}
	if len(order) < 30 {
		t.Fatalf("the table has %d packages", len(order))
	}
	return table, order
}

// imported returns which packages of this module each package imports, without
// its tests, by their names in the table.
func imported(t *testing.T) map[string][]string {
	t.Helper()
	const module = "wsauth"
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	short := func(p string) string { return strings.TrimPrefix(p, module+"/") }
	all := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		name := short(p.ImportPath)
		all[name] = []string{}
		for _, other := range p.Imports {
			if other == module || strings.HasPrefix(other, module+"/") {
				all[name] = append(all[name], short(other))
			}
		}
	}
}

// reach returns what a package imports, directly or indirectly.
func reach(imports map[string][]string, name string) []string {
	var all []string
	for left := slices.Clone(imports[name]); len(left) > 0; {
		other := left[0]
		left = left[1:]
		if !slices.Contains(all, other) {
			all = append(all, other)
			left = append(left, imports[other]...)
		}
	}
	return all
}
