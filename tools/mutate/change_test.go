package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestChanges makes every change of a small package.
func TestChanges(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m\n\ngo 1.26\n",
		"a.go": `package m

func f(a int) (bool, error) {
	if err := g(); a < 10 {
		a = 1
		return true, err
	}
	g()
	return a == 1, nil
}

func g() error { return nil }
`,
		"b.go":      "package m\n\nconst b = 7\n",
		"a_test.go": "package m\n\nconst c = 8\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := changesOf(dir, regexp.MustCompile(`^a`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range all {
		got = append(got, c.String())
		if applied := string(c.apply()); len(applied) != len(c.file.text)-(c.end-c.begin)+len(c.text) {
			t.Errorf("%s: %q", c, applied)
		}
	}
	want := []string{
		`a.go:4: "a < 10" becomes "!(a < 10)"`,
		`a.go:4: "<" becomes "<="`,
		`a.go:4: "<" becomes ">="`,
		`a.go:4: "10" becomes "11"`,
		`a.go:5: "a = 1" becomes ""`,
		`a.go:5: "1" becomes "2"`,
		`a.go:6: "err" becomes "nil"`,
		`a.go:6: "true" becomes "false"`,
		`a.go:8: "g()" becomes ""`,
		`a.go:9: "==" becomes "!="`,
		`a.go:9: "1" becomes "2"`,
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
